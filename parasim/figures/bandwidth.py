"""Axes of bandwidth, alike in every picture: logarithmic, with units at the numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parasim.text import amount

if TYPE_CHECKING:
    from matplotlib.axis import Axis

_MANY_DECADES = 1.6


def bandwidth_axis(axis: Axis, low: float, high: float) -> None:
    """Make an axis one of bandwidth [B/s]: ticks at powers of ten, or at 1, 2 and 5 on a short one."""
    import math

    from matplotlib.ticker import LogLocator, NullLocator

    many = math.log10(high / low) > _MANY_DECADES
    axis.set_major_locator(LogLocator(subs=(1.0,) if many else (1.0, 2.0, 5.0), numticks=12))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: amount(value, "B/s"))
