"""What pages tell about what `paraSim train` left: loss against rounds and against time, and what clients did."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from parasim.figures.bars import StackedBar
from parasim.figures.training import LOSSES, draw_losses
from parasim.reporting.charts import WALL_CLOCK, bar_chart, chart
from parasim.reporting.files import pictures, read_json
from parasim.reporting.page import PageChart, PageTable
from parasim.reporting.record import Record
from parasim.reporting.timelines import timeline_chart
from parasim.text import amount, clock
from parasim_core.train.runs.metrics import read_metrics

_TITLES = {"partition": "Who had which examples"}


def about_training(directory: Path, record: Record) -> dict[str, Any]:
    """Read what the page about a directory of `paraSim train` tells."""
    rows: list[dict[str, Any]] = read_metrics(directory / "metrics.csv")
    last = {row["method"]: {**row, "reached": _reached(row)} for row in rows}
    column = next((column for column in LOSSES if any(row[column] is not None for row in rows)), "eval_loss")
    loss = LOSSES[column]
    told = [
        (row["method"], str(row["round"] + 1), clock(row["simulated_s"]), f"{row[column]:.4f}")
        for row in rows
        if row[column] is not None
    ]
    # Where every curve begins, if the training left it.
    base = directory / "base.json"
    start = float(read_json(base)["eval_loss"]) if column == "eval_loss" and base.exists() else None
    return {
        "name": record.scenario.get("name") or "Training",
        "last": last,
        "loss": loss,
        "losses": chart(
            partial(draw_losses, metrics=rows, column=column, base=start),
            PageTable(("method", "round", "wall-clock", loss), told, numbers=3),
        ),
        "times": _times(last),
        "clients": {method: timeline_chart(directory / method, record) for method in last},
        "pictures": [p for p in pictures(directory, record, _TITLES) if p.title in _TITLES.values()],
    }


def _reached(row: dict[str, Any]) -> list[str]:
    told = [f"{loss} {row[column]:.4f}" for column, loss in LOSSES.items() if row[column] is not None]
    return told if row["accuracy"] is None else [*told, f"accuracy {row['accuracy']:.1%}"]


def _times(last: dict[str, dict[str, Any]]) -> PageChart:
    bars = []
    for method, row in last.items():
        sizes = [amount(row[f"{way}_bytes"]) for way in ("uploaded", "downloaded")]
        bars.append(StackedBar(method, [row["simulated_s"]], clock(row["simulated_s"]), sizes))
    return bar_chart("method", [WALL_CLOCK], bars, more=["uploaded", "downloaded"])
