"""Max-min fair sharing over any paths, by progressive filling.

Slower than `tree.py` (every start or end levels all transfers again), but it takes any set of links, and
constraints in which transfers weigh differently, such as the airtime of a half-duplex client.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from simpy import Environment

from parasim_core.sim.network.alone import Limits
from parasim_core.sim.network.capacity import Varying
from parasim_core.sim.network.filling import Floats, max_min_rates
from parasim_core.sim.network.link import Link
from parasim_core.sim.network.model import DOWNLINK, UPLINK, Network, Port, Shared
from parasim_core.sim.network.timing import AFTER, Alarm, EndOfInstant, Patience
from parasim_core.sim.network.transfer import AccessLink, Transfer, deliver
from parasim_core.sim.network.transport import Connection


class Hop(NamedTuple):
    """The use that a transfer makes of a link: weight x rate of the link's capacity.

    Attributes
    ----------
    link : Link
        The link crossed; its capacity is in B/s, or whatever the weight turns B/s into.
    weight : float
        Finite and not negative.
    """

    link: Link
    weight: float = 1.0


class Path:
    """The links that transfers of one kind cross, all at the same time.

    Parameters
    ----------
    network : PathNetwork
        Where it is.
    hops : list of Hop
        The links, with what a transfer takes of them.
    latency : float
        Paid before a transfer starts to share [s].
    count : int
        Number of equal transfers that one stands for.
    own : Link
        The client's own link, with the capacity of one client; the first hop stands for those of all.
    connection : Connection, optional
        What TCP makes of it.
    airtime : bool
        Whether the first hop is the airtime of both directions.
    """

    def __init__(
        self,
        network: PathNetwork,
        hops: list[Hop],
        latency: float,
        count: int,
        own: Link,
        connection: Connection | None = None,
        airtime: bool = False,
    ) -> None:
        self.env = network.env
        self.trunk = network
        self.start, self.withdraw = network.start, network.withdraw
        self.hops = hops
        self.latency = latency
        self.count = count
        self.own = own
        self.connection = connection
        self.airtime = airtime
        self.back: Path | None = None
        # Most that one message gets [B/s].
        self.limit = math.inf

    @property
    def capacity(self) -> float:
        """Of one client's own link [B/s]."""
        return self.own.capacity

    def path(self) -> list[Link]:
        """Links crossed; see `AccessLink.path`."""
        return [self.own, *(hop.link for hop in self.hops[1:])]

    def alone(self, capacity: float | Varying, size: float) -> float | Varying:
        """What one message alone gets of such a link; see `AccessLink.alone`."""
        return self.trunk.limits.of(capacity, self.connection, size)

    def tune(self, now: float, going: Mapping[Path, Sequence[float]]) -> None:
        """Set all capacities to what they are at a time [s], while these paths carry messages of such sizes [B]."""
        for link in self.path():
            if link.course is not None:
                link.capacity = link.course.rate(now)
        capacity = self.own.capacity
        if self.connection is not None:
            if self.back in going:
                assert self.back is not None
                capacity = self.connection.beside(capacity, self.back.own.capacity_at(now))
            sizes = going.get(self, ())
            # Several at once go like long ones.
            self.limit = self.connection.limit(capacity, sizes[0] if len(sizes) == 1 else math.inf) if capacity else 0.0
        if self.airtime:
            self.hops[0] = Hop(self.hops[0].link, 1 / capacity if capacity else 0.0)
        elif self.hops[0].link is not self.own:
            self.hops[0].link.capacity = self.count * capacity

    def is_alive(self, now: float) -> bool:
        """Whether something can get through at some time from now on [s]."""
        return all(link.dead_from() > now for link in self.path())

    def next_change(self, now: float, going: Collection[Path]) -> float:
        """When any of its links changes [s], while these paths carry something; inf where nothing can come of it."""
        other = self.back if self.back in going else None
        if not self.is_alive(now) and not (other is not None and other.is_alive(now)):
            return math.inf
        return min((link.course.next_change(now) for link in self.path() if link.course is not None), default=math.inf)


class PathNetwork(Network):
    """A `Network` like `Tree`: slower, but it does half duplex, and takes messages along any other paths.

    With rate r_f of transfer f and its weight w_fl on link l, the allocation is the max-min fair one under
    sum_f w_fl r_f <= C_l for every link l. A half-duplex client is one link of capacity 1, its airtime, of which an
    upload takes rate / uplink and a download rate / downlink.
    """

    def __init__(
        self, env: Environment, ingress: float | Varying = math.inf, egress: float | Varying = math.inf
    ) -> None:
        self.varied = False
        # Whether it takes more than the capacities there are to know all rates: courses to follow, or TCP.
        self._tuned = False
        self._notes = False
        self.limits = Limits()
        # The hops from a shared link to the server.
        self._hops: dict[Link, list[Hop]] = {}
        super().__init__(env, ingress, egress)
        # Link 0 is unlimited: it fills up the rows of transfers with few hops, with weight 0.
        self._numbers: dict[Link, int] = {}
        self._capacities: Floats = np.array([np.inf])
        self._started: list[Transfer] = []
        # What is left of those that began elsewhere [B].
        self._begun: dict[Transfer, float] = {}
        # One row for each transfer under way, in this list and in the arrays.
        self._going: list[Transfer] = []
        self._links: NDArray[np.intp] = np.empty((0, 0), np.intp)
        self._weights: Floats = np.empty((0, 0))
        self._down: NDArray[np.bool_] = np.empty(0, np.bool_)
        self._left: Floats = np.empty(0)
        self._rates: Floats = np.empty(0)
        self._ends: Floats = np.empty(0)
        self._clock = 0.0
        self._changed = False
        self._alarm = Alarm(env, self._settle)
        self._patience = Patience()
        self._end_of_instant = EndOfInstant(env, self._settle)

    def note_bottlenecks(self) -> None:
        """Note which link bound each transfer; see `Network.note_bottlenecks`."""
        self._notes = True

    def start(self, transfer: Transfer, size: float) -> None:
        """Let a transfer share from now on, with so many bytes to go [B]."""
        self._begun[transfer] = size
        self._started.append(transfer)
        self._end_of_instant.request()

    def take_over(self, transfer: Transfer, left: float, path: AccessLink) -> None:
        """Let a transfer go on from now on, with so many bytes left [B], along a path of this network."""
        transfer.access = path
        self.start(transfer, left)

    def withdraw(self, transfer: Transfer) -> float:
        """Take out a transfer, and return the bytes of it that are left [B]."""
        if transfer not in self._going:
            self._started = [started for started in self._started if started is not transfer]
            return self._begun.pop(transfer, transfer.size if transfer.load is None else transfer.load)
        row = self._going.index(transfer)
        left = float(self._left[row])
        # At an infinite rate no time passes, and zero times infinity is not a number.
        if self.env.now > self._clock:
            left -= float(self._rates[row]) * (self.env.now - self._clock)
        self._keep(np.flatnonzero(np.arange(len(self._going)) != row))
        self._end_of_instant.request()
        return max(left, 0.0)

    def _link(self, capacity: float | Varying, above: Link | None, name: str) -> Link:
        link = Link(capacity, name)
        self._hops[link] = [Hop(link), *(self._hops[above] if above else [])]
        self._varies(capacity)
        return link

    def _varies(self, capacity: float | Varying) -> None:
        if isinstance(capacity, Varying):
            self.varied = self._tuned = True

    def _connect(self, port: Port, above: Shared, up: Connection | None, down: Connection | None) -> None:
        airtime = Link(port.count) if port.half_duplex else None
        sending = self._path(port, port.uplink, airtime, above.up, up, UPLINK)
        receiving = self._path(port, port.downlink, airtime, above.down, down, DOWNLINK)
        sending.back, receiving.back = receiving, sending
        port.up, port.down = sending, receiving
        if up is not None or down is not None:
            self._tuned = True

    def _path(
        self,
        port: Port,
        capacity: float | Varying,
        airtime: Link | None,
        above: Link,
        connection: Connection | None,
        name: str,
    ) -> Path:
        own = Link(capacity, name)
        self._varies(capacity)
        # All weights are multiplied by the count, so the clients' own links are as many times as wide.
        first = (
            Hop(airtime, 1 / own.capacity if own.capacity else 0.0) if airtime else Hop(Link(port.count * own.capacity))
        )
        hops = [first, *self._hops[above]]
        return Path(self, hops, port.latency, port.count, own, connection, airtime is not None)

    def _change(self, owner: Port | Shared, link: Link | AccessLink, capacity: float | Varying) -> None:
        now: float = self.env.now
        changed = link.own if isinstance(link, Path) else cast(Link, link)
        changed.change(now, capacity)
        self._varies(capacity)
        if isinstance(link, Path):
            link.tune(now, {})
        self._changed = self.varied = True
        self._end_of_instant.request()

    def _settle(self) -> None:
        """Take the starts, ends and changes of this instant into account, and set the alarm for the next end."""
        now: float = self.env.now
        done = self._ends <= now * AFTER
        arrived = [self._going[row] for row in np.flatnonzero(done)]
        if arrived:
            if self._notes:
                self._note_bottlenecks(np.flatnonzero(done))
            self._keep(np.flatnonzero(~done))
        if now > self._clock:
            self._left = np.maximum(self._left - self._rates * (now - self._clock), 0.0)
            self._clock = now
        next_change = self._tune(now * AFTER) if self._tuned else math.inf
        if self.varied:
            arrived += self._finish_rounded()
        self._take_in_started()
        limits = None
        if self._tuned:
            limits = np.array([cast(Path, transfer.access).limit for transfer in self._going])
        self._rates = max_min_rates(self._links, self._weights, self._capacities, limits)
        self._rates[self._down] = 0.0
        self._ends = np.full(len(self._going), np.inf)
        np.divide(self._left, self._rates, out=self._ends, where=self._rates > 0)
        self._ends += now
        self._patience.wait(now, float(self._ends.min(initial=math.inf)), next_change)
        self._alarm.set(float(self._ends.min(initial=next_change)))
        deliver(arrived, now)

    def _finish_rounded(self) -> list[Transfer]:
        """Take out those of which only rounding is left, as a link on their way goes down."""

        def over(transfer: Transfer, left: float) -> bool:
            down = not all(link.capacity for link in transfer.access.path())
            return down and transfer.is_through(left, self._clock)

        rows = [row for row, left in enumerate(self._left) if not self._down[row] and over(self._going[row], left)]
        started = [transfer for transfer in self._started if over(transfer, self._begun[transfer])]
        if not rows and not started:
            return []
        finished = [*(self._going[row] for row in rows), *started]
        if self._notes:
            self._note_bottlenecks(np.array(rows, np.intp))
        self._keep(np.setdiff1d(np.arange(len(self._going)), rows))
        for transfer in started:
            del self._begun[transfer]
        self._started = [transfer for transfer in self._started if transfer not in finished]
        return finished

    def _tune(self, now: float) -> float:
        """Set the capacities of all links in use to what they are now, and return when the next one changes [s]."""
        going: dict[Path, list[float]] = {}
        for transfer in (*self._going, *self._started):
            going.setdefault(cast(Path, transfer.access), []).append(transfer.size)
        for path in going:
            path.tune(now, going)
        self._changed = True
        return min((path.next_change(now, going) for path in going), default=math.inf)

    def _note_bottlenecks(self, rows: NDArray[np.intp]) -> None:
        """Note the first full link on the path of each of these on which nobody goes faster (or its own limit)."""
        # What goes at an infinite rate crosses no link that is limited.
        rates = np.where(np.isfinite(self._rates), self._rates, 0.0)[:, np.newaxis]
        used = np.bincount(self._links.ravel(), (self._weights * rates).ravel(), len(self._capacities))
        fastest = np.zeros(len(self._capacities))
        np.maximum.at(fastest, self._links, np.where(self._weights > 0, rates, 0.0))
        for row in rows:
            path, rate = cast(Path, self._going[row].access), self._rates[row] * (1 + 1e-9)
            self._going[row].bound = path.own
            if rate < path.limit:
                for hop in path.hops[1:]:
                    number = self._numbers.get(hop.link, 0)
                    if number and used[number] >= self._capacities[number] * (1 - 1e-9) and fastest[number] <= rate:
                        self._going[row].bound = hop.link

    def _keep(self, rows: NDArray[np.intp]) -> None:
        """Forget all rows but these."""
        self._going = [self._going[row] for row in rows]
        self._links, self._weights, self._down = self._links[rows], self._weights[rows], self._down[rows]
        self._left, self._rates, self._ends = self._left[rows], self._rates[rows], self._ends[rows]

    def _take_in_started(self) -> None:
        """Add rows; all are made anew where a capacity has changed, or a path is longer than any before."""
        started, self._started = self._started, []
        self._going += started
        self._left = np.append(self._left, [self._begun.pop(transfer) for transfer in started])
        hops = max((len(cast(Path, transfer.access).hops) for transfer in started), default=0)
        rows, anew = (self._links, self._weights, self._down), self._changed or hops > self._links.shape[1]
        if anew:
            rows = self._rows(self._going, max(hops, self._links.shape[1]))
        elif started:
            links, weights, down = self._rows(started, self._links.shape[1])
            rows = np.vstack([rows[0], links]), np.vstack([rows[1], weights]), np.append(rows[2], down)
        self._links, self._weights, self._down = rows
        if anew or len(self._numbers) >= len(self._capacities):
            self._capacities = np.array([math.inf, *(link.capacity for link in self._numbers)])
        self._changed = False

    def _rows(self, going: list[Transfer], hops: int) -> tuple[NDArray[np.intp], Floats, NDArray[np.bool_]]:
        """Numbers and weights of the links of transfers, and whether one of them is down."""
        paths = [cast(Path, transfer.access) for transfer in going]
        down = np.array([not all(link.capacity for link in path.path()) for path in paths], np.bool_)
        links, weights = np.zeros((len(paths), hops), np.intp), np.zeros((len(paths), hops))
        for row, path in enumerate(paths):
            for column, (link, weight) in enumerate(path.hops):
                # A link that cannot bind is left out, and a transfer that is stalled takes nothing.
                if link.capacity < math.inf and not down[row]:
                    links[row, column] = self._numbers.setdefault(link, len(self._numbers) + 1)
                    weights[row, column] = path.count * weight
        return links, weights, down
