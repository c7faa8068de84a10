"""What is opened in the page and what is downloaded from it: scenarios, tables, pictures and the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from parasim import __version__
from parasim.api import load
from parasim.app.lines import lines
from parasim.explaining import explain
from parasim.explanation import summary, write_path
from parasim.figures.gantt import draw_gantt
from parasim.figures.line import draw_line
from parasim.figures.look import FORMATS, Look
from parasim.figures.runtime import draw_runtime
from parasim.hiding import Hidden
from parasim.links import run_summary
from parasim.planning.methods import Case, by_method
from parasim.reporting.made import page_about
from parasim.reporting.record import RECORD, Record
from parasim.sweeping import sweep
from parasim_core.sim.analysis.failing import write_failures
from parasim_core.sim.analysis.sweep import Row
from parasim_core.sim.errors import ScenarioError, nearest
from parasim_core.sim.scenario.reading import read
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.yaml_reading import to_yaml
from parasim_core.sim.support.atomic_files import write_json, write_rows

_SUFFIXES = (".yaml", ".yml", ".toml", ".json")


def opened(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Read the text of a scenario file as plain fields, which need not be a whole scenario.

    Parameters
    ----------
    asked : mapping
        ``name``: of the file, whose ending says what it is written in. ``text``: what it holds. Files that it names
        are looked for in the folder that `paraSim app` was started in.

    Raises
    ------
    ScenarioError
        If it is not well-formed, or no mapping of fields.
    """
    name = Path(str(asked["name"])).name
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"opened{Path(name).suffix.lower()}"
        path.write_text(str(asked["text"]), encoding="utf-8")
        try:
            return {"fields": read(path)}
        except ScenarioError as error:
            raise ScenarioError(str(error).replace(str(path), name)) from None


def download(asked: Mapping[str, Any]) -> bytes:
    """Make a file.

    Parameters
    ----------
    asked : mapping
        ``fields``: the scenario. ``file``: one of `FILES`.

    Raises
    ------
    ParaSimError
        If there is no such file, or the scenario is wrong.
    """
    scenario, file = load(asked["fields"]), str(asked["file"])
    if file not in FILES:
        raise ScenarioError(f"no file {file!r}; {nearest(file, FILES)}")
    with TemporaryDirectory() as folder:
        return FILES[file](scenario, Path(folder))


def _yaml(scenario: Scenario, folder: Path) -> bytes:
    return to_yaml(scenario.model_dump(mode="json", exclude_unset=True)).encode()


def _rows(scenario: Scenario) -> list[Row]:
    """Rows of a sweep over all methods that can run the scenario."""
    cases, _ = by_method(scenario, "all", Case.of)
    return sweep(scenario, method=list(cases), jobs=1).rows


def _results(scenario: Scenario, folder: Path) -> bytes:
    rows = _rows(scenario)
    path = folder / "results.csv"
    write_rows(path, list(rows[0]), [list(row.values()) for row in rows])
    return path.read_bytes()


def _timeline(scenario: Scenario, folder: Path) -> bytes:
    path = folder / "timeline.csv"
    explain(scenario).result.write_timeline(path)
    return path.read_bytes()


def _draw_bars(scenario: Scenario, folder: Path, look: Look) -> Iterable[Path]:
    return draw_runtime(_rows(scenario), folder, look)


def _draw_lines(scenario: Scenario, folder: Path, look: Look) -> Iterable[Path]:
    found = lines({"fields": scenario})
    own, bandwidth, hidden = scenario.method.name, found["bandwidth"], found["hidden"]
    axis = "links" if bandwidth is None else "bandwidth"

    def along(factor: float) -> str:
        return f"{factor:.6g}" if bandwidth is None else f"{bandwidth * factor:.6g}B/s"

    rows = [
        {axis: along(factor), "method": line["method"], "wall_clock_s": str(seconds)}
        for line in found["lines"]
        for factor, seconds in line["points"]
    ]
    marks = []
    if "factor" in hidden:
        value = hidden["factor"] * (1.0 if bandwidth is None else bandwidth)
        marks.append(Hidden({"method": own}, value, hidden["wall_clock_s"], until=False))
    return draw_line(rows, axis, folder, marks, look=look)


def _draw_timeline(scenario: Scenario, folder: Path, look: Look) -> Iterable[Path]:
    explanation = explain(scenario)
    return draw_gantt(explanation.result, explanation.path, folder, look=look)


def _picture(draw: Callable[[Scenario, Path, Look], Iterable[Path]], suffix: str) -> Callable[[Scenario, Path], bytes]:
    def drawn(scenario: Scenario, folder: Path) -> bytes:
        [path] = draw(scenario, folder, Look(formats=(suffix,)))
        return path.read_bytes()

    return drawn


def _report(scenario: Scenario, folder: Path) -> bytes:
    """The page that `paraSim report` makes of what `paraSim explain --out` leaves."""
    explanation = explain(scenario)
    write_path(explanation, folder / "critical_path.csv")
    explanation.result.write_timeline(folder / "timeline.csv")
    write_json(folder / "explanation.json", summary(explanation))
    write_json(folder / "result.json", run_summary(explanation.result))
    write_failures(explanation.result, folder)
    plain = scenario.model_dump(mode="json", exclude_unset=True)
    record = Record("explain", "paraSim explain scenario.yaml --out why", __version__, plain)
    write_json(folder / RECORD, asdict(record))
    return page_about(folder).encode()


PICTURES: dict[str, Callable[[Scenario, Path, Look], Iterable[Path]]] = {
    "bars": _draw_bars,
    "lines": _draw_lines,
    "timeline": _draw_timeline,
}

FILES: dict[str, Callable[[Scenario, Path], bytes]] = {
    "scenario.yaml": _yaml,
    "results.csv": _results,
    "timeline.csv": _timeline,
    "report.html": _report,
    **{f"{name}.{suffix}": _picture(draw, suffix) for name, draw in PICTURES.items() for suffix in FORMATS},
}
"""What can be downloaded, by its file's name."""
