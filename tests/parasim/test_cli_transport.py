"""`paraSim validate transport`: what it prints and writes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from parasim.figures.transport import draw_transport
from parasim_core.calibration.transport.compare import compare, measured
from tests.parasim.command_line import refused, run


def test_prints_every_row_with_its_error_and_bound():
    rows = list(csv.DictReader(io.StringIO(run("validate", "transport", "--format", "csv").out)))
    assert len(rows) == len(compare(measured()))
    for row in rows:
        error = 100 * (float(row["predicted"]) / float(row["measured"]) - 1)
        assert abs(float(row["error_pct"]) - error) < 0.1
        if row["bound_pct"]:
            assert row["holds"] == str(abs(error) <= float(row["bound_pct"]))
    found = json.loads(run("validate", "transport", "--format", "json").out)
    assert [str(row["predicted"]) for row in found["rows"]] == [row["predicted"] for row in rows]
    assert found["kinds"]["loss"]["holds"] is True


def test_the_table_says_what_is_left_out(tmp_path: Path):
    outcome = run("validate", "transport", "--out", tmp_path / "new")
    assert "start-up" in outcome.out
    assert "--traces" in outcome.err
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"transport.csv", "parity.png", "parity.svg"}


def test_a_folder_without_logs_is_refused(tmp_path: Path):
    assert "4g-bus-0001.csv" in refused("validate", "transport", "--traces", tmp_path)


def test_the_picture_is_the_same_every_time(tmp_path: Path):
    comparisons = compare(measured())
    first, second = (draw_transport(comparisons, tmp_path / name) for name in ("one", "two"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
