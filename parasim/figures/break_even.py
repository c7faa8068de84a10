"""Break-even map: which of two methods is faster, by how much, over bandwidth and batch size.

A row per batch size, as batch sizes are whole numbers. The deeper a colour, the greater the advantage; thin lines are
where it is so many times; thick ones are the break-even points that were simulated. Batch sizes whose computing times
lie outside what was measured carry a mark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from parasim.figures import style
from parasim.figures.look import USUAL, Look
from parasim.figures.marks import doubts_of, doubts_said, log_ticks, note, spaced, write
from parasim.figures.sheet import Key, Sheet, draw_to_width
from parasim.planning.search.crossings import MethodsCompared
from parasim.sentences import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

# All lengths are in inches.
_WIDTH, _ROW, _LEAST_HEIGHT = 5.2, 0.30, 1.2
_LEFT = 0.3
_DEEPEST = 0.80
_DEEPEST_AT = 10.0
"""Advantage from which on a colour becomes no deeper."""
_FINE = 801
_LEVELS = (1.5, 2.0, 3.0, 5.0, 10.0)


def draw_break_even(
    lines: Sequence[MethodsCompared], methods: tuple[str, str], path: Path, look: Look = USUAL
) -> list[Path]:
    """Draw a map.

    Parameters
    ----------
    lines : sequence of MethodsCompared
        One per batch size, rising, all at the same bandwidths.
    methods : tuple of str
        Names of the two methods.
    path : Path
        Where the files go, without their endings.
    look : Look
        How the picture is wanted.

    Raises
    ------
    OutputError
        If the files cannot be written.
    """
    one, other = map(look.name, methods)
    draw = partial(_draw, lines=lines, methods=methods)
    return draw_to_width(draw, path, look, _WIDTH, f"{one} or {other}: the faster one")


def _draw(drawn: Sheet, room: float, lines: Sequence[MethodsCompared], methods: tuple[str, str]) -> None:
    height, width = max(_LEAST_HEIGHT, _ROW * len(lines)), room - _LEFT
    axes = drawn.axes(_LEFT, 0, width, height, grid="")
    bandwidths = lines[0].bandwidths
    # Positive where the second method takes longer: the first one's advantage, as a logarithm.
    advantage = np.array([np.log(line.runtimes[1] / line.runtimes[0]) for line in lines])
    axes.set(xscale="log", xlim=(bandwidths[0], bandwidths[-1]), ylim=(-0.5, len(lines) - 0.5))
    _colour(axes, bandwidths, advantage, methods)
    _levels(axes, bandwidths, advantage)
    _boundary(axes, lines)
    _name_regions(axes, bandwidths, advantage, methods, drawn.look)
    axes.set_yticks(range(len(lines)), [str(line.batch_size) for line in lines])
    quantity = lines[0].quantity
    axes.set(xlabel=say(f"quantity.{quantity.name}"), ylabel="batch size")
    log_ticks(axes.xaxis, quantity.unit)
    doubts = [[doubt for origin in line.compute_origins for doubt in doubts_of(origin)] for line in lines]
    doubtful = [row for row, found in enumerate(doubts) if found]
    # Between the numbers and the map.
    marks: Any = {"ms": 2.4, "mew": 0.6, "mec": style.MUTED, "mfc": "white", "clip_on": False, "zorder": 6}
    axes.plot([bandwidths[0]] * len(doubtful), doubtful, "D", **marks)
    several = "; thin lines: so many times as fast" if len(lines) > 1 else ""
    said = style.wrapped(f"the deeper the colour, the greater its advantage{several}", width, style.SMALL)
    top = height + 0.05
    if doubtful:
        told = doubts_said(doubt for found in doubts for doubt in found)
        top = drawn.keys([Key(f"{told}, of one method or both", (style.MUTED,), "D")], _LEFT, top, width)
    for line in reversed(said.split("\n")):
        drawn.text(_LEFT, top + 0.07, line, color=style.MUTED)
        top += 0.12


def _colour(
    axes: Axes, bandwidths: NDArray[np.float64], advantage: NDArray[np.float64], methods: tuple[str, str]
) -> None:
    """Colour each bandwidth and batch size by the faster method and its advantage."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = style.method_colours(methods)
    shades = LinearSegmentedColormap.from_list("advantage", [colours[methods[1]], "#FFFFFF", colours[methods[0]]])
    # Interpolated between the bandwidths that were compared, so that colours change where the methods do.
    logs = np.log(bandwidths)
    fine = np.linspace(logs[0], logs[-1], _FINE)
    finer = np.array([np.interp(fine, logs, row) for row in advantage])
    shares = np.clip(finer / math.log(_DEEPEST_AT), -1, 1) * _DEEPEST
    # A step at break-even, so that even a slight advantage has its method's colour.
    shares = np.where(finer == 0, 0.0, np.sign(finer) * (0.16 + 0.84 * np.abs(shares)))
    edges = np.exp(np.concatenate([fine[:1], (fine[:-1] + fine[1:]) / 2, fine[-1:]]))
    rows = np.arange(len(advantage) + 1) - 0.5
    axes.pcolormesh(edges, rows, shares, cmap=shades, vmin=-1, vmax=1, rasterized=True, linewidth=0)


def _levels(axes: Axes, bandwidths: NDArray[np.float64], advantage: NDArray[np.float64]) -> None:
    """Draw lines where one method is so many times as fast, with their numbers."""
    levels = sorted(sign * math.log(level) for level in _LEVELS for sign in (-1, 1))
    shown = [level for level in levels if advantage.min() < level < advantage.max()]
    if len(advantage) < 2 or not shown:
        return
    axes.contour(
        bandwidths, range(len(advantage)), advantage, shown, colors=style.MUTED, linewidths=0.5, linestyles="-"
    )
    # Where a line leaves the lowest row, below that row's break-even point, as far as the numbers do not touch.
    ends = {
        math.sqrt(bandwidths[position] * bandwidths[position + 1]): f"{math.exp(abs(level)):.3g}×"
        for level in shown
        for position in np.flatnonzero(np.diff(np.sign(advantage[0] - level)))
    }
    for middle in spaced(axes.xaxis, sorted(ends), ends.__getitem__)[0]:
        write(axes, middle, -0.3, ends[middle], ha="center", va="center_baseline", color=style.INK)


def _boundary(axes: Axes, lines: Sequence[MethodsCompared]) -> None:
    """Draw each row's break-even points, joined into a line, with their bandwidths."""
    for row, line in enumerate(lines):
        for crossing in line.crossings:
            axes.plot([crossing.above] * 2, [row - 0.5, row + 0.5], color=style.INK, linewidth=1.0)
            text = line.quantity.text(crossing.above)
            _stand_out(note(axes, text, (crossing.above, row), (3, 0), va="center_baseline"))
    for row, (line, above) in enumerate(pairwise(lines)):
        if len(line.crossings) == len(above.crossings):
            for one, other in zip(line.crossings, above.crossings, strict=True):
                axes.plot([one.above, other.above], [row + 0.5] * 2, color=style.INK, linewidth=1.0)


def _name_regions(
    axes: Axes, bandwidths: NDArray[np.float64], advantage: NDArray[np.float64], methods: tuple[str, str], look: Look
) -> None:
    """Write each method's name in the middle of where it is the faster one."""
    for method, sign in zip(methods, (1, -1), strict=True):
        rows, columns = np.nonzero(np.sign(advantage) == sign)
        if len(rows):
            # The mean position may lie elsewhere; its nearest neighbour in the region does not.
            nearest = int(((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2).argmin())
            x, y = bandwidths[columns[nearest]], rows[nearest]
            text = f"{look.name(method)}\nfaster"
            _stand_out(write(axes, x, y, text, size=style.LARGE, weight="bold", ha="center", va="center"))


def _stand_out(text: Text) -> None:
    """Put a light edge around a text that stands on colours."""
    from matplotlib.patheffects import withStroke

    text.set_path_effects([withStroke(linewidth=2.0, foreground="white", alpha=0.7)])
