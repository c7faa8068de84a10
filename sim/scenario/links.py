"""What links are: constant, in steps or after a trace; shared by a site or a region; and what TCP makes of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    StrictBool,
    Tag,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from parasim_core.sim.errors import nearest, shown
from parasim_core.sim.scenario import units
from parasim_core.sim.scenario.fields import Duration, Name, Number, OneLine, Section, Size, Whole, quantity

Zero = Annotated[float, *quantity(units.bandwidth_or_zero, units.format_bandwidth, "0B/s")]


TIME_OF_DAY = "time-of-day"
"""Where a run begins in what was recorded, or is given, from midnight on."""
_WORDS = ("random", TIME_OF_DAY)


def _start(given: Any) -> Any:
    if isinstance(given, str) and (hint := nearest(given, _WORDS)).startswith("did"):
        if given not in _WORDS:
            raise ValueError(f"must be a duration, random or {TIME_OF_DAY}, not {shown(given)}; {hint}")
        return given
    return _DURATION_OR_WORD(given)


_DURATION_OR_WORD = units.duration.or_as(f"random or {TIME_OF_DAY}")


_SECONDS = {"type": "number", "minimum": 0, "maximum": units.duration.largest}
_DURATION = {
    "anyOf": [{"type": "string", "pattern": units.duration.pattern, "maxLength": units.LONGEST_TEXT}, _SECONDS],
    "examples": ["300s"],
}
Start = Annotated[
    float | Literal["random", "time-of-day"],
    BeforeValidator(_start),
    PlainSerializer(lambda start: start if start in _WORDS else f"{start!r}s", when_used="json"),
    WithJsonSchema({"anyOf": [{"enum": [*_WORDS]}, _DURATION]}),
]
Share = Annotated[float, *quantity(units.share, units.format_share, "0.1%")]


SHORTEST_STEP = 1e-4
"""Least mean time between the steps of a course that repeats [s]: packets of 1500 B at 100 Mbit/s are no closer."""


class Steps(Section):
    """A capacity that changes at known times."""

    steps: tuple[tuple[Duration, Zero], ...] = Field(min_length=1, max_length=1_000_000)
    """From which time on which rate holds; the first from 0 on. A rate of zero stalls what is under way."""
    period: Duration | None = Field(default=None, gt=0)
    """After this time the steps begin again; the last one holds for ever if left out."""
    start: Literal["time-of-day"] | None = None
    """`time-of-day`: the steps count from midnight, and a run begins where `start` of the scenario says; else at 0."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        times = [time for time, _ in self.steps]
        if times[0] != 0:
            raise ValueError(f"steps.0: the first step holds from 0 on, not from {times[0]:g} s")
        for number, (before, time) in enumerate(pairwise(times), 1):
            if time <= before:
                raise ValueError(f"steps.{number}: {time:g} s is not later than the {before:g} s of the step before it")
        if self.period is not None and self.period <= times[-1]:
            raise ValueError(f"period: {self.period:g} s is not later than the last step, at {times[-1]:g} s")
        if self.period is not None and len(times) > 1 and self.period < SHORTEST_STEP * len(times):
            raise ValueError(
                f"period: {self.period:g} s for {len(times):,} steps is too short to go through them again and again; "
                f"it must be at least {SHORTEST_STEP * len(times):g} s, {SHORTEST_STEP:g} s for each"
            )
        if self.start is not None and self.period is None:
            raise ValueError(f"start: {TIME_OF_DAY} goes with a period, such as 24h")
        if not any(rate for _, rate in self.steps):
            raise ValueError("steps: none of them carries anything")
        return self


class Traced(Section):
    """A capacity that follows a recorded one, again and again."""

    trace: OneLine
    """CSV file with a column `seconds`, or a trace of Mahimahi (one time in ms a line); relative to the scenario."""
    column: Name | None = None
    """Column of the rates; not needed where there is only one besides `seconds`."""
    unit: Name | None = None
    """Unit of the rates, such as `Mbit/s`, where the column's name does not tell it (`downlink_mbit_s` does)."""
    start: Start = 0.0
    """Where in the trace a run begins; `random` draws it for each client by itself; `time-of-day` is for a trace from
    midnight on, in which a run begins where `start` of the scenario says."""
    scale: Number = Field(default=1.0, gt=0, le=1e9)
    """The rates are multiplied by it."""

    @field_validator("unit")
    @classmethod
    def _of_a_rate(cls, unit: str | None) -> str | None:
        if unit is not None:
            units.bandwidth(f"1 {unit}")
        return unit


_KINDS = {"steps": Steps, "trace": Traced}


def _of_one_kind(link: Any) -> Any:
    """Refuse fields that are of no kind of link, or of both."""
    given = [kind for kind in _KINDS if isinstance(link, dict) and kind in link]
    if len(given) > 1:
        raise ValueError("give steps or trace, not both")
    if isinstance(link, dict) and not given:
        hints = (nearest(str(field), _KINDS) for field in link)
        hint = next((hint for hint in hints if hint.startswith("did")), "such as {steps: [[0s, 10MB/s], [60s, 2MB/s]]}")
        raise ValueError(f"a link that varies has steps or a trace, not {shown(link)}; {hint}")
    return link


def _kind(link: Any) -> str:
    """Tell which kind of link is given, so that errors are about that one alone."""
    kinds = (f"of {kind}" for kind, section in _KINDS.items() if isinstance(link, section) or _has(link, kind))
    return next(kinds, "a constant")


def _has(link: Any, field: str) -> bool:
    return isinstance(link, dict) and field in link


_CONSTANT = quantity(units.bandwidth.or_as("a mapping with steps or a trace"), units.format_bandwidth, "100MB/s")
# Tags are none that could be names of fields, so that messages leave them out of paths.
Capacity = Annotated[
    Annotated[float, *_CONSTANT, Tag("a constant")]
    | Annotated[Steps, Tag("of steps")]
    | Annotated[Traced, Tag("of trace")],
    Discriminator(_kind),
    BeforeValidator(_of_one_kind),
]
"""One direction of a link."""


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default")


class Buffers(Section):
    """How long a full buffer takes to drain, in front of each direction of an access link.

    One that is left out is as long as the other, so that neither direction waits for the other's.
    """

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    uplink: Duration = Field(default=0.0, json_schema_extra=_without_default)
    downlink: Duration = Field(default=0.0, json_schema_extra=_without_default)

    @model_validator(mode="before")
    @classmethod
    def _as_long_as_the_other(cls, given: Any) -> Any:
        if given == {}:
            raise ValueError("give uplink, downlink, or both")
        if isinstance(given, dict) and len(given) == 1:
            [(direction, seconds)] = given.items()
            return {"uplink": seconds, "downlink": seconds} if direction in cls.model_fields else given
        return given


class Transport(Section):
    """What TCP makes of an access link; what is left out does not limit."""

    control: Literal["reno", "cubic", "bbr"] = "cubic"
    """Congestion control of the sender."""
    loss: Share = 0.0
    """Share of the packets that get lost at random."""
    streams: Whole = Field(default=1, ge=1, le=1000)
    """Connections over which a message is sent at once."""
    window: Size | None = Field(default=None, gt=0)
    """Most that one connection has under way."""
    fresh: StrictBool = True
    """Every message opens its connections; otherwise they stay open from one message to the next."""
    acknowledgements: Share = 0.02
    """Rate that the acknowledgements of one direction take of the other, as a share of what they acknowledge."""
    outages: Literal["held", "dropped"] = "held"
    """What a queue does with its packets while its link carries nothing; of dropped ones TCP learns by its timer."""
    buffer: Buffers | None = None
    """On asymmetric links with small buffers, one direction waits for acknowledgements queued behind the other."""


class SiteLine(Section):
    """A line that several clients share, such as that of a branch office."""

    clients: Whole = Field(ge=1, le=10_000_000)
    """So many clients of the group in a row share one; the last site may have fewer."""
    uplink: Capacity
    """Towards the server."""
    downlink: Capacity | None = None
    """Away from it; like the uplink if left out."""

    @property
    def down(self) -> Capacity:
        """Downlink."""
        return self.uplink if self.downlink is None else self.downlink


class Region(Section):
    """A link between the clients of some groups and the server, with or without an aggregator at its end."""

    uplink: Capacity | None = None
    """Towards the server; unlimited if left out."""
    downlink: Capacity | None = None
    """Away from it; like the uplink if left out."""
    latency: Duration = 0.0
    """One way, on top of that of the access link."""
    aggregates: StrictBool = False
    """Whether an aggregator stands where the clients' links meet: it sends one update on for all of a round's."""
    transport: Transport | None = None
    """What TCP makes of the link between aggregator and server."""

    @model_validator(mode="after")
    def _only_an_aggregator_connects(self) -> Self:
        if self.transport is not None and not self.aggregates:
            raise ValueError("transport: only an aggregator has connections of its own; give aggregates: true")
        return self

    @property
    def down(self) -> Capacity | None:
        """Downlink."""
        return self.uplink if self.downlink is None else self.downlink
