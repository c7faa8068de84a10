"""What determines a run, as one digest: checkpoints of any other run must not be gone on from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import torch

from sim.scenario import PLANNED, Scenario
from train.settings import TrainSettings
from train.workbench import Workbench


def fingerprint(
    scenario: Scenario, settings: TrainSettings, bench: Workbench, clock: Mapping[str, object] | None
) -> str:
    """Digest a run's scenario, settings, data, split, base weights and clock.

    Parameters
    ----------
    scenario : Scenario
        The method and everything simulated about it.
    settings : TrainSettings
        Everything else.
    bench : Workbench
        The base model and the data.
    clock : mapping or None
        Where simulated seconds come from (`Costs.provenance`); None if they are measured.

    Returns
    -------
    str
        Hexadecimal; the same on any number of threads. How often checkpoints are taken does not enter.
    """
    digest = hashlib.sha256()
    described = [
        scenario.model_dump(mode="json", exclude={"train": True, "name": True, **PLANNED}),
        settings.model_dump(mode="json", exclude={"checkpoint_every"}),
        clock,
        bench.data_digest,
        bench.partition.clients,
    ]
    digest.update(json.dumps(described, sort_keys=True).encode())
    for name, parameter in bench.model.named_parameters():
        digest.update(f"{name} {tuple(parameter.shape)} {_bit_sum(parameter.detach())}".encode())
    return digest.hexdigest()


def _bit_sum(tensor: torch.Tensor) -> int:
    """Sum of a tensor's bit patterns: exact in any order, where a sum of floats depends on the threads."""
    integers = torch.int32 if tensor.element_size() == 4 else torch.int16
    return int(tensor.contiguous().view(integers).sum(dtype=torch.int64))
