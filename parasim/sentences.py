"""What `paraSim plan`, `paraSim explain` and others say stands in ``sentences.toml``; values are filled in here.

A field is written like those of Python's format strings; beside their formats there are ``clock`` (a duration),
``deadline`` (one that somebody chose), ``count`` (a large number), ``bytes``, ``bandwidth``, ``money``, ``list``
(*a, b and c*) and ``commas`` (*a, b, c*).
"""

from __future__ import annotations

import string
import tomllib
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeVar

from parasim.text import amount, clock, deadline_clock

if TYPE_CHECKING:
    from parasim_core.sim.scenario.fields import Section

Key = TypeVar("Key", bound=Hashable)


def grouped(pairs: Iterable[tuple[Key, str]]) -> dict[Key, list[str]]:
    """Gather what is said of the same thing, so that it can be said together: in the order of first mention."""
    groups: dict[Key, list[str]] = {}
    for key, text in pairs:
        groups.setdefault(key, []).append(text)
    return groups


def by_kind(pairs: Iterable[tuple[str, str]]) -> str:
    """Write what is of the same kind together: ``given: a, b; assumed: c``."""
    return "; ".join(f"{kind}: {', '.join(texts)}" for kind, texts in grouped(pairs).items())


def given_or_assumed(section: Section, written: Mapping[str, str]) -> list[tuple[str, str]]:
    """Write fields of a section, each with its kind: ``given`` if the scenario says it, else ``assumed``."""
    kinds = {name: "given" if name in section.model_fields_set else "assumed" for name in written}
    return [(kinds[name], f"{name} {text}") for name, text in written.items()]


def listed(parts: Sequence[str]) -> str:
    """Write parts as a sentence lists them: ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def rounded(size: float, unit: str) -> str:
    """Write an amount with three digits, or to the whole unit where that is more: never as a power of ten."""
    return f"{size:,.0f} {unit}" if size >= 1000 else f"{size:.3g} {unit}"


_FORMATS: dict[str, Callable[[Any], str]] = {
    "clock": clock,
    "deadline": deadline_clock,
    "count": lambda number: amount(number, ""),
    "bytes": amount,
    "bandwidth": lambda size: amount(size, "B/s"),
    "money": lambda dollars: rounded(dollars, "USD"),
    "list": listed,
    "commas": ", ".join,
}


class _Formatter(string.Formatter):
    """Python's format strings with formats of our own."""

    def format_field(self, value: Any, format_spec: str) -> str:
        """Write one value."""
        written = _FORMATS.get(format_spec)
        return str(super().format_field(value, format_spec)) if written is None else written(value)


def say(sentence: str, **values: object) -> str:
    """Write a sentence.

    Parameters
    ----------
    sentence : str
        Its section and name in ``sentences.toml``, such as ``deadline.late``.
    values
        Its fields.
    """
    section, name = sentence.split(".")
    return _Formatter().format(_sentences()[section][name], **values)


@cache
def _sentences() -> dict[str, dict[str, str]]:
    return tomllib.loads((resources.files("parasim") / "sentences.toml").read_text(encoding="utf-8"))
