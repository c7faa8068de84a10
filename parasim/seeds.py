"""`parasim.train_seeds`: the same training from several seeds, and what comes out on average, with its spread.

Everything that is drawn at random is drawn anew by each seed: who has which examples, their order, the model where it
begins at random, and who takes part. So the spread is that of the whole experiment, not of one part of it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from parasim.api import Overrides, Source, several
from parasim.comparison import Base, Report
from parasim.figures.look import USUAL, Look
from parasim.outputs.trainings import RESULTS, leave_seeds
from parasim.progress import LOGGER
from parasim.sentences import grouped
from parasim.training import TrainedComparison, scenarios_of, train
from parasim_core.sim.errors import OutputError, ScenarioError
from parasim_core.sim.scenario.reading import fields_set
from parasim_core.sim.support.atomic_files import write_rows
from parasim_core.train.runs.directory import trained_in
from parasim_core.train.runs.lock import locked
from parasim_core.train.runs.metrics import MetricsRow

MEASURED = ("simulated_s", "train_loss", "eval_loss", "accuracy", "uploaded_bytes", "downloaded_bytes")
"""Columns of metrics that have a mean and a spread."""
COLUMNS = ("method", "round", "seeds", *(f"{column}_{figure}" for column in MEASURED for figure in ("mean", "sd")))


@dataclass(frozen=True)
class SeededComparison:
    """What a comparison gave from several seeds.

    Attributes
    ----------
    runs : dict of int to TrainedComparison
        By seed.
    over_seeds : list of dict
        One row per method and round: `COLUMNS`, where `sd` is the standard deviation over seeds (of n - 1). None
        where not all of a row's seeds measured something.
    base : mapping
        Mean held-out loss (`eval_loss`) and `accuracy` of the bases.
    notes : sequence of str
        What else the user should know, with the seeds that it is about.
    pictures : sequence of Path
        What was drawn of it.
    """

    runs: dict[int, TrainedComparison]
    over_seeds: list[dict[str, Any]]
    base: Base
    notes: Sequence[str]
    pictures: Sequence[Path] = ()


def train_seeds(
    source: Source | None = None,
    set: Overrides = (),
    *,
    seeds: int,
    out: str | Path,
    method: str | Sequence[str] = (),
    look: Look = USUAL,
    report: Report = lambda what, done, total: None,
    **told: Any,
) -> SeededComparison:
    """Train methods as `parasim.train` does, from the scenario's seed and those that follow it.

    Parameters
    ----------
    source, set, method, look, report
        As of `parasim.train`.
    seeds : int
        How many, at least 2. With more of them than before, only those that are new are trained.
    out : path
        Where everything goes: ``seed-0`` and so on, each as a training leaves it, ``seeds.csv``, the mean and the
        standard deviation of the metrics over them, and a picture of these.
    told
        Whatever else `parasim.train` can be told.

    Raises
    ------
    ParaSimError
        As of `parasim.train`; if there are fewer than two seeds, or the directory holds a training without seeds.
    """
    if seeds < 2:
        raise ScenarioError(f"--seeds {seeds}: must be at least 2; one is what a training without it has")
    directory, overrides, methods = Path(out), fields_set(set), several(method)
    first = scenarios_of(source, overrides, methods)[0].seed
    with locked(directory):
        if held := trained_in(directory):
            raise OutputError(
                f"--out {directory}: holds a training without --seeds ({', '.join(held)}); choose another --out"
            )
        runs = {}
        for seed in range(first, first + seeds):
            LOGGER.info("seed %d", seed)
            runs[seed] = train(
                source,
                [*overrides, ("seed", seed)],
                method=methods,
                out=directory / f"seed-{seed}",
                look=look,
                report=partial(_of_seed, report, seed),
                **told,
            )
        rows = over_seeds([run.metrics for run in runs.values()])
        write_rows(directory / RESULTS, COLUMNS, ([row[column] for column in COLUMNS] for row in rows))
    bases = [run.base for run in runs.values()]
    base = {name: _mean([base[name] for base in bases]) for name in ("eval_loss", "accuracy")}
    said = grouped((note, str(seed)) for seed, run in runs.items() for note in run.notes)
    notes = [
        note if len(of) == seeds else f"Seed{'s' * (len(of) > 1)} {', '.join(of)}: {note}" for note, of in said.items()
    ]
    found = SeededComparison(runs, rows, base, notes)
    return replace(found, pictures=leave_seeds(found, directory, look))


def _of_seed(report: Report, seed: int, what: str, done: int, total: int) -> None:
    report(f"seed {seed}: {what}", done, total)


def over_seeds(runs: Sequence[Sequence[MetricsRow]]) -> list[dict[str, Any]]:
    """Take the mean and the standard deviation of metrics over runs, for every method and round that any of them has.

    Parameters
    ----------
    runs : sequence of sequence of dict
        The metrics of each run.

    Returns
    -------
    list of dict
        `COLUMNS`; a deviation is None where a row has one run only.
    """
    found = grouped_rows(row for run in runs for row in run)
    rows = []
    for (method, round), of_runs in found.items():
        summed: dict[str, Any] = {"method": method, "round": round, "seeds": len(of_runs)}
        for column in MEASURED:
            values = [row[column] for row in of_runs]
            summed[f"{column}_mean"], summed[f"{column}_sd"] = _mean(values), _deviation(values)
        rows.append(summed)
    return rows


def grouped_rows(rows: Iterable[MetricsRow]) -> dict[tuple[Any, Any], list[MetricsRow]]:
    """Gather rows of the same method and round: methods in the order of first mention, rounds in ascending order."""
    found: dict[tuple[Any, Any], list[MetricsRow]] = {}
    for row in rows:
        found.setdefault((row["method"], row["round"]), []).append(row)
    methods = list(dict.fromkeys(method for method, _ in found))
    return dict(sorted(found.items(), key=lambda entry: (methods.index(entry[0][0]), entry[0][1])))


def _mean(values: Sequence[Any]) -> float | None:
    return None if None in values else statistics.fmean(values)


def _deviation(values: Sequence[Any]) -> float | None:
    return None if None in values or len(values) < 2 else statistics.stdev(values)


def last_rounds(rows: Sequence[Mapping[str, Any]], seeds: int) -> dict[str, Mapping[str, Any]]:
    """Find each method's last round that all seeds have."""
    return {str(row["method"]): row for row in rows if row["seeds"] == seeds}
