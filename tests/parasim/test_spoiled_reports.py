"""Files of results that something happened to: a page is made, or one line says which file is damaged; never more."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from parasim.reporting.made import page_about
from parasim_core.sim.errors import ParaSimError
from tests.parasim.command_line import refused, run
from tests.parasim.results import KINDS, make_results

SPOILINGS = 120
VALUES = [
    *(float("inf"), float("nan"), -1, 0, True, 1e308, -1e308, 10**400, 1e-320, "text", "", "\ud800", "\0", "9" * 50),
    *([], [1], [[[]]], {}, {"a": 1}, {"a": {"b": []}}, None),
]
CELLS = [
    "inf",
    "nan",
    "-1",
    "1e308",
    "-1e308",
    "",
    "text",
    "9" * 400,
    "\0",
    "server",
    "1" * 5000,
    '"',
    "0",
    "x" * 200_000,
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of every kind, those of a training with a timeline and the base's figures."""
    directory = tmp_path_factory.mktemp("results")
    make_results(directory)
    training = directory / "train"
    (training / "parablock").mkdir()
    shutil.copy(directory / "simulate" / "timeline.csv", training / "parablock")
    (training / "base.json").write_text('{"eval_loss": 3.0, "accuracy": 0.1}')
    record = json.loads((directory / "simulate" / "reproduce.json").read_text())
    (training / "reproduce.json").write_text(json.dumps(record | {"kind": "train"}))
    asked = ("--within", "100s", "--solve-for", "bandwidth")
    assert run("plan", directory / "small.json", *asked, "--out", directory / "answered").status == 0
    return directory


def places(data: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of everything in plain data."""
    for name, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield (*above, name)
        yield from places(value, (*above, name))


def spoiled_json(text: str, draw: random.Random) -> bytes:
    """One value is another, or gone; values near the root as often as those below."""
    data = json.loads(text)
    *above, last = draw.choice(list(places(data)))[: draw.choice((1, None))]
    node = data
    for name in above:
        node = node[name]
    if draw.random() < 0.2:
        del node[last]
    else:
        node[last] = draw.choice(VALUES)
    return json.dumps(data).encode()


def spoiled_csv(text: str, draw: random.Random) -> bytes:
    """One cell is another."""
    lines = text.splitlines()
    line = draw.randrange(len(lines))
    cells = lines[line].split(",")
    cells[draw.randrange(len(cells))] = draw.choice(CELLS)
    lines[line] = ",".join(cells)
    return "\n".join(lines).encode()


def spoiled_bytes(content: bytes, draw: random.Random) -> bytes:
    """Cut short, one byte another, empty, or nested without end."""
    position = draw.randrange(len(content))
    changed = content[:position] + draw.randbytes(1) + content[position + 1 :]
    return draw.choice([content[:position], changed, b"", b"[" * 100_000, b'{"a": ' * 5000 + b"1" + b"}" * 5000])


SPOILED: dict[str, Callable[[str, random.Random], bytes]] = {".json": spoiled_json, ".csv": spoiled_csv}


def page_or_refusal(directory: Path) -> tuple[str, str]:
    """Make the page, or return why there is none; nothing but an error of paraSim's own may be the reason."""
    try:
        return page_about(directory), ""
    except ParaSimError as error:
        return "", str(error)


@pytest.mark.parametrize("seed", range(SPOILINGS))
def test_whatever_happened_to_a_file(seed: int, results: Path, tmp_path: Path):
    draw = random.Random(seed)
    directory = Path(shutil.copytree(results / draw.choice([*KINDS, "answered"]), tmp_path / "spoiled"))
    path = draw.choice(sorted(path for path in directory.rglob("*") if path.suffix in (".json", ".csv", ".svg")))
    spoil = SPOILED.get(path.suffix) if draw.random() < 0.75 else None
    content = path.read_bytes()
    path.write_bytes(spoiled_bytes(content, draw) if spoil is None else spoil(content.decode(), draw))
    html, refusal = page_or_refusal(directory)
    assert bool(html) != bool(refusal)
    html.encode()
    shown = re.sub(r"<(script|style|svg|pre).*?</\1>", "", html, flags=re.DOTALL)
    assert not re.search(r"\b(inf|nan) (s|min|h|d|B|kB)\b", shown)
    assert "\n" not in refusal
    assert len(refusal) < 600


@pytest.mark.parametrize(
    ("kind", "name", "before", "after"),
    [
        ("simulate", "timeline.csv", r",30\.0,", ",inf,"),
        ("simulate", "timeline.csv", r",30\.0,", ",nan,"),
        ("simulate", "timeline.csv", "compute", "sleep"),
        ("explain", "critical_path.csv", r"\d\.0,", "inf,"),
        ("simulate", "result.json", r'"provenance": {', '"provenance": 3, "more": {'),
        ("simulate", "result.json", r'"hidden_communication_s": [\d.]+', '"hidden_communication_s": NaN'),
        ("simulate", "result.json", r'"hidden_communication_s": [\d.]+', '"hidden_communication_s": 1e999'),
        ("simulate", "result.json", r'"method": "', '"method": "\\\\ud800'),
        ("sweep", "sweep.json", r'"runs": \[', '"runs": 7, "more": ['),
        ("plan", "plan.json", r'"more": {', '"more": 1, "less": {'),
        ("train", "metrics.csv", r"parablock,1,19\.0", "parablock,1,inf"),
        ("train", "metrics.csv", r"parablock,1,", "parablock,one,"),
        ("train", "base.json", "3.0", "1e400"),
        ("explain", "reproduce.json", r'"scenario": {', '"scenario": 1, "more": {'),
    ],
)
def test_the_damaged_file_is_named(kind: str, name: str, before: str, after: str, results: Path, tmp_path: Path):
    directory = Path(shutil.copytree(results / kind, tmp_path / kind))
    path = directory / name
    changed, times = re.subn(before, after, path.read_text(), count=1)
    assert times == 1
    path.write_text(changed)
    message = refused("report", directory)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert not (directory / "report.html").exists()
