"""The terms of a step's time: the amounts of work in it, and what the price of each means.

One multiply-add counts as two operations. Autograd stops below the lowest trained layer, so the backward pass
only goes through the layers from there on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from calibration.points import ADAPTERS, StepPoint, block_at, split_targets
from sim.architecture import Architecture, Linear
from sim.blocks import ALL_LINEAR, lora_parameters
from sim.methods import Trains

Phase = Literal["forward", "head", "backward", "update", "merge"]
Role = Literal["work", "launch", "fixed"]


@dataclass(frozen=True)
class CostTerm:
    """One summand of a phase.

    Attributes
    ----------
    name : str
        As in profiles.
    phase : str
        Which part of a step, or the once of a local update, it belongs to; or merging a stack of adapters.
    amount : str
        Attribute of `StepWork`, or of `MergeWork`, that it multiplies.
    role : {"work", "launch", "fixed"}
        Grows with the tokens; does not; or is added whatever else happens. Where a device is fast, launching work
        and doing it overlap, and the longer of the two is what counts.
    meaning : str
        In words.
    """

    name: str
    phase: Phase
    amount: str
    role: Role
    meaning: str

    @property
    def unit(self) -> str:
        """Unit of the coefficient."""
        return _UNITS.get(self.amount, "s per 1e12 operations")


_UNITS = {
    "one": "s",
    "layers_above": "s per layer",
    "modules": "s per module",
    "weights": "s per 1e9 weights",
    "adapter_values": "s per 1e9 values",
}

# In the order in which a fit keeps them: where samples cannot tell two apart, the later one gets no price.
TERMS = (
    CostTerm("forward_constant", "forward", "one", "launch", "forward pass, whatever the number of tokens"),
    CostTerm("forward_layers", "forward", "forward", "work", "matrices of all layers, forward"),
    CostTerm("forward_attention", "forward", "attention", "work", "attention over pairs of tokens, forward"),
    CostTerm("forward_kept", "forward", "above", "work", "keeping what the backward pass needs"),
    CostTerm("forward_adapters", "forward", "modules", "launch", "calling an adapter, forward"),
    CostTerm("forward_adapter_layers", "forward", "adapter", "work", "adapters' matrices, forward"),
    CostTerm("forward_adapter_values", "forward", "adapter_values", "work", "adapters' values, forward"),
    CostTerm("head_constant", "head", "one", "launch", "head and loss, whatever the number of tokens"),
    CostTerm("head_forward", "head", "head", "work", "output head and loss, forward"),
    CostTerm("backward_constant", "backward", "one", "launch", "backward pass and step, whatever the number of tokens"),
    CostTerm("backward_launch", "backward", "layers_above", "launch", "going back through one layer"),
    CostTerm("backward_head", "backward", "head", "work", "output head and loss, backward"),
    CostTerm("backward_layers", "backward", "above", "work", "layers from the lowest trained one on, backward"),
    CostTerm("backward_attention", "backward", "attention_above", "work", "attention over pairs of tokens, backward"),
    CostTerm("weight_gradients", "backward", "gradients", "work", "gradients of the trained weights"),
    CostTerm("optimizer", "backward", "weights", "fixed", "AdamW's step on the trained weights"),
    CostTerm("backward_adapters", "backward", "modules", "launch", "calling an adapter, backward"),
    CostTerm("backward_adapter_layers", "backward", "adapter", "work", "adapters' matrices, backward"),
    CostTerm("backward_adapter_values", "backward", "adapter_values", "work", "adapters' values, backward"),
    CostTerm("update_constant", "update", "one", "fixed", "once per local update: setting up the optimizer"),
    CostTerm("update_weights", "update", "weights", "fixed", "once per local update: moments and delta"),
)

MERGE_TERMS = (
    CostTerm("merge_modules", "merge", "modules", "fixed", "merging a stack: once per adapted module"),
    CostTerm("merge_weights", "merge", "weights", "fixed", "merging a stack: adding to the weights"),
    CostTerm("merge_products", "merge", "products", "fixed", "merging a stack: products of its matrices"),
)
"""What FLoRA adds."""

STEP_PHASES: tuple[Phase, ...] = ("forward", "head", "backward")


_TERA = 1e-12
_GIGA = 1e-9


@dataclass(frozen=True)
class StepWork:
    """Amounts of work in one step, and in one local update.

    Attributes
    ----------
    one : float
        1: what every step has once.
    layers_above : float
        Layers from the lowest trained one on.
    forward, attention : float
        Operations of all layers' matrices, and of attention's products over all pairs of tokens [1e12].
    above, attention_above : float
        The same, from the lowest trained layer on [1e12].
    head : float
        Operations of the output head [1e12].
    gradients : float
        Operations of the trained matrices' gradients [1e12].
    weights : float
        Trained weights [1e9].
    modules : float
        Linear modules that have an adapter.
    adapter : float
        Operations of the adapters' matrices [1e12].
    adapter_values : float
        Values that go into and out of the adapters [1e9].
    """

    one: float
    layers_above: float
    forward: float
    attention: float
    above: float
    attention_above: float
    head: float
    gradients: float
    weights: float
    modules: float
    adapter: float
    adapter_values: float


def work(architecture: Architecture, point: StepPoint) -> StepWork:
    """Amounts of work in a step.

    Parameters
    ----------
    architecture : Architecture
        The model.
    point : StepPoint
        What is trained, and on how many tokens.
    """
    tokens, layers = point.tokens, len(architecture.layers)
    pairs = point.batch_size * point.sequence_length**2
    attention = 4 * pairs * architecture.attention_heads * architecture.head_dimension * layers * _TERA
    head = architecture.vocabulary_size * architecture.hidden_size
    # Parameters of the layers from the lowest trained one on; trained ones, those whose gradient is a product of
    # matrices, and those of adapters.
    above, trained, multiplied, adapter = architecture.layer_parameters, architecture.parameters, 0, 0
    adapted: list[Linear] = []
    if point.trains is Trains.BLOCK:
        assert point.first_layer is not None
        assert point.layers is not None
        above = block_at(architecture, point.first_layer, layers).parameters
        trained = multiplied = block_at(architecture, point.first_layer, point.layers).parameters
    elif point.trains in ADAPTERS:
        assert point.targets is not None
        assert point.rank is not None
        a, b = lora_parameters(architecture, point.rank, split_targets(point.targets))
        adapter, trained = a + b, b if point.trains is Trains.LORA_B else a + b
        adapted = adapted_modules(architecture, point.targets)
    else:
        multiplied = architecture.layer_parameters + head
    depth = above / architecture.layer_parameters
    return StepWork(
        one=1.0,
        layers_above=layers * depth,
        forward=2 * architecture.layer_parameters * tokens * _TERA,
        attention=attention,
        above=2 * above * tokens * _TERA,
        attention_above=attention * depth,
        head=2 * head * tokens * _TERA,
        gradients=2 * multiplied * tokens * _TERA,
        weights=trained * _GIGA,
        modules=len(adapted),
        adapter=2 * adapter * tokens * _TERA,
        adapter_values=sum(module.inputs + module.outputs for module in adapted) * tokens * _GIGA,
    )


def full_pass_work(architecture: Architecture, batch_size: int, sequence_length: int) -> StepWork:
    """Amounts of work in one forward and backward pass with all layers' gradients and no optimizer."""
    sizes = {"batch_size": batch_size, "sequence_length": sequence_length}
    return work(architecture, StepPoint(trains=Trains.BLOCK, first_layer=0, layers=len(architecture.layers), **sizes))


def adapted_modules(architecture: Architecture, targets: str) -> list[Linear]:
    """Linear modules of a model that have an adapter on some targets, as points name these."""
    wanted = split_targets(targets)
    return [m for m in architecture.linears() if wanted == ALL_LINEAR or not set(wanted).isdisjoint(m.names)]


@dataclass(frozen=True)
class MergeWork:
    """Amounts of work in one merge.

    Attributes
    ----------
    modules : float
        Linear modules that have an adapter.
    weights : float
        Their weights [1e9].
    products : float
        Operations of the matrix products [1e12].
    """

    modules: float
    weights: float
    products: float


def merge_work(architecture: Architecture, targets: str, rank: int) -> MergeWork:
    """Amounts of work in one merge.

    Parameters
    ----------
    architecture : Architecture
        The model.
    targets : str
        Modules that have an adapter, as points name them.
    rank : int
        Inner dimension of the stack: the clients' ranks together.
    """
    adapted = adapted_modules(architecture, targets)
    weights = sum(module.inputs * module.outputs for module in adapted)
    return MergeWork(len(adapted), weights * 1e-9, 2 * weights * rank * 1e-12)
