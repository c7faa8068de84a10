"""Does ParaBlock learn as well as FedBCD? Staleness, skew of the data, block width, schedule, correction.

Run with ``python benchmarks/convergence.py --out docs/figures``. The demonstration's small Llama is fine-tuned on
generated word problems by ten clients, with several seeds: of the base's weights, the data, the split, the blocks
and the batches. Everything is deterministic; an interrupted study goes on where it was. It ends with
``convergence.csv`` (one line per run), ``convergence.png`` and ``.svg``, and prints tables of mean and spread.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Run as a script, Python looks for modules beside this file and not in the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.convergence_figure import FinalLosses, LossCurves, draw_convergence
from parasim.training import DEMONSTRATION, train
from parasim_core.sim.scenario import reading as scenario_file
from parasim_core.sim.support.atomic_files import write_atomically

ROUNDS, LOCAL_STEPS, MEASURED_EVERY = 24, 4, 4
METHODS = ("fedbcd", "parablock")
COLUMNS = ("group", "choice", "method", "seed", "eval_loss", "accuracy")
ALPHAS = ("0.01", "0.1", "1", "iid")
WIDTHS = ("0.5", "1", "2", "4")
SCHEDULES = ("random", "sequential", "reverse", "gradient")


@dataclass(frozen=True)
class Run:
    """One choice of what is compared.

    Attributes
    ----------
    group, choice : str
        What is varied, and to what.
    method : str
        ``fedbcd`` or ``parablock``.
    staleness : int
        Of ParaBlock, in rounds.
    alpha : str
        Of the Dirichlet distribution, or ``iid``.
    width : str
        Layers per block.
    schedule : str
        Of the blocks.
    correction : bool
        ParaBlock's.
    """

    group: str
    choice: str
    method: str
    staleness: int = 1
    alpha: str = "0.5"
    width: str = "1"
    schedule: str = "random"
    correction: bool = True

    def scenario(self, seed: int) -> dict[str, Any]:
        """The demonstration, with this choice."""
        scenario = scenario_file.read(DEMONSTRATION)
        iid = self.alpha == "iid"
        scenario |= {
            "name": f"{self.group}-{self.choice}",
            "rounds": ROUNDS,
            "seed": seed,
            "method": {"name": self.method, **({"staleness": self.staleness} if self.method == "parablock" else {})},
            "blocks": {"layers": float(self.width), "schedule": self.schedule},
            # What is learned does not depend on how long it takes.
            "compute": {"seconds": 1},
        }
        scenario["local"]["steps"] = LOCAL_STEPS
        scenario["train"] |= {
            "partition": {"kind": "iid"} if iid else {"kind": "dirichlet", "alpha": float(self.alpha)},
            "evaluation": {"every": MEASURED_EVERY},
            "correction": self.correction,
        }
        return scenario

    def name(self, seed: int) -> str:
        """Name of its folder: equal runs of different groups share one."""
        stale = f"s{self.staleness}{'' if self.correction else '-uncorrected'}" if self.method == "parablock" else ""
        return "-".join(filter(None, (self.method, stale, self.alpha, self.width, self.schedule, f"seed{seed}")))


def study() -> list[Run]:
    """Everything that is compared."""
    runs = [Run("staleness", "fedbcd", "fedbcd")]
    runs += [Run("staleness", f"parablock, s = {s}", "parablock", staleness=s) for s in (1, 2, 4)]
    runs += [Run("correction", "fedbcd", "fedbcd"), Run("correction", "parablock, s = 1", "parablock")]
    # Without it clients make no use of what they download, so that staleness makes no difference.
    runs += [Run("correction", "no correction", "parablock", correction=False)]
    for method in METHODS:
        runs += [Run("Dirichlet alpha", alpha, method, alpha=alpha) for alpha in ALPHAS]
        runs += [Run("layers per block", width, method, width=width) for width in WIDTHS]
        runs += [Run("schedule", schedule, method, schedule=schedule) for schedule in SCHEDULES]
    return runs


def train_once(run: Run, seed: int, folder: Path) -> Sequence[Mapping[str, Any]]:
    """Train, or go on training, and return a row per round."""
    here, base = folder / run.name(seed), folder / f"base-seed{seed}"
    if base.exists() and not here.exists():
        here.mkdir(parents=True)
        shutil.copytree(base, here / "base")
    metrics = train(run.scenario(seed), out=here, clock="profile").metrics
    if not base.exists():
        shutil.copytree(here / "base", base)
    return metrics


def rows_of(runs: Sequence[Run], seeds: int, folder: Path) -> Iterator[tuple[Run, int, Sequence[Mapping[str, Any]]]]:
    """Train everything, each distinct run once."""
    done: dict[str, Sequence[Mapping[str, Any]]] = {}
    total = len({run.name(seed) for run in runs for seed in range(seeds)})
    for seed in range(seeds):
        for run in runs:
            name = run.name(seed)
            if name not in done:
                done[name] = train_once(run, seed, folder)
                print(f"{len(done):>3} of {total}: {name}", file=sys.stderr, flush=True)
            yield run, seed, done[name]


def print_tables(finals: Mapping[str, Mapping[tuple[str, str], list[Mapping[str, Any]]]]) -> None:
    """Print mean and range over the seeds, in Markdown."""
    for group, choices in finals.items():
        print(f"\n| {group} | method | final held-out loss | (range) | accuracy |\n|---|---|---|---|---|")
        for (choice, method), rows in choices.items():
            losses = [row["eval_loss"] for row in rows]
            accuracies = [row["accuracy"] for row in rows]
            print(
                f"| {choice} | {method} | {statistics.fmean(losses):.3f} | {min(losses):.3f} to {max(losses):.3f} "
                f"| {statistics.fmean(accuracies):.0%} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/convergence"), help="folder of table and picture")
    parser.add_argument("--work", type=Path, default=Path("results/convergence/runs"), help="folder of the runs")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    runs = study()
    finals: dict[str, dict[tuple[str, str], list[Mapping[str, Any]]]] = {}
    curves: dict[str, dict[str, list[list[float]]]] = {}
    lines: list[tuple[object, ...]] = [COLUMNS]
    rounds: list[int] = []
    for run, seed, metrics in rows_of(runs, options.seeds, options.work):
        measured = [row for row in metrics if row["eval_loss"] is not None]
        last, rounds = measured[-1], [row["round"] + 1 for row in measured]
        finals.setdefault(run.group, {}).setdefault((run.choice, run.method), []).append(last)
        curves.setdefault(run.group, {}).setdefault(run.choice, []).append([row["eval_loss"] for row in measured])
        lines.append((run.group, run.choice, run.method, seed, last["eval_loss"], last["accuracy"]))
    write_atomically(options.out / "convergence.csv", lambda file: csv.writer(file).writerows(lines))
    draw_convergence(
        [LossCurves(group, rounds, curves[group]) for group in ("staleness", "correction")],
        [
            FinalLosses(
                group, choices, {m: [[r["eval_loss"] for r in finals[group][c, m]] for c in choices] for m in METHODS}
            )
            for group, choices in (("Dirichlet alpha", ALPHAS), ("layers per block", WIDTHS), ("schedule", SCHEDULES))
        ],
        options.out,
    )
    print_tables(finals)


if __name__ == "__main__":
    main()
