"""What training leaves beside the models: figures of the base, the updates that were sent, the other clock."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from parasim.api import costs_of
from parasim_core.sim.engine.simulate import simulate
from parasim_core.sim.engine.timeline import Kind
from parasim_core.sim.errors import OutputError
from parasim_core.sim.scenario.safe_parsing import parse_json
from parasim_core.sim.support.atomic_files import read_text, write_json, write_rows
from parasim_core.sim.support.deleted_results import check_results, watch_folder

if TYPE_CHECKING:
    from parasim_core.train.federated.learner import Trace
    from parasim_core.train.models.blocks import Values
    from parasim_core.train.runs.run import Trained
    from parasim_core.train.runs.workbench import Workbench

Clock = Literal["measured", "profile", "both"]
Report = Callable[[str, int, int], None]
Base = Mapping[str, float | None]

_BASE = "base.json"
_LARGEST = 2**20


def measure_base(bench: Workbench, directory: Path, report: Report, *, anew: bool) -> Base:
    """Measure the base before anything is federated, or read what was measured.

    Parameters
    ----------
    bench : Workbench
        The base model and the data.
    directory : Path
        Keeps the figures, as ``base.json``.
    report : callable
        Told what is being done, the batches done and in total.
    anew : bool
        Whether what the directory says may be of another base.

    Returns
    -------
    mapping of str to float or None
        `eval_loss` and `accuracy`, as in the metrics.

    Raises
    ------
    ParaSimError
        If the base's loss is not finite, or the figures cannot be written or read.
    """
    path = directory / _BASE
    if path.exists() and not anew:
        try:
            kept = parse_json(read_text(path, _LARGEST))
            loss, accuracy = kept["eval_loss"], kept["accuracy"]
            base: Base = {"eval_loss": float(loss), "accuracy": None if accuracy is None else float(accuracy)}
            if kept != _sealed(base):
                raise ValueError("was altered")
            return base
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise OutputError(f"{path}: is damaged ({str(error)[:200]}); delete it to measure the base again") from None
    measured = bench.task.evaluate(
        bench.model, accuracy=True, progress=lambda done, total: report("measuring the base", done, total)
    )
    if not math.isfinite(measured.loss):
        raise OutputError(f"the held-out loss of the base model is {measured.loss}: nothing can be learned from there")
    base = {"eval_loss": measured.loss, "accuracy": measured.accuracy}
    write_json(path, _sealed(base))
    return base


def _sealed(base: Base) -> dict[str, object]:
    """Add the digest of the figures: they are gone on from, like a checkpoint."""
    return {**base, "sha256": hashlib.sha256(json.dumps(base).encode()).hexdigest()}


def missing_deltas(updates: Sequence[Trace], method: Path) -> list[str]:
    """Say, if so, that updates of a method were trained before without being kept in its folder."""
    kept = sum(_delta_path(method, trace).is_file() for trace in updates)
    if kept == len(updates):
        return []
    return [
        f"--deltas: {kept} of {len(updates)} updates are in {method / 'deltas'}; the others were trained before, "
        f"without it, and are gone (delete {method} to train them again)."
    ]


def _delta_path(method: Path, trace: Trace) -> Path:
    return method / "deltas" / f"round-{trace.round:04d}-client-{trace.client:04d}.safetensors"


def delta_saver(method: Path) -> Callable[[Trace, Values], None]:
    """Keep what was sent of each update in a method's folder, as safetensors with its seconds and loss."""
    from safetensors import SafetensorError

    from parasim_core.train.models.packing import save_tensors

    def save(trace: Trace, sent: Values) -> None:
        path = _delta_path(method, trace)
        check_results()
        temporary = path.with_suffix(".part")
        metadata = {"seconds": repr(trace.measured), "train_loss": repr(trace.loss)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_tensors({name: value.cpu().contiguous() for name, value in sent.items()}, temporary, metadata)
            temporary.replace(path)
        except (OSError, SafetensorError) as error:
            raise OutputError(f"{path}: cannot be written: {error}") from None
        finally:
            with suppress(OSError):
                temporary.unlink()
        # So many are counted in the end (`missing_deltas`), not looked for at every step.
        watch_folder(path.parent)

    return save


def time_again(trained: Trained, folder: Path) -> list[float]:
    """Time the same run by the profile, block for block: what is learned does not depend on how long it takes.

    Returns
    -------
    list of float
        When each round ends by it [s].
    """
    setup = replace(trained.learner.setup, schedule=[*trained.learner.schedule()])
    predicted = simulate(setup, costs_of(setup))
    predicted.write_timeline(folder / "timeline-profile.csv")
    ends = {span.round: span.end for span in predicted.timeline.spans if span.kind is Kind.AGGREGATE}
    rows = [(row["round"], row["simulated_s"], ends[int(str(row["round"]))]) for row in trained.metrics]
    write_rows(folder / "clocks.csv", ("round", "measured_s", "profile_s"), rows)
    return [ends for _, _, ends in rows]
