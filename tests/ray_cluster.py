"""A Ray cluster of two workers on this machine, for the tests that need one."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """Start it, and be connected to it until all tests are done."""
    reason = "Ray is not installed, as 280 MB would be much for tests alone: make test-ray"
    ray = pytest.importorskip("ray", reason=reason)
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_IGNORE_UNHANDLED_ERRORS": "1"}
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()
