"""What links are: constant, in steps or after a trace; shared by a site or a region; and what TCP makes of them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, model_validator

from sim.scenario import units
from sim.scenario.fields import Bandwidth, Duration, Line, Number, OneLine, Section, Size, Whole, quantity

Zero = Annotated[float, *quantity(units.bandwidth_or_zero, units.format_bandwidth, "0B/s")]
Share = Annotated[float, *quantity(units.share, units.format_share, "0.1%")]


class Steps(Section):
    """A capacity that changes at known times."""

    steps: tuple[tuple[Duration, Zero], ...] = Field(min_length=1, max_length=1_000_000)
    """From which time on which rate holds; the first from 0 on. A rate of zero stalls what is under way."""
    period: Duration | None = Field(default=None, gt=0)
    """After this time the steps begin again; the last one holds for ever if left out."""


class Traced(Section):
    """A capacity that follows a recorded one, again and again."""

    trace: OneLine
    """CSV file with a column `seconds`, or a trace of Mahimahi (one time in ms a line); relative to the scenario."""
    column: Line | None = None
    """Column of the rates; not needed where there is only one besides `seconds`."""
    unit: Line | None = None
    """Unit of the rates, such as `Mbit/s`, where the column's name does not tell it (`downlink_mbit_s` does)."""
    start: Duration | Literal["random"] = 0.0
    """Where in the trace a run begins; `random` draws it for each client by itself."""
    scale: Number = Field(default=1.0, gt=0, le=1e9)
    """The rates are multiplied by it."""


Capacity = Bandwidth | Steps | Traced
"""One direction of a link."""


class Buffers(Section):
    """How long a full buffer takes to drain, in front of each direction of an access link."""

    uplink: Duration = 0.0
    downlink: Duration = 0.0


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
