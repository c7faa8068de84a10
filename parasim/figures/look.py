"""How a picture is wanted: kinds of files, width, type size, title, and names as they should appear."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from parasim.figures.style import NORMAL, FigureError
from parasim_core.sim.errors import nearest, shown, shown_path
from parasim_core.sim.scenario.yaml_reading import read_yaml
from parasim_core.sim.support.atomic_files import read_text

FORMATS = ("png", "svg", "pdf")
_USUAL = ("png", "svg")
_INCHES = {"mm": 1 / 25.4, "cm": 1 / 2.54, "in": 1.0, "pt": 1 / 72}
NARROWEST, WIDEST = 60 / 25.4, 600 / 25.4
"""Widths that a picture may have [in]: 60 to 600 mm."""
SMALLEST, LARGEST = 5.0, 24.0
"""Sizes that its type may have [pt]."""
NUMBER_AT_END = re.compile(r"(?: ×)? [\d,]+(?: to [\d,]+)?$|$")
"""What tells clients of a group apart, or counts them."""
_LARGEST_FILE = 2**20
_LENGTH = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Look:
    """How pictures are wanted.

    Attributes
    ----------
    formats : sequence of str
        Kinds of files to write, of `FORMATS`; PNG and SVG if empty.
    width : float or None
        Of the whole picture [in]; each kind of picture has its own if None.
    font_size : float
        Size of most text [pt]; labels at marks are a seventh smaller, titles a seventh larger.
    title : str or None
        Written above the picture, instead of what it says by itself; nothing if empty.
    labels : mapping of str to str
        Names as they should appear, by names as scenarios have them: of methods, models, groups and fields.
    """

    formats: Sequence[str] = ()
    width: float | None = None
    font_size: float = NORMAL
    title: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def scale(self) -> float:
        """By how much text, and all that has to have room for it, is larger than usual."""
        return self.font_size / NORMAL

    @property
    def suffixes(self) -> Sequence[str]:
        """Kinds of files to write."""
        return self.formats or _USUAL

    def name(self, name: str) -> str:
        """Return a name as it should appear, with a number at its end kept: ``rural 42``, ``rural × 8``."""
        if name in self.labels:
            return self.labels[name]
        number = NUMBER_AT_END.search(name)
        assert number is not None
        return self.labels.get(name[: number.start()], name[: number.start()]) + number[0]


USUAL = Look()
"""What pictures look like unless somebody says."""


def read_formats(text: str) -> tuple[str, ...]:
    """Read kinds of files, with commas between them.

    Raises
    ------
    FigureError
        If one is none that can be written, or none is named.
    """
    kinds = tuple(dict.fromkeys(kind for part in text.split(",") if (kind := part.strip().lower().lstrip("."))))
    for kind in kinds:
        if kind not in FORMATS:
            raise FigureError(f"--plot-format {shown(kind)}: {nearest(kind, FORMATS)}")
    if not kinds:
        raise FigureError(f"--plot-format {shown(text)}: names no kind of file; allowed are {', '.join(FORMATS)}")
    return kinds


def read_width(text: str) -> float:
    """Read the width of a picture, such as ``84mm`` [in].

    Raises
    ------
    FigureError
        If it is no length, or none that a picture can have.
    """
    found = _LENGTH.fullmatch(text)
    unit = _INCHES.get(found[2].lower()) if found else None
    inches = 0.0 if found is None or unit is None else float(found[1]) * unit
    if not NARROWEST - 1e-9 <= inches <= WIDEST + 1e-9:
        raise FigureError(
            f"--width {shown(text)}: write a length from 60mm to 600mm, in {', '.join(_INCHES)}, such as 84mm"
        )
    return inches


def read_font_size(text: str) -> float:
    """Read the size of type, such as ``8`` or ``8pt`` [pt].

    Raises
    ------
    FigureError
        If it is none, or nobody could read it.
    """
    found = _LENGTH.fullmatch(text)
    size = 0.0 if found is None or found[2].lower() not in ("", "pt") else float(found[1])
    if not SMALLEST <= size <= LARGEST:
        raise FigureError(f"--font-size {shown(text)}: write points from {SMALLEST:g} to {LARGEST:g}, such as 8")
    return size


def read_labels(path: Path) -> dict[str, str]:
    """Read names as they should appear from a YAML or JSON file, a line such as ``parablock: ParaBlock`` for each.

    Raises
    ------
    FigureError
        If it cannot be read, or is something else.
    """
    try:
        found = read_yaml(read_text(path, _LARGEST_FILE), 2)
    except ValueError as error:
        told = str(error)
        raise FigureError(told if told.startswith(shown_path(path)) else f"{shown_path(path)}: {told}") from None
    if not isinstance(found, dict):
        raise FigureError(f"{shown_path(path)}: write names as they should appear, such as parablock: ParaBlock")
    for name, label in found.items():
        if not isinstance(label, str | int | float) or isinstance(label, bool):
            raise FigureError(f"{shown_path(path)}: {name}: must be a text, such as ParaBlock, not {shown(label)}")
    return {str(name): str(label) for name, label in found.items()}
