"""What `paraSim diff` compares: results as commands left or printed them, or scenarios, which it simulates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from parasim import __version__, api
from parasim.contracts import CONTRACTS, as_given
from parasim.explanation import owner
from parasim.links import run_summary
from parasim.reporting.files import read_json, read_record, read_rows
from parasim_core.sim.analysis.critical_path import critical_path
from parasim_core.sim.analysis.explain import shares_by_group
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.result import Result
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.scenario.reading import STANDARD_INPUT, called, read
from parasim_core.sim.support.atomic_files import is_folder

Kind = Literal["run", "sweep", "plan", "train"]
Figures = Mapping[str, Any]
Label = tuple[tuple[str, str], ...]
"""What tells a row from others: names and values."""
Held = Mapping[tuple[str, str], float]
"""Seconds of a critical path by resource and group [s]."""

_KINDS: dict[str, tuple[Kind, str]] = {
    "simulate": ("run", "result.json"),
    "explain": ("run", "result.json"),
    "sweep": ("sweep", "results.csv"),
    "plan": ("plan", "plan.json"),
    "train": ("train", "training.json"),
}
"""Results that can be compared by the command or contract, and the file in its folder."""
_ROWS = {"sweep": "rows", "plan": "answers", "train": "methods"}


@dataclass(frozen=True)
class ComparedResult:
    """One of two results.

    Attributes
    ----------
    source : str
        As it was given.
    kind : str
        What it is.
    version : str
        Version of paraSim that made it.
    scenario : mapping
        As it was given; of a sweep, that of the first row.
    figures : mapping
        Of a run.
    rows : mapping
        Figures of all others by what tells them apart.
    question : str
        Of a plan.
    result : Result, optional
        Of a scenario, which was simulated.
    """

    source: str
    kind: Kind
    version: str
    scenario: Mapping[str, Any]
    figures: Figures = field(default_factory=dict)
    rows: Mapping[Label, Figures] = field(default_factory=dict)
    question: str = ""
    result: Result | None = None


def read_compared(source: str) -> ComparedResult:
    """Read what is to be compared.

    Parameters
    ----------
    source : str
        A folder that `--out` named, a result as JSON, or a scenario; ``-`` for either from standard input.

    Raises
    ------
    ParaSimError
        If it is none of them, or a scenario is wrong.
    """
    path = Path(source)
    if source != STANDARD_INPUT and is_folder(path):
        return _of_folder(source, path)
    data = read_json(path) if path.suffix.lower() == ".json" else read(path)
    if "contract" in data:
        return _of_result(source, data)
    if path.suffix.lower() == ".json":
        data = read(path)
    result = api.simulate(api.load(data, name=called(source)))
    given, figures = as_given(result.scenario), run_summary(result)
    return ComparedResult(source, "run", __version__, given, figures, result=result)


def held_of(compared: ComparedResult) -> tuple[Held, float]:
    """Simulate a run, unless it was just now: what holds its critical path, and its wall-clock [s].

    Raises
    ------
    ParaSimError
        If it cannot be simulated here.
    """
    result = compared.result or api.simulate(api.load(compared.scenario, name=called(compared.source)))
    fleet = Fleet.of(result.scenario)
    shares = shares_by_group(critical_path(result), fleet)
    return {(share.holder.value, owner(fleet, share.group)): share.seconds for share in shares}, result.wall_clock


def _of_folder(source: str, folder: Path) -> ComparedResult:
    record = read_record(folder)
    if record.kind not in _KINDS:
        what = f"holds results of {record.kind}" if record.kind else "holds no results that say what they are of"
        raise ScenarioError(f"{source}: {what}; compare those of {', '.join(_KINDS)}")
    kind, name = _KINDS[record.kind]
    if kind == "sweep":
        rows = dict(_rows_of_table(read_rows(folder / name)))
        return ComparedResult(source, kind, record.version, record.scenario, rows=rows)
    return _compared(source, kind, record.version, record.scenario, read_json(folder / name))


def _of_result(source: str, data: Mapping[str, Any]) -> ComparedResult:
    contract, version, scenario = data["contract"], data.get("parasim_version"), data.get("scenario")
    if (
        not isinstance(contract, str)
        or contract not in CONTRACTS
        or not isinstance(version, str)
        or not isinstance(scenario or {}, dict)
    ):
        raise ScenarioError(f"{called(source)}: is damaged: not a result of paraSim's")
    if contract not in _KINDS or scenario is None:
        raise ScenarioError(f"{called(source)}: is a result of {contract}; compare those of {', '.join(_KINDS)}")
    if data.get("contract_version") != CONTRACTS[contract].version:
        raise ScenarioError(
            f"{called(source)}: is of another version of its contract; it was made by paraSim {version}"
        )
    kind, _ = _KINDS[contract]
    return _compared(source, kind, version, scenario, data)


def _compared(
    source: str, kind: Kind, version: str, scenario: Mapping[str, Any], data: Mapping[str, Any]
) -> ComparedResult:
    try:
        rows = {} if kind == "run" else dict(_rows(kind, data))
        if kind == "run":
            float(data["wall_clock_s"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ScenarioError(f"{called(source)}: is damaged: not a result of paraSim's") from None
    figures = data if kind == "run" else {}
    return ComparedResult(source, kind, version, scenario, figures, rows, str(data.get("question", "")))


def _rows(kind: Kind, data: Mapping[str, Any]) -> Iterator[tuple[Label, Figures]]:
    """Rows of a sweep, answers of a plan, or methods of a training."""
    seen: dict[str, int] = {}
    columns = [axis["column"] for axis in data["swept"]] if kind == "sweep" else ["method"]
    for row in data[_ROWS[kind]]:
        label = tuple((column, str(row[column])) for column in columns)
        if kind == "plan":
            # Of a front or a pair of methods there are several answers.
            seen[row["method"]] = place = seen.get(row["method"], 0) + 1
            label += (("answer", str(place)),) if place > 1 else ()
        yield label, {name: value for name, value in row.items() if name not in columns}


def _rows_of_table(rows: list[dict[str, str]]) -> Iterator[tuple[Label, Figures]]:
    """Rows of results.csv, whose labels stand before their figures."""
    for row in rows:
        names = list(row)
        first = names.index("wall_clock_s") if "wall_clock_s" in names else len(names)
        yield (
            tuple((name, row[name]) for name in names[:first]),
            {name: _number(row[name]) for name in names[first:]},
        )


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
