"""Reading scenarios from YAML, TOML or JSON files, and overriding their fields.

A scenario may come from anyone, so reading is bounded: file size, nesting, and what YAML aliases expand to.
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from sim.errors import ScenarioError, nearest
from sim.scenario import Scenario, fields_at

MAX_FILE_BYTES = 8 * 2**20
MAX_NODES = 2_000_000
MAX_DEPTH = 50

# Fields that exclude one another: overriding one takes the others away.
_ALTERNATIVES: dict[tuple[str, str], tuple[str, ...]] = {
    ("compute", "seconds"): ("profile", "dataset"),
    ("compute", "profile"): ("seconds",),
    ("compute", "dataset"): ("seconds",),
    ("participation", "fraction"): ("rounds",),
    ("participation", "rounds"): ("fraction",),
    ("blocks", "layers"): ("count",),
    ("blocks", "count"): ("layers",),
}


def load(path: str | Path, overrides: Iterable[str] = ()) -> Scenario:
    """Read a scenario file and apply overrides.

    Parameters
    ----------
    path : path
        A ``.yaml``, ``.yml``, ``.toml`` or ``.json`` file.
    overrides : iterable of str
        Such as ``fleet.0.uplink=20MB/s``, in the order in which they are applied.

    Returns
    -------
    Scenario

    Raises
    ------
    ScenarioError
        Naming the file and the field, if anything is not as it must be.
    """
    data = read(path)
    for override in overrides:
        field, value = parse_override(override)
        data = with_field(data, field, value)
    return Scenario.parse(data, str(path))


def read(path: str | Path) -> dict[str, Any]:
    """Read a file's fields as plain data, unvalidated but for a model's path, which is relative to the file.

    Raises
    ------
    ScenarioError
        If it cannot be read, is too large, or is not well-formed.
    """
    path = Path(path)
    readers: dict[str, Callable[[str], Any]] = {
        ".yaml": _read_yaml,
        ".yml": _read_yaml,
        ".toml": tomllib.loads,
        ".json": _read_json,
    }
    if path.is_dir():
        raise ScenarioError(f"{path}: is a directory; give a scenario file")
    if not path.exists():
        raise ScenarioError(f"{path}: no such file")
    if path.suffix.lower() not in readers:
        raise ScenarioError(f"{path}: a scenario file ends in {', '.join(readers)}")
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise ScenarioError(f"{path}: larger than {MAX_FILE_BYTES // 2**20} MiB; that is no scenario")
        data = readers[path.suffix.lower()](raw.decode("utf-8"))
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ScenarioError(f"{path}: is not UTF-8 text") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ScenarioError(f"{path}: not well-formed: {_first_line(error)}") from None
    if not isinstance(data, dict):
        raise ScenarioError(f"{path}: holds no fields; a scenario is a mapping such as 'rounds: 32'")
    model = data.get("model")
    if isinstance(model, str) and (path.parent / model).exists():
        data["model"] = str(path.parent / model)
    return data


def parse_override(text: str) -> tuple[str, Any]:
    """Split ``fleet.0.uplink=20MB/s`` into the field and its value (read as YAML).

    Raises
    ------
    ScenarioError
        If there is no ``=``.
    """
    field, equals, value = text.partition("=")
    if not equals or not field.strip():
        raise ScenarioError(f"{text!r}: write an override like rounds=16 or fleet.0.uplink=20MB/s")
    return field.strip(), parse_value(value)


def parse_value(text: str) -> Any:
    """Read one value as it would be read in a YAML file.

    Raises
    ------
    ScenarioError
        If it is not well-formed.
    """
    try:
        return _read_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ScenarioError(f"{text!r}: not well-formed: {_first_line(error)}") from None


def with_field(data: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    """Copy plain data with one field set.

    Parameters
    ----------
    data : dict
        A scenario's fields; what the path needs and the data lack is taken from the defaults.
    field : str
        Path with dots; ``*`` stands for every entry of a list (``fleet.*.uplink``).
    value
        The new value.

    Raises
    ------
    ScenarioError
        If there is no such field.
    """
    parts = field.split(".")
    if parts[0] not in Scenario.model_fields:
        raise ScenarioError(f"{field}: unknown field; {nearest(parts[0], Scenario.model_fields)}")
    if len(parts) == 1:
        return data | {field: value}
    section = data.get(parts[0])
    if section is None:
        default = Scenario.model_fields[parts[0]].default
        is_list = isinstance(default, tuple)
        section = [g.model_dump(mode="json", exclude_defaults=True) for g in default] if is_list else {}
    elif parts[0] == "method" and isinstance(section, str):
        section = {"name": section}
    dropped = _ALTERNATIVES.get((parts[0], parts[1]), ())
    if isinstance(section, dict):
        section = {key: kept for key, kept in section.items() if key not in dropped}
    return data | {parts[0]: _with(section, parts, 1, value)}


def _with(node: Any, parts: list[str], depth: int, value: Any) -> Any:
    if depth == len(parts):
        return value
    part, where = parts[depth], ".".join(parts)
    if isinstance(node, list | tuple):
        if part == "*":
            return [_with(entry, parts, depth + 1, value) for entry in node]
        if not part.isdigit() or int(part) >= len(node):
            raise ScenarioError(
                f"{where}: {part!r} is no entry of {'.'.join(parts[:depth])}; 0 to {len(node) - 1} or *"
            )
        index = int(part)
        return [_with(entry, parts, depth + 1, value) if i == index else entry for i, entry in enumerate(node)]
    if node is not None and not isinstance(node, dict):
        raise ScenarioError(f"{where}: {'.'.join(parts[:depth])} is {node!r} and has no fields")
    known = fields_at([int(p) if p.isdigit() else p for p in parts[:depth] if p != "*"])
    if known and part not in known:
        raise ScenarioError(f"{where}: unknown field; {nearest(part, known)}")
    fields = node or {}
    return fields | {part: _with(fields.get(part), parts, depth + 1, value)}


def _read_json(text: str) -> Any:
    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not a number that can be computed with")

    return json.loads(text, parse_constant=refuse)


def _read_yaml(text: str) -> Any:
    loader_class = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    _check_depth(text, loader_class)
    loader = loader_class(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _expanded_nodes(node, {})
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _check_depth(text: str, loader_class: Any) -> None:
    # The event stream is not recursive, so it is safe to look at before anything recursive touches the text.
    depth = 0
    for event in yaml.parse(text, Loader=loader_class):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _expanded_nodes(node: yaml.Node, known: dict[int, int]) -> int:
    """Count nodes with every alias expanded, without expanding them; refuse bombs, loops and double keys."""
    if id(node) in known:
        if known[id(node)] == 0:
            raise ValueError("an alias refers to what contains it")
        return known[id(node)]
    known[id(node)] = 0
    total = 1
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(keys)) < len(keys):
            twice = next(key for key, times in Counter(keys).items() if times > 1)
            raise ValueError(f"the field {twice!r} stands twice below line {node.start_mark.line + 1}")
        children = [child for pair in node.value for child in pair]
    else:
        children = node.value if isinstance(node, yaml.SequenceNode) else []
    for child in children:
        total += _expanded_nodes(child, known)
        if total > MAX_NODES:
            raise ValueError(f"its aliases expand to more than {MAX_NODES} entries")
    known[id(node)] = total
    return total


def _first_line(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    mark = getattr(error, "problem_mark", None)
    text = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"{text} (line {mark.line + 1})" if mark is not None else str(text)
