from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.train.data import formats
from parasim_core.train.data.formats import Example, read_examples, read_rows
from parasim_core.train.data.task import DataError

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


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_rows = st.lists(st.dictionaries(st.text(max_size=4), _values, max_size=3), max_size=6)


def read(tmp_path, text, name="data.json"):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(read_rows(path))


def test_rows_and_lines_are_counted_from_one(tmp_path):
    place = str(tmp_path / "data.json")
    assert read(tmp_path, '{"a": 1}\n\n{"a": 2}\r\n') == [
        (f"{place}, line 1", {"a": 1}),
        (f"{place}, line 3", {"a": 2}),
    ]
    assert read(tmp_path, '\n[{"a":\n1},\n {"a": 2}]\n') == [
        (f"{place}, row 1", {"a": 1}),
        (f"{place}, row 2", {"a": 2}),
    ]
    assert read(tmp_path, b'\xef\xbb\xbf[{"a": 1}]') == [(f"{place}, row 1", {"a": 1})]
    assert read(tmp_path, "") == read(tmp_path, "[]") == []


@given(content=_rows, indent=st.sampled_from([None, 1]))
def test_any_array_and_any_lines_are_read_back(tmp_path_factory, content, indent):
    folder = tmp_path_factory.mktemp("rows")
    array = read(folder, json.dumps(content, indent=indent))
    lines = read(folder, "\n".join(json.dumps(row, ensure_ascii=False) for row in content))
    assert [row for _, row in array] == [row for _, row in lines] == content
    assert [place.rpartition(" ")[2] for place, _ in lines] == [str(number + 1) for number in range(len(content))]


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("garbage", "line 1", "not a JSON array or one JSON object a line"),
        ('[{"a": 1}', "line 1", "Expecting ',' delimiter"),
        ('[{"a": 1}\n{"a": 2}]', "line 2", "Expecting ',' delimiter"),
        ('[{"a": 1}]\n{}', "line 2", "Extra data"),
        ('[{"a": 1},\n{"a":\n}]', "line 3", "Expecting value"),
        ('[{"a": 1}, 1]', "row 2", "must be an object"),
        ("1", "line 1", "must be an object"),
        ('{"a": 1}\n{"a":\n', "line 2", "Expecting value"),
        ('{"a": 1} {"a": 2}', "line 1", "Extra data"),
        ("[" * 100_000, "line 1", "not readable JSON"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path, text, place, reason):
    with pytest.raises(DataError, match=rf"data.json, {place}: .*{reason}"):
        read(tmp_path, text)


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="is a directory"):
        list(read_rows(tmp_path))
    with pytest.raises(DataError):
        list(read_rows(tmp_path / "none.json"))
    with pytest.raises(DataError, match=r"not UTF-8 text \(line 2\)"):
        read(tmp_path, b'{"a": 1}\n\xff\xfe')
    monkeypatch.setattr(formats, "MAX_FILE_BYTES", 5)
    with pytest.raises(DataError, match="larger than"):
        read(tmp_path, '[{"a": 1}]')
