"""TensorBoard: event files beside the results. Its axis "relative" shows simulated time, in which events are dated."""

from __future__ import annotations

from typing import Any

from torch.utils.tensorboard import SummaryWriter

from parasim.loggers.run_logger import LoggedRun, Scalars
from parasim_core.sim.scenario.yaml_reading import to_yaml


class TensorBoardLogger:
    """Writes event files (`RunLogger`).

    Parameters
    ----------
    run : LoggedRun
        What is logged.
    """

    def __init__(self, run: LoggedRun):
        folder = run.directory / "tensorboard" / run.method
        self.known_as, self.where = run.method, f"tensorboard --logdir {folder.parent}"
        # Whatever an interrupted process wrote of these steps is not shown any more.
        self._writer: Any = SummaryWriter(str(folder), purge_step=run.steps)
        if not run.steps:
            text = "\n".join(f"    {line}" for line in to_yaml(run.config).splitlines())
            self._writer.add_text("scenario", text, 0, walltime=0.0)

    def log(self, step: int, seconds: float, values: Scalars) -> None:
        """Log a step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step, walltime=seconds)
        self._writer.flush()

    def close(self) -> None:
        """Close the files."""
        self._writer.close()
