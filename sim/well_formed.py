"""YAML, TOML and JSON text as plain data, within bounds.

A scenario may come from anyone, so reading is bounded in nesting, in what YAML aliases expand to and in the
length of numbers; a field that stands twice is refused. YAML is read by the core schema of its version 1.2:
``1e3`` is a number, ``no`` is a word, ``12:30`` is not 750.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from typing import Any

import yaml

MAX_NODES = 500_000
MAX_DEPTH = 50
MAX_BITS = 256
"""Longest whole number; one of thousands of digits could not even be shown in a message."""


def parse_yaml(text: str) -> Any:
    """Read YAML.

    Raises
    ------
    ValueError
        If it is not well-formed or out of bounds, saying what is wrong and in which line.
    """
    try:
        _check_events(text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _expanded_nodes(node, {})
            return _bounded(loader.construct_document(node))
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        # "but found another document" and "second occurrence" are only half a sentence without their context.
        half = str(error.problem).startswith(("but ", "second "))
        about = f"{error.context}, " if error.context and half else ""
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise ValueError(f"{about}{error.problem}{line}") from None
    except yaml.YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from None


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
                raise ValueError(f"the field {key!r} stands twice")
            fields[key] = value
        return fields

    return _parsed(lambda: json.loads(text, parse_constant=refuse, object_pairs_hook=unique) if text.strip() else None)


def parse_toml(text: str) -> Any:
    """Read TOML.

    Raises
    ------
    ValueError
        If it is not well-formed or out of bounds.
    """
    # Dotted names nest without recursion, and tomllib takes time in the square of their length.
    if _LONG_DOTTED_NAME.search(text):
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
    return _parsed(lambda: tomllib.loads(text))


_TOML_NAME = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_DOTTED_NAME = re.compile(rf"(?<![\w-]){_TOML_NAME}(?:[ \t]*+\.[ \t]*+{_TOML_NAME}){{{MAX_DEPTH},}}")


def _parsed(parse: Callable[[], Any]) -> Any:
    try:
        return _bounded(parse())
    except RecursionError:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep") from None
    except ValueError as error:
        if "int_max_str_digits" in str(error):
            raise ValueError("a number of thousands of digits") from None
        raise


def _bounded(data: Any) -> Any:
    """Return data whose nesting and numbers are within bounds."""
    level = [data]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif isinstance(value, int) and value.bit_length() > MAX_BITS:
                raise ValueError(f"a number of about {value.bit_length() * 3 // 10:,} digits")
        if not below:
            return data
        level = below
    raise ValueError(f"nested more than {MAX_DEPTH} levels deep")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's safe loader with the core schema of YAML 1.2 in place of 1.1's numbers, times and truth values."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own name, extended below


def _whole_number(_: Any, node: yaml.ScalarNode) -> int:
    digits = node.value
    if len(digits) > MAX_BITS:
        raise ValueError(f"a number of {len(digits):,} digits (line {node.start_mark.line + 1})")
    return int(digits, 16 if "x" in digits else 8 if "o" in digits else 10)


def _number(_: Any, node: yaml.ScalarNode) -> float:
    return float(node.value.lower().replace(".inf", "inf").replace(".nan", "nan"))


for _kind, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))"
        r"|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)


def _check_events(text: str) -> None:
    # The event stream is not recursive, so it is safe to look at before anything recursive touches the text.
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if number > MAX_NODES:
            raise ValueError(f"more than {MAX_NODES:,} entries; write lists as long as that in JSON")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _expanded_nodes(node: yaml.Node, known: dict[int, int]) -> int:
    """Count nodes with every alias expanded, without expanding them; refuse bombs, loops and double keys."""
    line = f"(line {node.start_mark.line + 1})"
    if id(node) in known:
        if known[id(node)] == 0:
            raise ValueError(f"an alias refers to what contains it {line}")
        return known[id(node)]
    known[id(node)] = 0
    total = 1
    children = node.value if isinstance(node, yaml.SequenceNode) else []
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
        children = [child for pair in node.value for child in pair]
    for child in children:
        total += _expanded_nodes(child, known)
        if total > MAX_NODES:
            raise ValueError(f"its aliases expand to more than {MAX_NODES:,} entries {line}")
    known[id(node)] = total
    return total


def _check_keys(node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        line = f"(line {key.start_mark.line + 1})"
        if not isinstance(key, yaml.ScalarNode):
            raise ValueError(f"the name of a field is one word {line}")
        if key.value in seen:
            raise ValueError(f"the field {key.value!r} stands twice {line}")
        seen.add(key.value)
