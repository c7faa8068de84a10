"""Metrics as text, and back again."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.sim.errors import OutputError
from parasim_core.train.runs.metrics import METRICS, read_metrics, write_metrics

HEADER = ",".join(METRICS) + "\n"

seconds = st.floats(0, 1e9)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "method": st.sampled_from(["parablock", "ffa-lora"]),
            "round": st.integers(0, 1000),
            "simulated_s": seconds,
            "train_loss": seconds,
            "eval_loss": st.none() | seconds,
            "accuracy": st.none() | st.floats(0, 1),
            "uploaded_bytes": st.integers(0, 10**15),
            "downloaded_bytes": st.integers(0, 10**15),
        }
    ),
    max_size=5,
)


def test_metrics_as_text(tmp_path: Path):
    row = dict.fromkeys(METRICS, 1) | {"method": "fedbcd", "simulated_s": 0.1, "accuracy": None}
    write_metrics(tmp_path / "metrics.csv", [row])
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines[0] == "method,round,simulated_s,train_loss,eval_loss,accuracy,uploaded_bytes,downloaded_bytes"
    assert lines[1] == "fedbcd,1,0.1,1,1,,1,1"


@given(rows)
def test_what_is_written_is_read(tmp_path_factory, rows: list[dict[str, object]]):
    path = tmp_path_factory.mktemp("metrics") / "metrics.csv"
    write_metrics(path, rows)
    assert read_metrics(path) == rows
    # To the byte: methods that were trained before are written again beside new ones.
    before = path.read_bytes()
    write_metrics(path, read_metrics(path))
    assert path.read_bytes() == before


def test_none_yet(tmp_path: Path):
    assert read_metrics(tmp_path / "metrics.csv") == []


RIGHT = "fedbcd,1,2.5,0.5,,,7,8\n"


def test_what_was_not_measured_is_empty(tmp_path: Path):
    (tmp_path / "metrics.csv").write_text(HEADER + RIGHT)
    assert list(read_metrics(tmp_path / "metrics.csv")[0].values()) == ["fedbcd", 1, 2.5, 0.5, None, None, 7, 8]


SPOILED = [
    RIGHT.replace(before, after, 1)
    for before, after in [
        (",1,", ",one,"),
        (",1,", ",1.5,"),
        (",1,", ",,"),
        (",2.5,", ",,"),
        (",2.5,", ",inf,"),
        (",0.5,", ",nan,"),
        (",7,", ",,"),
        (",7,", ",1e400,"),
        (",7,", f",{'7' * 5000},"),
        ("fedbcd", "x" * 200_000),
    ]
]


@pytest.mark.parametrize(
    "text",
    ["a,b\n1,2\n", *(HEADER + row for row in ("fedbcd,x,,,,,,\n", "fedbcd\n", *SPOILED))],
    ids=lambda text: text.removeprefix(HEADER)[:30],
)
def test_something_else_is_refused(text: str, tmp_path: Path):
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(OutputError, match=r"metrics\.csv: is damaged"):
        read_metrics(tmp_path / "metrics.csv")
