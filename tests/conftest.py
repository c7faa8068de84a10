"""Settings that all tests share."""

from __future__ import annotations

import os
import sys

import hypothesis
import pytest

from tests.ray_cluster import cluster  # noqa: F401 - a fixture, known to all tests from here

# Before anything imports PyTorch: its threads would fight over the cores with the other test processes, and spin.
os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}

# How long an example takes says more about the machine's other work than about the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def one_thread():
    """Take back what a command set for its own run, such as `paraSim calibrate --threads`."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
