"""The file of a measured profile: its fields, their bounds, and its JSON Schema.

Everything that the numbers depend on stands in it, and every number that they come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

import numpy as np
from pydantic import Field, model_validator

from parasim_core.calibration.measuring.plan import MeasuringPlan, Role
from parasim_core.calibration.profiles.cost_terms import (
    MERGE_TERMS,
    STEP_PHASES,
    TERMS,
    Amounts,
    CostTerm,
    Form,
    amounts_matrix,
    combined,
    terms_of,
)
from parasim_core.calibration.profiles.points import ADAPTERS, StepPoint, Visit
from parasim_core.calibration.profiles.profile_file import Count, ProfileFile, Seconds
from parasim_core.calibration.profiles.quality import HeldOut, Quality
from parasim_core.sim.errors import shown
from parasim_core.sim.scenario.fields import Line, OneLine, SchemaOfFields, Section, Whole
from parasim_core.sim.workload.architecture import Architecture
from parasim_core.sim.workload.methods import Trains

DATE_FORMAT = "%Y-%m-%d %H:%M UTC"
_ROUNDING = 1e-6  # [s], of medians
_DATE = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]) ([01][0-9]|2[0-3]):[0-5][0-9] UTC$"


class MeasuredDevice(Section):
    """Where it was measured."""

    name: Line
    """As scenarios name it in `fleet.device`."""
    kind: Literal["cpu", "cuda"]
    threads: Count
    """Threads that PyTorch computes with on a CPU; 0 on a GPU."""
    clock: Literal["wall-clock", "cpu-time", "gpu-events"]
    """What was read. One thread on a CPU is timed by its own processor time, which is wall-clock time without other
    programs' share."""
    driver: Line
    """Of a GPU; empty on a CPU."""
    memory_bytes: Count
    """Memory of the device."""


class MeasuredVersions(Section):
    """Software."""

    parasim: Line
    python: Line
    torch: Line
    transformers: Line
    peft: Line
    cuda: Line
    """Empty without a GPU."""


class ModelShape(Section):
    """What of a model determines its computing time; a profile covers models of exactly this shape."""

    hidden_size: Count
    vocabulary_size: Count
    attention_heads: Count
    head_dimension: Count
    layers: Annotated[tuple[tuple[Count, Count], ...], Field(min_length=1, max_length=10_000)]
    """Parameters of the attention and the MLP half of each layer."""
    embedding_parameters: Count
    head_parameters: Count
    other_parameters: Count

    @classmethod
    def of(cls, architecture: Architecture) -> ModelShape:
        """Shape of an architecture."""
        alike = {name: getattr(architecture, name) for name in cls.model_fields if name != "layers"}
        layers = tuple((layer.attention.parameters, layer.mlp.parameters) for layer in architecture.layers)
        return cls(layers=layers, **alike)


class ProfileModel(Section):
    """What was measured."""

    name: Line
    parameters: Count
    dtype: Literal["bfloat16", "float32"]
    """Precision of the base weights."""
    attention: Line
    """Implementation of attention in transformers."""
    shape: ModelShape
    config: Annotated[dict[str, Any], Field(max_length=500)]
    """Configuration that the model was built from, with random weights: their values cost no time."""


class StepSample(Section):
    """What was measured of one point."""

    point: StepPoint
    role: Role
    """Whether the fit has seen it."""
    fits: bool = True
    """Whether the device has the memory for it."""
    reason: Line = ""
    """Why it does not fit."""
    step_s: Seconds | None = None
    """Median over the visits of the seconds of a step."""
    spread: Seconds | None = None
    """Interquartile range of these seconds over their median; unknown from one visit."""
    repeats: Count = 0
    """Number of visits."""
    peak_bytes: Count | None = None
    """Most memory that PyTorch had allocated, on a GPU."""
    visits: Annotated[tuple[Visit, ...], Field(max_length=1000)] = ()

    @classmethod
    def of(cls, point: StepPoint, role: Role, visits: Sequence[Visit], peak_bytes: int | None) -> StepSample:
        """Sum visits up."""
        steps = [visit.step for visit in visits]
        low, high = np.quantile(steps, [0.25, 0.75])
        spread = round(float((high - low) / median(steps)), 4) if len(steps) > 1 else None
        summed = {"step_s": round(median(steps), 6), "spread": spread, "repeats": len(visits), "visits": tuple(visits)}
        return cls(point=point, role=role, peak_bytes=peak_bytes, **summed)

    @property
    def times(self) -> Visit:
        """Medians of the parts over the visits."""
        return Visit(**{part: median(getattr(one, part) for one in self.visits) for part in Visit.model_fields})

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.repeats != len(self.visits):
            raise ValueError(f"repeats: {self.repeats}, but there are {len(self.visits)} visits")
        if (self.step_s is None) != (not self.visits):
            raise ValueError("step_s: belongs to samples with visits, and to all of them")
        if self.step_s is not None:
            if 0 in (self.step_s, self.times.step):
                raise ValueError("step_s: a step takes some time")
            own = median(visit.step for visit in self.visits)
            if abs(self.step_s - own) > _ROUNDING:
                raise ValueError(f"step_s: {self.step_s:g}, but the median of its visits is {own:g}")
        needed = {Trains.BLOCK: ("first_layer", "layers")} | dict.fromkeys(ADAPTERS, ("rank", "targets"))
        for size in needed.get(self.point.trains, ()):
            if getattr(self.point, size) is None:
                raise ValueError(f"point.{size}: is missing; {self.point.trains.value} has one")
        return self


class Coefficient(Section):
    """One price."""

    value: Seconds
    unit: Line
    meaning: Line


def coefficients(prices: Mapping[str, float]) -> dict[str, Coefficient]:
    """Write prices of terms with what they mean."""
    known = {term.name: term for term in (*TERMS, *MERGE_TERMS)}
    return {
        name: Coefficient(value=value, unit=known[name].unit, meaning=known[name].meaning)
        for name, value in prices.items()
    }


class FittedTerms(Section):
    """What a fit has found: a price for each of its terms."""

    terms: ClassVar[tuple[CostTerm, ...]]

    coefficients: dict[str, Coefficient]
    undetermined: Annotated[dict[str, tuple[str, ...]], Field(max_length=100)] = Field(default_factory=dict)
    """Terms that the samples do not determine, each with those that carry its price instead; none if nothing of it was
    measured."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        """Refuse prices of other terms, or in other units, than this version multiplies them with."""
        units = {term.name: term.unit for term in self.terms}
        if self.coefficients.keys() != units.keys():
            other = sorted(self.coefficients.keys() ^ units.keys())[0]
            raise ValueError(f"coefficients: {other[:60]!r} is missing, or one that this version does not know")
        for name, unit in units.items():
            if self.coefficients[name].unit != unit:
                given = shown(self.coefficients[name].unit)
                raise ValueError(f"coefficients.{name}.unit: must be {unit!r}, not {given}")
        for name, carriers in self.undetermined.items():
            if not units.keys() >= {name, *carriers} or self.coefficients[name].value:
                raise ValueError(f"undetermined.{name[:60]}: must be a known term whose price is 0, with known ones")
        return self


class StepFit(FittedTerms):
    """The prices of a step and of a local update."""

    terms = TERMS

    form: Form
    """How launching work and doing it combine."""

    def step(self, amounts: Amounts, batches: int = 1) -> float:
        """Predict the seconds of a step over so many batches: as many passes, and the optimizer once [s]."""
        step = sum(self.phase(phase, amounts) for phase in STEP_PHASES)
        return step + (batches - 1) * self._passes(step, amounts)

    def full_pass(self, amounts: Amounts) -> float:
        """Predict a forward and backward pass without the optimizer [s]."""
        return self._passes(self.step(amounts), amounts)

    def _passes(self, step: float, amounts: Amounts) -> float:
        return step - self.coefficients["optimizer"].value * amounts["weights"]

    def phase(self, phase: str, amounts: Amounts) -> float:
        """Predict one phase of a step, or ``update``, what a local update takes beyond its steps [s]."""
        terms = terms_of(phase)
        prices = np.array([self.coefficients[term.name].value for term in terms])
        return float(combined(terms, amounts_matrix(terms, [amounts]), prices, self.form)[0])


class MergeSample(Section):
    """What was measured of merging stacks of one size."""

    targets: Line
    """Modules of the adapter, as in `plan`."""
    rank: Whole = Field(ge=1, le=1_000_000_000)
    """Inner dimension of the stack: the clients' ranks together."""
    role: Role
    """Whether the fit has seen it."""
    seconds: Annotated[tuple[Seconds, ...], Field(min_length=1, max_length=1000)]
    """Of each repeat [s]."""


class Merging(FittedTerms):
    """What merging stacks of adapters takes, as every client of FLoRA does."""

    terms = MERGE_TERMS

    samples: Annotated[tuple[MergeSample, ...], Field(min_length=1, max_length=10_000)]
    median_error_pct: Seconds
    """Of the samples that are held out."""
    largest_error_pct: Seconds

    @model_validator(mode="after")
    def _held_against_something(self) -> Self:
        if not any(sample.role == "held-out" for sample in self.samples):
            raise ValueError("samples: must hold what the fit has not seen")
        if any(median(sample.seconds) == 0 for sample in self.samples):
            raise ValueError("samples: merging takes some time")
        return self

    def largest_rank(self, targets: str) -> int:
        """Largest rank of a stack on some modules that was measured; 0 if none was."""
        return max((sample.rank for sample in self.samples if sample.targets == targets), default=0)


class MeasuredFile(ProfileFile):
    """A measured profile."""

    kind: Literal["measured"]
    device: MeasuredDevice
    versions: MeasuredVersions
    date: Annotated[str, Field(pattern=_DATE, examples=["2026-01-31 09:30 UTC"])]
    """When measuring began (UTC)."""
    quality: Quality | None = None
    """The verdict: `poor` if held-out errors are too large to rely on the prices. Nothing until there are some, and in
    files that are older than this field."""
    command: Annotated[OneLine, Field(max_length=2000)]
    """What measures it, or goes on measuring."""
    model: ProfileModel
    plan: MeasuringPlan
    samples: Annotated[tuple[StepSample, ...], Field(max_length=10_000)]
    fit: StepFit | None
    """Nothing until everything planned was measured."""
    held_out: HeldOut | None
    merging: Merging | None = None
    """Nothing where no adapters were planned, or merging was not measured yet: FLoRA is not covered then."""

    @model_validator(mode="after")
    def _fitted_to_something(self) -> Self:
        if self.fit is not None and {sample.role for sample in self.samples if sample.visits} != set(get_args(Role)):
            raise ValueError("samples: must hold what the fit is from, and what it has not seen")
        return self


def profile_schema() -> dict[str, Any]:
    """JSON Schema of measured profiles."""
    return MeasuredFile.model_json_schema(schema_generator=SchemaOfFields) | {"title": "A measured profile of paraSim"}
