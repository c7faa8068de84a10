"""Weights & Biases: a run for each method; ``WANDB_MODE=offline`` keeps it on this machine, for ``wandb sync``."""

from __future__ import annotations

import secrets

import wandb

from parasim.loggers.run_logger import LoggedRun, Scalars
from parasim_core.sim.errors import ParaSimError, brief

PROJECT = "paraSim"
"""Where runs go, unless ``WANDB_PROJECT`` names another project."""


class WandbLogger:
    """Logs to Weights & Biases (`RunLogger`).

    Parameters
    ----------
    run : LoggedRun
        What is logged.

    Raises
    ------
    ParaSimError
        If there is nobody to log in as, or the service cannot be reached.
    """

    def __init__(self, run: LoggedRun):
        settings = wandb.Settings(silent=True, console="off")
        if settings.project is None:
            settings.project = PROJECT
        self.known_as = run.known_as or secrets.token_hex(4)
        try:
            self._run = wandb.init(
                id=self.known_as,
                resume="allow",
                name=run.method,
                group=run.directory.name,
                dir=str(run.directory),
                config=dict(run.config),
                settings=settings,
            )
        except wandb.Error as error:
            raise ParaSimError(
                f"--log wandb: {brief(str(error)).rstrip('.')}; WANDB_MODE=offline keeps the run on this machine"
            ) from None
        offline = f"wandb sync {run.directory / 'wandb'}/offline-run-*"
        self.where = offline if self._run.offline else str(self._run.url)
        self._run.define_metric("rounds")
        self._run.define_metric("*", step_metric="rounds")

    def log(self, step: int, seconds: float, values: Scalars) -> None:
        """Log a step; the time is one of the values, which charts can have as their axis."""
        self._run.log({"rounds": step, "simulated_s": seconds, **values}, step=step)

    def close(self) -> None:
        """End the run, having sent everything."""
        self._run.finish()
