from __future__ import annotations

import bz2
import gzip
import json
import lzma

import pytest

from parasim_core.train.data import formats
from parasim_core.train.data.examples import Example
from parasim_core.train.data.formats import read_examples
from parasim_core.train.data.task import DataError


def read(tmp_path, *rows, **options) -> list[Example]:
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return read_examples(path, **options)


FREE = {"question": "Which city?", "answer": "Paris, the capital since 987."}


def test_free_text_in_an_answer_column_is_an_answer_and_no_number(tmp_path):
    expected = [Example("Which city?", "Paris, the capital since 987.")]
    assert read(tmp_path, FREE) == expected
    assert read(tmp_path, FREE, columns={"prompt": "question", "response": "answer"}) == expected
    assert read(tmp_path, {"prompt": "p", "response": "r", "answer": "Paris in 1999"}) == [Example("p", "r")]
    # What GSM8K means for a calculator means something else elsewhere.
    code = {"question": "Print it.", "answer": "cout << 3 << x >> y;"}
    assert read(tmp_path, code) == [Example("Print it.", "cout << 3 << x >> y;")]


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        *((7, "7"), (7.5, "7.5"), ("1,005", "1005"), ("$5.00", "5"), ("-3", "-3"), ("50%", "50")),
        *((1e22, "1" + "0" * 22), ("so\n#### 7", "7")),
        *((text, None) for text in ("in 7 days", "7 or 8", None, True, float("nan"))),
    ],
)
def test_an_answer_counts_where_it_is_a_number_or_ends_as_gsm8ks_do(tmp_path, answer, number):
    assert read(tmp_path, {"prompt": "p", "response": "r", "answer": answer}) == [Example("p", "r", answer=number)]
    # Named on purpose, it must end on a number.
    if answer in ("in 7 days", "7 or 8"):
        (example,) = read(tmp_path, {"prompt": "p", "response": "r", "a": answer}, columns={"answer": "a"})
        assert example.answer in ("7", "8")


@pytest.mark.parametrize(
    ("response", "number"),
    [
        ("7 - 2 = 5\n#### 5", "5"),
        ("#### 1,005.", "1005"),
        ("#### Conclusion\nIt takes 4 days.", None),
        ("#### Step 1\nWait.", None),
        ("It is 5.", None),
    ],
)
def test_a_heading_of_markdown_is_no_answer(tmp_path, response, number):
    assert read(tmp_path, {"prompt": "p", "response": response}) == [Example("p", response, answer=number)]


def test_in_a_file_of_gsm8k_every_answer_ends_on_a_marked_number(tmp_path):
    marked = {"question": "Two and three?", "answer": "2+3=<<2+3=5>>5\n#### 5"}
    with pytest.raises(DataError, match=r"line 2: 'answer' is 'Paris, the capital since 987.'"):
        read(tmp_path, marked, FREE)
    assert [example.answer for example in read(tmp_path, FREE, marked)] == [None, "5"]
    # Who says that it is GSM8K has the last number taken.
    assert [example.answer for example in read(tmp_path, FREE, format="gsm8k")] == ["987"]


def test_null_is_as_good_as_missing(tmp_path):
    alpaca = {"instruction": "Add.", "input": None, "output": "5"}
    dolly = {"instruction": "Add.", "context": None, "response": "5", "category": None}
    assert read(tmp_path, alpaca) == read(tmp_path, dolly) == [Example("Add.", "5")]
    columns = {"prompt": "p", "response": "r", "label": None, "answer": None}
    assert read(tmp_path, columns) == [Example("p", "r")]
    with pytest.raises(DataError, match="line 1: 'output' is None, but must be text"):
        read(tmp_path, {**alpaca, "output": None})


def test_dolly(tmp_path):
    row = {"instruction": "When?", "context": "It began in 1999.", "response": "1999", "category": "closed_qa"}
    assert read(tmp_path, row) == [Example("When?\n\nIt began in 1999.", "1999", label="closed_qa")]
    assert read(tmp_path, row, format="dolly") == read(tmp_path, row)


def test_a_label_may_be_a_number(tmp_path):
    assert read(tmp_path, {"prompt": "p", "response": "r", "label": 3})[0].label == "3"


CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Two and three?"},
    {"role": "assistant", "content": "Five."},
    {"role": "user", "content": "And one more?"},
    {"role": "assistant", "content": "Six."},
]
HISTORY = (("system", "Be brief."), ("user", "Two and three?"), ("assistant", "Five."))
SHAREGPT_ROLES = {"system": "system", "user": "human", "assistant": "gpt"}
SHAREGPT = [{"from": SHAREGPT_ROLES[one["role"]], "value": one["content"]} for one in CHAT]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": CHAT},
        {"conversations": SHAREGPT},
        {"conversations": CHAT},
        {"conversations": SHAREGPT[1:], "system": "Be brief."},
        {"messages": [{**one, "content": [{"type": "text", "text": one["content"]}]} for one in CHAT]},
        {"prompt": CHAT[:-1], "completion": CHAT[-1:]},
        # An answer to nobody, a question that nobody answers, one turn in two messages: as such files have them.
        {"messages": [CHAT[0], {"role": "assistant", "content": "Hello!"}, *CHAT[1:]]},
        {"messages": [*CHAT, {"role": "user", "content": "Sure?"}]},
    ],
)
def test_conversations(tmp_path, row):
    assert read(tmp_path, row) == [Example("And one more?", "Six.", history=HISTORY)]


def test_one_turn_in_several_messages(tmp_path):
    said = [{"role": "user", "content": text} for text in ("Look:", "2 and 3?")] + [CHAT[2]]
    assert read(tmp_path, {"messages": said}) == [Example("Look:\n\n2 and 3?", "Five.")]


def test_prompt_and_completion(tmp_path):
    assert read(tmp_path, {"prompt": "p", "completion": " c"}) == [Example("p", " c")]


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ("Hello", "'messages' is 'Hello', but must be a list of messages"),
        ([], "no question of a user that an assistant answers"),
        (CHAT[:2], "no question of a user that an assistant answers"),
        ([CHAT[2]], "no question of a user that an assistant answers"),
        ([3], "message 1 of 'messages' is 3"),
        ([CHAT[1], {"role": "tool", "content": "5"}], "message 2 of 'messages': role is 'tool': allowed are"),
        ([CHAT[1], {"role": "asistant", "content": "5"}], "did you mean 'assistant'"),
        ([CHAT[1], {"role": "assistant", "content": None}], "message 2 of 'messages': 'content' is None"),
        ([{"role": "user", "content": [{"type": "image"}]}], "message 1 of 'messages': 'content' is"),
        ([{"from": "human"}], "message 1 of 'messages': 'value' is None"),
    ],
)
def test_what_is_no_conversation_is_named(tmp_path, messages, message):
    with pytest.raises(DataError, match=f"line 1: .*{message}"):
        read(tmp_path, {"messages": messages})


@pytest.mark.parametrize(
    "example",
    [
        Example("p", "r"),
        Example("p", "so #### 7", "l", "7"),
        Example("And one more?", "Six.", "l", None, HISTORY),
        Example("And one more?", "#### 6", None, "6", HISTORY),
    ],
)
def test_an_example_is_read_back_from_its_row(tmp_path, example):
    assert read(tmp_path, example.as_row()) == [example]


HALF = '"\\ud800"'


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (f'{{"prompt": {HALF}, "response": "r"}}', "'prompt' holds"),
        (f'{{"prompt": "p", "response": {HALF}}}', "'response' holds"),
        (f'{{"prompt": "p", "response": "r", "label": {HALF}}}', "'label' holds"),
        (f'{{"prompt": "p", "response": "r", "answer": {HALF}}}', "'answer' holds"),
        (f'{{"instruction": "i", "input": {HALF}, "output": "o"}}', "'input' holds"),
        (f'{{"messages": [{{"role": "user", "content": {HALF}}}]}}', "message 1 of 'messages': 'content' holds"),
        (f'{{"messages": [{{"role": {HALF}, "content": "c"}}]}}', "message 1 of 'messages': role is"),
        (f'{{{HALF}: "p"}}', "unknown data format with the keys"),
        (f'{{"question": "q", {HALF}: "p"}}', "unknown data format with the keys"),
    ],
)
def test_half_a_surrogate_pair_is_named_wherever_it_stands(tmp_path, row, field):
    path = tmp_path / "data.jsonl"
    path.write_text('{"prompt": "\\ud83d\\ude00", "response": "a whole pair"}\n')
    assert read_examples(path)[0].prompt == "\U0001f600"
    path.write_text(row)
    with pytest.raises(DataError) as caught:
        read_examples(path)
    assert field in str(caught.value)
    # A terminal can print it.
    assert "\\ud800" in str(caught.value)
    str(caught.value).encode()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("name", ["data.jsonl.gz", "data.json", "data"])
def test_compressed_files_are_known_by_how_they_begin(tmp_path, pack, name, monkeypatch):
    path = tmp_path / name
    text = json.dumps(FREE) + "\n" + json.dumps(FREE)
    path.write_bytes(pack(text.encode()))
    assert len(read_examples(path)) == 2
    path.write_bytes(pack(text.encode())[:-12])
    with pytest.raises(DataError, match=r"data.*: compressed, but damaged"):
        read_examples(path)
    path.write_bytes(pack(b'{"a": 1}\n\xff\xfe'))
    with pytest.raises(DataError, match=r"not UTF-8 text when it is unpacked \(line 2\)"):
        read_examples(path)
    # A small file can hold a large one.
    monkeypatch.setattr(formats, "MAX_FILE_BYTES", 2**20)
    path.write_bytes(pack(b" " * 2**21))
    with pytest.raises(DataError, match="larger than 1 MiB"):
        read_examples(path)


def test_a_missing_compressed_file_is_not_looked_for_on_the_hub():
    with pytest.raises(DataError, match="no such file"):
        read_examples("none.jsonl.gz")


GOOD = json.dumps(FREE)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f'[{GOOD}, {GOOD}, {{"question": }}]', "line 1: .*row 3, column"),
        (f"[{GOOD} {GOOD}]", "line 1: .*row 2, column"),
        (f"[{GOOD}, {GOOD},]", "line 1: .*row 3, column"),
        (f"[{GOOD}, {GOOD}", "line 1: .*row 2, column"),
        (f"[{GOOD},\n{GOOD},\n nonsense]", "line 3: .*row 3, column 2"),
        (f'[{GOOD}, {{"question": 5, "answer": "a"}}]', "row 2: 'question' is 5"),
        (f"[{GOOD}, [{GOOD}]]", "row 2: a row must be an object"),
        (f"[{GOOD}] {GOOD}", "line 1: .*Extra data$"),
    ],
)
def test_a_mistake_in_an_array_is_named_by_its_row(tmp_path, text, place):
    path = tmp_path / "data.json"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"data.json, {place}"):
        read_examples(path)
