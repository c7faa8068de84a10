"""A learner's state as plain data and tensors, and back again."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sim.learner import Update
from train.blocks import Values
from train.learner import Client, TorchLearner, Trace

Record = dict[str, Any]


def state(learner: TorchLearner) -> tuple[Record, dict[str, Tensor]]:
    """Take what a resumed learner needs.

    Parameters
    ----------
    learner : TorchLearner
        The learner, just after an aggregation.

    Returns
    -------
    tuple of dict and dict of str to torch.Tensor
        The log of updates, merges and the survey; and alive versions, pending updates, messages that are not
        aggregated yet, residuals of error feedback, and merged base weights.
    """
    tensors: dict[str, Tensor] = {}

    def put(kind: str, key: tuple[int, ...], values: Values) -> None:
        for name, value in values.items():
            tensors["/".join((kind, *map(str, key), name))] = value

    for item, versions in learner.versions.values.items():
        for version, values in versions.items():
            put("version", (item, version), values)
    for client, holdings in learner.clients.items():
        for (item, round), values in holdings.pending.items():
            put("pending", (client, item, round), values)
    for (client, round), values in learner.in_flight.items():
        put("sent", (client, round), values)
    for key, values in learner.messages.residuals.items():
        put("residual", key, values)
    put("merged", (), learner.trained.merged())
    record = {
        "updates": [
            [t.client, t.round, t.loss, t.measured, *learner.simulated[t.client, t.round]] for t in learner.traces
        ],
        "merges": [[round, seconds] for round, seconds in sorted(learner.merge_seconds.items())],
        "survey": [[client, seconds, norms.tolist()] for client, (seconds, norms) in learner.surveyed.items()],
    }
    return record, tensors


def restore(learner: TorchLearner, round: int, record: Record, tensors: dict[str, Tensor]) -> None:
    """Bring a fresh learner to a state that `state` took after the aggregation of `round`.

    Parameters
    ----------
    learner : TorchLearner
        A learner that has done nothing yet.
    round : int
        Last aggregated round.
    record, tensors : dict
        What `state` returned.
    """
    import torch

    device = next(learner.model.parameters()).device
    groups: dict[tuple[str, ...], Values] = {}
    for path, value in tensors.items():
        kind, *rest = path.split("/")
        keys = rest[:-1]
        groups.setdefault((kind, *keys), {})[rest[-1]] = value.to(device)
    sent: dict[tuple[int, int], Values] = {}
    for (kind, *keys), values in groups.items():
        numbers = tuple(int(key) for key in keys)
        if kind == "version":
            learner.versions.load(numbers[0], numbers[1], values)
        elif kind == "pending":
            learner.clients.setdefault(numbers[0], Client()).pending[numbers[1], numbers[2]] = values
        elif kind == "sent":
            sent[numbers[0], numbers[1]] = values
        elif kind == "residual":
            learner.messages.residuals[numbers[0], numbers[1]] = values
        else:
            learner.trained.load_merged(values)
    learner.replayed_until = round
    for client, number, loss, measured, seconds, serial in record["updates"]:
        update = Update(client, number, None, seconds, serial, sent.get((client, number)))
        learner.replay[client, number] = (Trace(client, number, loss, measured), update)
    learner.merge_seconds = dict(record["merges"])
    for client, seconds, norms in record["survey"]:
        learner.surveyed[client] = (seconds, torch.tensor(norms))
