"""How far a fit is from points that it has not seen, and whether that is good enough to rely on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from parasim_core.calibration.profiles.profile_file import Count, Seconds
from parasim_core.sim.scenario.fields import Number, Section

Quality = Literal["good", "poor"]
Layers = Annotated[Number, Field(ge=0, le=10_000)]
POOR_MEDIAN_PCT, POOR_P95_PCT = 10.0, 30.0
"""Held-out errors beyond which a fit is poor [%]: the goal of `paraSim validate compute` on a CPU, and three times as
much for the worst points."""


def doubt(median_pct: float, p95_pct: float = 0.0) -> str:
    """Say of held-out errors [%], if so, that they are too large to rely on a fit; empty if they are not."""
    if median_pct > POOR_MEDIAN_PCT:
        return f"a median error of {median_pct:g} % on points that it has not seen; {POOR_MEDIAN_PCT:g} % would do"
    if p95_pct > POOR_P95_PCT:
        return f"one in twenty points that it has not seen is more than {p95_pct:g} % off; {POOR_P95_PCT:g} % would do"
    return ""


class HeldOut(Section):
    """How far the fit is from points that it has not seen."""

    points: Count
    fitted_points: Count
    median_error_pct: Seconds
    p95_error_pct: Seconds
    fitted_median_error_pct: Seconds
    """The same on the points that it has seen."""
    fitted_p95_error_pct: Seconds
    batch_size: Count | None
    """Batch size that no point of the fit has."""
    sequence_length: Count | None
    layers: Layers | None
    first_layers: tuple[Layers, ...]
    """Positions that no point of the fit has."""

    @property
    def doubt(self) -> str:
        """Say, if so, why predictions are not to be relied on; empty if they are."""
        return doubt(self.median_error_pct, self.p95_error_pct)

    @property
    def quality(self) -> Quality:
        """The verdict in a word."""
        return "poor" if self.doubt else "good"


def summary(errors: Sequence[float]) -> tuple[float, float]:
    """Median and 95th percentile of the size of relative errors, given as shares [%]."""
    sizes = np.abs(np.array(errors)) * 100
    return float(np.median(sizes)), float(np.quantile(sizes, 0.95))
