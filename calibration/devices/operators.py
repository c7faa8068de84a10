"""Operators by what they cost: phases of a local update, calls, and their sums. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """Part of a local update."""

    PREPARATION = "preparation"
    """Once per update: working copy, master, and AdamW's moments filled with zeros."""
    FORWARD = "forward"
    BACKWARD = "backward"
    OPTIMIZER = "optimizer"
    """Gradients lifted to float32, AdamW, weights rounded back."""
    DELTA = "delta"
    """Once per update: what changed."""


@dataclass(frozen=True)
class Operator:
    """One kind of call, by what it costs.

    Attributes
    ----------
    name : str
        As PyTorch names it, such as ``aten.mm``.
    phase : Phase
        When it runs.
    precision : str
        Type that it computes in, such as ``bfloat16``: the widest floating one of its operands.
    flops : int
        Floating-point operations of a call that PyTorch has a formula for (matrix products, convolutions,
        attention), else 0; a multiplication and an addition count 2.
    traffic : int
        Bytes read and written [B].
    shape : tuple of int
        Of matrix products B, M, N, K: B times an M x K by a K x N matrix. Of attention B, M, N, K with B sequences
        times heads, M queries, N keys and K values each. Else empty.
    """

    name: str
    phase: Phase
    precision: str
    flops: int
    traffic: int
    shape: tuple[int, ...] = ()


PASSES = Phase.FORWARD, Phase.BACKWARD
"""Phases that run for every batch; the others are of the weights alone."""
ONCE = Phase.PREPARATION, Phase.DELTA
"""Phases that run once in an update, whatever its number of steps."""
Operators = Mapping[Operator, float]
"""Operators and how often each is called; no whole numbers where they are continued from a shallower model."""


def one_step(operators: Operators) -> dict[Operator, float]:
    """Operators of a step: without what an update does once, whatever its number of steps."""
    return {operator: calls for operator, calls in operators.items() if operator.phase not in ONCE}


def once(operators: Operators) -> dict[Operator, float]:
    """Operators of an update that belong to none of its steps."""
    return {operator: calls for operator, calls in operators.items() if operator.phase in ONCE}
