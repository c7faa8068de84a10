"""YAML, TOML and JSON text as plain data, within bounds.

A scenario may come from anyone, so reading is bounded in nesting, in what YAML aliases expand to and in the
length of numbers; a field that stands twice is refused. YAML is version 1.2: ``1e3`` is a number, ``no`` is a word,
``12:30`` is not 750, ``1_0`` is not 10; a date is text. Of YAML 1.1, merge keys (``<<: *name``) are followed.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent
from ruamel.yaml.resolver import VersionedResolver

MAX_YAML_NODES = 200_000
MAX_DEPTH = 50
MAX_BITS = 256
"""Longest whole number; one of thousands of digits could not even be shown in a message."""


class _Composer(Composer):
    """Makes nodes of YAML text, within bounds.

    Refused are explicit tags, which could name any type, aliases to what they are part of, which has no end, and more
    entries than `MAX_YAML_NODES`, counted with all aliases expanded: ten lines of aliases can stand for billions.
    """

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader=loader)
        self.warn_double_anchors = False
        self._nodes = 0
        self._nodes_of_anchor: dict[str, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Make the next node, and count it with all that is below it."""
        event, before = self.parser.peek_event(), self._nodes
        is_alias = isinstance(event, AliasEvent)
        if is_alias and self._nodes_of_anchor.get(event.anchor) == 0:
            reason = f"*{event.anchor} stands inside what it names, which would have no end"
            raise ComposerError(None, None, reason, event.start_mark)
        if not is_alias:
            if event.ctag is not None:
                raise ComposerError(None, None, f"the tag {event.tag} is not read; leave it out", event.start_mark)
            self._nodes_of_anchor[event.anchor] = 0
        node = super().compose_node(parent, index)
        self._nodes += self._nodes_of_anchor[event.anchor] if is_alias else 1
        if self._nodes > MAX_YAML_NODES:
            reason = f"more than {MAX_YAML_NODES:,} entries, aliases expanded; write lists as long as that in JSON"
            raise ComposerError(None, None, reason, event.start_mark)
        if not is_alias:
            self._nodes_of_anchor[event.anchor] = self._nodes - before
        return node


class _Resolver(VersionedResolver):
    """Tells numbers from words by the rules of YAML 1.2, whatever version a document claims to be."""

    @property
    def processing_version(self) -> tuple[int, int]:
        """Version of YAML."""
        return (1, 2)

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """Choose the tag of a node; of numbers with underscores, which ruamel takes from YAML 1.1, that of text."""
        tag = super().resolve(kind, value, implicit)
        return self.DEFAULT_SCALAR_TAG if str(tag).endswith((":int", ":float")) and "_" in value else tag


class _Constructor(SafeConstructor):
    """Makes plain data of nodes; a date is text."""


for _kind in ("timestamp", "value", "merge"):
    _Constructor.add_constructor(f"tag:yaml.org,2002:{_kind}", SafeConstructor.construct_yaml_str)


def parse_yaml(text: str) -> Any:
    """Read YAML.

    Raises
    ------
    ValueError
        If it is not well-formed or out of bounds, saying what is wrong and in which line.
    """
    reader = YAML(typ="safe", pure=True)
    reader.Composer, reader.Constructor, reader.Resolver = _Composer, _Constructor, _Resolver
    try:
        return _parsed(lambda: reader.load(text))
    except MarkedYAMLError as error:
        # "but found another document" is only half a sentence without its context.
        about = f"{error.context}, " if error.context and str(error.problem).startswith("but ") else ""
        problem = str(error.problem).partition(" with value")[0][:200]
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise ValueError(f"{about}{problem}{line}") from None
    except (YAMLError, AssertionError) as error:
        # A version of YAML that does not exist fails an assertion of ruamel's.
        raise ValueError(str(error).splitlines()[0]) from None


def to_yaml(data: Mapping[str, Any]) -> str:
    """Write plain data as YAML, in their order and one field a line."""
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # declared to be None
    text = StringIO()
    writer.dump(data, text)
    return text.getvalue()


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
