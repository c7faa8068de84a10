"""Python's cycle collector, kept away where there is nothing for it to find."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

LEAST = 500_000
"""So few objects are not searched for garbage."""


class _Unsearched:
    """Objects made without the collector since all were last searched, and how many were alive then."""

    made = 0
    alive = 0


@contextmanager
def no_collection() -> Iterator[None]:
    """Switch the cycle collector off: a run makes millions of objects and hardly any garbage while it lasts.

    Serves as a decorator, too. What was made is alive when the collector wakes up, so that searching it would be in
    vain: it is handed to the oldest generation as it is, and `collect_if_due` searches that later.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            _Unsearched.made += gc.get_count()[0]
            # What is thawed is of the oldest generation.
            gc.freeze()
            gc.unfreeze()
            gc.enable()


def collect_if_due() -> None:
    """Collect what earlier runs have left, once as much was made as a quarter of all that is alive (CPython's rule)."""
    if gc.isenabled() and _Unsearched.made > max(LEAST, _Unsearched.alive // 4):
        gc.collect()
        _Unsearched.made, _Unsearched.alive = 0, len(gc.get_objects())


@contextmanager
def loading() -> Iterator[None]:
    """Switch it off while modules are imported, and keep it off what they made: that stays to the end."""
    with no_collection():
        yield
    gc.freeze()
