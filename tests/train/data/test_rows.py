from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.data import rows
from train.data.rows import read_rows
from train.data.task import DataError

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
    with pytest.raises(DataError, match="no such file"):
        list(read_rows(tmp_path / "none.json"))
    with pytest.raises(DataError, match=r"not UTF-8 text \(line 2\)"):
        read(tmp_path, b'{"a": 1}\n\xff\xfe')
    monkeypatch.setattr(rows, "MAX_FILE_BYTES", 5)
    with pytest.raises(DataError, match="larger than"):
        read(tmp_path, '[{"a": 1}]')
