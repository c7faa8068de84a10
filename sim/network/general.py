"""Max-min fair sharing over any paths, by progressive filling: the general network, and the star built on it.

Slower than `star.py` (every start or end levels all transfers again), but it takes any set of links, and
constraints in which transfers weigh differently, such as the airtime of a half-duplex client.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from simpy import Environment, Event

from sim.errors import NetworkError
from sim.network.filling import Floats, max_min_rates
from sim.network.model import Port, check_capacity, check_count, check_latency, check_size
from sim.network.timing import CLOCK_SLACK, Alarm, EndOfInstant


@dataclass(frozen=True, eq=False, slots=True)
class Link:
    """Something of limited capacity that transfers share.

    Parameters
    ----------
    capacity : float
        [B/s], or whatever the weights of the hops turn B/s into; positive, `inf` for unlimited.

    Raises
    ------
    NetworkError
        If the capacity is not positive.
    """

    capacity: float

    def __post_init__(self) -> None:
        check_capacity("link", self.capacity)


@dataclass(frozen=True, slots=True)
class Hop:
    """The use that a transfer makes of a link: weight x rate of the link's capacity.

    Parameters
    ----------
    link : Link
        The link crossed.
    weight : float
        Finite and not negative.

    Raises
    ------
    NetworkError
        If the weight is out of range.
    """

    link: Link
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight < math.inf:
            raise NetworkError(f"weight of a hop is {self.weight}; it must be finite and not negative")


@dataclass(frozen=True, slots=True)
class _Start:
    """A transfer about to share: the numbers and weights of its links, and its size [B]."""

    links: list[int]
    weights: list[float]
    size: float
    arrival: Event


class PathNetwork:
    """Transfers over any paths; rates are max-min fair at every instant.

    With rate r_f of transfer f and its weight w_fl on link l, the allocation is the max-min fair one under
    sum_f w_fl r_f <= C_l for every link l.

    Parameters
    ----------
    env : Environment
        The clock.
    """

    def __init__(self, env: Environment) -> None:
        self._env = env
        # Link 0 is unlimited: it fills up the rows of transfers with few hops, with weight 0.
        self._numbers: dict[Link, int] = {}
        self._capacities = [math.inf]
        self._started: list[_Start] = []
        self._arrivals: list[Event] = []
        self._links: NDArray[np.intp] = np.empty((0, 1), np.intp)
        self._weights: Floats = np.empty((0, 1))
        self._left: Floats = np.empty(0)
        self._rates: Floats = np.empty(0)
        self._ends: Floats = np.empty(0)
        self._clock = 0.0
        self._alarm = Alarm(env, self._settle)
        self._end_of_instant = EndOfInstant(env, self._settle)

    def transfer(self, path: Sequence[Hop], size: float, latency: float = 0.0, count: int = 1) -> Event:
        """Send a message along a path of links, all crossed at the same time.

        Parameters
        ----------
        path : sequence of Hop
            The links it crosses, with their weights.
        size : float
            Message size [B], finite and positive.
        latency : float
            Paid once, before the transfer starts to share [s], finite and not negative.
        count : int
            Number of equal transfers along the path that this one stands for.

        Returns
        -------
        Event
            Fires when the last byte has arrived; its value is that time [s].

        Raises
        ------
        NetworkError
            If the path is empty, or a figure is out of range.
        """
        if not path:
            raise NetworkError("the path of a transfer is empty; it must cross at least one link")
        check_size(size)
        check_latency(latency)
        check_count(count)
        arrival = Event(self._env)
        # A link that cannot bind is left out.
        hops = [hop for hop in path if hop.weight and hop.link.capacity < math.inf]
        start = _Start(
            links=[self._number(hop.link) for hop in hops],
            weights=[count * hop.weight for hop in hops],
            size=float(size),
            arrival=arrival,
        )
        if latency:
            self._env.timeout(latency).callbacks.append(lambda _: self._start(start))
        else:
            self._start(start)
        return arrival

    def _number(self, link: Link) -> int:
        number = self._numbers.setdefault(link, len(self._capacities))
        if number == len(self._capacities):
            self._capacities.append(link.capacity)
        return number

    def _start(self, start: _Start) -> None:
        self._started.append(start)
        self._end_of_instant.request()

    def _settle(self) -> None:
        """Take the starts and ends of this instant into account, and set the alarm for the next end."""
        self._finish_due()
        now: float = self._env.now
        # At an infinite rate no time passes, and zero times infinity is not a number.
        if now > self._clock:
            self._left = np.maximum(self._left - self._rates * (now - self._clock), 0.0)
            self._clock = now
        self._append_started()
        self._rates = max_min_rates(self._links, self._weights, np.array(self._capacities))
        self._ends = now + self._left / self._rates
        self._alarm.set(float(self._ends.min(initial=math.inf)))

    def _finish_due(self) -> None:
        """End the transfers whose last byte arrives now."""
        now: float = self._env.now
        done = self._ends <= now * (1 + CLOCK_SLACK)
        if not done.any():
            return
        for row in np.flatnonzero(done):
            self._arrivals[row].succeed(now)
        going = np.flatnonzero(~done)
        self._arrivals = [self._arrivals[row] for row in going]
        self._links, self._weights = self._links[going], self._weights[going]
        self._left, self._rates = self._left[going], self._rates[going]

    def _append_started(self) -> None:
        if not self._started:
            return
        hops = max(self._links.shape[1], *(len(start.links) for start in self._started), 1)
        going = len(self._arrivals)
        links = np.zeros((going + len(self._started), hops), np.intp)
        weights = np.zeros(links.shape)
        links[:going, : self._links.shape[1]] = self._links
        weights[:going, : self._weights.shape[1]] = self._weights
        for row, start in enumerate(self._started, going):
            links[row, : len(start.links)] = start.links
            weights[row, : len(start.weights)] = start.weights
            self._arrivals.append(start.arrival)
        self._links, self._weights = links, weights
        self._left = np.append(self._left, [start.size for start in self._started])
        self._started.clear()


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class _GeneralPort(Port):
    """A port with its own hops in the two directions."""

    star: GeneralStar
    up: Hop = field(init=False)
    down: Hop = field(init=False)

    def __post_init__(self) -> None:
        Port.__post_init__(self)
        # All weights are multiplied by the count, so the clients' own links are as many times as wide.
        if self.half_duplex:
            airtime = Link(self.count)
            up, down = Hop(airtime, 1 / self.uplink), Hop(airtime, 1 / self.downlink)
        else:
            up, down = Hop(Link(self.count * self.uplink)), Hop(Link(self.count * self.downlink))
        object.__setattr__(self, "up", up)
        object.__setattr__(self, "down", down)


class GeneralStar:
    """A `Network` like `Star`, on a `PathNetwork`: slower, and able to do half duplex.

    A half-duplex client is one link of capacity 1, its airtime, of which an upload takes rate / uplink and a
    download rate / downlink.

    Parameters
    ----------
    env : Environment
        The clock.
    ingress, egress : float
        Capacities of the server's link towards it and away from it [B/s], positive, `inf` for unlimited.

    Raises
    ------
    NetworkError
        If a capacity is not positive.
    """

    def __init__(self, env: Environment, ingress: float = math.inf, egress: float = math.inf) -> None:
        check_capacity("ingress", ingress)
        check_capacity("egress", egress)
        self._paths = PathNetwork(env)
        self._ingress = Hop(Link(ingress))
        self._egress = Hop(Link(egress))

    def attach(
        self,
        uplink: float,
        downlink: float,
        latency: float = 0.0,
        half_duplex: bool = False,
        count: int = 1,
    ) -> Port:
        """Attach a client, or `count` identical ones; see `Network.attach`."""
        return _GeneralPort(uplink, downlink, latency, half_duplex, count, star=self)

    def upload(self, port: Port, size: float) -> Event:
        """Send `size` bytes from a client to the server; see `Network.upload`."""
        return self._paths.transfer((self._own(port).up, self._ingress), size, port.latency, port.count)

    def download(self, port: Port, size: float) -> Event:
        """Send `size` bytes from the server to a client; see `Network.download`."""
        return self._paths.transfer((self._egress, self._own(port).down), size, port.latency, port.count)

    def _own(self, port: Port) -> _GeneralPort:
        if not isinstance(port, _GeneralPort) or port.star is not self:
            raise NetworkError("the port was attached to another network")
        return port
