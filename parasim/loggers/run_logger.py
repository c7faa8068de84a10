"""What a logger is: where the measured values of one method go, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Scalars = Mapping[str, float]
"""Measured values by their names in the metrics."""


@dataclass(frozen=True)
class LoggedRun:
    """What is logged.

    Attributes
    ----------
    method : str
        The method, which the run is called by.
    directory : Path
        Of the training, where loggers keep what they keep on this machine.
    config : mapping
        The scenario, train section included, as plain data.
    known_as : str
        What the logger called the run when it was begun; empty for one that is begun now.
    steps : int
        Steps that were logged before.
    """

    method: str
    directory: Path
    config: Mapping[str, Any]
    known_as: str
    steps: int


class RunLogger(Protocol):
    """Where the values of one method go.

    Attributes
    ----------
    known_as : str
        What the run is called there, to go on with it later.
    where : str
        Where people find it.
    """

    known_as: str
    where: str

    def log(self, step: int, seconds: float, values: Scalars) -> None:
        """Log what was measured after so many rounds and simulated seconds, for good.

        Parameters
        ----------
        step : int
            Rounds that are done; 0 for the base.
        seconds : float
            Simulated time by then [s].
        values : mapping of str to float
            What was measured.
        """

    def close(self) -> None:
        """End it; another process may go on with the run."""


Opener = Callable[[LoggedRun], RunLogger]
"""Begins a run, or goes on with it."""
