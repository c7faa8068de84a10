"""Options that several commands share, and how their results are printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from parasim.trace import check_trace_path
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.support.atomic_files import check_directory

Format = Annotated[Literal["table", "json", "csv"], typer.Option("--format", help="What is printed.")]
PlainFormat = Annotated[Literal["table", "json"], typer.Option("--format", help="What is printed.")]
"""Of results that are no table of rows."""
DeviceKind = Literal["cpu", "cuda"]


def _checked(check: Callable[[Path], object]) -> Callable[[Path | None], Path | None]:
    """Check a path, if one is given, before anything is computed."""

    def checked(path: Path | None) -> Path | None:
        if path is not None:
            check(path)
        return path

    return checked


Overrides = Annotated[
    list[str], typer.Option("--set", metavar="FIELD=VALUE", help="Override a field, such as fleet.0.uplink=20MB/s.")
]
OutputDirectory = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        callback=_checked(check_directory),
        help="Write results to this directory, made if missing.",
    ),
]
TraceFile = Annotated[
    Path | None,
    typer.Option(
        "--trace",
        metavar="FILE",
        callback=_checked(check_trace_path),
        help="Write the run for Perfetto's viewer, a .json or .json.gz file, or for Chakra, a .et file per client.",
    ),
]
Within = Annotated[
    str | None,
    typer.Option(
        metavar="DEADLINE",
        help="The deadline: 25min after the start, or by the calendar, 'Friday 18:00' or 2026-12-04T18:00; a run "
        "starts when the scenario's start says, or now.",
    ),
]
FailOnMiss = Annotated[
    bool, typer.Option("--fail-on-miss", help="End with status 3 if the deadline (--within) is missed.")
]
Scenario = Annotated[Path, typer.Argument(metavar="FILE", help="Scenario (YAML, TOML or JSON); - is standard input.")]
ScenarioOrPaper = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE", help="Scenario to start from, - for standard input; the paper's setting if left out."
    ),
]
MethodsOrAll = Annotated[
    str | None, typer.Option("--method", help="Methods, with commas between them, or all; the file's own if left out.")
]


def values_of(option: str, text: str | None) -> tuple[str, ...]:
    """Read the values of an option, with commas between them; none if it was left out.

    Raises
    ------
    ScenarioError
        If it was given without a value.
    """
    from parasim_core.sim.analysis.sweep import split_values

    values = split_values(text or "")
    if text is not None and not values:
        raise ScenarioError(f"{option} {text!r}: holds no values; separate them with commas")
    return values


def assignments(option: str, texts: Sequence[str], example: str) -> dict[str, str]:
    """Read an option that is given as ``NAME=VALUE``, once for each name.

    Raises
    ------
    ScenarioError
        If it is written otherwise, or a name is given twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if not name or not value:
            raise ScenarioError(f"{option} {text}: write it like {example}")
        if name in found:
            raise ScenarioError(f"{option} {name}: is given twice")
        found[name] = value
    return found


def check_fail_on_miss(fail_on_miss: bool, within: str | None) -> None:
    """Refuse `--fail-on-miss` where there is no deadline.

    Raises
    ------
    ScenarioError
        If so.
    """
    if fail_on_miss and within is None:
        raise ScenarioError("--fail-on-miss needs a deadline, such as --within 25min")


def print_json(data: object) -> None:
    """Print results as JSON."""
    print(json.dumps(data, indent=2))
