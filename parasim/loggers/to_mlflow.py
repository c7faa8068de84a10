"""MLflow: a run for each method, on the server that ``MLFLOW_TRACKING_URI`` names, or in a file beside the results.

Metrics are dated in simulated time, which its axis "relative time" shows.
"""

from __future__ import annotations

import logging
import os

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from parasim.loggers.run_logger import LoggedRun, Scalars
from parasim_core.sim.errors import ParaSimError, brief
from parasim_core.train.runs.fingerprint import flat

EXPERIMENT = "paraSim"
_AT_ONCE, _LONGEST = 100, 500
"""Parameters in one request, and characters of one, that every server takes."""


class MlflowLogger:
    """Logs to MLflow (`RunLogger`).

    Parameters
    ----------
    run : LoggedRun
        What is logged.

    Raises
    ------
    ParaSimError
        If the server cannot be reached or refuses.
    """

    def __init__(self, run: LoggedRun):
        own = f"sqlite:///{(run.directory / 'mlflow.db').resolve()}"
        uri = os.environ.get("MLFLOW_TRACKING_URI") or own
        # It tells of the tables that it makes.
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self.where = f"mlflow server --backend-store-uri {uri}" if uri == own else uri
        try:
            self._client = MlflowClient(uri)
            self.known_as = run.known_as or self._begun(run)
            self._client.update_run(self.known_as, status="RUNNING")
        except MlflowException as error:
            raise ParaSimError(f"--log mlflow: {brief(str(error))}") from None

    def _begun(self, run: LoggedRun) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        experiment = self._client.get_experiment_by_name(name)
        number = self._client.create_experiment(name) if experiment is None else experiment.experiment_id
        begun: str = self._client.create_run(number, run_name=f"{run.directory.name}: {run.method}").info.run_id
        parameters = [Param(field, str(value)[:_LONGEST]) for field, value in flat(run.config).items()]
        for first in range(0, len(parameters), _AT_ONCE):
            self._client.log_batch(begun, params=parameters[first : first + _AT_ONCE])
        return begun

    def log(self, step: int, seconds: float, values: Scalars) -> None:
        """Log a step."""
        moment = round(seconds * 1000)
        every = {"simulated_s": seconds, **values}
        try:
            metrics = [Metric(name, value, moment, step) for name, value in every.items()]
            self._client.log_batch(self.known_as, metrics=metrics)
        except MlflowException as error:
            raise ParaSimError(f"--log mlflow: {brief(str(error))}") from None

    def close(self) -> None:
        """Say that the run is over."""
        self._client.set_terminated(self.known_as)
