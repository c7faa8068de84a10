"""In which fields two scenarios differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple


class FieldChange(NamedTuple):
    """A field in which two scenarios differ.

    Attributes
    ----------
    field : str
        Its path with dots, as `--set` takes it; entries of lists by their number, or by name where that tells them
        apart on both sides.
    before, after : plain value
        What it is in one and in the other; None for one that does not give it.
    """

    field: str
    before: Any
    after: Any


def field_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[FieldChange]:
    """List the fields in which two scenarios differ, given as plain data.

    Lists of as many sections, and lists of sections with names, are compared entry by entry, everything else as a
    whole.
    """
    return [FieldChange(".".join(path), *sides) for path, *sides in _changes(before, after, ())]


def _changes(before: Any, after: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    # Of data that one was made of by setting a field of the other, most is the same objects.
    if before is after or before == after:
        return
    sides = _by_key(before, after)
    if sides is None:
        yield path, before, after
        return
    one, other = sides
    for key in dict.fromkeys([*one, *other]):
        yield from _changes(one.get(key), other.get(key), (*path, key))


def _by_key(before: Any, after: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """Entries of both sides by what they are called; None if they cannot be compared entry by entry."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        told_apart = all(isinstance(key, str) and "." not in key for key in (*before, *after))
        return (before, after) if told_apart else None
    if not _are_sections(before) or not _are_sections(after):
        return None
    if (named := _named(before)) is not None and (others := _named(after)) is not None:
        return named, others
    if len(before) != len(after):
        return None
    return {str(n): entry for n, entry in enumerate(before)}, {str(n): entry for n, entry in enumerate(after)}


def _are_sections(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(entry, Mapping) for entry in value)


def _named(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Sections of a list by their names, if each has one of its own that a path can hold."""
    named = {str(entry.get("name") or ""): entry for entry in entries}
    # What looks like a number would be one, and a dot would end it.
    are_names = all(name and "." not in name and not name.isdigit() for name in named)
    return named if are_names and len(named) == len(entries) else None
