from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train import rows
from train.rows import read_rows
from train.task import DataError

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


def test_lines_are_counted_from_one(tmp_path):
    assert read(tmp_path, '{"a": 1}\n\n{"a": 2}\r\n') == [(1, {"a": 1}), (3, {"a": 2})]
    assert read(tmp_path, '\n[{"a":\n1},\n {"a": 2}]\n') == [(2, {"a": 1}), (4, {"a": 2})]
    assert read(tmp_path, b'\xef\xbb\xbf[{"a": 1}]') == [(1, {"a": 1})]
    assert read(tmp_path, "") == read(tmp_path, "[]") == []


@given(content=_rows, indent=st.sampled_from([None, 1]))
def test_any_array_and_any_lines_are_read_back(tmp_path_factory, content, indent):
    folder = tmp_path_factory.mktemp("rows")
    array = read(folder, json.dumps(content, indent=indent))
    lines = read(folder, "\n".join(json.dumps(row, ensure_ascii=False) for row in content))
    assert [row for _, row in array] == [row for _, row in lines] == content
    assert [line for line, _ in lines] == list(range(1, len(content) + 1))


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("garbage", 1, "begins with 'g'"),
        ('[{"a": 1}', 1, "the array ends without ]"),
        ('[{"a": 1}\n{"a": 2}]', 2, "'{' instead of , or ]"),
        ('[{"a": 1},\n]', 2, "not JSON"),
        ('[{"a": 1}]\n{}', 2, "more after the array"),
        ('[{"a": 1},\n{"a":\n}]', 3, "not JSON"),
        ("[1]", 1, "must be an object"),
        ('{"a": 1}\n{"a":\n', 2, "not JSON"),
        ('{"a": 1} {"a": 2}', 1, "more on the line"),
        ("[" * 100_000, 1, "not readable JSON"),
        (b'{"a": 1}\n\xff\xfe', 2, "not UTF-8"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, text, line, reason):
    with pytest.raises(DataError, match=rf"data.json, line {line}: .*{reason}"):
        read(tmp_path, text)


def test_bounds(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MAX_ROW_CHARACTERS", 100)
    with pytest.raises(DataError, match="line 1: 1009 characters, a row has at most 100"):
        read(tmp_path, '[{"a": "' + "x" * 1000 + '"}]')
    monkeypatch.setattr(rows, "MAX_FILE_BYTES", 5)
    with pytest.raises(DataError, match="at most 5 are read"):
        read(tmp_path, '[{"a": 1}]')


def test_files_that_are_none(tmp_path):
    with pytest.raises(DataError, match="not a file"):
        list(read_rows(tmp_path))
    with pytest.raises(DataError, match="No such file"):
        list(read_rows(tmp_path / "none.json"))
