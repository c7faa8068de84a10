"""What tests read in pictures: their texts, and where these stand."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import NamedTuple


class Text(NamedTuple):
    """One text of an SVG: its words, where it is anchored [pt, down from the top], and its size [pt]."""

    words: str
    x: float
    y: float
    size: float
    turned: float


def svg_of(paths: list[Path]) -> Path:
    """Return the SVG among the files of a picture."""
    [svg] = [path for path in paths if path.suffix == ".svg"]
    return svg


def texts(svg: Path) -> list[Text]:
    """Return all texts of a picture in the order in which they are drawn."""
    found = re.finditer(r"<text style=\"([^\"]*)\"([^>]*)>(.*?)</text>", svg.read_text(encoding="utf-8"), re.DOTALL)
    read = []
    for style, more, words in (match.groups() for match in found):
        size = re.search(r"font-size: ([\d.]+)px", style)
        # Lines of a text of several are moved instead.
        place = re.search(r'(?:x="|translate\()([-\d.]+)(?:" y="| )([-\d.]+)', more)
        turned = re.search(r"rotate\(([-\d.]+)", more)
        assert size is not None
        assert place is not None
        angle = float(turned[1]) if turned else 0.0
        read.append(Text(html.unescape(words), float(place[1]), float(place[2]), float(size[1]), angle))
    return read


def words(svg: Path) -> set[str]:
    """Return what is written in a picture."""
    return {text.words for text in texts(svg)}


def place(svg: Path, said: str) -> Text:
    """Return the first text of a picture that says something."""
    return next(text for text in texts(svg) if text.words == said)


def size_of(svg: Path) -> tuple[float, float]:
    """Return width and height of a picture [pt]."""
    found = re.search(r'<svg[^>]* width="([\d.]+)pt" height="([\d.]+)pt"', svg.read_text(encoding="utf-8"))
    assert found is not None
    return float(found[1]), float(found[2])
