"""What a reference is: something that paraSim did not make, and how far paraSim is from it.

A new one is a file in `validation/references` that holds::

    REFERENCE = Reference(
        name="one-word",
        kind="measured",
        source="who measured what, and where the rows lie",
        figures=my_function,  # () -> sequence of Figure
    )
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Literal, get_args

Kind = Literal["oracle", "measured", "published"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Figure:
    """How far off paraSim is in one respect.

    Attributes
    ----------
    name : str
        In what respect, in a few words that stay the same: the history knows the figure by them.
    value : float
        In `unit`.
    rows : int
        How many rows it is of.
    unit : str
        ``%`` unless said.
    decimals : int
        To how many it is told, so that the noise of another processor is not.
    most, least : float or None
        What an issue aims at, in `unit`.
    """

    name: str
    value: float
    rows: int
    unit: str = "%"
    decimals: int = 1
    most: float | None = None
    least: float | None = None

    @property
    def label(self) -> str:
        """Its name and unit, by which the history knows it."""
        return f"{self.name} [{self.unit}]"

    @property
    def told(self) -> str:
        """The value as the page and the history tell it, without its unit."""
        # Adding zero turns a rounded -0.0 into 0.0.
        return f"{round(self.value, self.decimals) + 0.0:.{self.decimals}f}"

    @property
    def aim(self) -> str:
        """The aim; empty without one."""
        if self.most is not None:
            return f"≤ {self.most:g} {self.unit}"
        return "" if self.least is None else f"≥ {self.least:g} {self.unit}"

    @property
    def reached(self) -> bool | None:
        """Whether the aim is reached; None without one."""
        if self.most is not None:
            return self.value <= self.most
        return None if self.least is None else self.value >= self.least


@dataclass(frozen=True)
class Reference:
    """Something that paraSim is held against.

    Attributes
    ----------
    name : str
        One word, by which the page and the history call it.
    kind : {"oracle", "measured", "published"}
        Another program's answer to the same question, what somebody measured, or what a publication says.
    source : str
        Where it is from, where it lies, and which command shows its rows, in a sentence or two of Markdown.
    figures : callable
        Takes nothing, holds paraSim against it, and returns a sequence of `Figure`.
    quick : bool
        Whether that takes a few seconds at most. Tests take the figures of others from the history.
    """

    name: str
    kind: Kind
    source: str
    figures: Callable[[], Sequence[Figure]]
    quick: bool = True


def references() -> tuple[Reference, ...]:
    """All references: oracles, then measured, then published ones, each by name."""
    from validation import references as room

    found: list[Reference] = [
        import_module(f"{room.__name__}.{one.name}").REFERENCE for one in iter_modules(room.__path__)
    ]
    return tuple(sorted(found, key=lambda one: (KINDS.index(one.kind), one.name.lower())))
