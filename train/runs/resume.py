"""A learner's state as plain data and tensors, and back again."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor

from parasim_core.train.federated.block_choice import RoundReport
from parasim_core.train.federated.learner import TorchLearner, Trace
from parasim_core.train.federated.versions import BASE
from parasim_core.train.models.blocks import Values
from parasim_core.train.update.trained_part import TrainedStack

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
        The log of updates, merges and the survey, and what rounds told, where blocks are chosen by that; and alive
        versions, pending updates, messages that are not aggregated yet, residuals of error feedback, now and before
        these messages, optimizers that clients keep, and merged base weights.
    """
    groups: dict[tuple[str | int, ...], Values] = {("merged",): learner.trained.merged()}
    if isinstance(learner.trained, TrainedStack):
        groups |= {("older", round): values for round, values in learner.trained.older.items()}
    for item, versions in learner.versions.values.items():
        groups |= {("version", item, version): values for version, values in versions.items()}
    for client, holdings in learner.clients.items():
        groups |= {("pending", client, *key): values for key, values in holdings.pending.items()}
        groups |= {("adamw", client, item): values for item, values in holdings.adamw.items()}
    groups |= {("sent", *key): values for key, values in learner.in_flight.items()}
    groups |= {("owed", *key): values for key, values in learner.owed_before.items()}
    groups |= {("residual", *key): values for key, values in learner.messages.residuals.items()}
    record: Record = {
        "updates": list(learner.traces.values()),
        "merges": sorted(learner.merge_seconds.items()),
        "survey": [(client, seconds, norms.tolist()) for client, (seconds, norms) in learner.surveyed.items()],
    }
    if learner.adaptive is not None:
        record["reports"] = [(one.changes, one.losses) for one in learner.adaptive.reports]
    if again := [(*key, times) for key, times in learner.times.items() if times > 1]:
        record["again"] = again
    return record, {
        "/".join((*map(str, key), name)): value for key, values in groups.items() for name, value in values.items()
    }


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
    device = next(learner.model.parameters()).device
    groups: defaultdict[tuple[str, ...], Values] = defaultdict(dict)
    for path, value in tensors.items():
        *key, name = path.split("/")
        groups[tuple(key)][name] = value if key[0] == "adamw" else value.to(device)
    for (kind, *keys), values in groups.items():
        match kind, [int(key) for key in keys]:
            case "version", [item, version]:
                learner.versions.load(item, version, values)
            case "pending", [client, item, number]:
                learner.clients[client].pending[item, number] = values
            case "adamw", [client, item]:
                learner.clients[client].adamw[item] = values
            case "sent", [client, number]:
                learner.in_flight[client, number] = values
            case "owed", [client, number]:
                learner.owed_before[client, number] = values
            case "residual", [client, item]:
                learner.messages.residuals[client, item] = values
            case "older", [number] if isinstance(learner.trained, TrainedStack):
                learner.trained.older[number] = values
            case _:
                learner.trained.load_merged(values)
    learner.replayed_until = round
    learner.replay = {(trace.client, trace.round): trace for trace in (Trace(*row) for row in record["updates"])}
    learner.replayed_times = {(client, number): times for client, number, times in record.get("again", ())}
    learner.merge_seconds = dict(record["merges"])
    if isinstance(learner.trained, TrainedStack):
        learner.trained.newest = max(learner.merge_seconds, default=BASE)
    if learner.adaptive is not None:
        learner.adaptive.reports = [
            RoundReport({int(block): change for block, change in changes.items()}, [(w, loss) for w, loss in losses])
            for changes, losses in record["reports"]
        ]
    learner.surveyed = {client: (seconds, torch.tensor(norms)) for client, seconds, norms in record["survey"]}
