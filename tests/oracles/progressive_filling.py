"""Max-min fair sharing, slowly and obviously: the oracles that the networks are compared with.

Nothing here is shared with `sim.network` but the interface, and nothing is clever: every rate is computed anew
whenever something changes. `max_min_rates` and `outcomes` work for any links and know no SimPy;
`NaiveStar` is a `Network`, with the plain way to fill a star, for protocols that react to what happens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from simpy import Environment, Event

from parasim_core.sim.network.capacity import Varying
from parasim_core.sim.network.model import Port


@dataclass
class Transfer:
    """One message: when it starts to share [s], its size [B], its use of every link it crosses.

    A weight that is the name of a link is 1 / its capacity of the moment. `cut` is when it is cancelled [s]; `own`
    is the link whose time alone is asked for.
    """

    start: float
    size: float
    weights: dict[str, float | str]
    cut: float = math.inf
    own: str = ""


class Outcome(NamedTuple):
    """When a transfer ended [s], the bytes delivered by then [B], and what of it its link took, or was down [s]."""

    end: float
    delivered: float
    alone: float
    stalled: float


def max_min_rates(transfers: list[dict[str, float]], capacities: dict[str, float]) -> list[float]:
    """Raise all rates together; when a link is full, its transfers stay as they are, the others go on."""
    rates = [0.0] * len(transfers)
    rising = set(range(len(transfers)))
    while rising:
        room = math.inf
        full = None
        for link, capacity in capacities.items():
            weight = math.fsum(transfers[i].get(link, 0.0) for i in rising)
            if weight > 0:
                used = math.fsum(transfers[i].get(link, 0.0) * rates[i] for i in range(len(transfers)))
                if (capacity - used) / weight < room:
                    room = max((capacity - used) / weight, 0.0)
                    full = link
        for i in rising:
            rates[i] += room
        if full is None:
            break
        rising -= {i for i in rising if transfers[i].get(full, 0.0) > 0}
    return rates


def outcomes(
    transfers: list[Transfer],
    told: dict[str, float],
    changes: Sequence[tuple[float, str, float]] = (),
    adjust: Callable[[dict[str, float], Collection[int]], dict[str, float]] = lambda told, _: told,
) -> list[Outcome]:
    """Go from one start, end, cancellation or change of capacity (time, link, value) to the next.

    In between rates are constant. Those due at the time of another event end before it. `adjust` says what capacities
    are while the transfers of these numbers are under way.
    """
    told = dict(told)
    changes = sorted(changes, key=lambda change: change[0])
    ends = [(math.nan, 0.0)] * len(transfers)
    pieces: list[list[tuple[float, float, bool]]] = [[] for _ in transfers]
    left: dict[int, float] = {}
    waiting = sorted(range(len(transfers)), key=lambda i: transfers[i].start)
    now = 0.0
    while waiting or left:
        capacities = adjust(told, left)
        down = {i: any(not capacities[link] for link in transfers[i].weights) for i in left}
        going = [i for i in left if not down[i]]
        weights = [
            {k: 1 / capacities[w] if isinstance(w, str) else w for k, w in transfers[i].weights.items()} for i in going
        ]
        rates = dict(zip(going, max_min_rates(weights, capacities), strict=True))
        until_end = {i: left[i] / rate for i, rate in rates.items() if rate > 0}
        soonest = min(until_end.values(), default=math.inf)
        times = [change[0] for change in changes[:1]] + [transfers[i].start for i in waiting[:1]]
        next_event = min([*times, *(transfers[i].cut for i in left)], default=math.inf)
        elapsed = max(min(next_event - now, soonest), 0.0)
        for i in left:
            pieces[i].append((elapsed, capacities.get(transfers[i].own, math.inf), down[i]))
        if elapsed > 0:
            for i, rate in rates.items():
                left[i] = max(left[i] - rate * elapsed, 0.0)
        if soonest <= (next_event - now) * (1 + 1e-14) and (soonest > 0 or next_event > now):
            now += elapsed
            for i, seconds in until_end.items():
                if seconds <= soonest * (1 + 1e-14):
                    ends[i] = now, transfers[i].size
                    del left[i]
            continue
        now = next_event
        while changes and changes[0][0] <= now:
            _, link, value = changes.pop(0)
            told[link] = value
        while waiting and transfers[waiting[0]].start <= now:
            first = waiting.pop(0)
            left[first] = transfers[first].size
        for i in [i for i in left if transfers[i].cut <= now]:
            ends[i] = transfers[i].cut, transfers[i].size - left.pop(i)
    return [
        Outcome(*end, _alone(end[1], own), math.fsum(seconds for seconds, _, down in own if down))
        for end, own in zip(ends, pieces, strict=True)
    ]


def _alone(left: float, pieces: list[tuple[float, float, bool]]) -> float:
    """Time that a link takes for bytes while nothing is down."""
    seconds = 0.0
    for elapsed, capacity, down in pieces:
        if not down and elapsed:
            seconds += min(left / capacity, elapsed)
            left = max(left - elapsed * capacity, 0.0)
    return seconds


def arrival_times(transfers: list[Transfer], capacities: dict[str, float]) -> list[float]:
    """Times of arrival when nothing changes and nothing is cancelled [s]."""
    return [outcome.end for outcome in outcomes(transfers, capacities)]


class _NaiveTrunk:
    """The server's link in one direction; transfers in a list, everything computed anew at each change."""

    def __init__(self, env: Environment, capacity: float) -> None:
        self.env = env
        self.capacity = capacity
        self.clock = 0.0
        self.version = 0
        # Each transfer: [bytes left, rate, access link (capacity, clients, key), event]
        self.transfers: list[list[Any]] = []

    def start(self, access: tuple[float, int, object], size: float, arrival: Event) -> None:
        self.advance()
        self.transfers.append([size, 0.0, access, arrival])
        self.share()

    def advance(self) -> None:
        elapsed = self.env.now - self.clock
        self.clock = self.env.now
        if elapsed > 0:
            for transfer in self.transfers:
                transfer[0] -= transfer[1] * elapsed

    def share(self) -> None:
        """Fill the slowest first: each gets its own cap or an equal part of what is left, whichever is less."""
        parallel: dict[object, int] = {}
        for transfer in self.transfers:
            key = transfer[2][2]
            parallel[key] = parallel.get(key, 0) + 1
        by_cap = sorted(
            ((transfer[2][0] / parallel[transfer[2][2]], transfer) for transfer in self.transfers),
            key=lambda pair: pair[0],
        )
        left = self.capacity
        weight = sum(transfer[2][1] for transfer in self.transfers)
        soonest = math.inf
        for cap, transfer in by_cap:
            clients = transfer[2][1]
            transfer[1] = rate = min(cap, left / weight)
            left -= rate * clients
            weight -= clients
            soonest = min(soonest, transfer[0] / rate)
        self.version += 1
        if self.transfers:
            alarm = self.env.timeout(max(soonest, 0.0), value=self.version)
            alarm.callbacks.append(self.finish)

    def finish(self, alarm: Event) -> None:
        if alarm.value != self.version:
            return
        self.advance()
        # What rounding can leave over at the time computed for an end: next to nothing.
        done = [t for t in self.transfers if t[0] <= t[1] * (self.clock * 2**-50) + 1e-300]
        if not done:
            done = [min(self.transfers, key=lambda t: t[0] / t[1])]
        finished = {id(transfer) for transfer in done}
        self.transfers = [t for t in self.transfers if id(t) not in finished]
        for transfer in done:
            transfer[3].succeed(self.clock)
        self.share()


class NaiveStar:
    """A full-duplex `Network` that recomputes all rates and all remaining bytes at every start and end."""

    def __init__(self, env: Environment, ingress: float = math.inf, egress: float = math.inf) -> None:
        self.env = env
        self.ingress = _NaiveTrunk(env, ingress)
        self.egress = _NaiveTrunk(env, egress)

    def attach(
        self,
        uplink: float,
        downlink: float,
        latency: float = 0.0,
        half_duplex: bool = False,
        count: int = 1,
    ) -> Port:
        assert not half_duplex
        return Port(uplink, downlink, latency, half_duplex, count)

    def upload(self, port: Port, size: float) -> Event:
        return self._send(self.ingress, port, port.uplink, size)

    def download(self, port: Port, size: float) -> Event:
        return self._send(self.egress, port, port.downlink, size)

    def _send(self, trunk: _NaiveTrunk, port: Port, capacity: float | Varying, size: float) -> Event:
        assert not isinstance(capacity, Varying)
        arrival = self.env.event()
        start = self.env.timeout(port.latency)
        start.callbacks.append(lambda _: trunk.start((capacity, port.count, id(port)), size, arrival))
        return arrival
