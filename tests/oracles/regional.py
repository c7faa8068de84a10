"""Regions with aggregators, worked out round by round without events: unlimited server, no sites.

Two protocols: one in which all that take part download, train and upload one after the other, and ParaBlock's overlap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Done = tuple[str, float, float]
"""What was sent or fetched, its start and its end [s]."""


class Meeting(Exception):  # noqa: N818 - nothing is wrong: this oracle does not do it
    """Messages of different rounds would share a region's link, which this oracle does not work out."""


@dataclass(frozen=True)
class Link:
    """Rates up and down [B/s], and a latency [s]."""

    up: float
    down: float
    latency: float


@dataclass
class Fleet:
    """Who computes and sends how fast.

    Attributes
    ----------
    compute : sequence of float
        Of each client [s].
    links : sequence of Link
        Of each client.
    region : sequence of str
        Of each client; empty for those directly below the server.
    regions : mapping of str to Link
        Between each region's aggregator and the server.
    upload, change, whole : float
        Sizes of an update, of one change of an item, and of a whole item [B].
    packing, aggregation : float
        [s].
    """

    compute: Sequence[float]
    links: Sequence[Link]
    region: Sequence[str]
    regions: Mapping[str, Link]
    upload: float
    change: float
    whole: float
    packing: float
    aggregation: float
    done: defaultdict[str, list[Done]] = field(default_factory=lambda: defaultdict(list))
    renewed: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    known: defaultdict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    free: defaultdict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))

    def sends(self, client: int, begin: float) -> float:
        """When a client's update is where it sends it, if it begins then."""
        link = self.links[client]
        end = begin + self.packing + link.latency + self.upload / link.up
        self.done[str(client)].append(("upload", begin, end))
        return end

    def received(self, sent: Mapping[int, float]) -> float:
        """When the server has the updates of all clients, given when each was where it was sent."""
        arrivals = [end for client, end in sent.items() if not self.region[client]]
        for region, link in self.regions.items():
            own = [end for client, end in sent.items() if self.region[client] == region]
            if own:
                arrivals += self.over(region, "upload", [(max(own), self.upload)], link.up)
        return max(arrivals)

    def over(self, region: str, what: str, messages: Sequence[tuple[float, float]], rate: float) -> list[float]:
        """When messages (begin, size) have crossed a region's link: they share it equally."""
        link = self.regions[region]
        starts = [begin + link.latency for begin, _ in messages]
        if messages and min(starts) < self.free[region, what]:
            raise Meeting
        left = {number: size for number, (_, size) in enumerate(messages)}
        ends = [0.0] * len(messages)
        now = min(starts, default=0.0)
        while left:
            sharing = [number for number in left if starts[number] <= now]
            begins = [starts[number] for number in left if starts[number] > now]
            if not sharing:
                now = min(begins)
                continue
            first = min(sharing, key=lambda number: left[number])
            until = min([now + left[first] * len(sharing) / rate, *begins])
            for number in sharing:
                left[number] -= (until - now) * rate / len(sharing)
            if until not in begins or left[first] <= 0:
                ends[first] = until
                del left[first]
            now = until
        self.free[region, what] = max(ends, default=0.0)
        self.done[region] += [(what, begin, end) for (begin, _), end in zip(messages, ends, strict=True)]
        return ends

    def size(self, who: str, items: Sequence[int]) -> float:
        """Size of what somebody misses of some items: change by change, or whole where that is less."""
        missed = [sum(version > self.known[who].get(item, -1) for version in self.renewed[item]) for item in items]
        return sum(self.change if n == 1 else min(n * self.change, self.whole) for n in missed)

    def missing(self, who: str) -> list[int]:
        """Items of which somebody has not got the newest version."""
        return [item for item, versions in self.renewed.items() if versions[-1] > self.known[who].get(item, -1)]

    def learns(self, who: str, items: Sequence[int]) -> None:
        """Have the newest version of items."""
        for item in items:
            self.known[who][item] = self.renewed[item][-1]

    def fetch(self, asked: Mapping[int, float]) -> dict[int, float]:
        """When clients have all that they miss, given when each asks for it."""
        wanted = {client: self.missing(str(client)) for client in asked}
        begins = dict(asked)
        for region, link in self.regions.items():
            own = sorted((time, client) for client, time in asked.items() if self.region[client] == region)
            messages: list[tuple[float, float]] = []
            brings: dict[int, int] = {}
            for time in sorted({time for time, _ in own}):
                items = {item for at, client in own if at == time for item in wanted[client]}
                items = {item for item in items if item in self.missing(region)}
                if items:
                    messages.append((time, self.size(region, sorted(items))))
                    brings |= dict.fromkeys(items, len(messages) - 1)
                    self.learns(region, sorted(items))
            ends = self.over(region, "download", messages, link.down)
            for time, client in own:
                # A message that somebody asks for later is not waited for.
                waited = [
                    brings[item] for item in wanted[client] if item in brings and messages[brings[item]][0] <= time
                ]
                begins[client] = max([time, *(ends[number] for number in waited)])
        has: dict[int, float] = {}
        for client, begin in begins.items():
            has[client] = begin
            if wanted[client]:
                link = self.links[client]
                has[client] += link.latency + self.size(str(client), wanted[client]) / link.down + self.packing
                self.done[str(client)].append(("download", begin, has[client]))
            self.learns(str(client), wanted[client])
        return has


def synchronous(fleet: Fleet, participants: Sequence[set[int]], schedule: Sequence[int]) -> float:
    """When a run ends [s] in which every round's participants download, train and upload one after the other."""
    opened = 0.0
    for round, members in enumerate(participants):
        has = fleet.fetch(dict.fromkeys(sorted(members), opened))
        sent = {client: fleet.sends(client, has[client] + fleet.compute[client]) for client in members}
        opened = fleet.received(sent) + fleet.aggregation
        fleet.renewed[schedule[round]].append(round)
    return opened


def overlapped(fleet: Fleet, participants: Sequence[set[int]], schedule: Sequence[int], staleness: int) -> float:
    """When ParaBlock is done [s].

    Of round t, its participants compute; those of round t - s upload; those of round t + 1 wait for the aggregate of
    round t - s and download what they miss. A round whose clients are others begins when all of these are done. After
    the last round, those that computed it go on with what they still have; others begin when it has been computed.
    """
    rounds, clients = len(participants), range(len(fleet.compute))
    at = dict.fromkeys(clients, 0.0)
    aggregated: dict[int, float] = {}
    begun: frozenset[int] | None = frozenset(clients)
    opening = 0.0

    def members(round: int) -> set[int]:
        return participants[round] if 0 <= round < rounds else set()

    def goes_on(round: int) -> set[int]:
        if round < staleness:
            return set()
        return members(round + 1) or members(round - staleness) & members(round + 1 - staleness)

    def exchange(round: int, who: set[int], begin: Mapping[int, float]) -> dict[int, float]:
        due = round - staleness
        done = {client: begin[client] for client in who}
        if not members(due):
            return done
        sent = {client: fleet.sends(client, done[client]) for client in sorted(who & members(due))}
        done |= sent
        aggregated[due] = max(fleet.received(sent), aggregated.get(due - 1, 0.0)) + fleet.aggregation
        fleet.renewed[schedule[due]].append(due)
        asked = {client: max(done[client], aggregated[due]) for client in sorted(who & goes_on(round))}
        return done | fleet.fetch(asked)

    for round in range(rounds):
        computing, sending, fetching = members(round), members(round - staleness), goes_on(round)
        roles = {frozenset(role) for role in (computing, sending, fetching) if role}
        everyone = computing | sending | fetching
        if roles != {begun}:
            at |= dict.fromkeys(everyone, opening)
        begun = frozenset(everyone) if len(roles) == 1 else None
        begin = {client: at[client] for client in everyone}
        done = exchange(round, everyone, begin)
        for client in everyone:
            computed = begin[client] + fleet.compute[client] if client in computing else 0.0
            at[client] = max(done[client], computed)
        opening = max(at[client] for client in everyone)
    at |= dict.fromkeys(set(clients) - members(rounds - 1), opening)
    for round in range(rounds, rounds + staleness):
        sending = members(round - staleness)
        at |= exchange(round, sending, at)
    return max(aggregated[rounds - 1], *at.values())
