"""Nothing of what a user gets has changed since commit 9f738f2: see README.md beside this file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from parasim.contracts import STAMP
from tests.unchanged.record import (
    EXAMPLES,
    HERE,
    REPRODUCED,
    SCENARIOS,
    Figures,
    command,
    digest,
    example,
    simulated,
    swept,
)

EXPECTED = json.loads((HERE / "expected.json").read_text(encoding="utf-8"))
SEE = "To see more, record that commit and this one and compare them: tests/unchanged/README.md"
TO_ROUNDING = {name for name, data in SCENARIOS.items() if data["compute"].get("profile") == "smollm2-135m-cpu"}
"""Compared to 1e-12: this profile multiplies matrices, which processors round differently."""


def check(name: str, run: Callable[[str, Path], Figures], directory: Path) -> None:
    """Compare a run's figures, then the bytes of its timeline."""
    now, before = run(name, directory), EXPECTED[name]["figures"]
    slack = 1e-12 * before["wall_clock_s"] if name in TO_ROUNDING else 0.0
    for field, was in before.items():
        # Byte counts and sums over a timeline may be larger than the wall-clock.
        allowed = max(slack, 1e-12 * abs(was)) if slack else 0.0
        same = field in now and type(now[field]) is type(was) and abs(now[field] - was) <= allowed
        assert same, f"{name}: {field} was {was!r} and is {now.get(field)!r}. {SEE}"
    if name not in TO_ROUNDING:
        same = digest(directory / f"{name}.csv") == EXPECTED[name]["timeline"]
        assert same, f"{name}: all figures are the same, but timeline.csv is not. {SEE}"


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str, tmp_path: Path):
    check(name, simulated, tmp_path)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name: str, tmp_path: Path):
    check(name, example, tmp_path)


def test_default_sweep():
    assert of_columns_then(swept(), "sweep.csv") == recorded("sweep.csv"), SEE


@pytest.mark.parametrize("form", REPRODUCED)
def test_reproduction(form: str):
    printed = command("reproduce", "--format", form)
    if form == "json":
        # What names the contract and the version was added since.
        result = json.loads(printed)
        printed = json.dumps({name: result[name] for name in result if name not in STAMP}, indent=2) + "\n"
    assert printed == recorded(f"reproduce.{form}"), SEE


def recorded(name: str) -> str:
    """What that commit printed or wrote."""
    return (HERE / name).read_text(encoding="utf-8")


def of_columns_then(table: str, name: str) -> str:
    """Leave out of a table what columns were added since."""
    columns = recorded(name).partition("\n")[0].split(",")
    if table.startswith(",".join(columns) + "\n"):
        return table
    kept = io.StringIO()
    writer = csv.DictWriter(kept, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(csv.DictReader(io.StringIO(table)))
    return kept.getvalue()
