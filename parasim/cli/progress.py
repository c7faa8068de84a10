"""A progress bar for each stage of a long command."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from parasim.cli.quiet import is_quiet


@contextmanager
def stages(kept: Path | None = None) -> Iterator[Callable[..., None]]:
    """Show one bar per stage on a terminal, and nothing elsewhere or with ``--quiet``.

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
        with _bars() as report:
            yield report
    except KeyboardInterrupt:
        if kept is None or not _holds_something(kept):
            raise
        raise KeyboardInterrupt(f"what was done is in {kept}; the same command goes on there") from None


def _holds_something(kept: Path) -> bool:
    """Tell whether there is a file, or one in a folder that does not only keep others out."""
    return kept.is_file() or any(entry.name != ".lock" for entry in kept.rglob("*") if entry.is_file())


@contextmanager
def _bars() -> Iterator[Callable[..., None]]:
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
