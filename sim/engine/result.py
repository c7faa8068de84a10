"""What a simulated run gives: its wall-clock, where it went, the bytes moved, the timeline, and the origin of all."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parasim_core.sim.engine.fleet import Fleet, opened_one_by_one
from parasim_core.sim.engine.lines import Level, Line, are_plain, lines
from parasim_core.sim.engine.server import LEFT_OVER
from parasim_core.sim.engine.timeline import SERVER, Account, Interval, Kind, Timeline, account, write_csv
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.support.atomic_files import write_atomically
from parasim_core.sim.support.collector import no_collection
from parasim_core.sim.support.frames import frame

if TYPE_CHECKING:
    import pandas as pd

TIMELINE_CLIENTS = 10_000
"""Up to this many clients, the timeline has rows for each; above it, one set of rows per group of alike ones."""

_MEANS = {
    "compute_s": "compute",
    "exposed_communication_s": "exposed",
    "hidden_communication_s": "hidden",
    "stalled_communication_s": "stalled",
    "waiting_s": "waiting",
    "offline_s": "offline",
}
"""Names of the means over the clients that are reported, and the part of an account that each is of."""


@dataclass(frozen=True, repr=False)
class Result:
    """One simulated run.

    Attributes
    ----------
    scenario : Scenario
        What was simulated.
    timeline : Timeline
        All spans.
    counts : mapping of int to int
        Number of clients that behave like client `key`, for every client that was simulated.
    presence : mapping of int to sequence of (float, float)
        When each of them took part [s].
    provenance : mapping
        Where the numbers come from.
    events : int
        How many events its simulation took, which is what it costs.
    down : mapping of int to sequence of (float, float)
        When devices of clients were down, or something waited for their devices or links [s].
    repairs, outages : mapping of int to sequence of (float, float)
        When devices, and links, of clients were down while these had something to do [s].
    """

    scenario: Scenario
    timeline: Timeline
    counts: Mapping[int, int]
    presence: Mapping[int, Sequence[Interval]]
    provenance: Mapping[str, object]
    events: int = 0
    down: Mapping[int, Sequence[Interval]] = field(default_factory=dict)
    repairs: Mapping[int, Sequence[Interval]] = field(default_factory=dict)
    outages: Mapping[int, Sequence[Interval]] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Tell runs apart where they are looked at, without all that they hold."""
        scenario = self.scenario
        return (
            f"Result({scenario.name}: {scenario.method.name}, {scenario.rounds} rounds, {scenario.clients} clients, "
            f"{self.wall_clock:.6g} s)"
        )

    @cached_property
    def wall_clock(self) -> float:
        """From the start to the end of the last activity [s]."""
        return self.timeline.end

    @cached_property
    @no_collection()
    def accounts(self) -> dict[int, Account]:
        """Where the wall-clock of each simulated client went."""
        down, end, presence = self.down, self.wall_clock, self.presence
        own = {c: account(spans, presence[c], end, down.get(c, ())) for c, spans in self.timeline.by_client()}
        return {c: own.get(c) or account((), presence[c], end, down.get(c, ())) for c in self.counts}

    def mean(self, part: str, clients: range | None = None) -> float:
        """Mean of one part of the accounts over the clients (of a range of numbers) [s].

        Clients that never took part were offline throughout.
        """
        clients = range(self.scenario.clients) if clients is None else clients
        accounts, counts, own = self.accounts, self.counts, self._among(clients)
        terms = [getattr(accounts[client], part) * counts[client] for client in own]
        if part == "offline":
            terms.append(self.wall_clock * (len(clients) - sum(counts[client] for client in own)))
        return math.fsum(terms) / len(clients)

    def _among(self, clients: range) -> Sequence[int]:
        """Simulated clients among some; all lie beside one another: a mean of few must not look at everyone."""
        return self._simulated[bisect_left(self._simulated, clients.start) : bisect_left(self._simulated, clients.stop)]

    @cached_property
    def _simulated(self) -> list[int]:
        """Numbers of the simulated clients, rising."""
        return sorted(self.counts)

    def total(self, part: str) -> int | float:
        """Sum of one part of the accounts over the clients [B]."""
        total = math.fsum(getattr(self.accounts[client], part) * count for client, count in self.counts.items())
        return _whole(total)

    def summary(self) -> dict[str, object]:
        """Figures of the run, in seconds and bytes, as `paraSim simulate --format json` prints them."""
        return {
            "name": self.scenario.name,
            "method": self.scenario.method.name,
            **self.figures(),
            "groups": self.groups(),
            **({"levels": levels} if (levels := self.levels()) else {}),
            "provenance": dict(self.provenance),
        }

    def figures(self, *, failures: bool = False) -> dict[str, int | float]:
        """Figures of the run: means over the clients [s], totals [B], and counts.

        Parameters
        ----------
        failures : bool
            With those of failures, though nothing fails.
        """
        return {
            "wall_clock_s": self.wall_clock,
            **{name: self.mean(part) for name, part in _MEANS.items()},
            "uploaded_bytes": self.total("uploaded"),
            "downloaded_bytes": self.total("downloaded"),
            **(self.failures() if failures or opened_one_by_one(self.scenario) else {}),
            "rounds": self.scenario.rounds,
            "clients": self.scenario.clients,
        }

    def failures(self) -> dict[str, int | float]:
        """What failures cost.

        The time that clients lost to repairs and outages, in the mean [s]; what was wasted in all: computations [s]
        whose update was not aggregated, what was sent of these, and messages that were cut off [B]; how many rounds
        were aggregated with fewer updates than were wanted; how many updates were lost with their clients, and how
        many dropped, as they came too late.
        """
        computing: list[float] = []
        sizes: list[float] = []
        for span in self.timeline.of(self.timeline.wasted):
            if span.client >= 0:
                sizes.append(span.size)
                computing += (span.end, -span.start) if span.kind is Kind.COMPUTE else ()
        updates: Any = self.provenance.get("updates", {})
        return {
            "failed_s": self.mean("failed"),
            "wasted_compute_s": math.fsum(computing),
            "wasted_bytes": _whole(math.fsum(sizes)),
            "short_rounds": sum(closed.short for closed in self.timeline.incidents.closed.values()),
            "lost_updates": updates.get("lost", 0),
            "late_updates": sum(
                clients for reason, clients in updates.get("dropped", {}).items() if reason != LEFT_OVER
            ),
        }

    def groups(self) -> list[dict[str, object]]:
        """Means over the clients of each group of the fleet [s]."""
        fleet = Fleet(self.scenario.fleet)
        rows: list[dict[str, object]] = []
        parts = {name: part for name, part in _MEANS.items() if part != "stalled"}
        if opened_one_by_one(self.scenario):
            parts["failed_s"] = "failed"
        for index, group in enumerate(fleet.groups):
            means = {name: self.mean(part, fleet.members(index)) for name, part in parts.items()}
            rows.append({"name": fleet.name(index), "clients": group.count, **means})
        return rows

    def levels(self) -> list[dict[str, object]]:
        """Bytes over the links of each level [B], from the clients to the server; empty without sites and regions.

        What an aggregator sends on crosses the links above it instead of what it stands for.
        """
        if not self.scenario.regions and not any(group.site for group in self.scenario.fleet):
            return []
        fleet = Fleet.of(self.scenario)
        everyone = Line(Level.ACCESS, "access links", (math.inf, math.inf), (range(fleet.clients),))
        rows = [self._crossed(everyone.name, [everyone], fleet.clients)]
        above = list(lines(self.scenario))
        for index, group in enumerate(fleet.groups):
            if group.site is not None:
                members = fleet.members(index)
                own = [line for line in above if line.level is Level.SITE and line.clients[0].start in members]
                rows.append(self._crossed(f"sites of {fleet.name(index)}", own, len(own)))
        rows += [self._crossed(line.name, [line], 1) for line in above if line.level is not Level.SITE]
        return rows

    def _crossed(self, name: str, over: Sequence[Line], links: int) -> dict[str, object]:
        """One row of the levels: what the messages of all who are behind some links of a level bring over them."""
        moved = []
        for part, kind in (("uploaded", Kind.UPLOAD), ("downloaded", Kind.DOWNLOAD)):
            clients = [self._of(clients, part) for line in over for clients in line.clients]
            moved.append(math.fsum(chain(clients, (self._moved[a, kind] for line in over for a in line.aggregators))))
        uploaded, downloaded = map(_whole, moved)
        level = over[0].level.value
        return {
            "level": level,
            "name": name,
            "links": links,
            "uploaded_bytes": uploaded,
            "downloaded_bytes": downloaded,
        }

    def _of(self, clients: range, part: str) -> float:
        """Sum of one part of the accounts over a range of clients."""
        own = self._among(clients)
        return math.fsum(getattr(self.accounts[client], part) * self.counts[client] for client in own)

    @cached_property
    def _moved(self) -> Counter[tuple[int, Kind]]:
        """Bytes that aggregators moved."""
        sizes: dict[tuple[int, Kind], list[float]] = {}
        for span in self.timeline if self.scenario.regions else ():
            if span.client < SERVER:
                sizes.setdefault((span.client, span.kind), []).append(span.size)
        return Counter({key: _whole(math.fsum(own)) for key, own in sizes.items()})

    def to_dataframe(self) -> pd.DataFrame:
        """Return the figures of each group of the fleet, means over its clients; ``attrs["units"]`` has the units."""
        return frame(self.groups())

    def write_timeline(self, path: Path, *, collapse: bool = False) -> None:
        """Write ``timeline.csv``: complete, or not at all; with the parts of messages where links are not plain.

        Parameters
        ----------
        path : Path
            The file.
        collapse : bool
            One set of rows per group of alike clients, with its `count`; always so above 10,000 clients.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        collapse = collapse or self.scenario.clients > TIMELINE_CLIENTS
        spans, counts, name = self.timeline.spans, dict(self.counts), Fleet.of(self.scenario).actor
        parts = not are_plain(self.scenario)
        write_atomically(path, lambda f: write_csv(f, spans, counts, name, collapse=collapse, parts=parts))


def _whole(total: float) -> int | float:
    return int(total) if total.is_integer() else total
