"""Python's cycle collector, kept away where there is nothing for it to find."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """Switch the cycle collector off: a run makes millions of objects and hardly any garbage in cycles.

    Serves as a decorator, too.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def loading() -> Iterator[None]:
    """Switch it off while modules are imported, and keep it off what they made: that stays to the end."""
    with no_collection():
        yield
    gc.freeze()
