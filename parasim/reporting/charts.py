"""Pictures of `parasim.figures` as parts of a page: two widths of each, with colours that follow the page's.

An SVG inside a page shares its names and its style sheet, so that names get a prefix, and colours that would be hard
to see on a dark page become the variables that `page.css` gives a value for light and for dark.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

from parasim.figures import style
from parasim.figures.bars import BarPart, StackedBar, draw_bars
from parasim.figures.sheet import Sheet, svg_for_page
from parasim.reporting.page import PageChart, PageTable
from parasim.text import clock

_NARROW = 2.85
"""Width of the picture for a telephone [in]; text keeps its size, so that it fills more of it."""
_VARIABLES = {
    style.INK: "ink",
    style.MUTED: "muted",
    style.GRID: "grid",
    style.WAITING: "waiting",
    style.OFFLINE: "offline",
    style.EDGE: "edge",
    "#1A1A1A": "black",
    "#882255": "plum",
    "#332288": "indigo",
}
"""Colours of pictures that the page's style sheet decides on."""

WALL_CLOCK = BarPart("wall-clock", style.COMPUTE)
"""What bars without parts show."""


def chart(draw: Callable[[Sheet, float], object], table: PageTable) -> PageChart:
    """Draw a chart for wide and for narrow pages.

    Parameters
    ----------
    draw : callable
        Draws it on a sheet, as wide as its second argument [in].
    table : PageTable
        The numbers.
    """
    return PageChart([svg_for_page(draw, width) for width in (style.PAGE_WIDTH, _NARROW)], table)


def bar_chart(
    what: str,
    parts: Sequence[BarPart],
    bars: Sequence[StackedBar],
    *,
    text: str = "",
    more: Sequence[str] = (),
    note: str = "",
    whole: float = 0.0,
) -> PageChart:
    """Draw bars of times [s] for wide and for narrow pages, with a table of their numbers.

    Parameters
    ----------
    what : str
        Heading of the bars' names.
    parts : sequence of BarPart
        What they consist of.
    bars : sequence of StackedBar
        The bars.
    text : str
        Heading of the texts at their ends, if those are no parts already.
    more : sequence of str
        Headings of what else the bars tell.
    note : str
        What else is to be said of them.
    whole : float
        What the bars are shares of [s]; 0 if they are none.
    """
    head = [what, *(part.name for part in parts), *([text] if text else []), *more]
    rows = [(bar.name, *map(clock, bar.lengths), *([bar.text] if text else []), *bar.more) for bar in bars]
    table = PageTable(head, rows, numbers=len(head) - 1, note=note)
    return chart(partial(draw_bars, parts=parts, bars=bars, whole=whole), table)


def inlined(svg: str, prefix: str) -> str:
    """Turn a picture into an element of a page.

    Parameters
    ----------
    svg : str
        A whole file, as `svg_for_page` gives it.
    prefix : str
        For its names, which no other picture of the page has.
    """
    view = re.search(r'viewBox="([^"]*)"', svg)
    assert view is not None
    body = svg[svg.index("</metadata>") + len("</metadata>") : svg.rindex("</svg>")]
    body = re.sub(r"<!--.*?-->|<style.*?</style>|\n\s*", " ", body, flags=re.DOTALL)
    # Only tags: texts are what somebody wrote.
    return f'viewBox="{view[1]}">{re.sub("<[^>]*>", lambda tag: _adapted(tag[0], prefix), body)}'


def _adapted(tag: str, prefix: str) -> str:
    """Adapt a tag to a page: its names, its font, and the colours that the page decides on."""
    tag = re.sub(r'^<g id="[^"]*"', "<g", tag)
    tag = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", tag)
    # A hundredth of a point is more than a screen tells apart.
    tag = re.sub(r"(\.\d\d)\d+", r"\1", tag)
    for colour, name in _VARIABLES.items():
        tag = tag.replace(colour.lower(), f"var(--{name})")
    # White text stands in bars, whose colours stay.
    return tag if tag.startswith("<text") else tag.replace("#ffffff", "var(--page)")


def css_fill(colour: str) -> str:
    """Return the CSS background of a bar that is no part of a picture, alike to `parasim.figures.sheet.fill`."""
    if colour == style.EXPOSED:
        return f"repeating-linear-gradient(135deg, {colour} 0 3.6px, var(--page) 3.6px 4.4px)"
    return f"var(--{_VARIABLES[colour]})" if colour in _VARIABLES else colour
