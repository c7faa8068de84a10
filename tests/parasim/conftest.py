"""Scenarios that tests of several commands share, and what a training left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parasim.command_line import run

SMALL_TRAINING = """
model: demo
rounds: 2
compute: {seconds: 2}
fleet: [{count: 3, uplink: 1MB/s}]
blocks: {layers: 1}
local: {steps: 1, batch_size: 4, sequence_length: 64}
lora: {rank: 2}
wire: {bytes_per_parameter: 4}
train:
  data: {examples: 60, held_out_examples: 10}
  pretraining: {steps: 2}
"""

# Llama 3-8B and a block's working copies, 32.6 GB at batch size 4, in the 25.8 GB of an RTX 4090; adapters: 26.7 GB.
TIGHT = """
model: llama-3-8b
rounds: 2
blocks: {schedule: sequential}
compute: {seconds: 30}
fleet: [{name: desks, count: 2, device: RTX 4090}]
"""


@pytest.fixture(scope="session")
def small_training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scenario file that trains on text in seconds."""
    path = tmp_path_factory.mktemp("scenario") / "small.yaml"
    path.write_text(SMALL_TRAINING)
    return path


@pytest.fixture(scope="session")
def trained(small_training: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Two methods trained by the given seconds: the folder, which is to stay as it is, and what was printed."""
    out = tmp_path_factory.mktemp("trained")
    outcome = run(
        "train", small_training, "--method", "parablock,fedit", "--clock", "profile", "--deltas", "--out", out
    )
    assert outcome.status == 0, outcome.err
    return out, outcome.out
