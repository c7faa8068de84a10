"""How long a training goes on, when it is good enough, and which of its rounds was the best."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parasim.text import clock
from parasim_core.sim.engine.costs import Costs
from parasim_core.sim.engine.simulate import Setup, prepare
from parasim_core.sim.errors import OutputError, ScenarioError
from parasim_core.sim.protocols.buffered import AsyncParams, buffer_size
from parasim_core.sim.scenario.reading import load
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.train.runs.metrics import MetricsRow
from parasim_core.train.runs.recorder import reaches
from parasim_core.train.runs.run import Trained, best_learner
from parasim_core.train.runs.settings import TrainSettings
from parasim_core.train.runs.workbench import Workbench


@dataclass(frozen=True)
class Reached:
    """When a method had a held-out loss.

    Attributes
    ----------
    rounds : int
        After how many rounds.
    seconds : float
        Simulated time by then [s].
    profile_seconds : float or None
        By the profile, where both clocks are asked for [s].
    loss : float
        Held-out loss by then [nats].
    """

    rounds: int
    seconds: float
    profile_seconds: float | None
    loss: float


def as_long_as(scenario: Scenario, epochs: float, settings: TrainSettings, bench: Workbench) -> Scenario:
    """Give a scenario the rounds in which its clients go over their examples so many times, on average over clients.

    A round trains on as many examples as updates are aggregated in it, times steps, batch size and accumulated batches;
    so a method whose rounds are the turns of one client has the more of them.

    Parameters
    ----------
    scenario : Scenario
        The method and everything simulated about it; its `rounds` do not matter.
    epochs : float
        How many times, positive.
    settings : TrainSettings
        Its `accumulation`.
    bench : Workbench
        Who has how many examples.

    Raises
    ------
    ScenarioError
        If something of the scenario is given round by round, for another number of them.
    """
    setup = prepare(scenario, bench.architecture)
    parameters: Any = scenario.method
    if isinstance(parameters, AsyncParams):
        updates: float = buffer_size(parameters, scenario.clients)
    else:
        sizes = setup.cohorts.sizes()
        updates = sum(sizes) / len(sizes)
    of_a_round = updates * scenario.local.batch_size * scenario.local.steps * settings.accumulation
    # A whole number that binary fractions miss is no further round.
    rounds = math.ceil(round(epochs * sum(bench.task.examples) / of_a_round, 6))
    return load(scenario, [("rounds", max(rounds, 1))])


def check_goals(target: float | None, epochs: float | None, overrides: Sequence[tuple[str, Any]]) -> None:
    """Refuse a loss or a number of epochs that cannot be meant.

    Raises
    ------
    ScenarioError
        Naming the option.
    """
    for option, value in (("--target-loss", target), ("--epochs", epochs)):
        if value is not None and not (0 < value < math.inf):
            raise ScenarioError(f"{option} {value:g}: must be positive")
    fields = [field for field, _ in overrides]
    if epochs is not None and "rounds" in fields:
        raise ScenarioError(
            f"--epochs {epochs:g}: says how many rounds there are, and so does rounds; give one of them"
        )


def when_reached(metrics: Sequence[MetricsRow], target: float, profile_seconds: Sequence[float]) -> Reached | None:
    """Find the first round whose held-out loss is a target or less; None if there is none.

    Parameters
    ----------
    metrics : sequence of dict
        Of one method.
    target : float
        The loss [nats].
    profile_seconds : sequence of float
        When each round ends by the profile [s]; empty where only one clock is asked for.
    """
    for number, row in enumerate(metrics):
        if reaches(row, target):
            seconds, loss = (float(str(row[column])) for column in ("simulated_s", "eval_loss"))
            return Reached(number + 1, seconds, profile_seconds[number] if profile_seconds else None, loss)
    return None


def about_target(name: str, rounds: int, target: float, metrics: Sequence[MetricsRow], reached: Reached | None) -> str:
    """Say when a method reached a held-out loss, or how near it came.

    Parameters
    ----------
    name : str
        The method.
    rounds : int
        How many it was to have.
    target : float
        The loss [nats].
    metrics : sequence of dict
        Of the method.
    reached : Reached or None
        When it did.
    """
    if reached is not None:
        when: str = clock(reached.seconds)
        if reached.profile_seconds is not None:
            when = f"{when} as measured and {clock(reached.profile_seconds)} by the profile"
        return (
            f"{name} reached a held-out loss of {target:g} after {reached.rounds} of {rounds} rounds, in {when}: "
            f"{reached.loss:.4f}."
        )
    measured = [(float(str(row["eval_loss"])), row["round"]) for row in metrics if row["eval_loss"] is not None]
    loss, number = min(measured, key=lambda each: each[0])
    return (
        f"{name} did not reach a held-out loss of {target:g} in {rounds} rounds; its lowest is {loss:.4f}, after "
        f"{int(str(number)) + 1}."
    )


def save_best(
    trained: Trained, bench: Workbench, folder: Path, base: str | None, costs: Callable[[Setup], Costs] | None
) -> str | None:
    """Leave the model of the round with the lowest held-out loss in ``best/model``, unless that is the last round.

    Parameters
    ----------
    trained : Trained
        The run, over.
    bench : Workbench
        Its base model and data.
    folder : Path
        The method's, with its checkpoints.
    base : str or None
        Folder or name of the base model.
    costs : callable or None
        As of `train.runs.run.train_method`.

    Returns
    -------
    str or None
        A sentence about it, if there is one.

    Raises
    ------
    ParaSimError
        If the checkpoint is damaged or the model cannot be written.
    """
    best = best_learner(trained, bench, folder / "checkpoints", costs)
    if best is None:
        try:
            if (folder / "best").exists():
                shutil.rmtree(folder / "best")
        except OSError as error:
            raise OutputError(f"{folder / 'best'}: cannot be removed: {error.strerror}") from None
        return None
    row = trained.metrics[best.replayed_until]
    Trained(trained.result, trained.metrics, best).save_model(folder / "best" / "model", bench.tokenizer, base)
    name, last = trained.result.scenario.method.name, trained.metrics[-1]
    return (
        f"{name} was best after {best.replayed_until + 1} rounds, with a held-out loss of {row['eval_loss']:.4f} "
        f"against {last['eval_loss']:.4f} in the end: {folder / 'best' / 'model'}."
    )
