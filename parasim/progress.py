"""What a training tells while it goes on: its metrics as a file, a line per round, and people's own loggers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path

from parasim.comparison import Report
from parasim.loggers.logbook import Logbook
from parasim.text import clock
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.train.runs.checkpoint import saved_rounds
from parasim_core.train.runs.metrics import MetricsRow, write_metrics

LOGGER = logging.getLogger("parasim")
"""Told a line per round, at the level INFO."""


class Progress:
    """Tells what each method has come to.

    Parameters
    ----------
    directory : Path
        Of the training.
    metrics : dict of str to list of dict
        What other methods brought that were trained there before.
    logbook : Logbook
        People's own loggers.
    report : callable
        Told what is being done, the rounds done and in total.
    """

    def __init__(self, directory: Path, metrics: dict[str, list[MetricsRow]], logbook: Logbook, report: Report):
        self._directory, self._logbook, self._report = directory, logbook, report
        self.metrics = metrics

    def of(self, scenario: Scenario) -> Callable[[list[MetricsRow]], None]:
        """Return what is to be told of a method after each of its rounds: all metrics so far."""
        return partial(self._after_a_round, scenario)

    def _after_a_round(self, scenario: Scenario, rows: list[MetricsRow]) -> None:
        LOGGER.info("%s", about_round(rows[-1], scenario.rounds))
        self.tell(scenario, rows)

    def begin(self, scenario: Scenario) -> None:
        """Begin with a method: loggers that refuse do it before anything is trained.

        Raises
        ------
        ParaSimError
            If a logger refuses.
        """
        self._log(scenario, self.metrics.get(scenario.method.name, []))

    def tell(self, scenario: Scenario, rows: list[MetricsRow]) -> None:
        """Tell what a method has come to.

        Parameters
        ----------
        scenario : Scenario
            The method and everything simulated about it.
        rows : list of dict
            All of its metrics so far.

        Raises
        ------
        ParaSimError
            If the metrics cannot be written, or a logger refuses.
        """
        name = scenario.method.name
        self._report(f"training {name}", len(rows), scenario.rounds)
        self.metrics[name] = rows
        write_metrics(self._directory / "metrics.csv", self.rows())
        self._log(scenario, rows)

    def _log(self, scenario: Scenario, rows: list[MetricsRow]) -> None:
        # What no checkpoint holds, an interrupted training would train once more.
        name = scenario.method.name
        safe = max(saved_rounds(self._directory / name / "checkpoints"), default=-1) + 1
        self._logbook.log(name, rows[:safe], scenario)

    def rows(self) -> list[MetricsRow]:
        """Metrics of all methods."""
        return list(chain.from_iterable(self.metrics.values()))


def about_round(row: MetricsRow, rounds: int) -> str:
    """Say in a line what a round brought.

    Parameters
    ----------
    row : dict
        Its metrics.
    rounds : int
        How many there are.
    """
    told = [
        f"{what} {row[column]:.4f}"
        for column, what in (("train_loss", "training loss"), ("eval_loss", "held-out loss"))
        if row[column] is not None
    ]
    accuracy = row["accuracy"]
    told += [] if accuracy is None else [f"accuracy {accuracy:.1%}"]
    when = clock(float(str(row["simulated_s"])))
    return f"{row['method']}: round {int(str(row['round'])) + 1} of {rounds}, {when}: {', '.join(told)}"
