"""The pictures of budgets, deadlines and sensitivities: the same bytes every time, and clear refusals."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from parasim.figures.confidence import draw_confidence
from parasim.figures.deadline import Deadline, draw_deadline
from parasim.figures.pareto import draw_pareto
from parasim.figures.style import SMALL, FigureError
from parasim.figures.tornado import Bar, Panel, draw_tornado
from parasim.planning.cost.bill import Bill
from parasim.planning.cost.choices import Candidate, Given, Outcome
from parasim.planning.risk.random_runs import RandomRuns
from parasim_core.sim.scenario.scenario import Scenario
from tests.parasim.pictures import place, svg_of, texts


def outcome(method: str, device: str, cost: float, wall_clock: float) -> Outcome:
    candidate = Candidate(Scenario.parse({"method": method, "model": "demo"}), None, Given(device), Given(""))
    return Outcome(candidate, wall_clock, Bill(cost, 0.0, 0.0, 0.0, 0.0, 0.0))


def sampled(method: str, within: float | None = None) -> RandomRuns:
    """500 runs of a method whose run without jitter takes 1,096 s."""
    setup = SimpleNamespace(scenario=Scenario.parse({"method": method, "model": "demo"}))
    recording = SimpleNamespace(setup=setup, result=SimpleNamespace(wall_clock=1096.0))
    return RandomRuns(recording, 1096.0, np.random.default_rng(0).lognormal(7, 0.1, 500), 500, 0.9, within, 1)


RUNS = [
    outcome("fedit", "a100", 5.0, 3000.0),
    outcome("parablock", "h100", 9.0, 800.0),
    outcome("fedbcd", "a100", 12.0, 1500.0),
]
BARS = [
    Bar("uplink", "80 MB/s", "120 MB/s", 1400.0, 1150.0, 0.8, 0.81),
    Bar("latency", "5 ms", "15 ms", 1200.0, 1200.0, 0.0, 0.0),
]


def drawn(kind: str, directory: Path) -> list[Path]:
    if kind == "pareto":
        return draw_pareto(RUNS, RUNS[:2], 8.0, directory)
    if kind == "deadline":
        return draw_confidence([sampled("parablock")], directory)
    if kind == "within":
        return draw_confidence([sampled("fedbcd", within=1180.0)], directory)
    return draw_tornado([Panel("parablock", 1200.0, BARS), Panel("fedbcd", 1300.0, BARS * 10)], directory)


@pytest.mark.parametrize("kind", ["pareto", "deadline", "within", "tornado"])
def test_the_same_picture_has_the_same_bytes(kind: str, tmp_path: Path):
    once, again = drawn(kind, tmp_path / "once"), drawn(kind, tmp_path / "again")
    assert [path.suffix for path in once] == [".png", ".svg"]
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("pareto", ["from the cheapest to the fastest", "budget 8 USD", "1  fedit, a100", "cost of a run [USD]"]),
        (
            "deadline",
            ["share of runs that are done", "without jitter", "wall-clock [minutes]", "90%", "90% are done in"],
        ),
        ("within", ["answer, with its 95 % interval", "are done in 19.7 min", "90%"]),
        ("tornado", ["parablock: 20.0 minutes", "uplink", "120 MB/s", "81%", "wall-clock [minutes]"]),
    ],
)
def test_what_is_written_in_it(kind: str, words: list[str], tmp_path: Path):
    found = {text.words for text in texts(svg_of(drawn(kind, tmp_path)))}
    assert [word for word in words if word not in found] == []


def test_answers_that_are_close_are_told_apart(tmp_path: Path):
    # Beside their methods, one below the other, instead of upright at two points of nearly the same bandwidth.
    curve = [(1e6, 9e4), (7.9e6, 10_800.0), (1e8, 2e3)]
    answers = {"parablock": (7.932e6, 10_800.0), "fedbcd": (7.94e6, 10_800.0)}
    curves = dict.fromkeys(answers, curve)
    svg = svg_of(draw_deadline(Deadline(curves, answers, 10_800.0, "bandwidth", "B/s"), tmp_path))
    places = [place(svg, words) for words in ("parablock: 7.932 MB/s", "fedbcd: 7.94 MB/s")]
    assert abs(places[0].y - places[1].y) > SMALL
    assert all(text.turned == 0 for text in places)


@pytest.mark.parametrize(("limit", "words"), [(8.0, "budget 8 USD"), (1.0, "budget 1 USD, below all runs")])
def test_the_budget_is_written_where_no_line_is(limit: float, words: str, tmp_path: Path):
    # The front comes down from the upper edge of the chart: above that edge is nothing but the legend.
    svg = draw_pareto(RUNS, RUNS[:2], limit, tmp_path)[1]
    edge = min(float(y) for y in re.findall(r'<path d="M [\d.]+ ([\d.]+)', axes_of(svg)))
    assert place(svg, words).y < edge


def axes_of(svg: Path) -> str:
    """The second axes of a picture: the first are the page."""
    return svg.read_text().split('<g id="axes_2">')[1]


def test_methods_and_their_answers_are_named_below_the_chart(tmp_path: Path):
    svg = svg_of(draw_confidence([sampled(method, within=1180.0) for method in ("fedbcd", "parablock")], tmp_path))
    axis = place(svg, "wall-clock [minutes]").y
    named = [text for text in texts(svg) if text.words.startswith(("fedbcd: ", "parablock: "))]
    assert len(named) == 2
    assert all(text.y > axis for text in named)


def test_a_tornado_counts_what_it_leaves_out(tmp_path: Path):
    assert any("8 narrower bars not shown" in text.words for text in texts(svg_of(drawn("tornado", tmp_path))))


def test_what_has_no_place_on_logarithmic_axes_is_refused(tmp_path: Path):
    free = outcome("fedit", "", 0.0, 1.0)
    with pytest.raises(FigureError):
        draw_pareto([free], [free], 1.0, tmp_path)
