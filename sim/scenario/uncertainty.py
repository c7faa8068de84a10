"""What is not known exactly: jitter that differs from run to run, and bands that inputs lie in.

`paraSim plan --confidence` draws from the one, `--sensitivity` goes through the other; a simulation looks at neither.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from parasim_core.sim.scenario.fields import Section, is_number

# Bounds stand before the validator: after it, they would not reach the JSON Schema.
Factor = Annotated[float, Field(ge=1e-3, le=1e3), BeforeValidator(is_number)]
Share = Annotated[float, Field(ge=0, lt=1), BeforeValidator(is_number)]
Spread = Annotated[float, Field(gt=0, le=2), BeforeValidator(is_number)]

PARAMETERS = {
    "lognormal": ("sigma",),
    "uniform": ("low", "high"),
    "triangular": ("low", "mode", "high"),
    "observed": ("values",),
}
"""What each distribution takes; also the order of its parameters in NumPy's method of that name."""


class Jitter(Section):
    """A factor that a quantity of the scenario is multiplied by, drawn at random."""

    distribution: Literal["lognormal", "uniform", "triangular", "observed"] = "lognormal"
    """`lognormal` has median 1; `observed` draws one of `values`, each as likely as any other."""
    sigma: Spread | None = None
    """Of lognormal: standard deviation of the logarithm; 0.1 is some 10 %."""
    low: Factor | None = None
    mode: Factor | None = None
    """Of triangular: the likeliest factor."""
    high: Factor | None = None
    values: Annotated[tuple[Factor, ...], Field(min_length=1)] | None = None
    """Of observed: factors as they were seen."""
    each: Literal["client", "group"] = "client"
    """Whether clients of a group differ, or share their luck, as behind one provider."""
    per: Literal["run", "round"] = "run"
    """How often it is drawn; only a speed may change from round to round."""

    @model_validator(mode="after")
    def _parameters_fit(self) -> Self:
        wanted = PARAMETERS[self.distribution]
        given = [name for name in ("sigma", "low", "mode", "high", "values") if getattr(self, name) is not None]
        if missing := [name for name in wanted if name not in given]:
            raise ValueError(f"{self.distribution} needs {' and '.join(missing)}")
        if extra := [name for name in given if name not in wanted]:
            raise ValueError(f"{extra[0]}: {self.distribution} has none; it takes {', '.join(wanted)}")
        ordered = [getattr(self, name) for name in wanted if name in ("low", "mode", "high")]
        if ordered != sorted(ordered) or (ordered and ordered[0] == ordered[-1]):
            raise ValueError(f"{', '.join(wanted)} must ascend, not {', '.join(f'{value:g}' for value in ordered)}")
        return self


class LinkJitter(Jitter):
    """The same for a bandwidth, which keeps during a run."""

    per: Literal["run"] = "run"
    """A link has the same bandwidth from start to end."""


class Uncertainty(Section):
    """How far each input may be off, as a share of it: 0.2 is from 20 % less to 20 % more. 0 for what is certain."""

    uplink: Share = 0.2
    downlink: Share = 0.2
    latency: Share = 0.5
    speed: Share | None = None
    """Computing speed; the profile's 95th percentile of held-out errors if left out, 0.1 where it has none."""
    ingress: Share = 0.2
    egress: Share = 0.2
    payload: Share = 0.05
    """Bytes of all messages."""
    serialization: Share = 0.5
    aggregation: Share = 0.5
