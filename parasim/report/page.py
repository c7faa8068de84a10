"""What a page consists of, and how it becomes HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

    from parasim.report.whatif import WhatIf

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Table:
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


@dataclass(frozen=True)
class Key:
    """An entry of a legend: the text, and the class of CSS that has its colour."""

    label: str
    style: str


@dataclass(frozen=True)
class Figure:
    """A chart with the numbers behind it.

    Attributes
    ----------
    title : str
        Above it.
    svg : Markup
        The chart.
    keys : sequence of Key
        Its legend.
    table : Table
        The numbers.
    """

    title: str
    svg: Markup
    keys: Sequence[Key]
    table: Table


@dataclass(frozen=True)
class Picture:
    """A picture that lies in the directory, embedded as it is: title, text instead of it, ``data:`` address."""

    title: str
    alternative: str
    address: str


@dataclass(frozen=True)
class Section:
    """A part of a page; one that holds nothing is left out."""

    title: str
    paragraphs: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()

    def __bool__(self) -> bool:
        return bool(self.paragraphs or self.figures or self.tables or self.pictures)


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


def render(page: Page) -> str:
    """Turn a page into one HTML file without any reference to another.

    Returns
    -------
    str
        Everything that comes from outside (names, sentences, scenarios) is escaped.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # The two files are paraSim's own; nothing else enters the page unescaped but the charts, which escape themselves.
    style, script = (Markup((_HERE / name).read_text(encoding="utf-8")) for name in ("page.css", "page.js"))
    return environment.get_template("page.html").render(page=page, style=style, script=script)
