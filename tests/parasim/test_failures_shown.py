"""Failures in pictures, traces and pages: what is drawn, what the legend says, and what pages tell."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from parasim.figures.gantt import draw_schedule
from parasim.figures.gantt_failures import OUTAGE, REPAIR
from parasim.figures.schedule import schedule, window
from parasim.figures.sheet import svg_for_page
from parasim.trace import write_trace
from parasim_core.sim.analysis.failing import failures
from parasim_core.sim.engine.result import Result
from tests.parasim.command_line import run as command
from tests.sim.analysis.test_failing_path import Run
from tests.sim.engine import test_failing
from tests.sim.engine.test_failing import device, link

run = test_failing.run
EXAMPLE = Path("examples/failing-sites.yaml")


def picture(result: Result) -> str:
    spans, found = result.timeline.spans, failures(result)
    shown = schedule(spans, [], result.counts, window(spans, 8), result.scenario, result.presence, found)
    return svg_for_page(partial(draw_schedule, schedule=shown), 7.0)


def words(picture: str) -> list[str]:
    return re.findall(r"<text[^>]*>(.*?)</text>", picture)


def bars(picture: str, colour: str) -> int:
    """Bars in a colour, the legend's swatch not counted."""
    return len(re.findall(f"fill: {colour.lower()}", picture)) - 1


def test_repairs_and_outages_have_bars_and_a_legend(run: Run):
    drawn = picture(run({0: [(4, 9)], 1: [(3, 6)]}, device(False), rounds=1))
    assert bars(drawn, REPAIR) == 2
    assert {"repair", "cut off, or begun anew"} <= {*words(drawn)}
    drawn = picture(run({1: [(3, 6)]}, link("stall"), rounds=1))
    assert bars(drawn, OUTAGE) == 1
    assert "outage of the link" in words(drawn)
    assert not {"repair", "cut off, or begun anew", "vanishes"} & {*words(drawn)}


def test_a_picture_without_failures_says_nothing_of_them(run: Run):
    drawn = picture(run({}, device(False), rounds=1))
    assert not {"repair", "outage of the link", "late and dropped", "not there"} & {*words(drawn)}


def test_a_trace_tells_failures_apart(run: Run, tmp_path: Path):
    result = run({1: [(4, 9)]}, device(False), rounds=1)
    write_trace(result, tmp_path / "run.json")
    events = json.loads((tmp_path / "run.json").read_text())["traceEvents"]
    slices = {event["name"]: (event["ts"], event["dur"]) for event in events if event["ph"] == "X"}
    assert slices["repair"] == (4_000_000, 5_000_000)
    assert slices["compute 0 (wasted)"] == (0, 4_000_000)
    assert [event["args"]["name"] for event in events if event["name"] == "thread_name"].count("repairs") == 1


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("why")
    assert command("explain", EXAMPLE, "--set", "rounds=6", "--out", out).status == 0
    return out


def test_the_page_tells_what_failures_cost(explained: Path):
    assert command("report", explained).status == 0
    page = (explained / "report.html").read_text()
    result: dict[str, Any] = json.loads((explained / "result.json").read_text())
    assert "what failures cost" in page
    assert f"{result['short_rounds']} of 6" in page
    assert "late and dropped" in page
    assert "outage of the link" in page


def test_a_damaged_list_is_refused(explained: Path):
    path = explained / "failures.csv"
    path.write_text(path.read_text().replace("late", "soon"))
    outcome = command("report", explained)
    assert outcome.status == 2
    assert "failures.csv: is damaged" in outcome.err
