"""What a network is to a protocol: clients in a tree of links above which a server stands, and the messages on it.

Protocols know `Network`, `Port`, `Shared` and `Transfer` and nothing else, so that any implementation can stand
behind them: `tree.py` holds the exact and fast one, `general.py` one for any paths.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from simpy import Environment

from parasim_core.sim.errors import NetworkError
from parasim_core.sim.network.capacity import Varying, plain
from parasim_core.sim.network.link import Link
from parasim_core.sim.network.transfer import AccessLink, Transfer
from parasim_core.sim.network.transport import Connection

UPLINK, DOWNLINK = "the uplink", "the downlink"
INGRESS, EGRESS = "the server's ingress", "the server's egress"
"""What links are called in messages."""


@dataclass(eq=False, slots=True)
class Shared:
    """A link that the clients below it share: of a site, a region, or the server.

    Attributes
    ----------
    uplink, downlink : float or Varying
        Capacity towards the server and away from it [B/s], `inf` for unlimited; `Network.set_capacity` changes it.
    name : str
        What it is called in messages, with its article.
    """

    uplink: float | Varying
    downlink: float | Varying
    network: Network | None = field(default=None, repr=False)
    name: str = ""
    up: Link = field(init=False, repr=False)
    down: Link = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check_capacities(uplink=self.uplink, downlink=self.downlink)


@dataclass(eq=False, slots=True)
class Port:
    """The attachment of one client, or of `count` identical ones, to the network.

    Parameters
    ----------
    uplink : float or Varying
        Capacity from the client towards the server [B/s], positive, `inf` for unlimited;
        `Network.set_capacity` changes it.
    downlink : float or Varying
        Capacity from the server towards the client [B/s], likewise.
    latency : float
        One-way latency [s] of either direction, finite and not negative.
    half_duplex : bool
        Uploads and downloads share one medium: the fractions of time that it is used in the two directions,
        upload rate / uplink and download rate / downlink, add up to at most 1.
    count : int
        Multiplicity. The port stands for `count` clients that act as one, each with its own access link: a
        transfer on it stands for one per client and takes `count` times its rate on the links above.

    Raises
    ------
    NetworkError
        If a figure is out of range.
    """

    uplink: float | Varying
    downlink: float | Varying
    latency: float = 0.0
    half_duplex: bool = False
    count: int = 1
    network: Network | None = field(default=None, repr=False)
    up: AccessLink = field(init=False, repr=False)
    down: AccessLink = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check_capacities(uplink=self.uplink, downlink=self.downlink)
        if not 0 <= self.latency < math.inf:
            raise NetworkError(f"latency is {self.latency} s; it must be finite and not negative")
        if self.count < 1:
            raise NetworkError(f"count is {self.count}; a port stands for at least 1 client")


class Network(ABC):
    """Clients below one server in a tree of links, with max-min fair fluid sharing of every link.

    Rates are those of the max-min fair allocation at every instant: they change whenever a transfer starts or
    ends and whenever a capacity changes. Latency is paid once, before a transfer starts to share (SimGrid's CM02
    model). Concurrent transfers of one port in one direction share it like any others.

    Parameters
    ----------
    env : Environment
        The clock.
    ingress, egress : float or Varying
        Capacities of the server's link towards it and away from it [B/s], positive, `inf` for unlimited.

    Attributes
    ----------
    server : Shared
        The server's link, above all others.

    Raises
    ------
    NetworkError
        If a capacity is not positive.

    Notes
    -----
    The clock may run on for a while after the last arrival when `Environment.run` is called without an end,
    because alarms that have become superfluous cannot be taken back: take times from the events, not from the
    clock after the run.

    Every capacity may follow a course (`capacity.py`): all rates follow at the instants at which it changes, and only
    links that carry something are looked at then.

    An *outage* is a capacity of zero for a while (transfers wait) or the failure of the transfers that it
    interrupts (protocols see an exception at their `yield`).
    """

    def __init__(
        self, env: Environment, ingress: float | Varying = math.inf, egress: float | Varying = math.inf
    ) -> None:
        _check_capacities(ingress=ingress, egress=egress)
        self.env = env
        self.server = self._shared(ingress, egress, None, "", (INGRESS, EGRESS))

    def attach(
        self,
        uplink: float | Varying,
        downlink: float | Varying,
        latency: float = 0.0,
        half_duplex: bool = False,
        count: int = 1,
        above: Shared | None = None,
        up: Connection | None = None,
        down: Connection | None = None,
    ) -> Port:
        """Attach a client, or `count` identical ones.

        Parameters
        ----------
        uplink, downlink, latency, half_duplex, count
            Those of `Port`.
        above : Shared, optional
            The shared link below which the client is; the server's if not given.
        up, down : Connection, optional
            What TCP makes of each direction; nothing if not given. Ports that are alike should share one.

        Returns
        -------
        Port
            What `upload` and `download` of this network take.

        Raises
        ------
        NetworkError
            If a figure is out of range, the network cannot do half duplex, or the shared link is of another one.
        """
        port = Port(plain(uplink), plain(downlink), latency, half_duplex, count, self)
        self._connect(port, self._above(above), up, down)
        return port

    def detach(self, port: Port) -> None:
        """Take a client off, of which nothing may be under way; its port is of no use any more.

        Raises
        ------
        NetworkError
            If the port belongs to another network.
        """
        self._check_own(port)
        port.network = None
        self._disconnect(port)

    def shared(
        self,
        uplink: float | Varying,
        downlink: float | Varying,
        above: Shared | None = None,
        name: str = "a shared link",
    ) -> Shared:
        """Make a link that clients share: a site's line, a region's.

        Parameters
        ----------
        uplink, downlink : float or Varying
            Capacities towards the server and away from it [B/s], positive, `inf` for unlimited.
        above : Shared, optional
            The shared link below which it is; the server's if not given.
        name : str
            What it is called in messages, with its article.

        Returns
        -------
        Shared
            What `attach` and `shared` take as `above`.

        Raises
        ------
        NetworkError
            If a capacity is not positive, the network has no shared links, or `above` is of another one.
        """
        return self._shared(uplink, downlink, self._above(above), name, (name, name))

    def upload(self, port: Port, size: float) -> Transfer:
        """Send a message from a client to the server.

        Parameters
        ----------
        port : Port
            The client's, attached to this network.
        size : float
            Message size [B], finite and positive.

        Returns
        -------
        Transfer
            Fires when the last byte has arrived; its value is that time [s].

        Raises
        ------
        NetworkError
            If `size` is not finite and positive, or the port belongs to another network.
        """
        if port.network is not self:
            self._check_own(port)
        return Transfer(port.up, size)

    def download(self, port: Port, size: float) -> Transfer:
        """Send a message from the server to a client; everything else as in `upload`."""
        if port.network is not self:
            self._check_own(port)
        return Transfer(port.down, size)

    def set_capacity(
        self, link: Port | Shared, uplink: float | Varying | None = None, downlink: float | Varying | None = None
    ) -> None:
        """Change the capacity of a link from now on, also one that varies; all rates follow at this instant.

        Parameters
        ----------
        link : Port or Shared
            Which link; `server` for the server's own.
        uplink, downlink : float or Varying, optional
            New capacities [B/s], of each client's link where a port stands for several; 0 stalls all that
            crosses it, `inf` is unlimited. What is not given stays.

        Raises
        ------
        NetworkError
            If a capacity is negative, or the link belongs to another network.
        """
        self._check_own(link)
        for name, capacity in (("uplink", uplink), ("downlink", downlink)):
            if isinstance(capacity, float | int) and not capacity >= 0:
                raise NetworkError(f"{name} is {capacity} B/s; it must not be negative; inf is unlimited, 0 is down")
        if uplink is not None:
            link.uplink = plain(uplink)
            self._change(link, link.up, link.uplink)
        if downlink is not None:
            link.downlink = plain(downlink)
            self._change(link, link.down, link.downlink)

    @abstractmethod
    def note_bottlenecks(self) -> None:
        """From now on, note which link bound each transfer when its last byte arrived; see `Transfer.bottleneck`."""

    def _above(self, above: Shared | None) -> Shared:
        if above is None:
            return self.server
        self._check_own(above)
        return above

    def _check_own(self, link: Port | Shared) -> None:
        if link.network is not self:
            kind = "port" if isinstance(link, Port) else "shared link"
            raise NetworkError(f"the {kind} was attached to another network")

    def _shared(
        self,
        uplink: float | Varying,
        downlink: float | Varying,
        above: Shared | None,
        name: str,
        names: tuple[str, str],
    ) -> Shared:
        shared = Shared(plain(uplink), plain(downlink), self, name)
        shared.up = self._link(shared.uplink, above.up if above else None, names[0])
        shared.down = self._link(shared.downlink, above.down if above else None, names[1])
        return shared

    @abstractmethod
    def _link(self, capacity: float | Varying, above: Link | None, name: str) -> Link:
        """Make one direction of a shared link; without one above, it is the server's."""

    @abstractmethod
    def _connect(self, port: Port, above: Shared, up: Connection | None, down: Connection | None) -> None:
        """Make the two access links of a port."""

    def _disconnect(self, port: Port) -> None:
        """Forget the two access links of a port; nothing to do where only its transfers are known."""
        return

    @abstractmethod
    def _change(self, owner: Port | Shared, link: Link | AccessLink, capacity: float | Varying) -> None:
        """Change the capacity of one direction now."""


def _check_capacities(**capacities: float | Varying) -> None:
    """Raise `NetworkError` unless all capacities [B/s] are positive (`inf` is); their names say whose they are."""
    for name, capacity in capacities.items():
        if not isinstance(capacity, Varying) and not capacity > 0:
            raise NetworkError(f"{name} is {capacity} B/s; it must be positive, or inf for unlimited")
