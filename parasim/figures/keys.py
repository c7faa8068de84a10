"""Entries of legends."""

from __future__ import annotations

from typing import NamedTuple

from parasim.figures import style

SWATCH, STROKE, PAD = 0.10, 0.2, 0.04
"""Width of a box and of a line before the text of an entry, and the space between [in]."""


class Key(NamedTuple):
    """One entry of a legend: colours side by side, or a marker, or a line, or neither (a heading), and its text.

    Attributes
    ----------
    label : str
        The text, of one line or several.
    colours : tuple of str
        Fill, or colour of the marker.
    marker : str
        Matplotlib's name of a marker; a small box if empty.
    filled : bool
        Whether the marker is filled.
    hatch : str
        Pattern on the box, in the colour `hatched`.
    hatched : str
        That colour.
    dashes : str
        Matplotlib's name of a kind of line; no line if empty.
    """

    label: str
    colours: tuple[str, ...] = ()
    marker: str = ""
    filled: bool = False
    hatch: str = ""
    hatched: str = "white"
    dashes: str = ""

    @property
    def indent(self) -> float:
        """Width of what stands before the text [in]."""
        return (STROKE if self.dashes else SWATCH) + PAD if self.colours else 0.0

    @property
    def width(self) -> float:
        """Width of the whole entry [in]."""
        return self.indent + style.text_width(self.label, style.SMALL)

    @property
    def lines(self) -> int:
        """Number of lines of the text."""
        return self.label.count("\n") + 1
