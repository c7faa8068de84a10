"""What happens to clients: when they are there, how their links and devices fail, and how long a round waits for them.

What each of it means for a run is written down in `docs/explanation/failures.md`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, StrictBool, Tag, model_validator

from parasim_core.sim.scenario import units
from parasim_core.sim.scenario.calendar import read_time
from parasim_core.sim.scenario.fields import Duration, Number, OneLine, Section, TimeOfDay, Whole, Zone, quantity

Part = Annotated[float, *quantity(units.part, units.format_share, "80%")]
"""A share that may be all."""
_LEAST_MEAN = 1
"""Shortest mean time [s] between events of one client: whoever fails a million times a second computes nothing."""
_MOST_SHARE = 0.999
"""Above it, gaps would be too short for the clock to tell where they begin and end."""


class Available(Section):
    """When clients are there: drawn for each by itself, or as recorded. Always if left out."""

    alternatives = (
        *(("share", "file"), ("session", "file"), ("day_to_night", "file")),
        *(("share", "daily"), ("session", "daily"), ("day_to_night", "daily"), ("file", "daily"), ("file", "zone")),
    )

    share: Part | None = Field(default=None, ge=0.001)
    """Share of the time that a client is there, on average over a day; at most 0.999, or 1."""
    session: Duration | None = Field(default=None, ge=_LEAST_MEAN)
    """Mean length of a session; how long one is follows an exponential distribution, and gaps do as well."""
    day_to_night: Number | None = Field(default=None, ge=1, le=1000)
    """How many times as often sessions begin at noon as at midnight; at any time as often if left out. A run begins at
    six in the morning, unless `start` of the scenario says when."""
    file: OneLine | None = None
    """JSON file with a list for each client of the group: `[begin, end]` of its sessions, in seconds from the beginning
    of the run, repeated when the last one ends; relative to the scenario. Of fewer lists, clients take turns."""
    daily: tuple[TimeOfDay, TimeOfDay] | None = None
    """From when to when on each day's clock, `["22:00", "06:00"]`; `start` of the scenario says when the run begins."""
    zone: Zone | None = None
    """Time zone of that clock, and of noon and midnight, such as `Asia/Tokyo`; that of `start` if left out."""

    @model_validator(mode="after")
    def _drawn_or_recorded(self) -> Self:
        if self.file is None and self.daily is None and (self.share is None or self.session is None):
            raise ValueError("give share and session, such as {share: 40%, session: 2h}, daily, or a file")
        if self.daily is not None and read_time(self.daily[0]) == read_time(self.daily[1]):
            raise ValueError(f"daily: from {self.daily[0]} to {self.daily[1]} is all day; leave it out")
        if self.zone is not None and self.daily is None and self.day_to_night is None:
            raise ValueError("zone: without daily or day_to_night, nothing goes by the time of day")
        if self.share is not None and _MOST_SHARE < self.share < 1:
            raise ValueError(f"share: {self.share:.9g} is neither at most {_MOST_SHARE:g} nor 1, which is always")
        return self


class Outages(Section):
    """When a client's access link carries nothing, drawn for each client by itself."""

    every: Duration = Field(ge=_LEAST_MEAN)
    """Mean time from the end of one outage to the next; it follows an exponential distribution."""
    last: Duration
    """How long each one lasts."""
    transfers: Literal["stall", "restart"] = "stall"
    """What becomes of transfers under way: they go on afterwards, or begin anew."""


class Dropout(Section):
    """How often a client vanishes in the middle of a round, drawn for each of its participations."""

    rate: Part
    """Share of the participations that end so."""
    during: Literal["any", "compute", "exchange"] = "any"
    """What it is at when it vanishes: computing, or sending or receiving; `any` is either with the same chance."""
    back_after: Whole = Field(default=1, ge=1, le=1_000_000)
    """Rounds until it is back: one that vanishes in round t can take part again from round t + back_after on."""


class Failures(Section):
    """When a client's device fails, drawn for each client by itself."""

    every: Duration = Field(ge=_LEAST_MEAN)
    """Mean time from the end of one repair to the next failure; it follows an exponential distribution."""
    repair: Duration
    """How long the device is down."""
    resume: StrictBool = False
    """Whether computing goes on where it was; otherwise the update is begun anew."""


class AdaptiveDeadline(Section):
    """A deadline that follows the rounds so far. The first three have none."""

    median: Number = Field(default=1.0, gt=0, le=1000)
    """So many times the median of how long they took ..."""
    mad: Number = Field(default=3.0, ge=0, le=1000)
    """... and so many times their median absolute deviation from it."""


def _kind(deadline: Any) -> str:
    return "of rounds" if isinstance(deadline, dict | AdaptiveDeadline) else "a duration"


_FIXED = quantity(units.duration.or_as("a mapping with median and mad"), lambda seconds: f"{seconds!r}s", "10ms")
# Tags are none that could be names of fields, so that messages leave them out of paths.
Deadline = Annotated[
    Annotated[float, *_FIXED, Field(gt=0), Tag("a duration")] | Annotated[AdaptiveDeadline, Tag("of rounds")],
    Discriminator(_kind),
]
"""How long a round waits from its opening on."""
