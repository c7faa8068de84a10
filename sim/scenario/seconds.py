"""Seconds of a local update as a scenario gives them: plain, or told apart by method, model and batch size.

Plain seconds are one number for all, one per client, or rounds x clients. A mapping tells them apart: its keys are
methods, batch sizes or models, and below each of them are plain seconds or a mapping by something else. ``default``
stands for whatever is not named beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import Field

from parasim_core.sim.errors import CostError, nearest, shown
from parasim_core.sim.scenario import units
from parasim_core.sim.scenario.fields import Duration
from parasim_core.sim.workload.methods import METHODS

Plain = Duration | tuple[Duration, ...] | tuple[tuple[Duration, ...], ...]
"""One for all, one per client, or rounds x clients [s]."""
_ByOne = Annotated[dict[str, Plain], Field(min_length=1)]
_ByTwo = Annotated[dict[str, Plain | _ByOne], Field(min_length=1)]
Seconds = Plain | Annotated[dict[str, Plain | _ByTwo], Field(min_length=1)]
"""As plain ones, or by method, model and batch size, in any order."""

DEFAULT = "default"
_BATCH_SIZE = re.compile("[1-9][0-9]{0,8}")


def read_seconds(value: Any, above: tuple[str, ...] = ()) -> Any:
    """Read what stands under `compute.seconds`; one by one, as a union's branches answer with a page of messages.

    Raises
    ------
    ValueError
        Saying where something is wrong, and what is allowed.
    """
    if not isinstance(value, Mapping):
        return _read_plain(value, 0)
    if not value:
        raise ValueError("must not be an empty mapping")
    keys = {key: _key(key) for key in value}
    # YAML tells 4 from "4", and names of models are looked up in any capitalisation.
    meant = [key.lower() for key in keys.values()]
    if twice := next((key for key in keys.values() if meant.count(key.lower()) > 1), None):
        raise ValueError(f"{shown(twice)} stands there twice")
    kind = _kind(keys.values())
    told_apart = (*above, kind)
    if kind in above:
        raise ValueError(f"{next(iter(keys.values()))}: seconds are told apart by {kind} twice; once is enough")
    found = {}
    for key, below in value.items():
        try:
            found[keys[key]] = read_seconds(below, told_apart)
        except ValueError as error:
            raise ValueError(f"{keys[key]}: {error}") from None
    return found


_DURATION_OR_MORE = units.duration.or_as(
    "a list (one per client), a list of lists (rounds x clients), or a mapping by method, model or batch size"
)


def _read_plain(item: Any, depth: int) -> Any:
    if not isinstance(item, list | tuple):
        return units.duration(item) if depth else _DURATION_OR_MORE(item)
    if depth == 2:
        raise ValueError(
            "must be a number, a list of them (one per client), or a list of such lists (rounds x clients)"
        )
    if not item:
        raise ValueError("must not be an empty list")
    if len({isinstance(entry, list | tuple) for entry in item}) > 1:
        raise ValueError("must not mix numbers and lists")
    return tuple(_read_plain(entry, depth + 1) for entry in item)


def _key(key: Any) -> str:
    """Write a key as JSON does, whose keys are all texts."""
    if isinstance(key, bool) or not isinstance(key, int | str) or not str(key).isprintable() or not str(key):
        raise ValueError(f"keys are methods, models or batch sizes, not {shown(key)}")
    return str(key)


def _kind(keys: Any) -> str:
    """Say what keys tell apart: all of them must be of one kind."""
    kinds: dict[str, str] = {}
    for key in keys:
        if key != DEFAULT:
            kind = "method" if key in METHODS else "batch size" if _BATCH_SIZE.fullmatch(key) else "model"
            kinds.setdefault(kind, key)
    if not kinds:
        raise ValueError(f"{DEFAULT!r} alone tells nothing apart; give its seconds themselves")
    if len(kinds) > 1:
        odd = kinds.get("model")
        hint = nearest(odd, METHODS) if odd and "method" in kinds else f"{' and '.join(kinds)} stand beside each other"
        raise ValueError(f"{shown(odd or next(iter(kinds.values())))} is no key of the others' kind; {hint}")
    return next(iter(kinds))


def chosen(given: Any, method: str, model: str | None, batch_size: int) -> tuple[tuple[str, ...], Any]:
    """Choose plain seconds.

    Parameters
    ----------
    given : number, tuple or mapping
        As `read_seconds` returns it.
    method, model, batch_size
        Of the run.

    Returns
    -------
    tuple of str
        Keys that lead there.
    number or tuple
        The plain seconds [s].

    Raises
    ------
    CostError
        If a mapping has nothing for this run, naming what it has.
    """
    path: tuple[str, ...] = ()
    while isinstance(given, Mapping):
        kind = _kind(given)
        own = {"method": method, "batch size": str(batch_size), "model": model or "no model"}[kind]
        key = next((key for key in given if key != DEFAULT and _same(kind, key, own)), DEFAULT)
        if key not in given:
            where = ".".join(("compute.seconds", *path))
            raise CostError(f"{where}: nothing for {kind} {own}; {nearest(own, given)}")
        path, given = (*path, key), given[key]
    return path, given


def given_batch_sizes(given: Any, method: str, model: str | None) -> list[int]:
    """Batch sizes that a mapping names seconds for, of a method and model, rising; none if it tells none apart."""
    sizes = []
    for size in sorted({int(key) for path, _ in leaves(given) for key in path if _BATCH_SIZE.fullmatch(key)}):
        try:
            path, _ = chosen(given, method, model, size)
        except CostError:
            continue
        if str(size) in path:
            sizes.append(size)
    return sizes


def leaves(given: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """List all plain seconds with the keys that lead to them."""
    if not isinstance(given, Mapping):
        yield path, given
        return
    for key, below in given.items():
        yield from leaves(below, (*path, key))


def _same(kind: str, key: str, own: str) -> bool:
    """Tell whether a key means the run's own; a model's path may have been completed by the folder of its file."""
    if kind != "model" or key.lower() == own.lower():
        return key.lower() == own.lower()
    parts = PurePath(key).parts
    return len(parts) > 1 and PurePath(own).parts[-len(parts) :] == parts
