"""What failures, lateness, skew and staleness do to learning, and whether adaptive schedules help.

Run with ``python benchmarks/robustness.py --out docs/figures``. The demonstration's small Llama is fine-tuned on
generated word problems, with several seeds: of the base's weights, the data, the split, the blocks, the batches and the
failures. Everything is deterministic; an interrupted study goes on where it was, and ``--parts`` names some of its
questions. It ends with ``robustness.csv`` (one line per run), ``robustness.png`` and ``.svg``, and prints a table for
each part.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

# Run as a script, Python looks for modules beside this file and not in the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.robustness_figure import Courses, Differences, Estimate, Panel, draw_robustness
from benchmarks.robustness_runs import ALPHAS, PARTS, PHASES, RATES, STALENESS, STUDIES, UNCORRECTED, Run, scenario
from parasim.training import DEMONSTRATION, train
from parasim_core.sim.errors import ParaSimError
from parasim_core.sim.scenario import reading as scenario_file
from parasim_core.sim.support.atomic_files import write_atomically

COLUMNS = ("part", "method", "choice", "seed", "loss", "rounds", "seconds", "updates", "ended")
LAST = 3
"""Measurements at the end of a run whose mean is its loss: one alone depends much on the last batches."""


class Outcome(NamedTuple):
    """What a run came to.

    Attributes
    ----------
    courses : list of (float, int, float)
        Simulated wall-clock [s], updates aggregated if nobody failed, and held-out loss, at each measurement.
    rounds : int
        Aggregations.
    ended : str
        Why it ended early; nothing if it did not.
    """

    courses: list[tuple[float, int, float]]
    rounds: int
    ended: str = ""

    @property
    def loss(self) -> float | None:
        """Mean of the last held-out losses; None if it ended early."""
        return None if self.ended else statistics.fmean(loss for _, _, loss in self.courses[-LAST:])


def train_once(run: Run, seed: int, work: Path) -> Outcome:
    """Train, or read what was trained."""
    here, base = work / f"seed{seed}" / run.folder, work / f"seed{seed}" / "base"
    kept = here / "outcome.json"
    if kept.is_file():
        courses, rounds, ended = json.loads(kept.read_text())
        return Outcome([(seconds, updates, loss) for seconds, updates, loss in courses], rounds, ended)
    if base.exists() and not here.exists():
        here.mkdir(parents=True)
        shutil.copytree(base, here / "base")
    whole = scenario(run, scenario_file.read(DEMONSTRATION), seed)
    try:
        metrics = train(whole, out=here, clock="profile").metrics
    except ParaSimError as error:
        outcome = Outcome([], 0, " ".join(str(error).split()))
    else:
        measured = [row for row in metrics if row["eval_loss"] is not None]
        courses = [
            (float(str(row["simulated_s"])), (int(str(row["round"])) + 1) * run.updates, float(str(row["eval_loss"])))
            for row in measured
        ]
        outcome = Outcome(courses, len(metrics))
    if not base.exists():
        # Whole or not at all: another process may train other parts.
        (here / "base").rename(base)
    # What it was trained with is not needed any more.
    shutil.rmtree(here)
    write_atomically(kept, lambda file: json.dump(outcome, file))
    return outcome


def trained(runs: list[Run], seeds: int, work: Path) -> Study:
    """Train everything, one seed after the other."""
    study = Study(runs, {run.folder: [] for run in runs})
    for seed in range(seeds):
        for number, run in enumerate(runs):
            study.outcomes[run.folder].append(train_once(run, seed, work))
            print(
                f"{seed * len(runs) + number + 1:>3} of {seeds * len(runs)}: {run.folder}", file=sys.stderr, flush=True
            )
    return study


def interval(values: Sequence[float]) -> Estimate:
    """Mean, and half of its 95 % confidence interval by Student's t."""
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    quantile = float(stdtrit(len(values) - 1, 0.975))
    return statistics.fmean(values), quantile * statistics.stdev(values) / len(values) ** 0.5


@dataclass
class Study:
    """What runs came to.

    Attributes
    ----------
    runs : list of Run
        What is compared.
    outcomes : dict of str to list of Outcome
        By the run's folder, one per seed.
    """

    runs: list[Run]
    outcomes: dict[str, list[Outcome]]

    def loss(self, run: Run) -> Estimate | None:
        """Held-out loss of a run; None where fewer than two seeds came to their end."""
        losses = [outcome.loss for outcome in self.outcomes[run.folder] if outcome.loss is not None]
        return interval(losses) if len(losses) > 1 else None

    def difference(self, run: Run) -> Estimate | None:
        """The same less that of the run that it is compared with, seed by seed; None if there is none."""
        differences = [*self._differences(run).values()]
        return interval(differences) if len(differences) > 1 else None

    def interaction(self, run: Run, other: Run) -> Estimate | None:
        """Difference of a run less that of another one, seed by seed: what their choice does to it."""
        own, others = self._differences(run), self._differences(other)
        both = [own[seed] - others[seed] for seed in own.keys() & others.keys()]
        return interval(both) if len(both) > 1 else None

    def _differences(self, run: Run) -> dict[int, float]:
        if not run.against and not run.against_method:
            return {}
        other = self.find(run.part, run.against_method or run.method, run.against or run.choice)
        pairs = enumerate(zip(self.outcomes[run.folder], self.outcomes[other.folder], strict=True))
        return {seed: a.loss - b.loss for seed, (a, b) in pairs if a.loss is not None and b.loss is not None}

    def find(self, part: str, method: str, choice: str) -> Run:
        """Find a run."""
        return next(run for run in self.runs if (run.part, run.method, run.choice) == (part, method, choice))

    def lossy(self, method: str, rate: float, phase: str) -> Run:
        """Find a run with dropouts: of a method that has no phases, the one that there is."""
        by_phase = {run.choice: run for run in self.runs if run.part == "dropout" and run.method == method}
        return by_phase.get(f"{rate:.0%} {phase}") or by_phase[f"{rate:.0%} {PHASES[0]}"]

    def table(self, part: str) -> str:
        """Write out losses, or where there is one the difference from a reference too: a row a method, in Markdown."""
        runs = {(run.method, run.choice): run for run in self.runs if run.part == part}
        methods, choices = (list(dict.fromkeys(names)) for names in zip(*runs, strict=True))
        lines = [f"| {part} | {' | '.join(choices)} |", "|---" * (len(choices) + 1) + "|"]
        for method in methods:
            cells = [self._cell(runs[method, choice]) if (method, choice) in runs else "" for choice in choices]
            lines.append(f"| {method} | {' | '.join(cells)} |")
        return "\n".join(lines)

    def _cell(self, run: Run) -> str:
        loss, difference = self.loss(run), self.difference(run)
        early = sum(outcome.loss is None for outcome in self.outcomes[run.folder])
        note = f", {early} ended early" if early else ""
        if loss is None:
            return f"-{note}"
        if difference is None:
            return f"{loss[0]:.2f} ± {loss[1]:.2f}{note}"
        return f"{loss[0]:.2f}, {difference[0]:+.2f} ± {difference[1]:.2f}{note}"

    def rows(self) -> Iterator[tuple[object, ...]]:
        """Write out every run of every seed, for the table of `COLUMNS`."""
        for run in self.runs:
            for seed, one in enumerate(self.outcomes[run.folder]):
                seconds, updates = one.courses[-1][:2] if one.courses else ("", "")
                yield run.part, run.method, run.choice, seed, one.loss, one.rounds, seconds, updates, one.ended


def interactions(study: Study) -> Iterator[str]:
    """Say what one choice does to the difference that another one makes."""
    parts = {run.part for run in study.runs}
    pairs: list[tuple[str, Run, Run]] = []
    if "dropout" in parts:
        without = study.find("dropout", UNCORRECTED, "0%")
        for phase in PHASES:
            what = f"{RATES[-1]:.0%} dropout in the {phase} phase adds to the lack of the correction"
            pairs.append((what, study.lossy(UNCORRECTED, RATES[-1], phase), without))
    if "heterogeneity" in parts:
        extreme, mild = f"alpha {ALPHAS[0]}", f"alpha {ALPHAS[-1]}"
        for stale in (f"s = {s}" for s in STALENESS):
            own, other = (study.find("heterogeneity", stale, alpha) for alpha in (extreme, mild))
            pairs.append((f"{extreme} instead of {mild} adds to {stale}", own, other))
    for what, run, other in pairs:
        found = study.interaction(run, other)
        if found is not None:
            yield f"What {what}: {found[0]:+.2f} ± {found[1]:.2f}"


def panels(study: Study) -> list[list[Panel]]:
    """Lay out a picture of those parts that were run."""
    parts = {run.part for run in study.runs}
    rows: list[list[Panel]] = [[], [], []]
    if "dropout" in parts:
        rows[0] = [_dropout(study, phase) for phase in PHASES]
    if "heterogeneity" in parts:
        stale = [f"s = {s}" for s in STALENESS]
        skewed = [f"alpha {alpha}" for alpha in (ALPHAS[0], ALPHAS[-1])]
        lines = {one: [study.difference(study.find("heterogeneity", s, one)) for s in stale] for one in skewed}
        rows[0].append(Differences("staleness, from FedBCD", "staleness s", [*map(str, STALENESS)], lines, joined=True))
    for part, title in (("rounds", "rounds, from waiting for all"), ("schedules", "schedules, from random")):
        if part in parts:
            choices = list(dict.fromkeys(run.choice for run in study.runs if run.part == part and run.against))
            lines = {m: [study.difference(study.find(part, m, c)) for c in choices] for m in ("parablock", "fedbcd")}
            rows[1].append(Differences(title, "", choices, lines, joined=False))
    if "asynchronous" in parts:
        rows[2] = [_courses(study, "uneven", 0), _courses(study, "uneven", 1), _courses(study, "alike", 0)]
    return [row for row in rows if row]


def _dropout(study: Study, phase: str) -> Differences:
    """Draw what a rate costs each method when clients vanish in one phase."""
    methods = dict.fromkeys(run.method for run in study.runs if run.part == "dropout")
    lines: dict[str, list[Estimate | None]] = {
        method: [
            study.difference(study.find("dropout", method, "0%")) or (0.0, 0.0),
            *(study.difference(study.lossy(method, rate, phase)) for rate in RATES),
        ]
        for method in methods
    }
    rates = ["0%", *(f"{rate:.0%}" for rate in RATES)]
    return Differences(f"dropout in the {phase} phase", "dropout rate", rates, lines, joined=True)


def _courses(study: Study, fleet: str, axis: int) -> Courses:
    """Draw losses on the way against wall-clock (axis 0) or updates (axis 1)."""
    found = {
        run.method: [[(course[axis], course[2]) for course in one.courses] for one in study.outcomes[run.folder]]
        for run in study.runs
        if run.part == "asynchronous" and run.choice == fleet
    }
    return Courses(f"{fleet} devices", ("wall-clock [s]", "updates")[axis], found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/robustness"), help="folder of table and picture")
    parser.add_argument("--work", type=Path, default=Path("results/robustness/runs"), help="folder of the runs")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    study = trained([run for part in options.parts for run in STUDIES[part]()], options.seeds, options.work)
    write_atomically(options.out / "robustness.csv", lambda file: csv.writer(file).writerows([COLUMNS, *study.rows()]))
    draw_robustness(panels(study), options.out)
    for part in options.parts:
        print(study.table(part), end="\n\n")
    print(*interactions(study), sep="\n")


if __name__ == "__main__":
    main()
