"""Ticks of logarithmic axes, alike in every picture: at powers of ten, or at 1, 2 and 5, with plain numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from parasim.text import amount

if TYPE_CHECKING:
    from matplotlib.axis import Axis

_MANY_DECADES = 1.6


def log_ticks(axis: Axis, write: Callable[[float], str] | None = None, *, sparse: bool = False) -> None:
    """Put ticks at 1, 2 and 5 times the powers of ten.

    Parameters
    ----------
    axis : matplotlib Axis
        The axis.
    write : callable, optional
        Turns a number into its text; plain numbers if None.
    sparse : bool
        Only at the powers of ten, because the numbers between them would touch.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    write = write or "{:g}".format
    axis.set_major_locator(LogLocator(subs=(1.0,) if sparse else (1.0, 2.0, 5.0), numticks=12))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: write(value))


def bandwidth_ticks(axis: Axis, low: float, high: float) -> None:
    """Make an axis between two ends one of bandwidth [B/s], with units at the numbers."""
    log_ticks(axis, lambda value: amount(value, "B/s"), sparse=math.log10(high / low) > _MANY_DECADES)
