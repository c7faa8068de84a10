"""Reading scenarios from YAML, TOML or JSON files, and overriding their fields.

What a file's text may hold is checked in `sim.scenario.safe_parsing`, what its fields mean in `sim.scenario.scenario`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from parasim_core.sim.errors import ScenarioError, nearest, shown, shown_field
from parasim_core.sim.scenario.fields import Section
from parasim_core.sim.scenario.safe_parsing import parse_json, parse_toml, parse_yaml
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.validation_messages import holds_names, meant, sections_at
from parasim_core.sim.support.atomic_files import read_text
from parasim_core.sim.workload.architecture import catalogue_names
from parasim_core.sim.workload.methods import METHODS, with_parameter

MAX_FILE_BYTES = 8 * 2**20
MAX_TOML_BYTES = 2**20
"""Largest TOML file [B]: tomllib takes up to 2 µs and 100 B of memory for each of its bytes."""

STANDARD_INPUT = "-"
"""Name of standard input where a file may be given."""
Source = str | Path | Mapping[str, Any] | Scenario
"""Where a scenario comes from."""
Override = str | tuple[str, Any]
"""A field that is set: ``rounds=16``, read as YAML would be, or ``("rounds", 16)``."""
Overrides = Mapping[str, Any] | Iterable[Override]
"""Fields that are set, in their order: ``{"rounds": 16}``, a single ``"rounds=16"``, or several such texts or pairs."""

_PARSERS: dict[str, Callable[[str], Any]] = {
    ".yaml": parse_yaml,
    ".yml": parse_yaml,
    ".toml": parse_toml,
    ".json": parse_json,
}


def load(source: Source, set: Overrides = (), *, name: str | None = None) -> Scenario:
    """Read a scenario.

    Parameters
    ----------
    source : path, mapping or Scenario
        A ``.yaml``, ``.yml``, ``.toml`` or ``.json`` file, ``-`` for YAML or JSON from standard input, or the fields
        themselves.
    set : mapping, str, or iterable of str or (str, value)
        Fields to set first, in this order: ``{"fleet.0.uplink": "20MB/s", "rounds": 16}`` or
        ``["fleet.0.uplink=20MB/s", "rounds=16"]``.
    name : str or None
        What to call the source in messages; its path if None.

    Raises
    ------
    ScenarioError
        Naming the file and the field, if anything is not as it must be.
    """
    given = fields_set(set)
    if isinstance(source, Scenario) and not given:
        return source
    fields = plain_fields(source, given)
    return Scenario.parse(fields, name or (called(source) if isinstance(source, str | Path) else "scenario"))


def fields_set(given: Overrides) -> list[tuple[str, Any]]:
    """Take apart fields that are set, whichever way: each with its value.

    Raises
    ------
    ScenarioError
        If a text is not well-formed, or something is neither a text nor a pair.
    """
    pairs = []
    for one in given.items() if isinstance(given, Mapping) else [given] if isinstance(given, str) else given:
        if not isinstance(one, str) and not (isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], str)):
            raise ScenarioError(f"set: {shown(one)}: write rounds=16, ('rounds', 16) or {{'rounds': 16}}")
        pairs.append(parse_override(one) if isinstance(one, str) else one)
    return pairs


def plain_fields(source: Source, set: Overrides = ()) -> dict[str, Any]:
    """Read a scenario's fields as plain data, as `load` does, without validating them.

    Raises
    ------
    ScenarioError
        If a file cannot be read or is not well-formed, or an override names no field.
    """
    if isinstance(source, Scenario):
        fields = source.model_dump(mode="json", exclude_unset=True)
    elif isinstance(source, Mapping):
        fields = dict(source)
    elif isinstance(source, str | Path):
        fields = read(source)
    else:
        raise ScenarioError(f"a scenario is a file, a mapping or a Scenario, not {type(source).__name__}")
    for field, value in fields_set(set):
        fields = with_field(fields, field, value)
    return fields


def read(path: str | Path) -> dict[str, Any]:
    """Read a file's fields as plain data, unvalidated; paths of other files are relative to it.

    Those in ``-``, which is standard input, are relative to the current folder.

    A profile is given by path if it ends in ``.json`` or has a ``/``; by name otherwise.

    Raises
    ------
    ScenarioError
        If it cannot be read, is too large, or is not well-formed.
    """
    path, name = Path(path), called(path)
    try:
        text, parse = _from_standard_input() if str(path) == STANDARD_INPUT else _from_file(path)
    except ValueError as error:
        raise ScenarioError(str(error)) from None
    try:
        data = parse(text)
    except ValueError as error:
        raise ScenarioError(f"{name}: not well-formed: {error}") from None
    if not isinstance(data, dict) or not data:
        held = f"holds {shown(data)}" if data else "is empty"
        raise ScenarioError(f"{name}: {held}; a scenario is a mapping of fields such as 'rounds: 32'")
    data = {section: _with_paths(path, data[section]) if section in _WITH_FILES else data[section] for section in data}
    compute = data.get("compute")
    if isinstance(compute, dict) and _is_path(compute.get("profile")):
        data["compute"] = compute | {"profile": _beside(path, compute["profile"])}
    if "model" in data and str(data["model"]).lower() not in catalogue_names():
        data["model"] = _beside(path, data["model"])
    return data


def called(source: str | Path) -> str:
    """Name a scenario's file in messages."""
    return "standard input" if str(source) == STANDARD_INPUT else str(source)


def _from_file(path: Path) -> tuple[str, Callable[[str], Any]]:
    ending = path.suffix.lower()
    text = read_text(path, MAX_TOML_BYTES if ending == ".toml" else MAX_FILE_BYTES)
    if ending not in _PARSERS:
        raise ValueError(f"{path}: the name of a scenario file ends in {', '.join(_PARSERS)}")
    return text, _PARSERS[ending]


def _from_standard_input() -> tuple[str, Callable[[str], Any]]:
    """Read what is piped into the command: JSON if it begins with a brace, else YAML."""
    if sys.stdin is None:
        raise ValueError("standard input is closed; pipe a scenario into it, or name its file")
    content = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"standard input: holds more than {MAX_FILE_BYTES:,} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("standard input: is not UTF-8 text") from None
    return text, parse_json if text.lstrip().startswith("{") else parse_yaml


_WITH_FILES = ("fleet", "regions", "server")
FILE_FIELDS = ("trace", "file")
"""Fields of these sections that name a file."""


def _with_paths(path: Path, node: Any) -> Any:
    """Copy a part of a file's fields with traces of links and recorded sessions named relative to the file."""
    if isinstance(node, list):
        return [_with_paths(path, entry) for entry in node]
    if not isinstance(node, dict):
        return node
    return {
        field: _beside(path, below) if field in FILE_FIELDS else _with_paths(path, below)
        for field, below in node.items()
    }


def _is_path(given: Any) -> bool:
    """Tell the path of a profile from the name of one: a file that happens to lie there must not replace a name."""
    return isinstance(given, str) and (given.lower().endswith(".json") or any(sign in given for sign in "/\\"))


def _beside(path: Path, given: Any) -> Any:
    """Path of a file named relative to a scenario file; what names no file there is left as it is."""
    if not isinstance(given, str) or not given:
        return given
    try:
        return str(path.parent / given) if (path.parent / given).exists() else given
    except OSError:
        return given


def parse_override(text: str) -> tuple[str, Any]:
    """Split ``fleet.0.uplink=20MB/s`` into the field and its value (read as YAML).

    Raises
    ------
    ScenarioError
        If there is no ``=``.
    """
    field, equals, value = text.partition("=")
    if not equals or not field.strip():
        raise ScenarioError(f"{shown(text)}: write an override like rounds=16 or fleet.0.uplink=20MB/s")
    return field.strip(), parse_value(value, field.strip())


def parse_value(text: str, field: str) -> Any:
    """Read one value of a field as it would be read in a YAML file.

    Raises
    ------
    ScenarioError
        If it is not well-formed.
    """
    try:
        return parse_yaml(text)
    except ValueError as error:
        reason = str(error).partition(" (line ")[0]
        raise ScenarioError(f"{shown_field(field)}: {shown(text)} is not well-formed: {reason}") from None


def with_field(data: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    """Copy plain data with one field set.

    Parameters
    ----------
    data : dict
        A scenario's fields; what the path needs and the data lack is taken from the defaults.
    field : str
        Path with dots; an entry of a list is its number or its name, ``*`` every one (``fleet.*.uplink``).
    value
        The new value.

    Raises
    ------
    ScenarioError
        If there is no such field.
    """
    changed: dict[str, Any] = _with_field(data, field.split("."), 0, [], value)
    return changed


def _with_field(node: Any, parts: list[str], depth: int, section: list[str], value: Any) -> Any:
    """Copy a part of the data with the rest of a path set; `section` is the path so far without list entries."""
    if depth == len(parts):
        return value
    part, field, above = parts[depth], shown_field(".".join(parts)), shown_field(".".join(parts[:depth]))
    if isinstance(node, list | tuple):
        chosen = _entries(node, part)
        if not chosen:
            last = len(node) - 1
            raise ScenarioError(
                f"{field}: {above} has no entry {shown(part)}; give 0 to {last}, a name, or * for every one"
            )
        return [
            _with_field(entry, parts, depth + 1, section, value) if i in chosen else entry
            for i, entry in enumerate(node)
        ]
    if node is not None and not isinstance(node, dict):
        raise ScenarioError(f"{field}: {above} is {shown(node)}, which has no fields of its own")
    if holds_names(Scenario, section):
        return _with_entry(node or {}, parts, depth, section, value)
    kinds = sections_at(Scenario, section)
    kind = next((kind for kind in kinds if part in kind.model_fields), None)
    info = kind.model_fields[part] if kind else None
    is_parameter = section == ["method"] and bool(with_parameter(part))
    # What the train section may hold is the trainer's affair, which checks it when it reads it.
    if info is None and not is_parameter and section[:1] != ["train"]:
        hint = meant(part, Scenario, section) if kinds else f"{above} has no fields of its own"
        if section == ["method"]:
            hint = nearest(part, {name for method in METHODS.values() for name in method.shape.Params.model_fields})
        raise ScenarioError(f"{field}: unknown field; {hint}")
    fields = node or {}
    # What is set takes away what it excludes.
    excluded = {name for pair in getattr(kind, "alternatives", ()) if part in pair for name in pair} - {part}
    if len(kinds) > 1 and kind is not None:
        excluded = {name for name in fields if name not in kind.model_fields}
    if is_parameter and part == "name":
        excluded = {name for name in fields if value not in with_parameter(name)}
    below = fields.get(part)
    if below is None and info is not None and isinstance(info.default, tuple):
        entries = [entry for entry in info.default if isinstance(entry, Section)]
        below = [entry.model_dump(mode="json", exclude_defaults=True) for entry in entries] or None
    elif part == "method" and isinstance(below, str):
        below = {"name": below}
    kept = {name: given for name, given in fields.items() if name not in excluded}
    return kept | {part: _with_field(below, parts, depth + 1, [*section, part], value)}


def _with_entry(named: dict[str, Any], parts: list[str], depth: int, section: list[str], value: Any) -> dict[str, Any]:
    """Do the same with an entry of a mapping by name; a new one is given whole."""
    name, above = parts[depth], ".".join(parts[:depth])
    chosen = list(named) if name == "*" else [name]
    if not chosen or (name not in named and name != "*" and depth + 1 < len(parts)):
        hint = nearest(name, named) if named else "there are none"
        raise ScenarioError(f"{shown_field('.'.join(parts))}: {above} has no entry {shown(name)}; {hint}")
    below = {name: _with_field(named.get(name), parts, depth + 1, [*section, name], value) for name in chosen}
    return named | below


def _entries(node: Sequence[Any], part: str) -> set[int]:
    """Positions in a list that a part of a path means: all of them, a number, or the groups of a name."""
    if part == "*":
        return set(range(len(node)))
    if re.fullmatch("[0-9]{1,9}", part):
        return {int(part)} & set(range(len(node)))
    return {i for i, entry in enumerate(node) if isinstance(entry, dict) and entry.get("name") == part}
