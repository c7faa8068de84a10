"""What pages tell about what `paraSim train` left: loss against rounds and against time, and what clients did."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from parasim.figures.bars import StackedBar
from parasim.figures.training import draw_losses
from parasim.report.charts import WALL_CLOCK, bar_chart, chart
from parasim.report.files import pictures, read_json, read_rows
from parasim.report.page import PageChart, PageTable
from parasim.report.record import Record
from parasim.report.timelines import timeline_chart
from parasim.text import amount, clock

_TITLES = {"partition": "Who had which examples"}


def about_training(directory: Path, record: Record | None) -> dict[str, Any]:
    """Read what the page about a directory of `paraSim train` tells."""
    rows: list[dict[str, Any]] = [
        {**row, "round": int(row["round"]), "simulated_s": float(row["simulated_s"])}
        for row in read_rows(directory / "metrics.csv")
    ]
    last = {row["method"]: {**row, "reached": _reached(row)} for row in rows}
    measured = [row for row in rows if row["eval_loss"]]
    column, loss = ("eval_loss", "held-out loss") if measured else ("train_loss", "training loss")
    drawn = [{**row, column: float(row[column])} for row in measured or rows]
    told = [(r["method"], str(r["round"] + 1), clock(r["simulated_s"]), f"{r[column]:.4f}") for r in drawn]
    # Where every curve begins, if the training left it.
    base = directory / "base.json"
    start = float(read_json(base)["eval_loss"]) if measured and base.exists() else None
    return {
        "name": (record.scenario.get("name") if record is not None else None) or "Training",
        "last": last,
        "loss": loss,
        "losses": chart(
            partial(draw_losses, metrics=drawn, column=column, base=start),
            PageTable(("method", "round", "wall-clock", loss), told, numbers=3),
        ),
        "times": _times(last),
        "clients": {method: timeline_chart(directory / method, record) for method in last},
        "pictures": [p for p in pictures(directory, record, _TITLES) if p.title in _TITLES.values()],
    }


def _reached(row: dict[str, Any]) -> list[str]:
    told = [f"training loss {float(row['train_loss']):.4f}"]
    if row["eval_loss"]:
        told.insert(0, f"held-out loss {float(row['eval_loss']):.4f}")
    return [*told, f"accuracy {float(row['accuracy']):.1%}"] if row["accuracy"] else told


def _times(last: dict[str, dict[str, Any]]) -> PageChart:
    bars = []
    for method, row in last.items():
        sizes = [amount(float(row[f"{way}_bytes"])) for way in ("uploaded", "downloaded")]
        bars.append(StackedBar(method, [row["simulated_s"]], clock(row["simulated_s"]), sizes))
    return bar_chart("method", [WALL_CLOCK], bars, more=["uploaded", "downloaded"])
