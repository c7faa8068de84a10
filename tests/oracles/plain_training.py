"""The federated methods once more, as plainly as can be: loops over whole copies of the model, nothing shared.

No protocol, no versions, no events: N models, `copy.deepcopy`, and the update rules as the papers state them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any

import torch
from torch import Tensor, nn

EPSILON = 1e-3
"""Large enough that AdamW does not blow rounding up where a gradient is next to zero."""

State = dict[str, Tensor]
Batches = Callable[[int, int], list[dict[str, Tensor]]]


def names_of(block: int, model: nn.Module) -> list[str]:
    """Parameters of a block of one layer."""
    return [name for name, _ in model.named_parameters() if f"layers.{block}." in name]


def local_training(
    model: nn.Module, names: Sequence[str], batches: list[dict[str, Tensor]], rate: float | Sequence[float],
    memory: dict[str, Any] | None = None,
) -> State:  # fmt: skip
    """K AdamW steps on a copy; what changed in `names`. AdamW goes on from a memory, and leaves its state there."""
    model = copy.deepcopy(model)
    parameters = dict(model.named_parameters())
    for name, parameter in parameters.items():
        parameter.requires_grad_(name in names)
    before = {name: parameters[name].detach().clone() for name in names}
    optimizer = torch.optim.AdamW([parameters[name] for name in names], lr=1.0, eps=EPSILON, weight_decay=0.0)
    if memory:
        optimizer.load_state_dict(memory)
    for step, batch in enumerate(batches):
        optimizer.param_groups[0]["lr"] = rate if isinstance(rate, float) else rate[step]
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    if memory is not None:
        memory.update(copy.deepcopy(optimizer.state_dict()))
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


Wire = Callable[[State], State]
"""What is left of a message when it arrives."""


def unchanged(message: State) -> State:
    """All of it."""
    return message


def bfloat16(message: State) -> State:
    """Every value rounded to 8 bits: what 2 bytes hold."""
    return {name: value.bfloat16().float() for name, value in message.items()}


def float16(message: State) -> State:
    """Every value rounded to 11 bits, the smallest to nothing."""
    return {name: value.half().float() for name, value in message.items()}


def fedavg(
    model: nn.Module, names: Callable[[int], list[str]], batches: Batches, rounds: int, n: int, rate: float,
    weights: Sequence[float], eta: float = 1.0, up: Wire = unchanged, down: Wire = unchanged, feedback: bool = False,
) -> nn.Module:  # fmt: skip
    """FedBCD, FedIT, FFA-LoRA, full fine-tuning: train `names(t)` of the global model, average, repeat.

    With feedback, a client adds what a message lost to its next one about the same names.
    """
    owed: dict[tuple[int, str], Tensor] = {}
    for t in range(rounds):
        sent = []
        for i in range(n):
            delta = local_training(model, names(t), batches(i, t), rate)
            if feedback:
                delta = {name: value + owed.get((i, name), 0.0) for name, value in delta.items()}
            sent.append(up(delta))
            owed |= {(i, name): value - sent[i][name] for name, value in delta.items()}
        add(model, down(mean(sent, weights)), eta)
    return model


def parablock(
    model: nn.Module, schedule: Sequence[int], batches: Batches, n: int, rate: float, s: int = 1, eta: float = 1.0,
    up: Wire = unchanged, down: Wire = unchanged,
) -> nn.Module:  # fmt: skip
    """Algorithm 2 with staleness s, on N whole models. What a client has of its own is not what it sends."""
    clients = [copy.deepcopy(model) for _ in range(n)]
    deltas: dict[int, list[State]] = {}
    rounds = len(schedule)
    for t in range(rounds):
        deltas[t] = [local_training(x, names_of(schedule[t], x), batches(i, t), rate) for i, x in enumerate(clients)]
        aggregate = down(mean([up(delta) for delta in deltas[t - s]], [1.0] * n)) if t >= s else None
        for i, x in enumerate(clients):
            add(x, deltas[t][i], eta)  # line 9: its own update ...
            if aggregate is not None:  # ... and the correction
                add(x, aggregate, eta)
                add(x, deltas[t - s][i], -eta)
        if aggregate is not None:
            add(model, aggregate, eta)  # line 10
    for t in range(max(0, rounds - s), rounds):  # lines 12-14
        add(model, down(mean([up(delta) for delta in deltas[t]], [1.0] * n)), eta)
    return model


def parablock_with_losses(
    model: nn.Module, schedule: Sequence[int], batches: Batches, rate: float, computed: Sequence[Sequence[int]],
    aggregated: Sequence[Sequence[int]], anew: Sequence[Sequence[int]],
) -> nn.Module:  # fmt: skip
    """Algorithm 2 with s = 1, where clients vanish: given who computed and whose updates were aggregated in each round.

    Who begins anew in a round has nothing of its own: it takes the server's model as it then is. All that computed a
    round correct, whether or not their own update was part of the aggregate.
    """
    clients = {i: copy.deepcopy(model) for i in computed[0]}
    deltas: list[dict[int, State]] = []
    for t, block in enumerate(schedule):
        clients |= {i: copy.deepcopy(model) for i in anew[t]}
        deltas.append({i: local_training(clients[i], names_of(block, model), batches(i, t), rate) for i in computed[t]})
        for i, delta in deltas[t].items():
            add(clients[i], delta)
        if t:
            own = deltas[t - 1]
            aggregate = mean([own[i] for i in aggregated[t - 1]], [1.0] * len(aggregated[t - 1]))
            add(model, aggregate)
            for i in set(computed[t]) & set(own) - set(anew[t]):
                add(clients[i], aggregate)
                add(clients[i], own[i], -1.0)
            for i in anew[t]:
                add(clients[i], aggregate)
    add(model, mean([deltas[-1][i] for i in aggregated[-1]], [1.0] * len(aggregated[-1])))
    return model


def parablock_async(
    model: nn.Module, schedule: Sequence[int], batches: Batches, rate: float, seconds: Sequence[float],
    one_way: Sequence[float], buffer: int, aggregations: int, weight: Callable[[int], float] = lambda s: 1.0,
    bound: float = float("inf"),
) -> tuple[nn.Module, list[tuple[float, int]]]:  # fmt: skip
    """Asynchronous ParaBlock on N whole models, on a clock of its own: also when which block was aggregated.

    A client computes for so long, and sends or fetches a block in so long; no two things end in the same instant.
    """
    clients = [{"x": copy.deepcopy(model), "n": -1, "seen": 0, "idle": True} for _ in seconds]
    buffers: dict[int, list[tuple[int, State]]] = {}
    log: list[tuple[float, int]] = []
    events: list[tuple[float, str, int, Any]] = [(0.0, "begin", i, None) for i in range(len(seconds))]
    while len(log) < aggregations:
        now, what, i, about = heappop(events)
        client = clients[i]
        if what == "begin":
            client |= {"n": client["n"] + 1, "begun": client["seen"], "computes": True, "talks": False, "waits": False}
            if client["n"]:
                client |= {"sent": client["made"], "talks": True}
                heappush(events, (now + one_way[i], "arrive", i, None))
            block = schedule[client["n"] % len(schedule)]
            delta = local_training(client["x"], names_of(block, model), batches(i, client["n"]), rate)
            client["made"] = (block, delta, client["begun"])
            heappush(events, (now + seconds[i], "computed", i, None))
            continue
        if what == "computed":
            add(client["x"], client["made"][1])
            client |= {"computes": False, "talks": client["talks"] and not client["waits"], "waits": False}
        elif what == "arrive":
            block, delta, begun = client["sent"]
            stale = len(log) - begun
            if stale <= bound:
                buffers.setdefault(block, []).append((i, {name: weight(stale) * v for name, v in delta.items()}))
            if len(buffers.get(block, ())) == buffer:
                add(model, mean([d for _, d in sorted(buffers.pop(block), key=lambda e: e[0])], [1.0] * buffer))
                log.append((now, block))
            client["waits"] = True
        elif what == "fetched":
            for name, value in about.items():
                dict(client["x"].named_parameters())[name].data.copy_(value)
            if not client["computes"]:
                add(client["x"], {n: v for n, v in client["made"][1].items() if n in about})
            client["talks"] = False
        for j, other in enumerate(clients):
            newer = {block for _, block in log[other["seen"] :]} if other.get("waits") else ()
            if newer:
                names = [name for block in newer for name in names_of(block, model)]
                values = {n: v.detach().clone() for n, v in model.named_parameters() if n in names}
                heappush(events, (now + len(newer) * one_way[j], "fetched", j, values))
                other |= {"waits": False, "seen": len(log)}
            elif other.get("waits") and not other["computes"]:
                other |= {"waits": False, "talks": False}
        if not client["computes"] and not client["talks"]:
            heappush(events, (now, "begin", i, None))
    return model, log


def fedcybgd(
    model: nn.Module, batches: Batches, rounds: int, n: int, rate: Callable[[int], float | Sequence[float]],
    *, kept: bool = True, fetched: Callable[[int], Sequence[int]] | None = None, unfetched: str = "base",
    up: Wire = unchanged, down: Wire = unchanged, blocks: int | None = None, turns: Sequence[int] = (),
) -> nn.Module:  # fmt: skip
    """Clients take turns, or those that are given; the server overwrites the block that the client returns.

    For blocks that a client does not fetch stand the base's values, as in the method's public code, or those that it
    had last. AdamW's state stays with the client or begins afresh. With fewer blocks than clients, some share one.
    """
    owner: dict[int, int] = {}
    base, memories = copy.deepcopy(model), [{} for _ in range(n)]
    last = [copy.deepcopy(model) for _ in range(n)]
    for t in range(rounds):
        client = turns[t] if turns else t % n
        own = copy.deepcopy(base if unfetched == "base" else last[client])
        mine = client % (blocks or n)
        still_mine = [mine] if owner.get(mine) == client else []
        for block in (*range(n),) if fetched is None else (*fetched(t), *still_mine):
            overwrite(own, model, names_of(block, model))
        names = names_of(mine, model)
        memory = memories[client] if kept else None
        delta = local_training(own, names, batches(client, t), rate(t), memory)
        add(own, down(up(delta)))
        overwrite(model, own, names)
        owner[mine], last[client] = client, own
    return model


def overwrite(model: nn.Module, other: nn.Module, names: Sequence[str]) -> None:
    """Put another model's values into a model."""
    values = dict(other.named_parameters())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in names:
                parameter.copy_(values[name])
