"""`paraSim plan`: from a deadline, a budget or a rival method back to what has to be bought or changed."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from parasim.cli.options import OutputDirectory, Overrides, PlainFormat

if TYPE_CHECKING:
    from parasim.planning.answer import Plan

_WIDE = 120
"""Columns of a terminal in which the reasons have room beside the table."""
_TABLE_COLUMNS = ("method", "because")
"""First and last column of every table."""
_CSV_COLUMNS = ("feasible", "value", "unit", "wall_clock_s")


def command(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Scenario to plan for; the paper's setting if left out.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="Methods, with commas between them, or all; the file's own if left out.")
    ] = None,
    set_: Overrides = [],  # noqa: B006 - typer copies it
    within: Annotated[str | None, typer.Option(metavar="DURATION", help="The deadline, such as 25min.")] = None,
    solve_for: Annotated[
        str | None,
        typer.Option(
            metavar="QUANTITY",
            help="With --within: the least bandwidth, device-speed, server-egress or server-ingress, or the most "
            "rounds, batch-size, clients or block-width, that meets the deadline.",
        ),
    ] = None,
    hide_communication: Annotated[
        bool, typer.Option("--hide-communication", help="Bandwidth at which all communication is hidden.")
    ] = False,
    break_even: Annotated[str | None, typer.Option(metavar="A,B", help="Where one method overtakes the other.")] = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="AMOUNT", help="What an amount such as 500USD buys; of all methods if none is given."),
    ] = None,
    confidence: Annotated[
        str | None,
        typer.Option(metavar="P", help="The deadline met with this probability, such as 0.9; --within may name one."),
    ] = None,
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="What each input's uncertainty does to the runtime.")
    ] = False,
    out: OutputDirectory = None,
    format_: Annotated[PlainFormat, typer.Option("--format", help="What is printed.")] = PlainFormat.TABLE,
    jobs: Annotated[int | None, typer.Option(min=1, help="Worker processes; all cores if left out.")] = None,
) -> None:
    """Plan backwards, one question at a time; every answer is checked by simulating it and what is just beside it.

    Example: paraSim plan examples/paper.yaml --method all --within 25min --solve-for bandwidth --out results/plan
    """
    from parasim.planning.setting import setting
    from parasim.report.record import leave_record
    from sim.errors import ScenarioError
    from sim.result import check_directory

    questions = {
        "--solve-for": solve_for,
        "--hide-communication": "" if hide_communication else None,
        "--break-even": break_even,
        "--budget": budget,
        "--confidence": confidence,
        "--sensitivity": "" if sensitivity else None,
    }
    option, asked = _one_question(questions, within)
    if option == "--break-even" and method is not None:
        raise ScenarioError("--break-even names its own two methods; leave out --method")
    deadline = None if within is None else _seconds(within)
    if out is not None:
        check_directory(out)
    with _patience():
        plan = _answer(option, asked, file, set_, method, deadline, jobs)
    if out is not None:
        files = write(plan, out)
        leave_record(out, "plan", setting(file, set_))
    if format_ is PlainFormat.JSON:
        print(json.dumps(plan.summary(), indent=2))
        return
    print_plan(plan)
    if out is not None:
        print("Files: " + ", ".join(map(str, files)))


def _one_question(questions: dict[str, str | None], within: str | None) -> tuple[str, str]:
    """Return the option that asks the question, with its value.

    Raises
    ------
    ScenarioError
        If it is not exactly one, or the deadline has nothing to do with it.
    """
    from sim.errors import ScenarioError

    asked = [(option, text) for option, text in questions.items() if text is not None]
    if len(asked) > 1:
        raise ScenarioError(f"one question at a time, not {' and '.join(option for option, _ in asked)}")
    if not asked and within is not None:
        raise ScenarioError(f"--within {within}: say what to solve for, such as --solve-for bandwidth")
    if not asked:
        raise ScenarioError(f"no question; ask one of {', '.join(questions)}")
    option, text = asked[0]
    if option == "--solve-for" and within is None:
        raise ScenarioError("--solve-for needs a deadline, such as --within 25min")
    if within is not None and option not in ("--solve-for", "--confidence"):
        raise ScenarioError(f"--within goes with --solve-for or --confidence, not with {option}")
    return option, text


def _answer(
    option: str,
    asked: str,
    file: Path | None,
    overrides: list[str],
    method: str | None,
    within: float | None,
    jobs: int | None,
) -> Plan:
    """Ask the one question; the modules that answer are loaded when they are needed."""
    if option == "--break-even":
        from parasim.planning.break_even import break_even

        return break_even(file, overrides, _names(option, asked), jobs)
    methods, refused = _methods(file, overrides, method)
    if option == "--solve-for":
        from parasim.planning.deadline import deadline

        assert within is not None
        plan = deadline(file, overrides, methods, within, asked, jobs)
    elif option == "--hide-communication":
        from parasim.planning.hiding import hide_communication

        plan = hide_communication(file, overrides, methods, jobs)
    elif option == "--budget":
        from parasim.planning.budget import budget
        from sim.units import money

        plan = budget(file, overrides, () if method is None else methods, money(asked), jobs)
    elif option == "--confidence":
        from parasim.planning.confidence import confidence

        plan = confidence(file, overrides, methods, _probability(asked), within, jobs)
    else:
        from parasim.planning.sensitivity import sensitivity

        plan = sensitivity(file, overrides, methods, jobs)
    return _with_refused(plan, refused)


def _probability(text: str) -> float:
    from sim.errors import ScenarioError

    try:
        probability = float(text)
    except ValueError:
        probability = math.nan
    if not 0 < probability < 1:
        raise ScenarioError(f"--confidence {text}: must be a probability between 0 and 1, such as 0.9")
    return probability


def _seconds(within: str) -> float:
    from sim.errors import ScenarioError, UnitError
    from sim.units import duration

    try:
        seconds = duration(within)
    except UnitError as error:
        raise ScenarioError(f"--within {error}") from None
    if not seconds:
        raise ScenarioError(f"--within {within}: must be longer than nothing")
    return seconds


def _names(option: str, text: str) -> tuple[str, ...]:
    """Read a list of methods.

    Raises
    ------
    ScenarioError
        If it is empty, or a name is unknown or stands twice.
    """
    from sim.errors import ScenarioError, nearest
    from sim.methods import METHODS
    from sim.studies.sweep import split_values

    names = split_values(text)
    if not names:
        raise ScenarioError(f"{option} {text!r}: holds no methods; separate them with commas")
    for name in names:
        if name not in METHODS:
            raise ScenarioError(f"{option}: unknown method {name!r}; {nearest(name, METHODS)}")
    if len(set(names)) < len(names):
        raise ScenarioError(f"{option}: a method stands twice in {', '.join(names)}")
    return names


def _methods(file: Path | None, overrides: list[str], text: str | None) -> tuple[Sequence[str], dict[str, str]]:
    """Methods to plan for, and of `all`, those that cannot run the scenario, with the reasons."""
    from parasim.planning.setting import covered, own_method

    if text is None:
        return [own_method(file, overrides)], {}
    return covered(file, overrides) if text == "all" else (_names("--method", text), {})


def _with_refused(plan: Plan, refused: dict[str, str]) -> Plan:
    """Name methods that cannot run the scenario as answers that are not feasible."""
    from parasim.planning.answer import Answer

    answers = [Answer(method, False, None, "", None, reason) for method, reason in refused.items()]
    row = ("-",) * len(plan.columns)
    return replace(plan, answers=[*plan.answers, *answers], rows=[*plan.rows, *(row for _ in refused)])


@contextmanager
def _patience() -> Iterator[None]:
    """Show on a terminal that something is going on, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status("planning: simulating"):
        yield


def write(plan: Plan, directory: Path) -> list[Path]:
    """Write ``plan.json``, the table as ``plan.csv``, and the picture.

    Raises
    ------
    OutputError
        If they cannot be written.
    """
    from sim.result import write_atomically

    first, last = _TABLE_COLUMNS

    def write_table(file: IO[str]) -> None:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((first, *_CSV_COLUMNS, *plan.columns, last))
        for answer, row in zip(plan.answers, plan.rows, strict=True):
            figures = ["" if (figure := getattr(answer, name)) is None else figure for name in _CSV_COLUMNS]
            writer.writerow((answer.method, *figures, *row, answer.because))

    files = [directory / "plan.json", directory / "plan.csv"]
    write_atomically(files[0], lambda file: file.write(json.dumps(plan.summary(), indent=2) + "\n"))
    write_atomically(files[1], write_table)
    return files + list(plan.draw(directory) if plan.draw is not None else ())


def print_plan(plan: Plan) -> None:
    """Print a plan: the question, a row per answer, how it was found, and the origin of its numbers."""
    from parasim.cli.text import console, plain_table

    out = console()
    out.print(f"{plan.question}\n")
    first, last = _TABLE_COLUMNS
    wide = out.width >= _WIDE
    table = plain_table(first, *plan.columns, *([last] if wide else []))
    for answer, row in zip(plan.answers, plan.rows, strict=True):
        table.add_row(answer.method, *row, *([answer.because] if wide else []))
    out.print(table)
    out.print()
    if not wide:
        # Reasons would be a column of single words.
        methods = [answer.method for answer in plan.answers]
        for answer, row in zip(plan.answers, plan.rows, strict=True):
            told_apart = row[:1] if methods.count(answer.method) > 1 else ()
            out.print(f"{', '.join((answer.method, *told_apart))}: {answer.because}")
        out.print()
    for note in plan.notes:
        out.print(note)
    sources: dict[str, list[str]] = {}
    for name, origin in plan.provenance.items():
        sources.setdefault(origin, []).append(name)
    for origin, names in sources.items():
        out.print(origin if len(sources) == 1 else f"{', '.join(names)}: {origin}")
