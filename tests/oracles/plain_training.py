"""The federated methods once more, as plainly as can be: loops over whole copies of the model, nothing shared.

No protocol, no versions, no events: N models, `copy.deepcopy`, and the update rules as the papers state them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

EPSILON = 1e-3
"""Large enough that AdamW does not blow rounding up where a gradient is next to zero."""

State = dict[str, Tensor]
Batches = Callable[[int, int], list[dict[str, Tensor]]]


def names_of(block: int, model: nn.Module) -> list[str]:
    """Parameters of a block of one layer."""
    return [name for name, _ in model.named_parameters() if f"layers.{block}." in name]


def local_training(model: nn.Module, names: Sequence[str], batches: list[dict[str, Tensor]], rate: float) -> State:
    """K AdamW steps on a copy; what changed in `names`."""
    model = copy.deepcopy(model)
    parameters = dict(model.named_parameters())
    for name, parameter in parameters.items():
        parameter.requires_grad_(name in names)
    before = {name: parameters[name].detach().clone() for name in names}
    optimizer = torch.optim.AdamW([parameters[name] for name in names], lr=rate, eps=EPSILON, weight_decay=0.0)
    for batch in batches:
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    return {name: parameters[name].detach() - before[name] for name in names}


def add(model: nn.Module, change: State, factor: float = 1.0) -> None:
    """Add a change to a model in place."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in change.items():
            parameters[name] += factor * value


def mean(deltas: Sequence[State], weights: Sequence[float]) -> State:
    """Weighted mean."""
    total = sum(weights)
    return {name: sum(w * d[name] for w, d in zip(weights, deltas, strict=True)) / total for name in deltas[0]}


def fedavg(
    model: nn.Module, names: Callable[[int], list[str]], batches: Batches, rounds: int, n: int, rate: float,
    weights: Sequence[float], eta: float = 1.0,
) -> nn.Module:  # fmt: skip
    """FedBCD, FedIT, FFA-LoRA, full fine-tuning: train `names(t)` of the global model, average, repeat."""
    for t in range(rounds):
        deltas = [local_training(model, names(t), batches(i, t), rate) for i in range(n)]
        add(model, mean(deltas, weights), eta)
    return model


def parablock(
    model: nn.Module, schedule: Sequence[int], batches: Batches, n: int, rate: float, s: int = 1, eta: float = 1.0,
) -> nn.Module:  # fmt: skip
    """Algorithm 2 with staleness s, on N whole models."""
    clients = [copy.deepcopy(model) for _ in range(n)]
    deltas: dict[int, list[State]] = {}
    rounds = len(schedule)
    for t in range(rounds):
        deltas[t] = [local_training(x, names_of(schedule[t], x), batches(i, t), rate) for i, x in enumerate(clients)]
        aggregate = mean(deltas[t - s], [1.0] * n) if t >= s else None
        for i, x in enumerate(clients):
            add(x, deltas[t][i], eta)  # line 9: its own update ...
            if aggregate is not None:  # ... and the correction
                add(x, aggregate, eta)
                add(x, deltas[t - s][i], -eta)
        if aggregate is not None:
            add(model, aggregate, eta)  # line 10
    for t in range(max(0, rounds - s), rounds):  # lines 12-14
        add(model, mean(deltas[t], [1.0] * n), eta)
    return model


def fedcybgd(model: nn.Module, batches: Batches, rounds: int, n: int, rate: float) -> nn.Module:
    """Clients take turns; the server overwrites the block that the client returns."""
    for t in range(rounds):
        client = t % n
        names = names_of(client, model)
        trained = local_training(model, names, batches(client, t), rate)
        parameters = dict(model.named_parameters())
        with torch.no_grad():
            for name in names:
                parameters[name].copy_(parameters[name] + trained[name])
    return model
