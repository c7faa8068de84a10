"""Max-min fair sharing, slowly and obviously: the oracles that the networks are compared with.

Nothing here is shared with `sim.network` but the interface, and nothing is clever: every rate is computed anew
whenever a transfer starts or ends. `max_min_rates` and `arrival_times` work for any links and know no SimPy;
`NaiveStar` is a `Network`, with the plain way to fill a star, for protocols that react to what happens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from simpy import Environment, Event

from sim.network.model import Port


@dataclass
class Transfer:
    """One message: when it starts to share [s], its size [B], its use of every link it crosses."""

    start: float
    size: float
    weights: dict[str, float]


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


def arrival_times(transfers: list[Transfer], capacities: dict[str, float]) -> list[float]:
    """Go from one start or end to the next; in between rates are constant."""
    ends = [math.nan] * len(transfers)
    left: dict[int, float] = {}
    waiting = sorted(range(len(transfers)), key=lambda i: transfers[i].start)
    now = 0.0
    while waiting or left:
        going = list(left)
        rates = max_min_rates([transfers[i].weights for i in going], capacities)
        until_end = [left[i] / rate for i, rate in zip(going, rates, strict=True)]
        next_end = now + min(until_end, default=math.inf)
        next_start = transfers[waiting[0]].start if waiting else math.inf
        elapsed = max(min(next_start, next_end) - now, 0.0)
        if elapsed > 0:
            for i, rate in zip(going, rates, strict=True):
                left[i] = max(left[i] - rate * elapsed, 0.0)
        now += elapsed
        if next_start <= next_end:
            first = waiting.pop(0)
            left[first] = transfers[first].size
        else:
            for i, seconds in zip(going, until_end, strict=True):
                if seconds == min(until_end):
                    ends[i] = next_end
                    del left[i]
    return ends


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

    def _send(self, trunk: _NaiveTrunk, port: Port, capacity: float, size: float) -> Event:
        arrival = self.env.event()
        start = self.env.timeout(port.latency)
        start.callbacks.append(lambda _: trunk.start((capacity, port.count, id(port)), size, arrival))
        return arrival
