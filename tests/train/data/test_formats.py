from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

from train.data.formats import Example, read_examples
from train.data.task import DataError

ALPACA = {"instruction": "Add.", "input": "2 and 3", "output": "5"}
MATHINSTRUCT = {"source": "CoT/aqua", "instruction": "What is 2 + 3?", "output": "It is 5."}
GSM8K = {"question": "Two and three?", "answer": "2+3=<<2+3=5>>5\n#### 1,005"}
SVAMP = {
    "ID": "chal-1",
    "Body": "A pack costs 76 dollars.",
    "Question": "How much with 25 off?",
    "Equation": "( 76.0 - 25.0 )",
    "Answer": 51.0,
    "Type": "Subtraction",
}


def write(tmp_path, *rows, name="data.jsonl"):
    path = tmp_path / name
    path.write_text("\n".join(map(json.dumps, rows)) if name.endswith("l") else json.dumps(rows))
    return path


@pytest.mark.parametrize("name", ["data.json", "data.jsonl"])
@pytest.mark.parametrize(
    ("row", "example"),
    [
        (ALPACA, Example("Add.\n\n2 and 3", "5")),
        ({**ALPACA, "input": ""}, Example("Add.", "5")),
        ({"instruction": "Add.", "output": "5"}, Example("Add.", "5")),
        (MATHINSTRUCT, Example("What is 2 + 3?", "It is 5.", label="CoT/aqua")),
        (GSM8K, Example("Two and three?", "2+3=5\n#### 1,005", answer="1005")),
        (
            SVAMP,
            Example(
                "A pack costs 76 dollars. How much with 25 off?",
                "76 - 25 = 51\n#### 51",
                label="Subtraction",
                answer="51",
            ),
        ),
        ({"prompt": "p", "response": "r", "label": "l"}, Example("p", "r", label="l")),
        ({"prompt": "p", "response": "so #### 7"}, Example("p", "so #### 7", answer="7")),
    ],
)
def test_formats_are_told_by_their_keys(tmp_path, row, example, name):
    assert read_examples(write(tmp_path, row, row, name=name)) == [example, example]


def test_named_columns(tmp_path):
    path = write(tmp_path, {"ask": "p", "say": "r", "topic": "t", "value": 7})
    columns = {"prompt": "ask", "response": "say", "label": "topic", "answer": "value"}
    assert read_examples(path, columns=columns) == [Example("p", "r", "t", "7")]
    with pytest.raises(DataError, match="line 1: no 'theme'"):
        read_examples(path, columns={**columns, "label": "theme"})
    with pytest.raises(DataError, match="did you mean 'prompt'"):
        read_examples(path, columns={"promt": "ask"})
    with pytest.raises(DataError, match="'gsm8k'"):
        read_examples(path, columns=columns, format="gsm8k")


def test_a_format_can_be_forced(tmp_path):
    # A MathInstruct row is an Alpaca row too; read as one it loses its label.
    path = write(tmp_path, MATHINSTRUCT)
    assert read_examples(path, format="alpaca") == [Example("What is 2 + 3?", "It is 5.")]
    with pytest.raises(DataError, match="line 1: no 'answer'"):
        read_examples(path, format="gsm8k")
    with pytest.raises(DataError, match="did you mean 'alpaca'"):
        read_examples(path, format="alpacca")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows"),
        ([{"a": "b"}], "line 1: unknown data format with the keys a"),
        ([GSM8K, {"question": "?"}], "line 2: no 'answer'; the row has question"),
        ([GSM8K, {**GSM8K, "question": None}], "line 2: 'question' is None, but must be text"),
        ([GSM8K, {**GSM8K, "answer": "none"}], "line 2: 'answer' is 'none', but must end on a number"),
        ([GSM8K, {**GSM8K, "question": " "}], "line 2: the prompt is empty"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        read_examples(write(tmp_path, *rows))


def test_hub(monkeypatch):
    def load_dataset(name, *, split):
        if name == "openai/none":
            raise FileNotFoundError("doesn't exist")
        assert split == "train"
        return iter([GSM8K, {"question": "?"}] if name == "openai/broken" else [GSM8K])

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    assert read_examples("openai/gsm8k")[0].answer == "1005"
    with pytest.raises(DataError, match="openai/broken, row 2: no 'answer'"):
        read_examples("openai/broken")
    with pytest.raises(DataError, match="openai/none: cannot be read from the hub"):
        read_examples("openai/none")


def test_hub_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match="pip install datasets"):
        read_examples("openai/gsm8k")


def test_a_missing_file_is_not_looked_for_on_the_hub(tmp_path):
    for source in (tmp_path / "none.json", "none.jsonl"):
        with pytest.raises(DataError, match="no such file"):
            read_examples(source)
