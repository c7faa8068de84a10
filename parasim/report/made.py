"""What a directory holds, and the page about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import yaml

from parasim.report.files import ReportError, read_record
from parasim.report.page import Page
from parasim.report.plans import plan_page
from parasim.report.record import Record
from parasim.report.render import render
from parasim.report.runs import explanation_page, simulation_page
from parasim.report.sweeps import sweep_page
from parasim.report.trainings import training_page
from sim.result import write_atomically

_MAKERS: dict[str, tuple[str, Callable[[Path, Record | None], Page]]] = {
    "explain": ("explanation.json", explanation_page),
    "plan": ("plan.json", plan_page),
    "train": ("metrics.csv", training_page),
    "sweep": ("results.csv", sweep_page),
    "simulate": ("result.json", simulation_page),
}


def write_report(directory: Path, out: Path) -> None:
    """Write one HTML file about a directory of results.

    Parameters
    ----------
    directory : Path
        What ``--out`` of `simulate`, `explain`, `sweep`, `plan` or `train` wrote to.
    out : Path
        The file.

    Raises
    ------
    ParaSimError
        If the directory holds nothing of that kind or is damaged, the scenario cannot be simulated here, or the file
        cannot be written.
    """
    html = render(page_about(directory))
    write_atomically(out, lambda file: file.write(html))


def page_about(directory: Path) -> Page:
    """Make the page about a directory; the parameters and errors are those of `write_report`."""
    if not directory.is_dir():
        raise ReportError(f"{directory}: {'is not a directory' if directory.exists() else 'no such directory'}")
    record = read_record(directory)
    kinds = [kind for kind, (file, _) in _MAKERS.items() if (directory / file).exists()]
    if not kinds:
        raise ReportError(
            f"{directory}: holds no results; give a directory that --out of {', '.join(_MAKERS)} wrote, "
            f"with {' or '.join(file for file, _ in _MAKERS.values())} in it"
        )
    # Of several, what was made last is what the record tells.
    kind = record.kind if record is not None and record.kind in kinds else kinds[0]
    if record is not None and record.kind != kind:
        record = None
    file, make = _MAKERS[kind]
    try:
        page = make(directory, record)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ReportError(f"{directory / file}: is damaged: {type(error).__name__}: {error}") from None
    if record is None:
        return replace(page, scenario_note="")
    scenario = yaml.safe_dump(dict(record.scenario), sort_keys=False, allow_unicode=True) if record.scenario else ""
    return replace(page, command=record.command, version=record.version, scenario=scenario)
