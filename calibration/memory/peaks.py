"""Peak memory of a scenario's local update, traced from the trainer's own step. Imports torch when it is asked."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Literal

from parasim_core.calibration.memory.recipe import recipe_of, recipe_settings
from parasim_core.calibration.memory.together import together
from parasim_core.sim.engine.simulate import Setup
from parasim_core.sim.errors import CostError, install_hint
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.workload.blocks import Block

if TYPE_CHECKING:
    from parasim_core.calibration.memory.allocations import Footprint
    from parasim_core.calibration.memory.shapes import ShapeModel, TracedStep
    from parasim_core.calibration.memory.trace import StepTrace

CUDA_GRANULARITY = 512
"""What PyTorch's allocator for CUDA rounds every size up to [B]."""
NO_MODEL = "model: is missing; memory follows from a model's layers (`paraSim list models`)"
PAGE = 4096
"""What a CPU's memory comes in [B]."""


def recomputes(setup: Setup) -> bool | Literal["selective"]:
    """Tell whether the scenario's trainer recomputes activations in the backward pass instead of keeping them."""
    return recipe_settings(setup.scenario).activation_checkpointing


def batches_per_step(scenario: Scenario) -> int:
    """Count the batches whose gradients the scenario's trainer adds up before each optimizer step."""
    return recipe_settings(scenario).accumulation


def shared_batch(setup: Setup, gpus: int) -> int:
    """Sequences of a batch that each of a client's GPUs takes: the same share, rounded up."""
    return -(-setup.scenario.local.batch_size // gpus)


def traced_peak(setup: Setup, precision: str, *, recomputing: bool | Literal["selective"], gpus: int = 1) -> Footprint:
    """Trace the peak of a local update, trained by the scenario's recipe.

    Parameters
    ----------
    setup : Setup
        The scenario and what follows from it; must name a model.
    precision : str
        Type of the base weights, unless the scenario says one: ``bfloat16``, as on GPUs, or ``float32``, as on CPUs.
    recomputing : bool or "selective"
        Whether activations are recomputed, whatever the scenario says.
    gpus : int
        GPUs that a client has: they share the sequences of a batch out, and the model unless the scenario says not to.

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
    if model is None or setup.architecture is None:
        raise CostError(NO_MODEL)
    try:
        from parasim_core.calibration.memory.shapes import TracedStep
    except ImportError as missing:
        raise CostError(f"{install_hint('tracing a step', 'train')} ({missing})") from None
    # Above the lowest block most activations are kept.
    blocks: set[Block | None] = {
        min(setup.trained_blocks, key=lambda block: block.first_layer, default=None),
        max(setup.trained_blocks, key=lambda block: block.parameters, default=None),
    }
    settings, recipe = recipe_settings(scenario), recipe_of(scenario, precision)
    steps = (
        TracedStep(
            setup.method.trains,
            block,
            shared_batch(setup, gpus),
            local.sequence_length,
            # From the second batch on a step's passes run beside the sum of the gradients before: a third changes
            # nothing.
            accumulation=min(2, settings.accumulation),
            lora=scenario.lora,
            checkpointing=recomputing,
            # Packed sequences have a mask too, which keeps them apart.
            padded=settings.padded or settings.packing,
            recipe=recipe,
        )
        for block in blocks
    )
    rounding = CUDA_GRANULARITY if precision == "bfloat16" else PAGE
    several = recipe_of(scenario, precision, gpus)
    peaks = (
        together(setup.architecture, several, step.trains, step.block, step.lora).on_each(peak)
        for step in steps
        for peak in _trace(model, step, rounding).peaks
    )
    return max(peaks, key=lambda peak: peak.total)


def paged_bytes(scenario: Scenario, peak: Footprint) -> int:
    """What of a peak moves to the host's memory where the device's is full: moments of a paged optimizer [B]."""
    from parasim_core.calibration.memory.allocations import Category

    return peak.by_category[Category.MOMENTS] if "paged" in recipe_of(scenario).optimizer else 0


@cache
def _trace(model: str, step: TracedStep, rounding: int) -> StepTrace:
    return _shapes(model, step.recipe.traced_in).trace(step, granularity=rounding)


@lru_cache(maxsize=4)
def _shapes(model: str, precision: str) -> ShapeModel:
    from parasim_core.calibration.memory.shapes import ShapeModel

    return ShapeModel(model, precision)
