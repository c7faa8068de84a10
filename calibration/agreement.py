"""How far a profile's predictions are from a training run: the same rounds, predicted and measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from calibration.measured import MeasuredProfile
from calibration.points import first_layer_of
from sim.scenario import Scenario
from sim.simulate import prepare
from train.run import train_method
from train.settings import TrainSettings
from train.workbench import Workbench

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
        return cls(
            rounds[0].method,
            len(rounds),
            predicted,
            measured,
            error,
            statistics.median(sizes),
            max(sizes),
            abs(error) <= goal_pct,
        )


def train_and_predict(
    profile: MeasuredProfile, scenario: Scenario, bench: Workbench, report: Callable[[int], None]
) -> list[RoundTimes]:
    """Train one method with the measured clock, and predict each of its rounds.

    Parameters
    ----------
    profile : MeasuredProfile
        What predicts; it covers the scenario.
    scenario : Scenario
        The method and its run.
    bench : Workbench
        Model and data, on the profile's device.
    report : callable
        Told the number of rounds done.

    Returns
    -------
    list of RoundTimes
        One per round.
    """
    setup = prepare(scenario, bench.architecture)
    costs = profile.costs(setup)
    settings = TrainSettings.parse(
        {"learning_rate": _HARMLESS_RATE, "device": profile.file.device.kind, "evaluation": {"every": scenario.rounds}}
    )
    trained = train_method(scenario, settings, bench, None, costs=None, on_row=lambda rows: report(len(rows)))
    found = []
    for round, number in enumerate(setup.schedule):
        block = None if number is None or setup.blocks is None else setup.blocks[number]
        clients = [trace.client for trace in trained.learner.traces if trace.round == round]
        predicted = statistics.fmean(costs.local_update(client, round, block).seconds for client in clients)
        measured = statistics.fmean(trained.learner.simulated[client, round][0] for client in clients)
        first = None if block is None else first_layer_of(block)
        found.append(RoundTimes(scenario.method.name, round, first, predicted, measured))
    return found
