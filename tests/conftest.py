"""Settings that all tests share."""

from __future__ import annotations

import os

import hypothesis

from tests.ray_cluster import cluster  # noqa: F401 - a fixture, known to all tests from here

# Before anything imports PyTorch: its threads would fight over the cores with the other test processes, and spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# How long an example takes says more about the machine's other work than about the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
