"""Times, sizes, origins and tables as people read them."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

BAND = "wall_clock_s"
"""Of the provenance of computing times: the wall-clock at either end of the band of predicted ones [s]."""
BAND_COLUMNS = ("wall_clock_low_s", "wall_clock_high_s")
"""The same as figures of a run."""
PIPE_WIDTH = 160
"""Columns of output that no terminal limits."""


def console() -> Console:
    """Return where tables are printed: as wide as the terminal, or wide enough for a file."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else PIPE_WIDTH
    # Names and values are the user's own: a bracket or a colon in them is no markup.
    return Console(width=width, highlight=False, soft_wrap=False, markup=False, emoji=False)


def plain_table(*headings: str, keep: Sequence[str] = ()) -> Table:
    """Start a table without lines; a column whose heading begins with ``>``, which is not shown, is aligned right.

    Where there is no room for all columns, the last ones go first, those to keep after all others; a line names them.
    """
    from parasim.tables import PlainTable

    table = PlainTable(keep)
    for heading in headings:
        shown = heading.removeprefix(">")
        justify: Literal["left", "right"] = "left" if shown == heading else "right"
        longest_word = max(map(len, shown.split()), default=0)
        table.add_column(shown, justify=justify, overflow="fold", min_width=longest_word)
    return table


_UNITS = ((86400 * 3, 86400, "d"), (3600 * 5, 3600, "h"), (120, 60, "min"), (0, 1, "s"))
"""From how many seconds on a unit is handy, its own seconds, and its name; the longest unit first."""
_FINEST_SHARE = 0.005
"""Of a unit: what is shorter is no handy number of it."""
_MOST_DIGITS = 2


class Clock(str):
    """A duration as it is written by itself; tables write those of one column alike (`alike`).

    Attributes
    ----------
    seconds : float
        How long it is [s].
    """

    seconds: float


def clock(seconds: float) -> Clock:
    """Write a duration in the unit in which it is a handy number."""
    unit, name = next((unit, name) for limit, unit, name in _UNITS if abs(seconds) >= limit or not limit)
    written = Clock(f"{seconds:.3g} s" if unit == 1 else f"{seconds / unit:.1f} {name}")
    written.seconds = seconds
    return written


def alike(column: Sequence[Any]) -> list[Any]:
    """Write the durations of a column in one unit, and with equally many digits, unless they are in one already.

    Parameters
    ----------
    column : sequence of object
        Cells; those that `clock` wrote are durations, all others stay as they are.
    """
    durations = [cell for cell in column if isinstance(cell, Clock)]
    if len({duration.rpartition(" ")[2] for duration in durations}) < 2:
        return [*column]
    sizes = [abs(duration.seconds) for duration in durations]
    least, most = min(filter(None, sizes)), max(sizes)
    handy = [(unit, name) for limit, unit, name in _UNITS if most >= limit]
    unit, name = next((each for each in handy if least >= _FINEST_SHARE * each[0]), handy[-1])
    digits = min(_MOST_DIGITS, max(1, 1 - math.floor(math.log10(least / unit))))
    return [_written(cell.seconds / unit, digits, name) if isinstance(cell, Clock) else cell for cell in column]


def _written(number: float, digits: int, unit: str) -> str:
    """Write a number of a unit; one that would round to nothing as less than what is written last."""
    least: float = 10.0**-digits
    return f"<{least:g} {unit}" if 0 < number < least / 2 else f"{number:,.{digits}f} {unit}"


def signed_share(share: float) -> str:
    """Write a share with its sign, and one that rounds to nothing without a minus: ``+2.4%``, ``+0.0%``."""
    return f"{round(share, 3) + 0.0:+.1%}"


def deadline_clock(seconds: float) -> str:
    """Write a duration that somebody chose, such as a deadline: without a fraction, if a unit does that."""
    for least, unit, name in ((86400 * 3, 86400, "d"), (3600, 3600, "h"), (120, 60, "min")):
        # Deadlines are held against with a little room for rounding.
        whole = round(seconds / unit, 6)
        if seconds >= least and whole.is_integer():
            return f"{whole:,.0f} {name}"
    return clock(seconds)


def amount(size: float, unit: str = "B") -> str:
    """Write an amount in the decimal prefix with which it is a handy number."""
    for limit, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= limit:
            return f"{size / limit:.4g} {prefix}{unit}".rstrip()
    return f"{size:g} {unit}".rstrip()


def origin_said(compute: Mapping[str, object]) -> str:
    """Say in a word or two what a run's computing times are, predicted ones with their band."""
    return f"{compute['origin']}, within a factor {compute['band']:g}" if "band" in compute else str(compute["origin"])


def band_figures(provenance: Mapping[str, Any]) -> dict[str, float]:
    """Read back between which wall-clocks a run lies by the band of its predicted computing times [s]; else nothing."""
    ends = provenance["compute"].get(BAND)
    return dict(zip(BAND_COLUMNS, ends, strict=True)) if ends else {}


def origin(provenance: Mapping[str, object]) -> str:
    """Say in one sentence or two where a run's computing times come from."""
    compute = provenance["compute"]
    assert isinstance(compute, Mapping)
    source = f"profile {compute['profile']} ({compute['source']})" if "profile" in compute else compute["source"]
    notes = [str(note) for note in compute.get("notes", ())]
    if "gradient_pass" in compute:
        notes.append(str(compute["gradient_pass"]))
    text = f"Computing times are {origin_said(compute)}: {source}"
    if ends := compute.get(BAND):
        low, high = map(clock, ends)
        text += f"; by that factor the wall-clock is {low} to {high}"
    return text + ("; " + "; ".join(notes) if notes else "") + "."
