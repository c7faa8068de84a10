"""Predictions held against runs that others published: every row's error, or why it cannot be expressed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Any

from parasim_core.calibration.devices.prediction import predict, repeated
from parasim_core.calibration.devices.published import PublishedRow
from parasim_core.calibration.memory.device_peak import device_peak
from parasim_core.calibration.memory.peaks import CUDA_GRANULARITY
from parasim_core.calibration.memory.together import together
from parasim_core.sim.errors import ParaSimError
from parasim_core.sim.workload.architecture import from_config

WITHIN_BAND = 0.9
"""Share of a class's rows that its band is to hold."""
SAME = (
    *("group", "model", "method", "lora", "batch", "sequence_length", "accumulation"),
    *("precision", "optimizer", "attention", "checkpointing", "compile"),
)
"""What runs have in common whose times are compared from GPU to GPU."""


@dataclass(frozen=True)
class Verdict:
    """One row, predicted.

    Attributes
    ----------
    row : PublishedRow
        The row.
    reported, predicted : float or None
        In [s] per step or in [B]; None where the row cannot be expressed.
    low, high : float or None
        Band of a predicted time [s].
    reason : str
        Why it cannot, or what a price stands for in its prediction.
    """

    row: PublishedRow
    reported: float | None = None
    predicted: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""

    @property
    def error_pct(self) -> float | None:
        """Error of the prediction, in percent of what is reported."""
        if self.predicted is None or self.reported is None:
            return None
        return 100 * (self.predicted / self.reported - 1)

    @property
    def comparable(self) -> bool:
        """Whether the row is expressed and nothing about it had to be guessed."""
        return self.predicted is not None and self.row.comparable

    def entry(self) -> dict[str, Any]:
        """The row as JSON holds it."""
        return {
            "id": self.row.name,
            "metric": self.row.metric,
            "unit": "B" if self.row.metric == "memory" else "s",
            "source": self.row.fields.get("source"),
            "gpu": self.row.fields.get("gpu"),
            "model": self.row.fields.get("model"),
            "reported": self.reported,
            "predicted": self.predicted,
            "low": self.low,
            "high": self.high,
            "error_pct": self.error_pct,
            "comparable": self.comparable,
            "inferred": self.row.fields.get("inferred") or "",
            "reason": self.reason,
        }


def validate(rows: Iterable[PublishedRow]) -> list[Verdict]:
    """Predict every row.

    Parameters
    ----------
    rows : iterable of PublishedRow
        The rows, in the order in which their verdicts come.
    """
    return [_verdict(row) for row in rows]


def summary(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Errors of time and memory: of the strictly comparable rows, of all that are expressed, by GPU, and by class.

    Errors are in percent; ``bias_pct`` is their median with its sign. By class of devices, for times: the factor either
    way that holds `WITHIN_BAND` of the rows (``factor``), and how many rows lie within the factor that the other
    sources' rows give (``left_out_within_pct``; None where there is one source).
    """
    found: dict[str, Any] = {}
    for metric in ("time", "memory"):
        own = [verdict for verdict in verdicts if verdict.row.metric == metric]
        expressed = [verdict for verdict in own if verdict.predicted is not None]
        found[metric] = {
            "rows": len(own),
            "comparable": _spread([verdict for verdict in expressed if verdict.comparable]),
            "expressed": _spread(expressed),
            "by_gpu": {
                gpu: _spread([verdict for verdict in expressed if verdict.row.fields["gpu"] == gpu])
                for gpu in dict.fromkeys(verdict.row.fields["gpu"] for verdict in expressed)
            },
        }
    timed = [verdict for verdict in verdicts if verdict.row.metric == "time" and verdict.predicted is not None]
    kinds = sorted({verdict.row.device().kind for verdict in timed})
    found["time"]["by_class"] = {
        kind: _band_of([verdict for verdict in timed if verdict.row.device().kind == kind]) for kind in kinds
    }
    found["scale"] = _spread_of(scaling_errors(verdicts))
    return found


def scaling_errors(verdicts: Sequence[Verdict]) -> list[float]:
    """Errors [%] of times carried from one device to another: runs that differ in nothing but the device.

    The ratio of two predictions, against the ratio of what was reported.
    """
    groups: dict[tuple[Any, ...], list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.row.metric == "time" and verdict.predicted is not None:
            fields = verdict.row.fields
            groups.setdefault(tuple(str(fields.get(name)) for name in SAME), []).append(verdict)
    return [
        100 * (_ratio(other) / _ratio(one) - 1)
        for alike in groups.values()
        for one, other in combinations(alike, 2)
        if one.row.fields["gpu"] != other.row.fields["gpu"]
    ]


def _band_of(verdicts: Sequence[Verdict]) -> dict[str, float | int | None]:
    """Factor that holds most times of a class, and how many rows that of the other sources' rows holds."""
    by_source: dict[str, list[float]] = {}
    for verdict in verdicts:
        by_source.setdefault(str(verdict.row.fields.get("source")), []).append(_ratio(verdict))
    held: float | None = None
    if len(by_source) > 1:
        within = 0
        for left_out, ratios in by_source.items():
            factor = _factor([ratio for source, own in by_source.items() if source != left_out for ratio in own])
            within += sum(1 / factor <= ratio <= factor for ratio in ratios)
        held = 100 * within / len(verdicts)
    return {"rows": len(verdicts), "factor": _factor(map(_ratio, verdicts)), "left_out_within_pct": held}


def _factor(ratios: Iterable[float]) -> float:
    """Factor either way that holds `WITHIN_BAND` of ratios."""
    sizes = sorted(max(ratio, 1 / ratio) for ratio in ratios)
    return sizes[math.ceil(WITHIN_BAND * len(sizes)) - 1]


def _ratio(verdict: Verdict) -> float:
    """Predicted over reported."""
    error = verdict.error_pct
    assert error is not None
    return 1 + error / 100


def _spread(verdicts: Sequence[Verdict]) -> dict[str, float | int | None]:
    spread = _spread_of([error for verdict in verdicts if (error := verdict.error_pct) is not None])
    banded = [verdict for verdict in verdicts if verdict.low is not None]
    if banded:
        within = [v.low <= v.reported <= v.high for v in banded if v.low and v.high and v.reported]
        spread["within_band_pct"] = 100 * sum(within) / len(within)
    return spread


def _spread_of(errors: Sequence[float]) -> dict[str, float | int | None]:
    if not errors:
        return {"rows": 0, "median_pct": None, "nine_in_ten_pct": None, "largest_pct": None, "bias_pct": None}
    sizes = sorted(map(abs, errors))
    return {
        "rows": len(sizes),
        "median_pct": median(sizes),
        "nine_in_ten_pct": sizes[-(-9 * len(sizes) // 10) - 1],
        "largest_pct": sizes[-1],
        "bias_pct": median(errors),
    }


def _verdict(row: PublishedRow) -> Verdict:
    try:
        return _predicted(row)
    except ParaSimError as reason:
        return Verdict(row, reason=str(reason))
    except (KeyError, TypeError, ValueError) as reason:
        return Verdict(row, reason=f"cannot be read: {type(reason).__name__} {reason}")


def _predicted(row: PublishedRow) -> Verdict:
    """Trace the row's step and price it; a third batch of a step changes nothing but how often its passes run."""
    from parasim_core.calibration.memory.alike_layers import trace_step
    from parasim_core.calibration.memory.shapes import TracedStep

    reported, device, said = row.reported(), row.device(), row.step()
    recipe, batches = said["recipe"], said["accumulation"]
    step = TracedStep(**{**said, "accumulation": min(2, batches)})
    config = row.config()
    trace = trace_step(str(row.fields["model"]), config, recipe.traced_in, step, granularity=CUDA_GRANULARITY)
    reason = f"priced: {', '.join(recipe.inexact)}" if recipe.inexact else ""
    model = from_config(config, str(row.fields["model"]))
    several = together(model, recipe, step.trains, step.block, step.lora)
    if row.metric == "memory":
        peak = device_peak(trace, device, several)
        return Verdict(row, reported, float(getattr(peak, row.memory_kind)), reason=reason)
    operators = repeated(trace.operators, batches / step.accumulation)
    guess = predict(operators, device, recipe, several, batches)
    return Verdict(row, reported, guess.seconds, guess.low, guess.high, reason)
