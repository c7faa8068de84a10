"""How far a profile's predictions are from a training run: the same rounds, predicted and measured.

The run was no part of the measurement: its batch size and sequence length lie within what was measured, but at levels
that were not. The trainer's own code trains it, on random tokens: then every sequence is full, as a profile's points
are, for any model that can be calibrated.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from parasim_core.calibration.measuring.measure import random_batches
from parasim_core.calibration.measuring.measured_model import MeasuredModel
from parasim_core.calibration.measuring.plan import MeasuringPlan
from parasim_core.calibration.memory.peaks import batches_per_step
from parasim_core.calibration.profiles.measured import MeasuredProfile
from parasim_core.calibration.profiles.points import first_layer_of, split_targets
from parasim_core.sim.engine.simulate import prepare
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.train.data.evaluate import model_loss
from parasim_core.train.data.partition import Partition
from parasim_core.train.data.task import Batch, Evaluation
from parasim_core.train.runs.run import train_method
from parasim_core.train.runs.settings import TrainSettings
from parasim_core.train.runs.workbench import Workbench

ROUNDS, CLIENTS, STEPS = 8, 2, 6
_LENGTHS_COME_IN = 8  # tokens: anything else is slow on a GPU for reasons of its own


def unseen_run(model: str, plan: MeasuringPlan, layers: int) -> dict[str, Any]:
    """Fields of a scenario within what a plan measures, at levels that it does not measure where there is room.

    Parameters
    ----------
    model : str
        Name of the model.
    plan : MeasuringPlan
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
        run["lora"] = {"rank": plan.ranks[0], "targets": split_targets(plan.targets[0])}
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
    gaps = [(low, round(math.sqrt(low * high) / multiple) * multiple, high) for low, high in itertools.pairwise(known)]
    found = [middle for low, middle, high in gaps if low < middle < high]
    return float(found[len(found) // 2] if found else known[0])


class RandomTokens:
    """A task of random tokens: what a step takes does not depend on which they are.

    Parameters
    ----------
    vocabulary : int
        Tokens that there are.
    scenario : Scenario
        Its `local`, its clients, and how many batches the trainer takes a step.
    """

    def __init__(self, vocabulary: int, scenario: Scenario):
        local = scenario.local
        self._shape = (local.steps * batches_per_step(scenario), local.batch_size, local.sequence_length)
        self._vocabulary = vocabulary
        self.examples: Sequence[int] = [local.batch_size] * scenario.clients

    def batches(self, client: int, round: int) -> Iterator[Batch]:
        """Draw as many batches as the steps take, all sequences full."""
        return iter(random_batches(self._vocabulary, self._shape))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the model's own loss."""
        return model_loss(model, batch)

    def evaluate(self, model: nn.Module, *, accuracy: bool = True, progress: Any = None) -> Evaluation:
        """Measure nothing: random tokens cannot be learned. The loss over no examples is 0."""
        return Evaluation(0.0, None, 0)


def workbench(subject: MeasuredModel, scenario: Scenario) -> Workbench:
    """What the trainer starts from: the calibrated model and random tokens.

    Parameters
    ----------
    subject : MeasuredModel
        The model.
    scenario : Scenario
        The run.
    """
    partition = Partition(tuple((client,) for client in range(scenario.clients)), ("",) * scenario.clients)
    task = RandomTokens(subject.architecture.vocabulary_size, scenario)
    return Workbench(subject.model, subject.architecture, None, task, partition, "random tokens")


_HARMLESS_RATE = 1e-9
"""Learning rate: random tokens teach nothing, and a model that diverged would end the run."""


@dataclass(frozen=True)
class RoundTimes:
    """Compute time of one round, per client.

    Attributes
    ----------
    method : str
        The method.
    round : int
        0-based.
    first_layer : float or None
        Where its block begins; None for methods without blocks.
    predicted_s, measured_s : float
        Means over the clients [s].
    """

    method: str
    round: int
    first_layer: float | None
    predicted_s: float
    measured_s: float

    @property
    def error_pct(self) -> float:
        """Predicted over measured, less one [%]."""
        return 100 * (self.predicted_s / self.measured_s - 1)


@dataclass(frozen=True)
class Agreement:
    """Compute time per round of one method, predicted and measured.

    Attributes
    ----------
    method : str
        The method.
    rounds : int
        Rounds that were trained.
    predicted_s, measured_s : float or None
        Mean compute time of a round and client [s]; None where the profile predicts nothing.
    error_pct : float or None
        Predicted over measured, less one [%].
    median_round_pct, largest_round_pct : float or None
        Size of the error of single rounds [%].
    met : bool
        Whether `error_pct` is within the goal.
    reason : str
        Why nothing is predicted; empty if it is.
    """

    method: str
    rounds: int
    predicted_s: float | None = None
    measured_s: float | None = None
    error_pct: float | None = None
    median_round_pct: float | None = None
    largest_round_pct: float | None = None
    met: bool = False
    reason: str = ""

    @classmethod
    def of(cls, rounds: Sequence[RoundTimes], goal_pct: float) -> Agreement:
        """Sum the rounds of a method up.

        Parameters
        ----------
        rounds : sequence of RoundTimes
            At least one.
        goal_pct : float
            How far predicted and measured may be apart [%].
        """
        predicted = statistics.fmean(times.predicted_s for times in rounds)
        measured = statistics.fmean(times.measured_s for times in rounds)
        error = 100 * (predicted / measured - 1)
        sizes = [abs(times.error_pct) for times in rounds]
        of_rounds = statistics.median(sizes), max(sizes)
        return cls(rounds[0].method, len(rounds), predicted, measured, error, *of_rounds, met=abs(error) <= goal_pct)


def settings_of(scenario: Scenario, device: str) -> TrainSettings:
    """How a run is trained: as its train section says, on the profile's device, learning nothing.

    Raises
    ------
    ScenarioError
        If the section is wrong.
    """
    own = {"learning_rate": _HARMLESS_RATE, "device": device, "evaluation": {"every": scenario.rounds}}
    return TrainSettings.parse((scenario.train or {}) | own)


def train_and_predict(
    profile: MeasuredProfile, scenario: Scenario, bench: Workbench, report: Callable[[str, int, int], None]
) -> list[RoundTimes]:
    """Train one method with the measured clock, and predict each of its rounds.

    Parameters
    ----------
    profile : MeasuredProfile
        What predicts.
    scenario : Scenario
        The method and its run.
    bench : Workbench
        Model and data, on the profile's device.
    report : callable
        Told what is trained, the number of rounds done, and of how many.

    Returns
    -------
    list of RoundTimes
        One per round.

    Raises
    ------
    CostError
        If the profile does not cover the scenario.
    """
    setup = prepare(scenario, bench.architecture)
    costs = profile.costs(setup)
    settings = settings_of(scenario, profile.file.device.kind)
    what, rounds = f"training {scenario.method.name}", scenario.rounds
    report(what, 0, rounds)
    trained = train_method(
        scenario, settings, bench, None, costs=None, on_row=lambda rows: report(what, len(rows), rounds)
    )
    found = []
    for round, number in enumerate(setup.schedule):
        block = None if number is None or setup.blocks is None else setup.blocks[number]
        traces = [trace for trace in trained.learner.traces.values() if trace.round == round]
        predicted = statistics.fmean(costs.local_update(trace.client, round, block).seconds for trace in traces)
        measured = statistics.fmean(trace.seconds for trace in traces)
        first = None if block is None else first_layer_of(block)
        found.append(RoundTimes(scenario.method.name, round, first, predicted, measured))
    return found
