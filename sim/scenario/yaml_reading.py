"""YAML as plain data: the core schema of version 1.2, whatever version a document claims to be.

``1e3`` is a number, ``no`` is a word, ``12:30`` is not 750, ``1_0`` is not 10, a date is text. Of YAML 1.1, merge keys
(``<<: *name``) are followed. Explicit tags, which could name any type, are refused. libyaml finds the events of the
text; what they stand for is decided here, so that bounds hold before anything is built.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml
from yaml.events import AliasEvent, Event, MappingStartEvent, NodeEvent, ScalarEvent, SequenceStartEvent

from sim.errors import shown

MAX_NODES = 200_000
"""Most entries, counted with all aliases expanded: ten lines of aliases can stand for billions."""
MAX_TAG_HANDLES = 100
"""Most ``%TAG`` lines, which libyaml compares with one another; none is of use, as tags are refused."""

# Section 10.3.2 of the specification of YAML 1.2, and binary numbers. ASCII: \d would take the digits of every script.
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBERS: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"[-+]?[0-9]+"), int),
    (re.compile(r"[-+]?0(?:b[01]+|o[0-7]+|x[0-9a-fA-F]+)"), lambda text: int(text, 0)),
    (re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"), float),
    (re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"), lambda text: float(text.replace(".", ""))),
)


def read_yaml(text: str, max_depth: int) -> Any:
    """Read one document.

    Parameters
    ----------
    text : str
        The document; empty for nothing.
    max_depth : int
        Deepest nesting of lists and mappings.

    Raises
    ------
    ValueError
        If it is not well-formed or out of bounds, saying what is wrong and in which line.
    """
    if text.count("%TAG") > MAX_TAG_HANDLES:
        raise ValueError(f"more than {MAX_TAG_HANDLES} lines of %TAG; tags are not read, leave them out")
    try:
        return _Reader(yaml.parse(text, Loader=_LOADER), max_depth).document()
    except yaml.MarkedYAMLError as error:
        context = f"{error.context}, " if error.context else ""
        # What is missing at the end is missed by libyaml in the line after it.
        line = min(error.problem_mark.line + 1, text.count("\n") + 1) if error.problem_mark else 1
        raise ValueError(f"{context}{error.problem} (line {line})") from None
    except yaml.YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from None


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def to_yaml(data: Mapping[str, Any]) -> str:
    """Write plain data as YAML, in their order and one field a line."""
    text: str = yaml.dump(dict(data), Dumper=_Writer, sort_keys=False, default_flow_style=False, allow_unicode=True)
    return text


class _Writer(yaml.SafeDumper):
    """Quotes what would be no text to readers of either version: ``no`` to those of 1.1, ``1e3`` to those of 1.2."""


_Writer.add_representer(
    str,
    lambda writer, text: writer.represent_scalar(
        "tag:yaml.org,2002:str", text, style=None if isinstance(_scalar(text), str) else "'"
    ),
)


class _Open:
    """Stands for what an anchor names while it is still being read."""


class _Reader:
    """Builds what a stream of events stands for."""

    def __init__(self, events: Iterator[Event], max_depth: int) -> None:
        self._events = events
        self._max_depth = max_depth
        self._nodes = 0
        self._anchors: dict[str, tuple[Any, int]] = {}
        """What each anchor names, and of how many nodes it is."""

    def document(self) -> Any:
        """Read the one document that there is."""
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        data = self._node(next(self._events), 0)
        next(self._events)
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise _wrong("expected a single document, but found another", after)
        return data

    def _node(self, event: Event, depth: int) -> Any:
        """Read a node that begins with an event, and count it with all that is below it."""
        assert isinstance(event, NodeEvent)
        before = self._nodes
        if isinstance(event, AliasEvent):
            value, nodes = self._named(event)
            self._nodes += nodes
        else:
            # Declared by none of the base classes, though every node but an alias has one.
            tag: str | None = getattr(event, "tag", None)
            if tag is not None:
                tag = tag.replace("tag:yaml.org,2002:", "!!")
                raise _wrong(f"the tag {shown(tag)} is not read; leave it out", event)
            self._nodes += 1
            if event.anchor is not None:
                self._anchors[event.anchor] = _Open(), 0
            value = self._content(event, depth)
            if event.anchor is not None:
                self._anchors[event.anchor] = value, self._nodes - before
        if self._nodes > MAX_NODES:
            reason = f"more than {MAX_NODES:,} entries, aliases expanded; write lists as long as that in JSON"
            raise _wrong(reason, event)
        return value

    def _named(self, event: AliasEvent) -> tuple[Any, int]:
        name = str(event.anchor)
        if name not in self._anchors:
            raise _wrong(f"found undefined alias {shown(name)}", event)
        if isinstance(self._anchors[name][0], _Open):
            raise _wrong(f"{shown('*' + name)} stands inside what it names, which would have no end", event)
        return self._anchors[name]

    def _content(self, event: Event, depth: int) -> Any:
        if isinstance(event, ScalarEvent):
            return _scalar(event.value) if event.implicit[0] else event.value
        if depth == self._max_depth:
            raise _wrong(f"nested more than {self._max_depth} levels deep", event)
        if isinstance(event, SequenceStartEvent):
            items = []
            while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
                items.append(self._node(item, depth + 1))
            return items
        assert isinstance(event, MappingStartEvent)
        fields: dict[Any, Any] = {}
        merged: list[Any] = []
        while not isinstance(start := next(self._events), yaml.MappingEndEvent):
            key = self._node(start, depth + 1)
            merges = key == "<<" and isinstance(start, ScalarEvent) and start.implicit[0]
            value = self._node(next(self._events), depth + 1)
            if merges:
                merged += value if isinstance(value, list) else [value]
                continue
            if isinstance(key, list | dict):
                raise _wrong("the name of a field must be text", start)
            if key in fields:
                raise _wrong(f"found duplicate key {shown(key)}", start)
            fields[key] = value
        if not all(isinstance(mapping, dict) for mapping in merged):
            raise _wrong("expected a mapping or a list of mappings for merging", event)
        # The first that has a field tells it, after the mapping itself.
        return {key: value for mapping in (*reversed(merged), fields) for key, value in mapping.items()}


def _scalar(text: str) -> Any:
    """Read plain text: a word, a number or itself."""
    if text in _WORDS:
        return _WORDS[text]
    return next((read(text) for pattern, read in _NUMBERS if pattern.fullmatch(text)), text)


def _wrong(reason: str, event: Event) -> ValueError:
    assert event.start_mark is not None
    return ValueError(f"{reason} (line {event.start_mark.line + 1})")
