"""Pictures as they are wanted: kinds of files, width, type size, title, names, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import parasim
from parasim.figures import style
from parasim.figures.breakdown import draw_breakdown
from parasim.figures.confidence import draw_confidence
from parasim.figures.deadline import Deadline, draw_deadline
from parasim.figures.gantt import draw_gantt
from parasim.figures.line import draw_line
from parasim.figures.look import Look, read_font_size, read_formats, read_labels, read_width
from parasim.figures.pareto import draw_pareto
from parasim.figures.parity import draw_parity
from parasim.figures.runtime import draw_runtime
from parasim.figures.style import FigureError
from parasim.figures.tornado import Panel, draw_tornado
from parasim.figures.training import draw_partition, draw_training
from parasim_core.sim.analysis.critical_path import critical_path
from parasim_core.train.data.partition import split_by_label
from tests.parasim.command_line import refused, run
from tests.parasim.pictures import size_of, svg_of, texts, words
from tests.parasim.test_figures import ROWS
from tests.parasim.test_planning_figures import BARS, RUNS, sampled

Draw = Callable[[Path, Look], list[Path]]

# Two clients of one group and one of another: 3 s of computing, 1 MB each way at 1 MB/s.
SMALL: dict[str, Any] = {
    "method": "fedbcd",
    "rounds": 2,
    "fleet": [{"name": "city", "count": 2, "uplink": "1MB/s"}, {"name": "far away", "uplink": "0.5MB/s"}],
    "payload": {"upload": "1MB"},
    "compute": {"seconds": 3},
}
RESULT = parasim.simulate(SMALL)
METRICS = [
    {"method": m, "round": t, "simulated_s": 9.0 * (t + 1), "eval_loss": 2.0 - 0.1 * t}
    for m in ("parablock", "fedbcd")
    for t in range(4)
]
CELLS = [{"method": "fedbcd", "reported_min": 10.0, "predicted_min": 11.0, "role": "fitted"}]
DEADLINE = Deadline({"fedbcd": [(1e6, 9e3), (1e8, 2e3)]}, {"fedbcd": (1e7, 5e3)}, 5e3, "bandwidth", "B/s")
PARTITION = split_by_label(["cats", "dogs"] * 90, 40, alpha=0.5, seed=0)
PICTURES: dict[str, Draw] = {
    "runtime": lambda path, look: draw_runtime(ROWS, path, look),
    "line": lambda path, look: draw_line(ROWS, "bandwidth", path, look=look),
    "training": lambda path, look: draw_training(METRICS, path, 2.2, look),
    "partition": lambda path, look: draw_partition(PARTITION, path, look),
    "parity": lambda path, look: draw_parity(CELLS, path / "parity.png", look),
    "pareto": lambda path, look: draw_pareto(RUNS, RUNS[:2], 8.0, path, look),
    "confidence": lambda path, look: draw_confidence([sampled("parablock")], path, look),
    "tornado": lambda path, look: draw_tornado([Panel("parablock", 1200.0, BARS)], path, look),
    "deadline": lambda path, look: draw_deadline(DEADLINE, path, look),
    "gantt": lambda path, look: draw_gantt(RESULT, critical_path(RESULT), path, look=look),
    "breakdown": lambda path, look: draw_breakdown(RESULT, path, look),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_is_as_wide_as_its_column(kind: str, tmp_path: Path):
    # 84 mm are 84 / 25.4 x 72 = 238.11 pt.
    svg = svg_of(PICTURES[kind](tmp_path, Look(width=84 / 25.4)))
    assert size_of(svg)[0] == pytest.approx(238.11, abs=0.01)


@pytest.mark.parametrize("kind", PICTURES)
def test_all_text_grows_with_its_size(kind: str, tmp_path: Path):
    # Numbers of rounds in bars of a Gantt chart are a point smaller than the smallest, 5 of 7 pt; all twice as large.
    usual = svg_of(PICTURES[kind](tmp_path / "usual", Look()))
    large = svg_of(PICTURES[kind](tmp_path / "large", Look(font_size=14.0)))
    assert {text.size for text in texts(usual)} <= {5.0, 6.0, 7.0, 8.0}
    assert {text.size for text in texts(large)} <= {10.0, 12.0, 14.0, 16.0}
    # It is still as wide: the layout makes room, not the page.
    assert size_of(large)[0] == pytest.approx(size_of(usual)[0], rel=0.15)


@pytest.mark.parametrize("kind", PICTURES)
def test_methods_are_called_what_they_should_be(kind: str, tmp_path: Path):
    labels = {"fedbcd": "FedBCD", "parablock": "ParaBlock", "fedit": "FedIT", "far away": "Far", "cats": "Katzen"}
    before, after = (
        " ".join(words(svg_of(PICTURES[kind](tmp_path / str(len(names)), Look(labels=names)))))
        for names in ({}, labels)
    )
    present = [name for name in labels if name in before]
    assert present
    assert not any(name in after for name in present)
    assert all(labels[name] in after for name in present)


def test_a_title_takes_the_place_of_the_picture_s_own(tmp_path: Path):
    own, other, none = (
        words(svg_of(PICTURES["gantt"](tmp_path / str(title), Look(title=title))))
        for title in (None, "Two $ cities", "")
    )
    assert "fedbcd: 2 rounds" in own
    assert "Two $ cities" in other
    assert not {"fedbcd: 2 rounds", "Two $ cities"} & none


def test_a_long_title_is_broken_and_stands_above_everything(tmp_path: Path):
    said = "Wall-clock of two methods of federated fine-tuning over links of fifty and a hundred megabytes a second"
    svg = svg_of(PICTURES["runtime"](tmp_path, Look(width=84 / 25.4, title=said)))
    lines = [text for text in texts(svg) if text.words and text.words in said and text.size == 8.0]
    assert " ".join(line.words for line in lines) == said
    assert len(lines) > 1
    assert max(style.text_width(line.words, 8.0, "bold") for line in lines) < 84 / 25.4
    assert max(line.y for line in lines) < min(text.y for text in texts(svg) if text not in lines)
    assert size_of(svg)[0] == pytest.approx(238.11, abs=0.01)


def test_kinds_of_files(tmp_path: Path):
    first, second = (PICTURES["runtime"](tmp_path / name, Look(formats=("pdf",))) for name in "ab")
    assert [path.name for path in first] == ["runtime.pdf"]
    assert first[0].read_bytes() == second[0].read_bytes()
    # Text is text: its font is in the file, and letters are not mere outlines.
    assert first[0].read_bytes().startswith(b"%PDF")
    assert b"/FontFile2" in first[0].read_bytes()
    assert [path.suffix for path in PICTURES["runtime"](tmp_path, Look(formats=("svg", "png")))] == [".svg", ".png"]


def test_a_file_that_ends_in_pdf_is_one(tmp_path: Path):
    assert [path.name for path in draw_parity(CELLS, tmp_path / "parity.pdf")] == ["parity.pdf"]
    svg = Look(formats=("svg",))
    assert [path.name for path in draw_parity(CELLS, tmp_path / "parity.pdf", svg)] == ["parity.svg"]


def test_what_can_be_told():
    assert read_formats("PDF, svg,.pdf") == ("pdf", "svg")
    # 84 mm = 8.4 cm; an inch has 25.4 mm and 72 pt.
    assert read_width("84mm") == pytest.approx(84 / 25.4)
    assert read_width("8.4 cm") == pytest.approx(84 / 25.4)
    assert read_width("252pt") == pytest.approx(3.5)
    assert read_font_size("8pt") == read_font_size("8") == 8.0


@pytest.mark.parametrize(
    ("read", "given"),
    [
        *((read_formats, text) for text in ("jpg", "", "png,gif")),
        *((read_width, text) for text in ("84", "59mm", "2m", "-84mm", "wide", "1e3mm", "nan mm")),
        *((read_font_size, text) for text in ("4", "25", "8mm", "large", "")),
    ],
)
def test_what_no_picture_can_be_is_refused(read: Callable[[str], Any], given: str):
    with pytest.raises(FigureError, match=r"allowed|did you mean|from 60mm to 600mm|from 5 to 24"):
        read(given)


@pytest.mark.parametrize("content", ["- parablock", "parablock: [a]", "parablock: {a: b}", "a: b: c", "just words"])
def test_labels_that_are_none_are_refused(content: str, tmp_path: Path):
    file = tmp_path / "labels.yaml"
    file.write_text(content)
    with pytest.raises(FigureError, match=r"labels\.yaml: "):
        read_labels(file)


@pytest.mark.parametrize(
    ("option", "named"),
    [
        (["--plot-format", "pgn"], "did you mean 'png'?"),
        (["--width", "84"], "such as 84mm"),
        (["--font-size", "80"], "from 5 to 24"),
        (["--labels", "none.yaml"], "none.yaml: no such file"),
    ],
)
@pytest.mark.parametrize(
    "command", ["simulate", "explain", "sweep", "plan", "train", "reproduce", "validate transport"]
)
def test_mistakes_are_told_before_anything_is_computed(
    command: str, option: Sequence[str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    # The scenario is not even looked for.
    files = ["missing.yaml"] if command in ("simulate", "explain", "sweep", "plan", "train") else []
    assert named in refused(*command.split(), *files, *option)
    assert list(tmp_path.iterdir()) == []


def test_options_of_pictures_reach_them(tmp_path: Path):
    scenario, labels = tmp_path / "small.json", tmp_path / "labels.yaml"
    scenario.write_text(json.dumps(SMALL))
    labels.write_text("fedbcd: FedBCD\nfar away: Far\n")
    options = ["--width", "84mm", "--font-size", "8", "--labels", labels, "--plot-format", "svg"]
    assert run("simulate", scenario, "--out", tmp_path / "out", *options).status == 0
    assert {path.name for path in (tmp_path / "out").glob("*.svg")} == {"gantt.svg", "breakdown.svg"}
    assert not list((tmp_path / "out").glob("*.png"))
    for name in ("gantt", "breakdown"):
        svg = tmp_path / "out" / f"{name}.svg"
        assert size_of(svg)[0] == pytest.approx(238.11, abs=0.01)
        assert any(word.startswith("Far") for word in words(svg))
        assert any(word.startswith("FedBCD: ") for word in words(svg))


def contrast_with_white(colour: str) -> float:
    """Contrast by the Web Content Accessibility Guidelines 2.2: 1 for white itself, 21 for black."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


def test_no_colour_is_lost_on_white():
    # Okabe and Ito's yellow has 1.3, their orange, which can be seen, 2.25.
    methods = [*style.method_colours(["fedbuff", "my own", "another", "third", "fourth", "fifth"]).values()]
    brought = style.method_colours(["parablock", "fedbcd", "fedit", "fedcybgd", "ffa-lora", "flora", "full-ft"])
    for colour in (*methods, *brought.values(), *style.GROUP_COLOURS):
        assert contrast_with_white(colour) >= 2.2, colour
