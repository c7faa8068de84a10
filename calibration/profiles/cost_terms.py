"""The terms of a step's time: the amounts of work in it, and what the price of each means.

One multiply-add counts as two operations. Autograd stops below the lowest trained layer, so the backward pass
only goes through the layers from there on.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from parasim_core.calibration.profiles.points import ADAPTERS, StepPoint, block_at, split_targets
from parasim_core.sim.workload.architecture import Architecture, Linear
from parasim_core.sim.workload.blocks import adapted_modules, lora_parameters
from parasim_core.sim.workload.methods import Trains

Array = NDArray[np.float64]
Form = Literal["sum", "maximum"]
"""How launching work and doing it combine: one after the other, as on a CPU, or side by side so that the longer counts,
as on a GPU, which too little work leaves waiting for its launch."""
Amounts = Mapping[str, float]
"""Amounts of work by name, as `CostTerm.amount` names them."""


@dataclass(frozen=True)
class CostTerm:
    """One summand of a phase; `calibration/data/cost_terms.csv` lists them all.

    Attributes
    ----------
    name : str
        As in profiles.
    phase : str
        Which part of a step (`STEP_PHASES`), or the once of a local update (``update``), it belongs to; or merging a
        stack of adapters (``merge``).
    amount : str
        Amount of `work`, or of `merge_work`, that it multiplies.
    role : str
        ``work`` grows with the tokens, ``launch`` does not, ``fixed`` is added whatever else happens. Where a device
        is fast, launching work and doing it overlap, and the longer of the two is what counts.
    unit : str
        Unit of the coefficient.
    meaning : str
        In words.
    """

    name: str
    phase: str
    amount: str
    role: str
    unit: str
    meaning: str


_TABLE = (resources.files("parasim_core.calibration") / "data" / "cost_terms.csv").read_text(encoding="utf-8")
_ALL_TERMS = [CostTerm(**row) for row in csv.DictReader(_TABLE.splitlines())]
# In the order in which a fit keeps them: where samples cannot tell two apart, the later one gets no price.
TERMS = tuple(term for term in _ALL_TERMS if term.phase != "merge")
MERGE_TERMS = tuple(term for term in _ALL_TERMS if term.phase == "merge")
"""What FLoRA adds."""
STEP_PHASES = ("forward", "head", "backward")

_TERA = 1e-12
_GIGA = 1e-9


def terms_of(phase: str) -> list[CostTerm]:
    """List the terms of a phase of a step, or of the update's own part."""
    return [term for term in TERMS if term.phase == phase]


def amounts_matrix(terms: Sequence[CostTerm], amounts: Sequence[Amounts]) -> Array:
    """Lay out amounts of work, shape (points, terms)."""
    return np.array([[one[term.amount] for term in terms] for one in amounts])


def combined(terms: Sequence[CostTerm], matrix: Array, prices: Array, form: Form) -> Array:
    """Seconds of a phase at every point, from its amounts, shape (points, terms), and prices, shape (terms,) [s]."""
    roles = np.array([term.role for term in terms])
    launch, work, fixed = (matrix[:, roles == role] @ prices[roles == role] for role in ("launch", "work", "fixed"))
    seconds: Array = (launch + work if form == "sum" else np.maximum(launch, work)) + fixed
    return seconds


def work(architecture: Architecture, point: StepPoint) -> dict[str, float]:
    """Amounts of work in a step.

    Parameters
    ----------
    architecture : Architecture
        The model.
    point : StepPoint
        What is trained, and on how many tokens.

    Returns
    -------
    dict of str to float
        ``one``: 1, what every step has once. ``layers_above``: layers from the lowest trained one on. ``forward``,
        ``attention``: operations of all layers' matrices, and of attention's products over all pairs of tokens [1e12].
        ``above``, ``attention_above``: the same, from the lowest trained layer on [1e12]. ``head``: operations of the
        output head [1e12]. ``gradients``: operations of the trained matrices' gradients [1e12]. ``weights``: trained
        weights [1e9]. ``modules``: linear modules that have an adapter. ``adapter``: operations of the adapters'
        matrices [1e12]. ``adapter_values``: values that go into and out of the adapters [1e9].
    """
    tokens, layers = point.tokens, len(architecture.layers)
    pairs = point.batch_size * point.sequence_length**2
    attention = 4 * pairs * architecture.attention_heads * architecture.head_dimension * layers * _TERA
    head = architecture.vocabulary_size * architecture.hidden_size
    # Of the layers' parameters, those that a token passes: in a mixture, of its experts alone.
    passed = architecture.layer_parameters - (architecture.parameters - architecture.active_parameters)
    # Parameters of the layers from the lowest trained one on; trained ones, those whose gradient is a product of
    # matrices, and those of adapters.
    above, trained, multiplied, adapter = architecture.layer_parameters, architecture.parameters, 0, 0
    adapted: list[Linear] = []
    if point.trains is Trains.BLOCK:
        assert point.first_layer is not None
        assert point.layers is not None
        above = block_at(architecture, point.first_layer, layers).parameters
        trained = block_at(architecture, point.first_layer, point.layers).parameters
        multiplied = trained * passed // architecture.layer_parameters
    elif point.trains in ADAPTERS:
        assert point.targets is not None
        assert point.rank is not None
        targets = split_targets(point.targets)
        a, b = lora_parameters(architecture, point.rank, targets)
        adapter, trained = a + b, b if point.trains is Trains.LORA_B else a + b
        adapted = [linear for linear, _ in adapted_modules(architecture, targets)]
    else:
        multiplied = passed + head
    depth = above / architecture.layer_parameters
    return {
        "one": 1.0,
        "layers_above": layers * depth,
        "forward": 2 * passed * tokens * _TERA,
        "attention": attention,
        "above": 2 * (above * passed // architecture.layer_parameters) * tokens * _TERA,
        "attention_above": attention * depth,
        "head": 2 * head * tokens * _TERA,
        "gradients": 2 * multiplied * tokens * _TERA,
        "weights": trained * _GIGA,
        "modules": len(adapted),
        "adapter": 2 * adapter * tokens * _TERA,
        "adapter_values": sum(module.inputs + module.outputs for module in adapted) * tokens * _GIGA,
    }


def full_pass_work(architecture: Architecture, batch_size: int, sequence_length: int) -> dict[str, float]:
    """Amounts of work in one forward and backward pass with all layers' gradients and no optimizer."""
    sizes = {"batch_size": batch_size, "sequence_length": sequence_length}
    return work(architecture, StepPoint(trains=Trains.BLOCK, first_layer=0, layers=len(architecture.layers), **sizes))


def merge_work(architecture: Architecture, targets: str, rank: int) -> dict[str, float]:
    """Amounts of work in one merge.

    Parameters
    ----------
    architecture : Architecture
        The model.
    targets : str
        Modules that have an adapter, as points name them.
    rank : int
        Inner dimension of the stack: the clients' ranks together.

    Returns
    -------
    dict of str to float
        ``modules``: linear modules that have an adapter. ``weights``: theirs [1e9]. ``products``: operations of the
        matrix products [1e12].
    """
    adapted = [linear for linear, _ in adapted_modules(architecture, split_targets(targets))]
    weights = sum(linear.weights for linear in adapted)
    return {"modules": len(adapted), "weights": weights * _GIGA, "products": 2 * weights * rank * _TERA}
