"""YAML as plain data: the core schema of version 1.2, whatever version a document claims to be.

``1e3`` is a number, ``no`` is a word, ``12:30`` is not 750, ``1_0`` is not 10, a date is text. Of YAML 1.1, merge keys
(``<<: *name``) are followed. Explicit tags, which could name any type, and fields that stand twice are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, MappingStartEvent, SequenceStartEvent
from ruamel.yaml.resolver import VersionedResolver

from parasim_core.sim.errors import brief, shown

MAX_NODES = 100_000
"""Most entries, counted with all aliases expanded: ten lines of aliases can stand for billions."""
MAX_CHARACTERS = 2 * 2**20
"""Longest text."""


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
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"more than {MAX_CHARACTERS:,} characters of YAML; write data as long as that in JSON")
    reader = YAML(typ="safe", pure=True)
    reader.Composer, reader.Constructor, reader.Resolver = _Composer, _Constructor, _Resolver
    reader.most_levels = max_depth  # type: ignore[attr-defined]  # for the composer
    try:
        return reader.load(text)
    except MarkedYAMLError as error:
        # "but found another document" is only half a sentence without its context.
        about = f"{error.context}, " if error.context and str(error.problem).startswith("but ") else ""
        problem = brief(str(error.problem).partition(" with value")[0])
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise ValueError(f"{about}{problem}{line}") from None
    except (YAMLError, AssertionError) as error:
        # A version of YAML that does not exist fails an assertion of ruamel's.
        raise ValueError(str(error).splitlines()[0]) from None


class _Composer(Composer):
    """Makes nodes of YAML text, within bounds."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader=loader)
        self.warn_double_anchors = False
        self._max_depth: int = loader.most_levels
        self._depth = self._nodes = 0
        self._nodes_of_anchor: dict[str, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Make the next node, and count it with all that is below it."""
        event, before = self.parser.peek_event(), self._nodes
        nests = isinstance(event, MappingStartEvent | SequenceStartEvent)
        is_alias = isinstance(event, AliasEvent)
        if is_alias and self._nodes_of_anchor.get(event.anchor) == 0:
            raise _wrong(f"{shown('*' + event.anchor)} stands inside what it names, which would have no end", event)
        if not is_alias:
            if event.ctag is not None:
                tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
                raise _wrong(f"the tag {shown(tag)} is not read; leave it out", event)
            self._nodes_of_anchor[event.anchor] = 0
        if nests and self._depth == self._max_depth:
            raise _wrong(f"nested more than {self._max_depth} levels deep", event)
        self._depth += nests
        node = super().compose_node(parent, index)
        self._depth -= nests
        self._nodes += self._nodes_of_anchor[event.anchor] if is_alias else 1
        if self._nodes > MAX_NODES:
            raise _wrong(
                f"more than {MAX_NODES:,} entries, aliases expanded; write lists as long as that in JSON", event
            )
        if not is_alias:
            self._nodes_of_anchor[event.anchor] = self._nodes - before
        return node


def _wrong(reason: str, event: Any) -> ComposerError:
    return ComposerError(None, None, reason, event.start_mark)


class _Resolver(VersionedResolver):
    """Tells numbers from words by the rules of YAML 1.2, whatever version a document claims to be."""

    @property
    def processing_version(self) -> tuple[int, int]:
        """Version of YAML."""
        return (1, 2)

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """Choose the tag of a node; text for numbers with underscores, of YAML 1.1, or with digits of other scripts."""
        tag = super().resolve(kind, value, implicit)
        odd = str(tag).endswith((":int", ":float")) and ("_" in value or not value.isascii())
        return self.DEFAULT_SCALAR_TAG if odd else tag


class _Constructor(SafeConstructor):
    """Makes plain data of nodes; a date is text."""


for _kind in ("timestamp", "value", "merge"):
    _Constructor.add_constructor(f"tag:yaml.org,2002:{_kind}", SafeConstructor.construct_yaml_str)


def to_yaml(data: Mapping[str, Any]) -> str:
    """Write plain data as YAML, in their order and one field a line."""
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # declared to be None
    text = StringIO()
    writer.dump(data, text)
    return text.getvalue()
