"""The loggers of a training, and how far each has come: a training that is resumed goes on, and logs nothing twice.

Only rounds that a checkpoint holds are logged, which no resumed training trains again. How many were logged of a method
is kept in its folder, as ``logged.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from parasim.loggers.run_logger import LoggedRun, Opener, RunLogger
from parasim_core.sim.errors import OutputError, ParaSimError, ScenarioError, install_hint, nearest
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.support.atomic_files import read_text, write_json
from parasim_core.train.runs.metrics import MetricsRow

RECORD = "logged.json"
_VALUES = ("train_loss", "eval_loss", "accuracy", "uploaded_bytes", "downloaded_bytes")


class _Kind(NamedTuple):
    module: str
    opener: str
    needs: str


KINDS = {
    "tensorboard": _Kind("parasim.loggers.to_tensorboard", "TensorBoardLogger", "tensorboard"),
    "wandb": _Kind("parasim.loggers.to_wandb", "WandbLogger", "wandb"),
    "mlflow": _Kind("parasim.loggers.to_mlflow", "MlflowLogger", "mlflow"),
}
"""What can be asked for; each is also the name of the extra that it needs."""


def check_loggers(names: Sequence[str]) -> None:
    """Refuse loggers that there are not, or that are not installed, before anything is trained.

    Raises
    ------
    ParaSimError
        Naming those that there are, or the extra that is missing.
    """
    for name in names:
        if name not in KINDS:
            raise ScenarioError(f"--log {name}: no such logger; {nearest(name, KINDS)}")
        if names.count(name) > 1:
            raise ScenarioError(f"--log {name}: is named twice")
        if find_spec(KINDS[name].needs) is None:
            raise ParaSimError(install_hint(f"--log {name}", name))


class Logbook:
    """Logs the methods of a training, one after the other; to be closed by a ``with`` block.

    Parameters
    ----------
    names : sequence of str
        Loggers, of `KINDS`.
    directory : Path
        Of the training.
    base : mapping
        Held-out loss and accuracy of the base: what every method begins with.

    Attributes
    ----------
    places : dict of str to str
        Where people find what each logger was told.
    """

    def __init__(self, names: Sequence[str], directory: Path, base: Mapping[str, float | None]):
        self._names, self._directory, self._base = names, directory, base
        # Of each logger the method that it has open: services take one run at a time.
        self._open: dict[str, tuple[str, RunLogger]] = {}
        self.places: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, logger in self._open.values():
            logger.close()

    def log(self, method: str, rows: Sequence[MetricsRow], scenario: Scenario) -> None:
        """Log what was not logged yet of a method.

        Parameters
        ----------
        method : str
            The method.
        rows : sequence of dict
            All of its metrics that a checkpoint holds.
        scenario : Scenario
            What is trained, which loggers show as the run's configuration.

        Raises
        ------
        ParaSimError
            If a logger refuses, or what was logged before cannot be read or written.
        """
        if not self._names:
            return
        steps = [(0, 0.0, dict(self._base)), *map(_step, rows)]
        config = scenario.model_dump(mode="json", exclude_none=True)
        logged = self._logged(method)
        for name in self._names:
            before = logged.get(name, {"run": "", "steps": 0})
            if before["steps"] >= len(steps):
                continue
            logger = self._logger(name, LoggedRun(method, self._directory, config, before["run"], before["steps"]))
            for number, seconds, values in steps[before["steps"] :]:
                logger.log(number, seconds, {key: value for key, value in values.items() if value is not None})
            logged[name] = {"run": logger.known_as, "steps": len(steps)}
            write_json(self._directory / method / RECORD, logged)

    def _logger(self, name: str, run: LoggedRun) -> RunLogger:
        """Begin a run with a logger, or go on with it, unless that is open."""
        method, logger = self._open.get(name, ("", None))
        if logger is None or method != run.method:
            if logger is not None:
                logger.close()
            kind = KINDS[name]
            opener: Opener = getattr(import_module(kind.module), kind.opener)
            logger = opener(run)
            self._open[name] = (run.method, logger)
            self.places[name] = logger.where
        return logger

    def _logged(self, method: str) -> dict[str, Any]:
        """What each logger calls the run of a method, and how many steps it has of it."""
        path = self._directory / method / RECORD
        if not path.exists():
            return {}
        try:
            found: dict[str, Any] = json.loads(read_text(path))
            if not all(isinstance(one["steps"], int) and isinstance(one["run"], str) for one in found.values()):
                raise ValueError("fields are missing")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise OutputError(f"{path}: is damaged ({error}); delete it to log the method from its beginning") from None
        return found


def _step(row: MetricsRow) -> tuple[int, float, dict[str, Any]]:
    return int(str(row["round"])) + 1, float(str(row["simulated_s"])), {name: row[name] for name in _VALUES}
