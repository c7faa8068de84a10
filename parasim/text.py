"""Times, sizes, origins and tables as people read them."""

from __future__ import annotations

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


def clock(seconds: float) -> str:
    """Write a duration in the unit in which it is a handy number."""
    for limit, unit, name in ((86400 * 3, 86400, "d"), (3600 * 5, 3600, "h"), (120, 60, "min")):
        if seconds >= limit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.3g} s"


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
