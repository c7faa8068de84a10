"""Steps of a measured profile as rows like those of `calibration/devices/published_gpu.json`: measured here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from parasim_core.calibration.profiles.measured_file import MeasuredFile, StepSample
from parasim_core.calibration.profiles.points import split_targets
from parasim_core.sim.workload.methods import Trains

METHODS = {Trains.BLOCK: "block", Trains.LORA: "LoRA", Trains.EVERYTHING: "full"}
"""What rows call what is trained; that of B alone is left out, as hardly different from LoRA."""


def rows_of(file: MeasuredFile) -> list[dict[str, Any]]:
    """Make rows of a profile's smallest and largest step of each kind: its time and, on a GPU, its memory.

    Parameters
    ----------
    file : MeasuredFile
        The profile.
    """
    return [row for sample in _ends(file.samples) for row in _rows(file, sample)]


def _ends(samples: Iterable[StepSample]) -> list[StepSample]:
    """Of each kind the sample of the fewest tokens and that of the most; of blocks, of the lowest ones among these."""
    found = []
    for trains in METHODS:
        own = [sample for sample in samples if sample.point.trains is trains and sample.visits]
        own.sort(key=lambda sample: (sample.point.tokens, -(sample.point.first_layer or 0)))
        found += [own[0], own[-1]] if own[1:] else own
    return found


def _rows(file: MeasuredFile, sample: StepSample) -> list[dict[str, Any]]:
    point, device, versions = sample.point, file.device, file.versions
    method = METHODS[point.trains]
    place = f"-{point.layers:g}-layers-from-{point.first_layer:g}" if point.trains is Trains.BLOCK else ""
    where = re.sub("[^a-z0-9]+", "-", device.name.lower()).strip("-")
    name = f"{where}-{file.name}-{method.lower()}{place}-{point.batch_size}x{point.sequence_length}"
    lora = None
    if point.targets is not None:
        lora = {"rank": point.rank, "targets": split_targets(point.targets)}
    row = {
        "group": "paraSim",
        "source": f"measured with paraSim {file.date}",
        "notes": f"driver {device.driver or '-'}, CUDA {versions.cuda or '-'}, torch {versions.torch}, transformers "
        f"{versions.transformers}, peft {versions.peft}; {sample.repeats} visits",
        "gpu": device.name,
        "gpus": 1,
        "model": file.model.name,
        "method": method,
        "block": {"first_layer": point.first_layer, "layers": point.layers} if place else None,
        "lora": lora,
        "batch": point.batch_size,
        "sequence_length": point.sequence_length,
        "accumulation": 1,
        "checkpointing": False,
        "compile": False,
        "attention": file.model.attention,
        "precision": file.model.dtype,
        "optimizer": "AdamW",
        "recipe": {"weights": file.model.dtype},
        "inferred": "",
    }
    step = row | {"id": f"{name}-time", "metric": "time", "unit": "s", "value": sample.step_s}
    found = [step | {"step_seconds": sample.step_s}]
    if sample.peak_bytes is not None:
        mib = round(sample.peak_bytes / 2**20, 1)
        found.append(row | {"id": f"{name}-memory", "metric": "memory", "unit": "MiB allocated", "value": mib})
    return found
