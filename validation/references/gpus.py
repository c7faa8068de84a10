"""Times and memory of training steps that others published for their GPUs."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from parasim_core.calibration.devices.published import shipped_rows
from parasim_core.calibration.devices.validation import Verdict, summary, validate
from validation.reference import Figure, Reference

FEWEST = 5
"""Times of a GPU from which on its bias counts (issue 14, point 5)."""


def figures() -> list[Figure]:
    """Errors of rows about which nothing had to be guessed, and of times carried from one GPU to another."""
    verdicts = validate(shipped_rows())
    found = summary(verdicts)
    time, memory, scale = found["time"]["comparable"], found["memory"]["comparable"], found["scale"]
    # Issue 14, point 5.
    return [
        Figure("times, median", time["median_pct"], time["rows"], most=10),
        Figure("times, nine in ten", time["nine_in_ten_pct"], time["rows"], most=30),
        Figure("bias of a GPU, largest", *_largest_bias(verdicts), most=5),
        Figure("from GPU to GPU, median", scale["median_pct"], scale["rows"], most=6),
        Figure("from GPU to GPU, largest", scale["largest_pct"], scale["rows"], most=20),
        Figure("memory, median", memory["median_pct"], memory["rows"], most=4),
        Figure("memory, largest", memory["largest_pct"], memory["rows"], most=10),
    ]


def _largest_bias(verdicts: Iterable[Verdict]) -> tuple[float, int]:
    """Largest median error [%] of the times of one GPU, among those with `FEWEST` or more, and of how many times."""
    errors: dict[str, list[float]] = {}
    for verdict in verdicts:
        if verdict.comparable and verdict.row.metric == "time" and verdict.error_pct is not None:
            errors.setdefault(verdict.row.fields["gpu"], []).append(verdict.error_pct)
    return max((abs(median(own)), len(own)) for own in errors.values() if len(own) >= FEWEST)


REFERENCE = Reference(
    name="GPUs",
    kind="published",
    source=(
        "Training steps of others (`calibration/devices/published_gpu.json`) about which nothing is guessed; from GPU "
        "to GPU, all; `paraSim validate devices`, [devices.md](devices.md)."
    ),
    figures=figures,
    quick=False,
)
