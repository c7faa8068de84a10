"""What a page consists of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from parasim.cli.text import clock
from parasim.figures.bars import BarPart


class Table(NamedTuple):
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


class Chart(NamedTuple):
    """A chart with the numbers behind it.

    Attributes
    ----------
    title, description : str
        What it shows, above it and for those who do not see it.
    pictures : sequence of str
        SVG files: for a wide page, and for a narrow one.
    table : Table
        The numbers.
    """

    title: str
    description: str
    pictures: Sequence[str]
    table: Table


class Picture(NamedTuple):
    """A picture that lies in the directory, embedded as it is: title, text instead of it, ``data:`` address."""

    title: str
    alternative: str
    address: str


@dataclass(frozen=True)
class Section:
    """A part of a page; one that holds nothing is left out."""

    title: str
    paragraphs: Sequence[str] = ()
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()

    def __bool__(self) -> bool:
        return bool(self.paragraphs or self.charts or self.tables or self.pictures)


class Cell(NamedTuple):
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
    cells : sequence of sequence of sequence of Cell
        By place of the first slider, of the second (a single one if there is none), and bar; None where no profile
        covers it.
    """

    sliders: Sequence[Slider]
    parts: Sequence[BarPart]
    names: Sequence[str]
    cells: Sequence[Sequence[Sequence[Cell | None]]]

    def plain(self) -> dict[str, Any]:
        """Return what the page shows: for each cell, shares of the longest bar by part, and the texts of its row."""
        longest = max(sum(cell.lengths) for row in self.cells for bars in row for cell in bars if cell) or 1.0

        def told(cell: Cell | None) -> tuple[list[float], list[str]]:
            if cell is None:
                unknown = [*("-" for _ in self.parts), "not covered", "no profile covers it"]
                return [0.0 for _ in self.parts], unknown
            texts = [*map(clock, cell.lengths), clock(sum(cell.lengths)), cell.origin]
            return [round(100 * part / longest, 3) for part in cell.lengths], texts

        cells = [[[told(cell) for cell in bars] for bars in row] for row in self.cells]
        start = [slider.start for slider in self.sliders] + [0]
        places = [slider.places for slider in self.sliders]
        return {"places": places, "start": start, "names": self.names, "cells": cells}

    def table(self) -> Table:
        """The numbers as they are before anything is moved."""
        plain = self.plain()
        first, second, *_ = plain["start"]
        rows = [(name, *texts) for name, (_, texts) in zip(self.names, plain["cells"][first][second], strict=True)]
        return Table(("", *(part.name for part in self.parts), "wall-clock", "computing times are"), rows)


@dataclass(frozen=True)
class Page:
    """A page about one directory of results.

    Attributes
    ----------
    title : str
        What it is about.
    question, answer : str, sequence of str
        In words.
    sections : sequence of Section
        Charts and tables.
    provenance : Table
        Where the numbers come from.
    command, version, scenario, scenario_note : str
        How to get them again; empty where the directory does not say.
    what_if : WhatIf, optional
        What can be moved.
    what_if_notes : sequence of str
        How that was computed, or why there is nothing to move.
    """

    title: str
    question: str
    answer: Sequence[str]
    sections: Sequence[Section]
    provenance: Table
    command: str = ""
    version: str = ""
    scenario: str = ""
    scenario_note: str = ""
    what_if: WhatIf | None = None
    what_if_notes: Sequence[str] = field(default_factory=tuple)


def joined(texts: Iterable[str]) -> str:
    """Join texts into one sentence's enumeration."""
    *first, last = list(texts) or [""]
    return f"{', '.join(first)} and {last}" if first else last
