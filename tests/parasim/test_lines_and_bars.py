"""Line charts of many methods, what is drawn between simulated points, scales, groups within groups, and names."""

from __future__ import annotations

import re
from functools import partial
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import parasim
from parasim.figures.bars import BarPart, StackedBar, draw_bars
from parasim.figures.breakdown import draw_breakdown
from parasim.figures.curves import between, dashes_on
from parasim.figures.line import draw_line
from parasim.figures.look import Look
from parasim.figures.rows import group_names, pretty_name, pretty_value
from parasim.figures.runtime import draw_runtime
from parasim.figures.sheet import svg_for_page
from parasim.hiding import Hidden
from tests.parasim.pictures import Text, place, svg_of, texts, words
from tests.parasim.test_figures import row


def lines(methods: list[str], seconds: float = 60.0) -> list[dict[str, Any]]:
    """Rows of methods of which each takes a little longer than the one before."""
    return [
        row(method, bandwidth=f"{rate}MB/s", wall_clock_s=1000.0 + seconds * number + 5e4 / rate)
        for number, method in enumerate(methods)
        for rate in (10, 100, 1000)
    ]


def overlap(one: Text, other: Text) -> bool:
    """Whether two texts of one size, not turned, are written over each other; letters are at least 0.3 em wide."""
    left, right = sorted((one, other), key=lambda text: text.x)
    return abs(one.y - other.y) < 0.8 * one.size and left.x + 0.3 * left.size * len(left.words) > right.x


@pytest.mark.parametrize("width", [84 / 25.4, 7.0])
def test_twenty_methods_are_listed_below_the_chart(width: float, tmp_path: Path):
    methods = [f"method {letter}" for letter in "abcdefghijklmnopqrst"]
    svg = svg_of(draw_line(lines(methods), "bandwidth", tmp_path, look=Look(width=width)))
    named = [text for text in texts(svg) if text.words in methods]
    axis = place(svg, "bandwidth of every client").y
    assert len(named) == 20
    assert all(text.y > axis for text in named)
    assert not any(overlap(one, other) for one, other in combinations(named, 2))


def test_few_lines_that_end_apart_are_named_there(tmp_path: Path):
    svg = svg_of(draw_line(lines(["parablock", "fedbcd", "fedit"], 600.0), "bandwidth", tmp_path))
    axis = place(svg, "bandwidth of every client").y
    assert all(place(svg, method).y < axis for method in ("parablock", "fedbcd", "fedit"))


def test_it_is_said_whose_communication_is_hidden(tmp_path: Path):
    marks = [
        Hidden({"model": "llama-3-8b", "batch_size": "4", "method": "parablock"}, 7e7, 1700.0, until=False),
        Hidden({"model": "llama-3-8b", "batch_size": "4", "method": "fedbcd"}, 3e7, 2700.0, until=True),
    ]
    look = Look(labels={"fedbcd": "FedBCD"})
    found = words(svg_of(draw_line(lines(["parablock", "fedbcd"]), "bandwidth", tmp_path, marks, look)))
    assert {"parablock: from 70 MB/s on", "FedBCD: up to 30 MB/s"} <= found


def test_along_a_bandwidth_time_is_linear_in_its_reciprocal():
    # a + b / x with 110 s at 1 and 20 s at 10: b = 90 / (1 - 0.1) = 100, a = 10; at 2 it is 60, not the chord's 100.
    xs, ys = between([(1.0, 110.0), (10.0, 20.0)], rate=True)
    assert np.allclose(ys, 10 + 100 / xs)
    assert {1.0, 10.0} <= set(xs)
    # Rounds, or a latency: 110 - 10 (x - 1).
    xs, ys = between([(1.0, 110.0), (10.0, 20.0)], rate=False)
    assert np.allclose(ys, 120 - 10 * xs)


def test_lines_on_each_other_are_drawn_in_different_ways():
    drawn: list[dict[float, float]] = []
    kinds = [dashes_on(drawn, {1.0: seconds, 2.0: 50.0}) for seconds in (100.0, 101.0, 200.0)]
    # The second differs by one per cent from the first, the third by half.
    assert kinds == ["-", "--", "-"]


def axes_of(svg: Path) -> list[list[str]]:
    """Numbers at the upright axis of each panel."""
    parts = svg.read_text(encoding="utf-8").split('<g id="matplotlib.axis_')[1:]
    found = [re.findall(r"<text[^>]*>([\d.]+)</text>", part.split('<g id="patch_')[0]) for part in parts]
    return [numbers for numbers in found[1::2] if numbers]


def models(minutes: dict[str, float]) -> list[dict[str, Any]]:
    return [
        row(method, wall_clock_s=60 * longest, compute_s=60 * longest, exposed_communication_s=0.0) | {"model": model}
        for model, longest in minutes.items()
        for method in ("parablock", "fedbcd")
    ]


def test_models_side_by_side_have_one_scale(tmp_path: Path):
    svg = svg_of(draw_runtime(models({"one": 20.0, "other": 5.0}), tmp_path))
    first, second = axes_of(svg)
    assert first == second
    assert place(svg, "one").y == place(svg, "other").y
    # A twentieth would be flat beside it: it stands below, on a scale that is said to be its own.
    svg = svg_of(draw_runtime(models({"one": 20.0, "other": 1.0}), tmp_path))
    first, second = axes_of(svg)
    assert first != second
    assert place(svg, "one").y < place(svg, "other").y
    assert sum("on a scale of its own" in text.words for text in texts(svg)) == 2


def swept(**fields: list[str]) -> list[dict[str, Any]]:
    names = {name.replace("__", "."): values for name, values in fields.items()}
    return [dict(zip(names, values, strict=True)) | row("parablock") for values in product(*names.values())]


def test_values_of_a_second_field_stand_within_those_of_the_first(tmp_path: Path):
    rows = swept(blocks__layers=["1", "2"], fleet__0__count=["3", "7", "9"])
    look = Look(labels={"fleet.0": "", "1": "one"})
    # Whatever the order in which they were simulated.
    for given in (rows, [*rows[::2], *rows[1::2]]):
        svg = svg_of(draw_runtime(given, tmp_path, look))
        inner = sorted((text for text in texts(svg) if text.words in ("3", "7", "9")), key=lambda text: text.x)
        assert [text.words for text in inner] == [text.words for text in inner[:3]] * 2
        outer = [place(svg, f"layers per block {value}") for value in ("one", "2")]
        assert inner[0].x < outer[0].x < inner[2].x < inner[3].x < outer[1].x < inner[5].x
        assert all(text.y > inner[0].y for text in outer)
        # The gap between the two is wider than those within them.
        assert inner[3].x - inner[2].x > 1.2 * (inner[1].x - inner[0].x)
        assert "number of clients" in words(svg)


def test_fields_and_values_have_names():
    fleet = {"fleet": [{"name": "city"}, {"count": 3}]}
    look = Look(labels=group_names(fleet))
    assert pretty_name("fleet.0.uplink", look) == "uplink (city)"
    assert pretty_name("fleet.1.count", look) == "number of clients (group 1)"
    assert pretty_name("fleet.0.uplink", Look(labels=group_names({"fleet": [{"name": "city"}]}))) == "uplink"
    assert pretty_name("method.staleness") == "staleness"
    assert pretty_name("fleet.0.uplink", Look(labels={"fleet.0.uplink": "Uplink"})) == "Uplink"
    assert pretty_value("model", "models/my-llama/config.json") == "my-llama"
    assert pretty_value("model", "meta-llama/Llama-3.2-1B") == "Llama-3.2-1B"
    assert pretty_value("fleet.0.uplink", "20MB/s") == "20 MB/s"


def test_a_share_is_drawn_as_a_share():
    # 50.8 s of 100 s reach to 50.8 % of 5 in at 72 pt, and the whole behind them to all of it.
    bars = [StackedBar("computing", [50.8], "50.8%"), StackedBar("uplink", [20.0], "20.0%")]
    svg = svg_for_page(partial(draw_bars, parts=[BarPart("time", "#0072B2")], bars=bars, whole=100.0), 5.0)
    edges = {
        colour: [
            max(map(float, re.findall(r"L ([\d.]+) ", path)))
            for path, fill in re.findall(r'<path d="([^"]*)"[^>]*style="fill: (#\w+)', svg)
            if fill == colour
        ]
        for colour in ("#0072b2", "#e4e4e4")
    }
    # The first of each is in the legend.
    assert edges["#0072b2"][1:] == pytest.approx([0.508 * 360, 0.2 * 360])
    assert edges["#e4e4e4"][1:] == pytest.approx([360, 360])


def test_where_a_run_takes_its_time(tmp_path: Path):
    # 3 s of computing, 1 s up and 1 s down, two rounds: 6 s and 3 s of 9 s.
    scenario: dict[str, Any] = {"method": "fedbcd", "rounds": 2, "payload": {"upload": "1MB"}}
    scenario |= {"fleet": [{"count": 2, "uplink": "1MB/s"}], "compute": {"seconds": 3}}
    found = words(svg_of(draw_breakdown(parasim.simulate(scenario), tmp_path)))
    assert {"fedbcd: wall-clock 9 s", "the fleet × 2", "computing", "67%", "exposed communication", "33%"} <= found
    assert not {"waiting", "offline", "communication hidden behind computing"} & found


def test_without_communication_there_is_only_computing(tmp_path: Path):
    scenario = {"method": "fedbcd", "rounds": 1, "payload": {"upload": "0B"}, "compute": {"seconds": 3}}
    found = words(svg_of(draw_breakdown(parasim.simulate(scenario), tmp_path)))
    assert {"computing", "100%"} <= found
    assert "exposed communication" not in found
