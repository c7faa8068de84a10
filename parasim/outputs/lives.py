"""What a run on real machines leaves: what a simulated one does, and what was learned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from parasim.figures.look import USUAL, Look
from parasim.outputs.runs import leave_simulation

if TYPE_CHECKING:
    from parasim.live.conductor import Live


def leave_live(run: Live, out: Path, look: Look = USUAL) -> list[Path]:
    """Write what `leave_simulation` does, and metrics, their picture and the model if anything was trained.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    files = leave_simulation(run.result, out, look=look)
    if run.trained is not None:
        from parasim.figures.training import draw_training
        from parasim_core.train.runs.metrics import write_metrics

        write_metrics(out / "metrics.csv", run.trained.metrics)
        run.trained.save_model(out / "model")
        trained = run.trained
        pictures = draw_training(trained.metrics, out, trained.base_loss, look, live=True)
        files += [out / "metrics.csv", *pictures, out / "model"]
    return files
