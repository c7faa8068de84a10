"""Peak memory of a scenario's local update, traced from the trainer's own step. Imports torch when it is asked."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from sim.engine.simulate import Setup
from sim.errors import CostError, install_hint
from sim.scenario.scenario import Scenario
from sim.workload.blocks import Block

if TYPE_CHECKING:
    from calibration.memory.allocations import Footprint
    from calibration.memory.shapes import ShapeModel, TracedStep

CUDA_GRANULARITY = 512
"""What PyTorch's allocator for CUDA rounds every size up to [B]."""
NO_MODEL = "model: is missing; memory follows from a model's layers (`paraSim list models`)"
PAGE = 4096
"""What a CPU's memory comes in [B]."""


def recomputes(setup: Setup) -> bool:
    """Tell whether the scenario's trainer recomputes activations in the backward pass instead of keeping them."""
    return bool(_trained_with(setup.scenario, "activation_checkpointing", False))


def batches_per_step(scenario: Scenario) -> int:
    """Count the batches whose gradients the scenario's trainer adds up before each optimizer step."""
    return int(_trained_with(scenario, "accumulation", 1))


def _trained_with(scenario: Scenario, field: str, default: object) -> Any:
    """Read one setting of the train section, checked as the trainer checks it; the rest is the trainer's affair."""
    if field not in (scenario.train or {}):
        return default
    from train.runs.settings import TrainSettings

    return getattr(TrainSettings.parse({field: (scenario.train or {})[field]}), field)


def traced_peak(setup: Setup, precision: str, *, recomputing: bool) -> Footprint:
    """Trace the peak of a local update.

    Parameters
    ----------
    setup : Setup
        The scenario and what follows from it; must name a model.
    precision : str
        Type of the base weights: ``bfloat16``, as on GPUs, or ``float32``, as on CPUs.
    recomputing : bool
        Whether activations are recomputed, whatever the scenario says.

    Returns
    -------
    Footprint
        The largest peak over what is trained: of the blocks, the lowest and the largest one are traced.

    Raises
    ------
    CostError
        If torch is not installed, or the scenario names no model.
    """
    scenario, local, model = setup.scenario, setup.scenario.local, setup.scenario.model
    if model is None:
        raise CostError(NO_MODEL)
    try:
        from calibration.memory.shapes import TracedStep
    except ImportError as missing:
        raise CostError(f"{install_hint('tracing a step', 'train')} ({missing})") from None
    # Above the lowest block most activations are kept.
    blocks: set[Block | None] = {
        min(setup.trained_blocks, key=lambda block: block.first_layer, default=None),
        max(setup.trained_blocks, key=lambda block: block.parameters, default=None),
    }
    # From the second batch on a step's passes run beside the sum of the gradients before: a third changes nothing.
    sizes = local.batch_size, local.sequence_length, min(2, batches_per_step(scenario))
    steps = (TracedStep(setup.method.trains, b, *sizes, lora=scenario.lora, checkpointing=recomputing) for b in blocks)
    return max((_peak(model, precision, step) for step in steps), key=lambda peak: peak.total)


@cache
def _peak(model: str, precision: str, step: TracedStep) -> Footprint:
    rounding = CUDA_GRANULARITY if precision == "bfloat16" else PAGE
    return _shapes(model, precision).trace(step, granularity=rounding).peak


@lru_cache(maxsize=4)
def _shapes(model: str, precision: str) -> ShapeModel:
    from calibration.memory.shapes import ShapeModel

    return ShapeModel(model, precision)
