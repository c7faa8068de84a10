"""What all tests of the trainer share."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def short_collections() -> Iterator[None]:
    """Keep what was imported out of garbage collections: every run begins with one, and most of it would go there."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
