"""The ParaBlock paper's Table 8, peak GPU memory, beside the traced peaks of the same steps.

The paper publishes neither the sequence length nor whether activations were recomputed, so 512 tokens are assumed and
both are shown; nothing is fitted. The table of docs/appendices/memory.md:

    python benchmarks/memory_table.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

# Run as a script, Python looks for modules beside this file and not in the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from parasim_core.calibration.memory.allocations import Footprint
from parasim_core.calibration.memory.peaks import CUDA_GRANULARITY
from parasim_core.calibration.memory.shapes import ShapeModel, TracedStep
from parasim_core.sim.workload.architecture import Architecture
from parasim_core.sim.workload.blocks import Block, partition, partition_evenly
from parasim_core.sim.workload.methods import METHODS, Trains

REPORTED = {
    "fedit": (27.0, 14.3),
    "ffa-lora": (26.8, 14.2),
    "flora": (27.0, 14.3),
    "fedcybgd": (29.6, 13.9),
    "fedbcd": (23.3, 10.0),
    "parablock": (23.3, 10.0),
}
"""Method to the reported gigabytes of both models; FedLoRA in the table is FedIT elsewhere in the paper."""
MODELS = ("llama-3-8b", "llama-3.2-3b")
CLIENTS = 10
BATCH_SIZE, SEQUENCE_LENGTH = 4, 512


def peaks(model: str, *, checkpointing: bool) -> dict[str, Footprint]:
    """Trace the peak of every method of Table 8 for one model.

    Parameters
    ----------
    model : str
        ``llama-3-8b`` or ``llama-3.2-3b``.
    checkpointing : bool
        Whether activations are recomputed.

    Returns
    -------
    dict of str to Footprint
        Of methods that train blocks, that of the lowest block.
    """
    shapes = ShapeModel(model)
    found: dict[str, Footprint] = {}
    traced: dict[tuple[Trains, Block | None], Footprint] = {}
    for method in REPORTED:
        what = METHODS[method].trains, _lowest_block(method, shapes.architecture)
        if what not in traced:
            step = TracedStep(*what, BATCH_SIZE, SEQUENCE_LENGTH, checkpointing=checkpointing)
            traced[what] = shapes.trace(step, granularity=CUDA_GRANULARITY).peak
        found[method] = traced[what]
    return found


def _lowest_block(method: str, architecture: Architecture) -> Block | None:
    """The block with most layers above it; no other one is wider."""
    if METHODS[method].trains is not Trains.BLOCK:
        return None
    blocks = partition_evenly(architecture, CLIENTS) if method == "fedcybgd" else partition(architecture, 2)
    return blocks[0]


def rows() -> Iterator[str]:
    """Lay the table out in Markdown: gibibytes, and how far the prediction is from the report."""
    yield "| model | method | reported | predicted | | with checkpointing | |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    for column, model in enumerate(MODELS):
        kept, recomputed = peaks(model, checkpointing=False), peaks(model, checkpointing=True)
        for method, reported in REPORTED.items():
            cells = [model, method, f"{reported[column]:.1f}"]
            for found in (kept[method].total / 2**30, recomputed[method].total / 2**30):
                cells += [f"{found:.1f}", f"{100 * (found / reported[column] - 1):+.0f} %"]
            yield "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    for line in rows():
        print(line, flush=True)
