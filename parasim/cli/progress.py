"""What a long command is doing: a progress bar for each stage on a terminal, lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from parasim.cli.quiet import detail, is_quiet, step
from parasim.text import clock

Reporter = Callable[..., None]
LOGGER = "parasim"
"""Name of the logger to which library functions tell what they have done; here it becomes lines."""


@contextmanager
def stages(kept: Path | None = None) -> Iterator[Reporter]:
    """Show one bar per stage on a terminal, and nothing with ``--quiet``; elsewhere, the lines that were logged.

    Parameters
    ----------
    kept : Path, optional
        Where work is kept as it is done, for whoever interrupts it to be told.

    Yields
    ------
    callable
        To be told what is being done, the steps done, in total (None if nobody knows), and, if there is more to say,
        what the step in progress is.
    """
    try:
        with _lines(), _bars() as report:
            yield _with_details(report)
    except KeyboardInterrupt:
        if kept is None or not _holds_something(kept):
            raise
        raise KeyboardInterrupt(f"what was done is in {kept}; the same command goes on there") from None


def _holds_something(kept: Path) -> bool:
    """Tell whether there is a file, or one in a folder that does not only keep others out."""
    return kept.is_file() or any(entry.name != ".lock" for entry in kept.rglob("*") if entry.is_file())


@contextmanager
def _lines() -> Iterator[None]:
    """Say what is logged, a line each."""

    class Steps(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            step(record.getMessage())

    logger, handler = logging.getLogger(LOGGER), Steps(logging.INFO)
    before, propagated = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        logger.propagate = propagated


def _with_details(report: Reporter) -> Reporter:
    """Also say when a stage begins, and when it is done."""
    begun: dict[str, float] = {}

    def told(what: str, done: int, total: int | None, *more: str) -> None:
        if what not in begun:
            begun[what] = time.monotonic()
            detail(what if total is None else f"{what}: {total:,} steps")
        if done == total:
            detail(f"{what}: done, after {clock(time.monotonic() - begun[what])}")
        report(what, done, total, *more)

    return told


@contextmanager
def _bars() -> Iterator[Reporter]:
    if is_quiet() or not sys.stderr.isatty():
        yield lambda *said: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True, markup=False), transient=True) as bar:
        shown: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int | None, step: str = "") -> None:
            if what not in shown:
                shown[what] = bar.add_task(what, total=total)
            bar.update(shown[what], completed=done, total=total, description=f"{what} {step}".strip())

        yield report
