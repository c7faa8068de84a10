"""Shapes of what `paraSim reproduce` and `paraSim validate` hold against measurements."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from parasim.contracts.shapes import OfScenario, Stamped
from parasim_core.calibration.profiles.quality import Quality
from parasim_core.sim.scenario.fields import Section


class Cell(Section):
    """A runtime that the paper prints, beside the simulator's."""

    table: str
    model: str
    dataset: str
    method: str
    variant: str
    bandwidth: float
    """[MB/s]."""
    batch_size: int
    reported_min: float
    """[min]."""
    predicted_min: float
    """[min]."""
    error_pct: float
    """[%]."""
    role: str
    """`fitted`, `predicted` or `unexplained`."""
    note: str


class Summary(Section):
    """Errors of cells of one kind."""

    cells: int
    mean_pct: float
    """Mean size [%]."""
    max_pct: float
    """[%]."""


class Tried(Section):
    """A setting that explains cells less well."""

    model: str
    dataset: str
    method: str
    setting: str
    reported_min: float
    """[min]."""
    simulated_min: float
    """[min]."""
    error_pct: float
    """[%]."""


class ReproduceResult(Stamped):
    """What `paraSim reproduce --format json` prints."""

    cells: list[Cell]
    summary: dict[str, Summary]
    """By kind of cells."""
    tried: list[Tried]


class TransportRow(Section):
    """A transfer that real TCP made, and the simulator's."""

    kind: str
    what: str
    """The conditions, in short."""
    unit: str
    """`s` or `Mbit/s`."""
    measured: float
    predicted: float
    error_pct: float
    """[%]."""
    bound_pct: float | None
    """Error that is allowed [%]; null if it is only reported."""
    holds: bool | None
    """Whether it is within the bound; null without one."""


class TransportKind(Section):
    """Errors of one kind of transfers."""

    rows: int
    mean_pct: float
    """Mean size [%]."""
    max_pct: float
    """[%]."""
    holds: bool | None


class TransportResult(Stamped):
    """What `paraSim validate transport --format json` prints."""

    rows: list[TransportRow]
    kinds: dict[str, TransportKind]


class DeviceRow(Section):
    """A time or a size that somebody published, and what is predicted."""

    id: str
    metric: str
    """`time` or `memory`."""
    unit: str
    """`s` or `B`."""
    source: str | None
    gpu: str | None
    model: str | None
    reported: float | None
    predicted: float | None
    """Null where it cannot be expressed."""
    low: float | None
    """Band of a predicted time [s]."""
    high: float | None
    error_pct: float | None
    """[%]."""
    comparable: bool
    """Whether nothing about it had to be guessed."""
    inferred: str
    reason: str


class Spread(Section):
    """Errors of some rows."""

    rows: int
    median_pct: float | None
    """Of the sizes of errors [%], like the next two."""
    nine_in_ten_pct: float | None
    largest_pct: float | None
    bias_pct: float | None
    """Median of the errors with their signs [%]."""
    within_band_pct: float | None = None
    """Rows within the band that was predicted [%]."""


class Band(Section):
    """What holds most times of a class of devices."""

    rows: int
    factor: float
    """Either way."""
    left_out_within_pct: float | None
    """Rows within the factor that the other sources' rows give [%]; null where there is one source."""


class MetricSpread(Section):
    """Errors of times or of sizes."""

    rows: int
    comparable: Spread
    expressed: Spread
    by_gpu: dict[str, Spread]
    by_class: dict[str, Band] | None = None
    """Of times."""


class DevicesSummary(Section):
    """Errors of all rows."""

    time: MetricSpread
    memory: MetricSpread
    scale: Spread
    """Of times carried from one device to another."""


class DevicesResult(Stamped):
    """What `paraSim validate devices --format json` prints."""

    rows: list[DeviceRow]
    summary: DevicesSummary


class MethodAgreement(Section):
    """Compute time per round of one method, predicted and measured."""

    method: str
    rounds: int
    predicted_s: float | None
    """Of a round and client [s]; null where nothing is predicted."""
    measured_s: float | None
    error_pct: float | None
    """[%]."""
    median_round_pct: float | None
    """Size of the error of single rounds [%]."""
    largest_round_pct: float | None
    met: bool
    """Whether the error is within the goal."""
    reason: str
    """Why nothing is predicted; empty if it is."""


class ComputeResult(OfScenario):
    """What `paraSim validate compute --format json` prints, and `validation.json` holds."""

    profile: str
    device: str
    clock: str
    """What was read as time."""
    quality: Quality
    """The profile's own verdict."""
    held_out_pct: list[float] = Field(min_length=2, max_length=2)
    """Median and 95th percentile of the profile's own error [%]."""
    run: dict[str, Any]
    """Like `scenario`."""
    goal_pct: float
    """[%]."""
    methods: list[MethodAgreement]
    met: bool
    """Whether every method is predicted within the goal."""


class LiveSetting(Section):
    """One setting, run live twice and predicted twice."""

    setting: str
    """Values of what is varied."""
    measured_s: float
    """Makespan [s]."""
    again_s: float
    """Of the second run [s]."""
    blind_s: float | None
    """Predicted from the scenario alone [s]; null where nobody can say how long computing takes."""
    predicted_s: float
    """Predicted with the computing times of the first run [s]."""
    predicted_again_s: float
    """Of the second one [s]."""
    spans: int
    """Activities compared."""
    mean_span_s: float
    """Mean error of when they begin and end [s]."""
    largest_span_s: float
    """[s]."""
    noise_pct: float
    """Difference of the two runs [%]."""
    error_pct: float
    """Of the makespan, with measured computing [%]."""
    blind_error_pct: float | None
    """Of the makespan, blind [%]."""


class LiveSummary(Section):
    """Errors of all settings."""

    settings: int
    mean_pct: float
    """Mean size of the errors of the makespan with measured computing [%]."""
    max_pct: float
    """[%]."""
    noise_pct: float
    """Mean difference of two runs [%]."""
    pairs: int
    """Pairs of settings that are more than 3 % apart."""
    ranked_right: int
    """Of these, those that are predicted in the same order."""
    met: bool
    """Whether errors are within 1 % in the mean and 3 % at most, and all these pairs in order."""


class LiveResult(Stamped):
    """What `paraSim validate live --format json` prints."""

    rows: list[LiveSetting]
    summary: LiveSummary
