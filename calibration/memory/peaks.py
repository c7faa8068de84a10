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
    from calibration.memory.trace import StepTrace

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


def shared_batch(setup: Setup, gpus: int) -> int:
    """Sequences of a batch that each of a client's GPUs takes: the same share, rounded up."""
    return -(-setup.scenario.local.batch_size // gpus)


def traced_peak(setup: Setup, precision: str, *, recomputing: bool, gpus: int = 1) -> Footprint:
    """Trace the peak of a local update.

    Parameters
    ----------
    setup : Setup
        The scenario and what follows from it; must name a model.
    precision : str
        Type of the base weights: ``bfloat16``, as on GPUs, or ``float32``, as on CPUs.
    recomputing : bool
        Whether activations are recomputed, whatever the scenario says.
    gpus : int
        GPUs that a client has: they share weights, gradients and moments out (FSDP), and the sequences of a batch.

    Returns
    -------
    Footprint
        The largest peak over what is trained, on each GPU: of the blocks, the lowest and the largest one are traced.

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
    sizes = shared_batch(setup, gpus), local.sequence_length, min(2, batches_per_step(scenario))
    steps = (TracedStep(setup.method.trains, b, *sizes, lora=scenario.lora, checkpointing=recomputing) for b in blocks)
    return max((_peak(model, precision, step, gpus) for step in steps), key=lambda peak: peak.total)


def _peak(model: str, precision: str, step: TracedStep, gpus: int) -> Footprint:
    from calibration.memory.device_peak import shared_out

    trace = _trace(model, precision, step)
    return max((shared_out(peak, gpus) for peak in trace.peaks), key=lambda peak: peak.total)


@cache
def _trace(model: str, precision: str, step: TracedStep) -> StepTrace:
    rounding = CUDA_GRANULARITY if precision == "bfloat16" else PAGE
    return _shapes(model, precision).trace(step, granularity=rounding)


@lru_cache(maxsize=4)
def _shapes(model: str, precision: str) -> ShapeModel:
    from calibration.memory.shapes import ShapeModel

    return ShapeModel(model, precision)
