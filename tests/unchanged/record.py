"""Runs everything that must not change, with whatever `parasim` is imported, and keeps what came out.

    PYTHONPATH=CHECKOUT python tests/unchanged/record.py DIR

writes all timelines, tables and figures of that checkout into DIR: record two checkouts and compare the directories.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import parasim

HERE = Path(__file__).parent
SCENARIOS: dict[str, dict[str, Any]] = {
    data["name"].replace(" ", "-"): data
    for data in map(json.loads, (HERE / "scenarios.jsonl").read_text(encoding="utf-8").splitlines())
}
EXAMPLES = ("cross-silo-50", "digits", "paper", "phones", "planning")
"""Those that a simulation alone can run: the others need what only a training knows."""
REPRODUCED = ("csv", "json", "table")

NO_FIGURES = ("provenance.", "scenario.", "contract_version")

Figures = dict[str, float | int]


def simulated(name: str, directory: Path) -> Figures:
    """Simulate one of the drawn scenarios; its timeline goes into the directory."""
    result = parasim.simulate(SCENARIOS[name])
    result.write_timeline(directory / f"{name}.csv")
    return figures(result.summary(), directory / f"{name}.csv")


def example(name: str, directory: Path) -> Figures:
    """Simulate one of the examples by the command line; its timeline goes into the directory."""
    with TemporaryDirectory() as out:
        command("simulate", f"examples/{name}.yaml", "--out", out)
        summary = json.loads(Path(out, "result.json").read_text(encoding="utf-8"))
        shutil.copyfile(Path(out, "timeline.csv"), directory / f"{name}.csv")
    return figures(summary, directory / f"{name}.csv")


def command(*arguments: str) -> str:
    """Run `paraSim` of the checkout that `parasim` was imported from, and return what it prints."""
    root = Path(parasim.__file__).resolve().parents[1]
    run = [sys.executable, "-m", "parasim", *arguments]
    return subprocess.run(run, cwd=root, check=True, capture_output=True, encoding="utf-8").stdout


def swept() -> str:
    """Run the default sweep; return its table."""
    with TemporaryDirectory() as out:
        command("sweep", "--out", out)
        return Path(out, "results.csv").read_text(encoding="utf-8")


def figures(summary: Mapping[str, Any], timeline: Path) -> Figures:
    """Every number of a summary but its provenance, scenario and contract's version, and three of the timeline."""
    rows = list(csv.DictReader(io.StringIO(timeline.read_text(encoding="utf-8"))))
    return {
        **{field: value for field, value in _flat(summary) if not field.startswith(NO_FIGURES)},
        "timeline.rows": len(rows),
        "timeline.start_s": math.fsum(float(row["start_s"]) for row in rows),
        "timeline.end_s": math.fsum(float(row["end_s"]) for row in rows),
    }


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, float | int]]:
    if isinstance(value, Mapping | list):
        for key, below in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _flat(below, f"{path}.{key}" if path else str(key))
    elif isinstance(value, int | float):
        yield path, value


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def record(directory: Path) -> None:
    """Run everything and write it into a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    lines = []
    for run, names in ((simulated, SCENARIOS), (example, EXAMPLES)):
        for name in names:
            found = {"figures": run(name, directory), "timeline": digest(directory / f"{name}.csv")}
            lines.append(f"{json.dumps(name)}: {json.dumps(found)}")
    (directory / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    (directory / "sweep.csv").write_text(swept(), encoding="utf-8")
    for form in REPRODUCED:
        printed = command("reproduce", "--format", form)
        (directory / f"reproduce.{form}").write_text(printed, encoding="utf-8")


if __name__ == "__main__":
    record(Path(sys.argv[1]))
