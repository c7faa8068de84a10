"""`paraSim train --seeds`: what comes out on average, and how much it varies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from parasim.text import clock, console, plain_table

if TYPE_CHECKING:
    from parasim.seeds import SeededComparison


def show_seeds(training: SeededComparison, out: Path) -> None:
    """Print what training from several seeds gave, and say where everything is."""
    from parasim.outputs.trainings import RESULTS
    from parasim.seeds import last_rounds

    table = plain_table("method", ">rounds", ">wall-clock", ">held-out loss", ">± sd", ">accuracy", ">± sd")
    table.columns[0].no_wrap = True
    base = training.base
    table.add_row("base", "-", "-", f"{base['eval_loss']:.4f}", "-", _share(base["accuracy"]), "-")
    for name, row in last_rounds(training.over_seeds, len(training.runs)).items():
        loss, spread = row["eval_loss_mean"], row["eval_loss_sd"]
        told = ("-", "-") if loss is None else (f"{loss:.4f}", f"{spread:.4f}")
        accuracy = (_share(row["accuracy_mean"]), _share(row["accuracy_sd"]))
        table.add_row(name, str(row["round"] + 1), clock(row["simulated_s_mean"]), *told, *accuracy)
    output = console()
    output.print(table)
    if training.notes:
        output.print("", *training.notes, sep="\n")
    print(f"Mean and standard deviation of every round over {len(training.runs)} seeds: {out / RESULTS}")
    print("Charts: " + ", ".join(map(str, training.pictures)))
    print("Each seed's own results: " + ", ".join(str(out / f"seed-{seed}") for seed in training.runs))


def _share(share: Any) -> str:
    return "-" if share is None else f"{share:.1%}"
