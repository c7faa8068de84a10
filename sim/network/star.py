"""The star: every client has its own links to one server, whose ingress and egress they share.

When all ports are full duplex, uploads and downloads never meet: the star is two independent trunks
(`trunk.py`), each exactly max-min fair in O(log n) per start or end. Half duplex couples them and is left to
`general.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from simpy import Environment, Event

from sim.errors import NetworkError
from sim.network.model import Port, check_size
from sim.network.trunk import Access, Trunk


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class _StarPort(Port):
    """A port with the state of its two directions in a star."""

    star: Star
    up: Access = field(init=False)
    down: Access = field(init=False)

    def __post_init__(self) -> None:
        Port.__post_init__(self)
        object.__setattr__(self, "up", Access(self.uplink, self.count))
        object.__setattr__(self, "down", Access(self.downlink, self.count))


class Star:
    """A `Network` in which full-duplex clients share a server's ingress and egress.

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

    Examples
    --------
    >>> env = Environment()
    >>> star = Star(env, ingress=100e6)
    >>> port = star.attach(uplink=25e6, downlink=100e6)
    >>> env.run(until=star.upload(port, size=50e6))
    2.0
    """

    def __init__(self, env: Environment, ingress: float = math.inf, egress: float = math.inf) -> None:
        self._env = env
        self._ingress = Trunk(env, "ingress", ingress)
        self._egress = Trunk(env, "egress", egress)

    def attach(
        self,
        uplink: float,
        downlink: float,
        latency: float = 0.0,
        half_duplex: bool = False,
        count: int = 1,
    ) -> Port:
        """Attach a client, or `count` identical ones; see `Network.attach`.

        Raises
        ------
        NetworkError
            If a figure is out of range, or `half_duplex` is asked for.
        """
        if half_duplex:
            raise NetworkError("Star is full duplex only; attach half-duplex ports to a GeneralStar")
        return _StarPort(uplink, downlink, latency, count=count, star=self)

    def upload(self, port: Port, size: float) -> Event:
        """Send `size` bytes from a client to the server; see `Network.upload`."""
        return self._send(self._ingress, self._own(port).up, port.latency, size)

    def download(self, port: Port, size: float) -> Event:
        """Send `size` bytes from the server to a client; see `Network.download`."""
        return self._send(self._egress, self._own(port).down, port.latency, size)

    def _own(self, port: Port) -> _StarPort:
        if not isinstance(port, _StarPort) or port.star is not self:
            raise NetworkError("the port was attached to another network")
        return port

    def _send(self, trunk: Trunk, access: Access, latency: float, size: float) -> Event:
        check_size(size)
        arrival = Event(self._env)
        if latency:
            delay = self._env.timeout(latency)
            delay.callbacks.append(lambda _: trunk.start(access, size, arrival))
        else:
            trunk.start(access, size, arrival)
        return arrival
