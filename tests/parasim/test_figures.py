"""Pictures: the same bytes every time, both kinds of file, and clear refusals."""

from __future__ import annotations

import re
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest

from parasim.figures import style
from parasim.figures.bars import BarPart, StackedBar, draw_bars
from parasim.figures.gantt import draw_schedule
from parasim.figures.labels import shortened, spread
from parasim.figures.line import draw_line
from parasim.figures.parity import draw_parity
from parasim.figures.runtime import draw_runtime
from parasim.figures.schedule import Schedule
from parasim.figures.sheet import svg_for_page
from parasim.figures.style import FigureError, format_time, text_width, time_unit
from parasim.figures.training import draw_partition, draw_training
from parasim.hiding import Hidden
from parasim_core.sim.engine.timeline import Kind, Span
from parasim_core.train.data.partition import split_by_label
from tests.parasim.pictures import svg_of, texts, words


def row(method: str, bandwidth: str = "100MB/s", batch_size: str = "4", **figures: Any) -> dict[str, Any]:
    seconds = {"wall_clock_s": 1200.0, "compute_s": 900.0, "exposed_communication_s": 200.0}
    rest = {"waiting_s": 100.0, "offline_s": 0.0, "compute_origin": "fitted"}
    labels = {"model": "llama-3-8b", "bandwidth": bandwidth, "batch_size": batch_size, "method": method}
    return labels | seconds | rest | figures


ROWS = [row(m, b, s) for b in ("50MB/s", "100MB/s") for s in ("2", "4") for m in ("parablock", "fedbcd")]


def drawn(kind: str, directory: Path) -> list[Path]:
    if kind == "runtime":
        return draw_runtime(ROWS, directory)
    if kind == "line":
        labels = {"model": "llama-3-8b", "batch_size": "2", "method": "parablock"}
        return draw_line(ROWS, "bandwidth", directory, [Hidden(labels, 70e6, 1100.0, until=False)])
    if kind == "parity":
        cells = [
            {"method": "fedbcd", "reported_min": 10.0, "predicted_min": 11.0, "role": role}
            for role in ("fitted", "predicted", "unexplained")
        ]
        return draw_parity(cells, directory / "parity.png")
    if kind == "training":
        metrics = [
            {"method": m, "round": t, "simulated_s": 9.0 * t, "eval_loss": None if t == 1 else 2.0 - 0.1 * t}
            for m in ("parablock", "fedbcd")
            for t in range(4)
        ]
        return draw_training(metrics, directory)
    return draw_partition(split_by_label(["a", "b", "c"] * 20, 6, alpha=0.5, seed=0), directory)


@pytest.mark.parametrize("kind", ["runtime", "line", "parity", "training", "partition"])
def test_the_same_picture_has_the_same_bytes(kind: str, tmp_path: Path):
    first, second = drawn(kind, tmp_path / "a"), drawn(kind, tmp_path / "b")
    assert [path.suffix for path in first] == [".png", ".svg"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert first[0].read_bytes().startswith(b"\x89PNG")
    assert "Date" not in first[1].read_text()
    assert [path.name for path in sorted((tmp_path / "a").iterdir())] == sorted(path.name for path in first)


def test_curves_begin_at_the_base_and_rounds_are_whole(tmp_path: Path):
    metrics = [
        {"method": "fedbcd", "round": t, "simulated_s": 10.0 * (t + 1), "eval_loss": 3.0 - 0.1 * t} for t in range(3)
    ]
    # After 3 rounds: 0, 1, 2, 3, not 0.5. Of three rounds and the base, each curve has three pieces.
    near = svg_of(draw_training(metrics, tmp_path, 3.1))
    said = [text.words for text in texts(near)]
    assert said[: said.index("rounds")][-4:] == ["0", "1", "2", "3"]
    assert "base" in said
    assert pieces(near, "fedbcd") == [3, 3]


def pieces(svg: Path, method: str) -> list[int]:
    """Number of straight pieces of each curve of a method: its lines have 1.2 pt."""
    colour = style.method_colours([method])[method].lower()
    curves = re.findall(r'<path d="([^"]*)"[^>]*style="fill: none; stroke: (#\w+); stroke-width: 1.2', svg.read_text())
    return [path.count("L") for path, stroke in curves if stroke == colour]


def test_a_base_out_of_reach_is_told_and_no_curve_falls_from_it(tmp_path: Path):
    # Losses take 0.2 and the margins: a base of 9 is thirty times that above them.
    metrics = [
        {"method": "fedbcd", "round": t, "simulated_s": 10.0 * (t + 1), "eval_loss": 3.0 - 0.1 * t} for t in range(3)
    ]
    svg = svg_of(draw_training(metrics, tmp_path, 9.0))
    assert "base: 9.00, above the chart" in words(svg)
    assert pieces(svg, "fedbcd") == [2, 2]


def test_a_picture_for_a_page_has_text_that_can_be_searched():
    bars = [StackedBar("rural < city", [1.0, 0.0, 2.0], "3 s"), StackedBar("c" * 200, [1.0, 1.0, 0.0], "2 s")]
    parts = [BarPart("computing", style.COMPUTE), BarPart("never", style.OFFLINE), BarPart("waiting", style.WAITING)]
    first, second = (svg_for_page(partial(draw_bars, parts=parts, bars=bars), 2.85) for _ in range(2))
    assert first == second
    words = re.findall(r"<text[^>]*>(.*?)</text>", first)
    assert {"rural &lt; city", "3 s", "2 s", "computing", "waiting"} < set(words)
    # What is too long for a narrow page is cut off; the longest bar is as wide as the page.
    assert any(word.startswith("cc") and word.endswith("…") for word in words)
    assert max(float(x) for x in re.findall(r"L ([\d.]+) ", first)) == pytest.approx(2.85 * 72, abs=0.01)


def test_clients_with_long_names_can_be_told_apart():
    spans = [Span(client, 0, Kind.COMPUTE, 0.0, 10.0 + client, 0.0, (), ()) for client in range(12)]
    names = {client: f"clinics of the far and snowy north {client}" for client in range(12)}
    schedule = Schedule(spans, [(spans[11], 0.0, 21.0)], names, dict.fromkeys(names, 1), 40, {}, 21.0)
    svg = svg_for_page(partial(draw_schedule, schedule=schedule), 2.85)
    words = re.findall(r"<text[^>]*>(.*?)</text>", svg)
    shown = [word for word in words if word.startswith("clinics")]
    assert len(set(shown)) == 12
    assert any(word.endswith("… 11") for word in shown)
    assert any(word.startswith("seconds; 12 of 40 clients") for word in words)
    # Without knowing who takes part when, nobody is said to wait.
    assert "waiting" not in words
    with pytest.raises(FigureError):
        svg_for_page(partial(draw_schedule, schedule=Schedule([], [], {}, {}, 0, {}, 0.0)), 2.85)


def test_every_bar_has_its_value(tmp_path: Path):
    rows = [row(m, wall_clock_s=60 * minutes) for m, minutes in (("parablock", 21.18), ("fedbcd", 30.2))]
    assert {"21.2", "30.2", "exposed communication"} <= words(svg_of(draw_runtime(rows, tmp_path)))


def test_extrapolated_bars_are_marked(tmp_path: Path):
    rows = [row("parablock"), row("fedbcd", compute_origin="extrapolated")]
    assert "compute time extrapolated" in words(svg_of(draw_runtime(rows, tmp_path)))
    assert "compute time extrapolated" not in words(svg_of(draw_runtime(ROWS, tmp_path)))


@pytest.mark.parametrize(
    "draw",
    [
        lambda path: draw_runtime([], path),
        lambda path: draw_line([], "bandwidth", path),
        lambda path: draw_parity([], path / "parity.png"),
        lambda path: draw_training([], path),
        lambda path: draw_line([row("parablock", bandwidth="fast")], "bandwidth", path),
        lambda path: draw_line([row("parablock", batch_size="0")], "batch_size", path),
    ],
)
def test_what_cannot_be_drawn_is_refused_and_leaves_nothing(draw, tmp_path: Path):
    with pytest.raises(FigureError):
        draw(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_times_choose_their_unit():
    assert time_unit(90).name == "seconds"
    assert time_unit(1200).name == "minutes"
    assert time_unit(6 * 3600).name == "hours"
    assert format_time(1270.8, time_unit(1270.8)) == "21.2"


def test_labels_move_apart_and_stay_inside():
    placed = spread({"a": 0.5, "b": 0.5, "c": 0.52, "d": 2.0}, 0.0, 2.0)
    heights = sorted(placed.values())
    assert all(upper - lower > 0.1 for lower, upper in pairwise(heights))
    assert heights[0] >= 0
    assert heights[-1] <= 2


def test_a_label_that_is_too_long_is_cut_off():
    assert shortened("city", 1.0, 6.0) == "city"
    cut = shortened("clinics of the far north", 0.5, 6.0)
    assert cut.startswith("clin")
    assert cut.endswith("…")
    assert text_width(cut, 6.0) <= 0.5


def words_in(paths: list[Path]) -> set[str]:
    return words(svg_of(paths))


def far_rows(**varied: list[str]) -> list[dict[str, Any]]:
    """Rows of a sweep along some fields of a group's links, each run longer than the one before."""
    names = {name.replace("__", "."): values for name, values in varied.items()}
    combined = [dict(zip(names, values, strict=True)) for values in product(*names.values())]
    seconds = [{"wall_clock_s": 1000.0 + 100 * number} for number in range(len(combined))]
    return [{**labels, **row("parablock", **own)} for labels, own in zip(combined, seconds, strict=True)]


def test_axes_of_links_have_names_and_units(tmp_path: Path):
    loss = far_rows(fleet__far__transport__loss=["0.01%", "0.1%", "1%"])
    assert {"packet loss (far)", "0.01 %", "0.1 %", "1 %"} <= words_in(
        draw_line(loss, "fleet.far.transport.loss", tmp_path)
    )
    streams = far_rows(**{"fleet__*__transport__streams": ["1", "4"]})
    found = words_in(draw_line(streams, "fleet.*.transport.streams", tmp_path))
    assert {"parallel streams (every client)", "1", "4"} <= found
    latency = far_rows(regions__eu__latency=["5ms", "150ms"], fleet__0__transport__control=["reno", "bbr"])
    found = words_in(draw_line(latency, "regions.eu.latency", tmp_path))
    assert {"latency, one way (region eu)", "5 ms", "150 ms", "parablock, congestion control bbr"} <= found


def test_lines_of_the_same_field_of_two_groups_are_told_apart(tmp_path: Path):
    fields = {f"fleet__{group}__latency": ["5ms", "50ms"] for group in "ab"}
    found = words_in(draw_line(far_rows(rounds=["1", "2"], **fields), "rounds", tmp_path))
    assert "parablock, latency, one way (a) 5 ms, latency, one way (b) 50 ms" in found


def test_bars_with_and_without_tcp(tmp_path: Path):
    found = words_in(draw_runtime(far_rows(fleet__far__transport=["{control: cubic, loss: 0.1%}", "null"]), tmp_path))
    assert {"TCP (far)", "control cubic, loss 0.1%", "none"} <= found
    groups = {"fleet__far__transport__loss": ["0%", "1%"], "fleet__far__transport__streams": ["1", "8"]}
    found = words_in(draw_runtime(far_rows(**groups), tmp_path))
    assert {"packet loss (far) 0 %", "8", "parallel streams (far)"} <= found
