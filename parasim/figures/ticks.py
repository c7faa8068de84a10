"""Ticks of logarithmic axes, alike in every picture: at powers of ten, or at 1, 2 and 5, with plain numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from parasim.text import amount

if TYPE_CHECKING:
    from matplotlib.axis import Axis

_MANY_DECADES = {True: 1.6, False: 4.0}
"""From how many decades on numbers at 2 and 5 would touch, with and without a unit."""


def log_ticks(axis: Axis, unit: str = "") -> None:
    """Put ticks at powers of ten and, where there is space, at 2 and 5 times those.

    Parameters
    ----------
    axis : matplotlib Axis
        The axis, whose limits are set.
    unit : str
        Base unit that the numbers carry, with its prefixes: ``B/s``.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    low, high = axis.get_view_interval()
    sparse = math.log10(high / low) > _MANY_DECADES[bool(unit)]
    axis.set_major_locator(LogLocator(subs=(1.0,) if sparse else (1.0, 2.0, 5.0), numticks=12))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: amount(value, unit) if unit else f"{value:,.10g}")
