"""Messages about a file's fields, in the words of the person who wrote it.

Pydantic checks the fields and reports errors in its own terms; these become lines that name the field, what was given
and what is allowed, in the words of ``validation_messages.toml``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from importlib import resources
from itertools import islice
from typing import Any, get_origin

from pydantic import BaseModel, ValidationError

from parasim_core.sim.errors import nearest, shown, shown_field

_MOST_LINES = 5


@cache
def _words() -> dict[str, str]:
    text = resources.files("parasim_core.sim.scenario").joinpath("validation_messages.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def validation_message(error: ValidationError, root: type[BaseModel]) -> str:
    """Say, to follow a colon, what is wrong with data for a `root`: one line, or one for each field."""
    # Where a list is given, what is wrong with it as a list says more than that it is no word.
    problems = error.errors(include_url=False)
    problems.sort(key=lambda problem: problem["type"] == "literal_error" and not isinstance(problem["input"], str))
    # Of a list that is wrong because an entry is, only the entry is worth a line; so with a union's branches.
    above = {path[:length] for path in map(_path, problems) for length in range(len(path))}
    first: dict[tuple[int | str, ...], Any] = {}
    for problem in problems:
        if _path(problem) not in above:
            first.setdefault(_path(problem), problem)
    lines = [_line(path, problem, root) for path, problem in islice(first.items(), _MOST_LINES)]
    if len(first) > _MOST_LINES:
        lines.append("and more")
    return "".join(f"\n  {line}" for line in lines) if len(lines) > 1 else " " + "".join(lines)


def _path(problem: Any) -> tuple[int | str, ...]:
    # Union branches add type names such as "tuple[int, ...]" to the location; only field names and indices help.
    loc = problem["loc"]
    known = {loc[-1]} if problem["type"] == "extra_forbidden" else set()
    if loc[:1] == ("regions",):
        # A name that is empty shows no place.
        known |= {name for name in loc[1:2] if str(name).strip()}
    return tuple(part for part in loc if isinstance(part, int) or part in known or part.isidentifier())


def _line(path: Sequence[int | str], problem: Any, root: type[BaseModel]) -> str:
    kind, given, where = problem["type"], problem["input"], ".".join(map(str, path))
    place = f"{shown_field(where)}: " if where else ""
    if kind == "extra_forbidden":
        return f"{place}unknown field; {meant(str(path[-1]), root, path[:-1])}"
    if kind == "value_error":
        return f"{place}{problem['ctx']['error']}"
    words = _words().get(kind, "must be something else").format(**problem.get("ctx", {}))
    if kind == "missing":
        return f"{place}{words}"
    if kind.startswith("model_"):
        words += f" ({', '.join(_fields_at(root, path))})"
    line = f"{place}{words}, not {shown(given)}"
    if kind == "literal_error" and isinstance(given, str):
        hint = nearest(given, re.findall(r"'(.*?)'", problem["ctx"]["expected"]))
        line += f"; {hint}" if hint.startswith("did") else ""
    return line


def meant(name: str, root: type[BaseModel], above: Sequence[int | str]) -> str:
    """Say what a field that is not there was probably meant to be.

    Parameters
    ----------
    name : str
        What was given.
    root : type
        What the file holds.
    above : sequence of int or str
        Path of the section in which it was looked for.

    Returns
    -------
    str
        A clause: a field of like name in this section, the first of the same name elsewhere, or all that the section
        has.
    """
    kinds = sections_at(root, above)
    # What one of several kinds of sections has is a mistake in one of another kind: this one's fields are allowed.
    others = [kind for kind in kinds if name not in kind.model_fields]
    nearby = nearest(name, dict.fromkeys(field for kind in others for field in kind.model_fields))
    elsewhere = next(_places(root, name), None) if len(others) == len(kinds) else None
    return f"did you mean {elsewhere!r}?" if elsewhere and not nearby.startswith("did") else nearby


def _places(section: type[BaseModel], name: str, above: str = "") -> Iterator[str]:
    """Paths of the fields of a name."""
    for field, info in section.model_fields.items():
        if field == name:
            yield above + field
        entry = ".NAME" if get_origin(info.annotation) is dict else ""
        for nested in _sections_in(info.annotation):
            yield from _places(nested, name, f"{above}{field}{entry}.")


def sections_at(root: type[BaseModel], path: Sequence[int | str]) -> Sequence[type[BaseModel]]:
    """Find what `root` may hold at a path such as ``["fleet", 0]``: a section, or one of several kinds of them.

    Numbers of a list's entries may be left out, names of a mapping's not.
    """
    return _sections_at(root, tuple(path))


@lru_cache(10_000)
def _sections_at(root: type[BaseModel], path: tuple[int | str, ...]) -> Sequence[type[BaseModel]]:
    sections, named = [root], False
    for part in path:
        if named:
            named = False
        elif not isinstance(part, int):
            annotation = next(
                (kind.model_fields[part].annotation for kind in sections if part in kind.model_fields), None
            )
            sections, named = _sections_in(annotation), get_origin(annotation) is dict
    return sections


def holds_names(root: type[BaseModel], path: Sequence[int | str]) -> bool:
    """Whether what stands at a path is a mapping of sections, by names that the user gives."""
    *above, last = path or [""]
    annotations = (
        kind.model_fields[str(last)].annotation for kind in sections_at(root, above) if last in kind.model_fields
    )
    return any(get_origin(annotation) is dict and _sections_in(annotation) for annotation in annotations)


def _fields_at(root: type[BaseModel], path: Sequence[int | str]) -> list[str]:
    return list(dict.fromkeys(field for section in sections_at(root, path) for field in section.model_fields))


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    """Find the sections that a field may hold, or hold a list or a mapping of."""
    if isinstance(annotation, type(BaseModel)):
        return [annotation]
    return [section for below in getattr(annotation, "__args__", ()) for section in _sections_in(below)]
