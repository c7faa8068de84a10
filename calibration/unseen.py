"""A training run that a profile should predict and that was no part of its measurement.

Batch size and sequence length lie within what was measured, but at levels that were not. The trainer's own code
trains it, on random tokens: then every sequence is full, as a profile's points are, for any model that can be
calibrated.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from calibration.measure import random_batches
from calibration.plan import Plan
from calibration.points import Point, split_targets
from calibration.subject import Subject
from sim.methods import Trains
from sim.scenario import Scenario
from train.evaluate import model_loss
from train.partition import Partition
from train.task import Batch, Evaluation
from train.workbench import Workbench

ROUNDS, CLIENTS, STEPS = 8, 2, 6
_LENGTHS_COME_IN = 8  # tokens: anything else is slow on a GPU for reasons of its own


def unseen_run(model: str, plan: Plan, layers: int) -> dict[str, Any]:
    """Fields of a scenario within what a plan measures, at levels that it does not measure where there is room.

    Parameters
    ----------
    model : str
        Name of the model.
    plan : Plan
        What is measured.
    layers : int
        Layers of the model.

    Returns
    -------
    dict of str to object
        Blocks are trained in turn from the lowest to the highest, so that every place has its share.
    """
    narrow = [width for width in plan.layers if width <= max(layers / 2, min(plan.layers))]
    run: dict[str, Any] = {
        "name": "unseen",
        "model": model,
        "rounds": ROUNDS,
        "blocks": {"layers": between(narrow), "schedule": "sequential"},
        "local": {
            "steps": STEPS,
            "batch_size": int(between(plan.batch_sizes)),
            "sequence_length": int(between(plan.sequence_lengths, multiple=_LENGTHS_COME_IN)),
        },
        "fleet": [{"name": "client", "count": CLIENTS, "uplink": "1GB/s"}],
        "wire": {"bytes_per_parameter": 4},
    }
    if plan.targets and plan.ranks:
        targets = split_targets(plan.targets[0])
        run["lora"] = {"rank": plan.ranks[0], "targets": targets if isinstance(targets, str) else list(targets)}
    return run


def between(levels: Sequence[float], multiple: int = 1) -> float:
    """Choose a value between two neighbouring levels, as far from both as it can be.

    Parameters
    ----------
    levels : sequence of float
        What was measured.
    multiple : int
        The value is one of this number's multiples.

    Returns
    -------
    float
        Within the middle of the gaps that have room for a whole number; the lowest level if none has.
    """
    known = sorted(set(levels))
    found = []
    for low, high in itertools.pairwise(known):
        value = round(math.sqrt(low * high) / multiple) * multiple
        if low < value < high:
            found.append(float(value))
    return found[len(found) // 2] if found else float(known[0])


class RandomTokens:
    """A task of random tokens: what a step takes does not depend on which they are.

    Parameters
    ----------
    vocabulary : int
        Tokens that there are.
    scenario : Scenario
        Its `local` and its clients.
    """

    def __init__(self, vocabulary: int, scenario: Scenario):
        local = scenario.local
        self._shape = Point(
            trains=Trains.EVERYTHING, batch_size=local.batch_size, sequence_length=local.sequence_length
        )
        self._vocabulary = vocabulary
        self._steps = local.steps
        self.examples: Sequence[int] = [local.batch_size] * scenario.clients

    def batches(self, client: int, round: int) -> Iterator[Batch]:
        """Draw as many batches as there are steps, all sequences full."""
        return iter(random_batches(self._vocabulary, self._shape, self._steps))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the model's own loss."""
        return model_loss(model, batch)

    def evaluate(self, model: nn.Module, *, accuracy: bool = True, progress: Any = None) -> Evaluation:
        """Measure nothing: random tokens cannot be learned. The loss over no examples is 0."""
        return Evaluation(0.0, None, 0)


def workbench(subject: Subject, scenario: Scenario) -> Workbench:
    """What the trainer starts from: the calibrated model and random tokens.

    Parameters
    ----------
    subject : Subject
        The model.
    scenario : Scenario
        The run.
    """
    partition = Partition(tuple((client,) for client in range(scenario.clients)), ("",) * scenario.clients)
    task = RandomTokens(subject.architecture.vocabulary_size, scenario)
    return Workbench(subject.model, subject.architecture, None, task, partition, "random tokens")
