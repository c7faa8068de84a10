"""YAML, TOML and JSON text as plain data, within bounds.

A scenario may come from anyone, so reading is bounded in size, in nesting, in what YAML aliases expand to and in the
length of numbers; a field that stands twice is refused. A date is text. What YAML means is said in
`sim.scenario.yaml_reading`.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from datetime import date, time
from typing import Any

from parasim_core.sim.errors import brief, shown

MAX_DEPTH = 20
"""Deepest nesting; a scenario needs five levels, its `train` section not many more."""
MAX_BITS = 256
"""Longest whole number; one of thousands of digits could not even be shown in a message."""
_SURROGATE = re.compile(r"[\ud800-\udfff]")
"""Half of a character of UTF-16, which JSON can write and nothing can print or save."""
TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"


def parse_yaml(text: str) -> Any:
    """Read YAML.

    Raises
    ------
    ValueError
        If it is not well-formed or out of bounds, saying what is wrong and in which line.
    """
    # What is written in JSON or Python needs no YAML, whose import takes a command's first hundredth of a second.
    from parasim_core.sim.scenario.yaml_reading import read_yaml

    check_characters(text)
    return _parsed(lambda: read_yaml(text, MAX_DEPTH))


def parse_json(text: str) -> Any:
    """Read JSON.

    Raises
    ------
    ValueError
        If it is not well-formed or out of bounds.
    """

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not a number that can be computed with")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for key, value in pairs:
            if key in fields:
                raise ValueError(f"the field {shown(key)} stands twice")
            fields[key] = value
        return fields

    return _parsed(lambda: json.loads(text, parse_constant=refuse, object_pairs_hook=unique) if text.strip() else None)


def parse_toml(text: str) -> Any:
    """Read TOML; a date or a time is text, as in YAML.

    Raises
    ------
    ValueError
        If it is not well-formed or out of bounds.
    """
    # Dotted names nest without recursion, and tomllib takes time in the square of their length.
    if _LONG_DOTTED_NAME.search(text):
        raise ValueError(TOO_DEEP)
    return _dates_as_text(_parsed(lambda: tomllib.loads(text)))


_TOML_NAME = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_DOTTED_NAME = re.compile(
    rf"""^[ \t]*+\[{{0,2}}+[ \t]*+{_TOML_NAME}(?:[ \t]*+\.[ \t]*+{_TOML_NAME}){{{MAX_DEPTH},}}"""
    rf"""|[{{,][ \t]*+{_TOML_NAME}(?:[ \t]*+\.[ \t]*+{_TOML_NAME}){{{MAX_DEPTH},}}[ \t]*+=""",
    re.MULTILINE,
)


def _dates_as_text(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _dates_as_text(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_dates_as_text(value) for value in data]
    return str(data) if isinstance(data, date | time) else data


def _parsed(parse: Callable[[], Any]) -> Any:
    try:
        return _bounded(parse())
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    except ValueError as error:
        if "int_max_str_digits" in str(error):
            raise ValueError("a number of thousands of digits") from None
        # The libraries quote what they read, lines and all.
        raise ValueError(brief(str(error))) from None


def check_characters(text: str) -> None:
    """Refuse text with half of a character.

    Raises
    ------
    ValueError
        Quoting the text.
    """
    if not text.isascii() and _SURROGATE.search(text):
        raise ValueError(f"{shown(text)} holds half of a character")


def _bounded(data: Any) -> Any:
    """Return data whose nesting and numbers are within bounds."""
    level = [data]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += (*value, *value.values())
            elif isinstance(value, list):
                below += value
            elif isinstance(value, str):
                check_characters(value)
            elif isinstance(value, int) and value.bit_length() > MAX_BITS:
                raise ValueError(f"a number of about {value.bit_length() * 3 // 10:,} digits")
        if not below:
            return data
        level = below
    raise ValueError(TOO_DEEP)
