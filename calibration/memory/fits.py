"""Memory of a client: predicted by tracing, and held against its device before a simulation is believed.

Without torch there is `least_memory`, a bound that no local update stays below; with it, `calibration.memory.peaks`
traces the trainer's own step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from parasim_core.calibration.devices.catalogue import closest
from parasim_core.calibration.devices.device_memory import device_memory
from parasim_core.calibration.memory.peaks import (
    NO_MODEL,
    batches_per_step,
    paged_bytes,
    recomputes,
    shared_batch,
    traced_peak,
)
from parasim_core.calibration.memory.recipe import EIGHT_BIT_MOMENT, NF4_BYTES, recipe_of
from parasim_core.sim.engine.simulate import Setup
from parasim_core.sim.errors import CostError
from parasim_core.sim.workload.architecture import Architecture
from parasim_core.sim.workload.blocks import lora_parameters
from parasim_core.sim.workload.methods import Trains

if TYPE_CHECKING:
    from parasim_core.calibration.profiles.measured_file import MeasuredFile

KEPT = 0.7
"""Activations that the backward pass needs, of those that go into and come out of a layer's linear modules: less than
in any trace. Llama, Qwen and SmolLM2 keep 0.74 to 0.94, GPT-2 2.4 to 4.8."""
LOGITS = 12
"""Bytes per token and word of the vocabulary: logits, their softmax and its gradient in float32, as traced [B]."""
_MOST_NAMED = 3
_BYTES = {"bfloat16": 2, "float32": 4}


@dataclass(frozen=True)
class MemoryWarning:
    """A group of clients whose device is too small for their local update.

    Attributes
    ----------
    group : str
        Name of the group, or its number.
    device : str
        Its device.
    available : float
        Memory of the device [B].
    needed : int
        Memory of the local update [B].
    traced : bool
        Whether `needed` is a traced peak, and not just a lower bound.
    recomputable : bool
        Whether it may fit if activations are recomputed in the backward pass instead of kept.
    gpus : int
        How many such devices a client has, each with its share of the update.
    """

    group: str
    device: str
    available: float
    needed: int
    traced: bool
    recomputable: bool = False
    gpus: int = 1

    def __str__(self) -> str:
        least = "" if self.traced else "at least "
        less = "; recomputing activations takes less (train.activation_checkpointing)" if self.recomputable else ""
        each = f" on each of their {self.gpus} GPUs" if self.gpus > 1 else ""
        return (
            f"clients of {self.group} need {least}{self.needed / 1e9:.1f} GB for a local update{each}, "
            f"but {self.device} has {self.available / 1e9:.1f} GB{less}"
        )


def fits(setup: Setup, *, measured: MeasuredFile | None = None, traced: bool = False) -> list[MemoryWarning]:
    """Find the groups whose local update does not fit their device.

    Parameters
    ----------
    setup : Setup
        The scenario and what follows from it.
    measured : MeasuredFile, optional
        Profile that the computing times are from: groups that name no device are held against its device.
    traced : bool
        Trace the trainer's step, which takes seconds and needs torch, instead of taking the lower bound.

    Returns
    -------
    list of MemoryWarning
        One for each group that does not fit. Nothing is said of groups whose device nobody knows, or of a run
        without a model.
    """
    if setup.architecture is None:
        return []
    recomputing = recomputes(setup)
    warnings = []
    for number, group in enumerate(setup.scenario.fleet):
        own, gpus = device_memory(setup.scenario.device_of(group), measured), group.gpus
        if own is None:
            continue
        if traced:
            peak = traced_peak(setup, own.precision, recomputing=recomputing, gpus=gpus)
            needed = peak.total - paged_bytes(setup.scenario, peak)
        else:
            needed = least_memory(setup, own.precision, gpus=gpus)
        if needed > own.memory:
            name = group.name or f"group{number}"
            lean = least_memory(setup, own.precision, recomputing=True, gpus=gpus)
            recomputable = not recomputing and lean <= own.memory
            warnings.append(MemoryWarning(name, own.device, own.memory, needed, traced, recomputable, gpus))
    return warnings


def memory_sentences(setup: Setup, measured: MeasuredFile | None = None) -> list[str]:
    """Say in sentences which groups do not fit their device, and which devices nobody knows the memory of.

    Parameters
    ----------
    setup : Setup
        The scenario and what follows from it.
    measured : MeasuredFile, optional
        Profile that the computing times are from.

    Returns
    -------
    list of str
        One for all groups that are alike in this, and one for each unknown device.
    """
    if setup.architecture is None:
        return []
    groups: dict[MemoryWarning, list[str]] = {}
    for warning in fits(setup, measured=measured):
        groups.setdefault(replace(warning, group=""), []).append(warning.group)
    said = [f"Does not fit: {replace(alike, group=_listed(names))}." for alike, names in groups.items()]
    said += [
        f"Memory is not judged on {name!r}: the catalogue does not know it; {closest(name)} (`paraSim list devices`)."
        for name in setup.scenario.devices
        if device_memory(name, measured) is None
    ]
    return said


def least_memory(setup: Setup, precision: str, *, recomputing: bool | None = None, gpus: int = 1) -> int:
    """Bound the memory of a local update from below, by counting alone.

    Parameters
    ----------
    setup : Setup
        The scenario and what follows from it; must name a model.
    precision : str
        Type of the base weights.
    recomputing : bool, optional
        Whether activations are recomputed in the backward pass; as the scenario says if None.
    gpus : int
        GPUs of a client, which share the sequences of a batch out, and weights with all that belongs to them unless the
        scenario says not to.

    Returns
    -------
    int
        Bytes that are there at once, by the scenario's recipe: all weights, and of the trained part its copy, its
        float32 master if it has one, and two moments, unless they are paged; with these either the gradient, in AdamW's
        step, or what the backward pass begins with; both where gradients of several batches are accumulated. On each
        GPU [B].
    """
    recipe = recipe_of(setup.scenario, precision, gpus)
    width = _BYTES[recipe.traced_in]
    trained, added = _trained_parameters(setup)
    own = 4 if recipe.adapters == "float32" else width
    # A master makes gradients and moments float32; else they are as the part is.
    master = 4 if recipe.master and own < 4 else 0
    kind = 4 if master else own
    moments = {"adamw": 2 * kind, "adamw-8bit": 2 * EIGHT_BIT_MOMENT}.get(recipe.optimizer, 0)
    quantized = sum(linear.weights for linear in _model(setup).linears()) if recipe.weights == "nf4" else 0
    weights = width * _model(setup).parameters - (width - NF4_BYTES) * quantized
    always = int(weights + own * added + trained * (own + master + moments))
    # What is recomputed, or made again by compiled kernels, need not be kept.
    recomputed = recomputes(setup) if recomputing is None else recomputing
    lean = bool(recomputed) or recipe.kernels != "eager"
    kept = _kept_for_backward(setup, 2 if recipe.mixed else width, recipe.loss, lean=lean, gpus=gpus)
    shares = gpus if recipe.sharded else 1
    gradient = kind * trained // shares
    # The second batch of a step begins its backward pass beside the first one's gradient.
    return always // shares + (gradient + kept if batches_per_step(setup.scenario) > 1 else max(gradient, kept))


def _kept_for_backward(setup: Setup, width: int, loss: str, *, lean: bool, gpus: int) -> int:
    """Bound what the forward pass keeps from below: activations of the layers above the block's lowest, and the logits.

    Of lean layers, their inputs [B]. Nothing is counted of images.
    """
    model, local = _model(setup), setup.scenario.local
    if not model.vocabulary_size:
        return 0
    tokens = shared_batch(setup, gpus) * local.sequence_length
    logits = LOGITS * model.vocabulary_size if loss == "full" else 0
    lowest = min((block.first_layer for block in setup.trained_blocks), default=0)
    above = model.layers[lowest + 1 :]
    if lean:
        return tokens * (width * model.hidden_size * len(above) + logits)
    halves = [half for layer in above for half in (layer.attention, layer.mlp)]
    passed = sum(linear.inputs + linear.outputs for half in halves for linear in half.linears)
    return tokens * (int(KEPT * width * passed) + logits)


def second_thread(setup: Setup) -> int:
    """Memory that a client of an overlapped method holds beyond one of its synchronous counterpart.

    Parameters
    ----------
    setup : Setup
        The scenario and what follows from it.

    Returns
    -------
    int
        (s + 1) x 4 B x the largest trained part's parameters [B] for staleness s; 0 for methods that do not overlap.

    Notes
    -----
    While round t is computed, the client's own updates of rounds t - s to t - 1 are on their way and still needed to
    take them out again (Algorithm 2, line 9), and one aggregate comes in; all in float32. A synchronous client holds
    neither while it computes. None of it takes part in computing, so it may lie in the host's memory. Where staleness
    has no bound, one update is on its way, and at worst all that is ever trained comes in.
    """
    if not setup.traits.overlaps:
        return 0
    largest = _trained_parameters(setup)[0]
    if setup.staleness is None:
        return 4 * (largest + sum(block.parameters for block in setup.trained_blocks))
    return (setup.staleness + 1) * 4 * largest


def _trained_parameters(setup: Setup) -> tuple[int, int]:
    """Parameters that are trained at most at a time, and those that the method adds to the model."""
    trains = setup.method.trains
    if trains is Trains.BLOCK:
        return max(block.parameters for block in setup.trained_blocks), 0
    if trains is Trains.EVERYTHING:
        return _model(setup).parameters, 0
    a, b = lora_parameters(_model(setup), setup.scenario.lora.rank, setup.scenario.lora.targets)
    return (b if trains is Trains.LORA_B else a + b), a + b


def _listed(groups: list[str]) -> str:
    more = len(groups) - _MOST_NAMED
    return ", ".join(groups[:_MOST_NAMED]) + (f" and {more:,} more group{'s' if more > 1 else ''}" if more > 0 else "")


def _model(setup: Setup) -> Architecture:
    if setup.architecture is None:
        raise CostError(NO_MODEL)
    return setup.architecture
