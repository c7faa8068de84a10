"""What pages are made of: tables, charts, embedded pictures, and bars that sliders move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from parasim.figures.bars import BarPart
from parasim.text import clock


class PageTable(NamedTuple):
    """A table of texts.

    Attributes
    ----------
    head : sequence of str
        Headings.
    rows : sequence of sequence of str
        Cells.
    numbers : int
        The last so many columns are numbers and are aligned right.
    note : str
        What else is to be said of it.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: int = 0
    note: str = ""


class PageChart(NamedTuple):
    """A chart: SVG files for a wide page and for a narrow one, and the numbers behind it."""

    pictures: Sequence[str]
    table: PageTable


class PagePicture(NamedTuple):
    """A picture that lies in the directory, embedded as it is: title, name of the file, ``data:`` address."""

    title: str
    name: str
    address: str


class WhatIfBar(NamedTuple):
    """One bar at one place of the sliders.

    Attributes
    ----------
    lengths : sequence of float
        Of its parts [s].
    origin : str
        Where its computing times come from.
    """

    lengths: Sequence[float]
    origin: str


class Slider(NamedTuple):
    """A slider: what it moves, what is written at each of its places, and where it stands at first."""

    name: str
    places: Sequence[str]
    start: int


class WhatIf(NamedTuple):
    """Bars that sliders move.

    Attributes
    ----------
    sliders : sequence of Slider
        One or two.
    parts : sequence of BarPart
        What bars consist of.
    names : sequence of str
        The bars.
    cells : sequence of sequence of sequence of WhatIfBar
        By place of the first slider, of the second (a single one if there is none), and bar; None where no profile
        covers it.
    """

    sliders: Sequence[Slider]
    parts: Sequence[BarPart]
    names: Sequence[str]
    cells: Sequence[Sequence[Sequence[WhatIfBar | None]]]

    def plain(self) -> dict[str, Any]:
        """Return what the page shows: for each cell, shares of the longest bar by part, and the texts of its row."""
        longest = max(sum(cell.lengths) for row in self.cells for bars in row for cell in bars if cell) or 1.0

        def told(cell: WhatIfBar | None) -> tuple[list[float], list[str]]:
            if cell is None:
                unknown = [*("-" for _ in self.parts), "not covered", "no profile covers it"]
                return [0.0 for _ in self.parts], unknown
            texts = [*map(clock, cell.lengths), clock(sum(cell.lengths)), cell.origin]
            return [round(100 * part / longest, 3) for part in cell.lengths], texts

        cells = [[[told(cell) for cell in bars] for bars in row] for row in self.cells]
        start = [slider.start for slider in self.sliders] + [0]
        return {"places": [s.places for s in self.sliders], "start": start, "names": self.names, "cells": cells}
