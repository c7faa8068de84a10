"""The terms of a step's time: what each coefficient of a fit multiplies, and what it means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Phase = Literal["forward", "head", "backward", "update", "merge"]
Role = Literal["work", "launch", "fixed"]


@dataclass(frozen=True)
class Term:
    """One summand of a phase.

    Attributes
    ----------
    name : str
        As in profiles.
    phase : str
        Which part of a step, or the once of a local update, it belongs to; or merging a stack of adapters.
    amount : str
        Attribute of `calibration.work.Work`, or of `calibration.merging.MergeWork`, that it multiplies.
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
    Term("forward_constant", "forward", "one", "launch", "forward pass, whatever the number of tokens"),
    Term("forward_layers", "forward", "forward", "work", "matrices of all layers, forward"),
    Term("forward_attention", "forward", "attention", "work", "attention over pairs of tokens, forward"),
    Term("forward_kept", "forward", "above", "work", "keeping what the backward pass needs"),
    Term("forward_adapters", "forward", "modules", "launch", "calling an adapter, forward"),
    Term("forward_adapter_layers", "forward", "adapter", "work", "adapters' matrices, forward"),
    Term("forward_adapter_values", "forward", "adapter_values", "work", "adapters' values, forward"),
    Term("head_constant", "head", "one", "launch", "head and loss, whatever the number of tokens"),
    Term("head_forward", "head", "head", "work", "output head and loss, forward"),
    Term("backward_constant", "backward", "one", "launch", "backward pass and step, whatever the number of tokens"),
    Term("backward_launch", "backward", "layers_above", "launch", "going back through one layer"),
    Term("backward_head", "backward", "head", "work", "output head and loss, backward"),
    Term("backward_layers", "backward", "above", "work", "layers from the lowest trained one on, backward"),
    Term("backward_attention", "backward", "attention_above", "work", "attention over pairs of tokens, backward"),
    Term("weight_gradients", "backward", "gradients", "work", "gradients of the trained weights"),
    Term("optimizer", "backward", "weights", "fixed", "AdamW's step on the trained weights"),
    Term("backward_adapters", "backward", "modules", "launch", "calling an adapter, backward"),
    Term("backward_adapter_layers", "backward", "adapter", "work", "adapters' matrices, backward"),
    Term("backward_adapter_values", "backward", "adapter_values", "work", "adapters' values, backward"),
    Term("update_constant", "update", "one", "fixed", "once per local update: setting up the optimizer"),
    Term("update_weights", "update", "weights", "fixed", "once per local update: moments and delta"),
)

MERGE_TERMS = (
    Term("merge_modules", "merge", "modules", "fixed", "merging a stack: once per adapted module"),
    Term("merge_weights", "merge", "weights", "fixed", "merging a stack: adding to the weights"),
    Term("merge_products", "merge", "products", "fixed", "merging a stack: products of its matrices"),
)
"""What FLoRA adds."""

STEP_PHASES: tuple[Phase, ...] = ("forward", "head", "backward")
