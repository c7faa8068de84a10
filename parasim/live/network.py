"""What a protocol takes for its network: real connections to agents, shaped as the scenario's links say."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from simpy import Environment

from parasim.live.pacing import Bucket
from parasim.live.wall_clock import WallClock
from parasim_core.sim.engine.links import Links
from parasim_core.sim.engine.message import Fetch, Upload
from parasim_core.sim.network.capacity import Varying
from parasim_core.sim.network.link import Link
from parasim_core.sim.network.model import Network, Port, Shared
from parasim_core.sim.network.transfer import AccessLink, Transfer, deliver
from parasim_core.sim.network.transport import Connection
from parasim_core.sim.scenario.sections import Group


class Carrier(Protocol):
    """What gets messages to agents and back."""

    def upload(self, message: Upload, buckets: Sequence[Bucket], done: Callable[[float], None]) -> None:
        """Have an update come in over the server's side of some links; `done` is given its size [B]."""

    def download(self, message: Fetch, buckets: Sequence[Bucket], done: Callable[[float], None]) -> None:
        """Send versions off, likewise."""


class _LiveLink(Link):
    """One direction of a link that clients share, with a bucket."""

    __slots__ = ("above", "bucket")

    def __init__(self, capacity: float | Varying, name: str, above: _LiveLink | None, bucket: Bucket):
        super().__init__(capacity, name)
        self.above = above
        self.bucket = bucket

    def upwards(self) -> list[_LiveLink]:
        """Itself and those above it."""
        return [self, *(self.above.upwards() if self.above is not None else ())]


class _Trunk:
    """What a transfer asks whether capacities vary."""

    def __init__(self, varied: bool):
        self.varied = varied


class LiveAccess:
    """One client's link in one direction: what starts on it is really sent."""

    connection: Connection | None = None

    def __init__(self, network: LiveNetwork, port: Port, capacity: float | Varying, above: _LiveLink):
        self.env: Environment = network.env
        self._shaped = network.shaped
        self.latency = port.latency
        self._carrier = network.carrier
        self._link = Link(capacity)
        self._above = above.upwards()
        self.trunk = _Trunk(self._shaped and any(link.course is not None for link in self.path()))
        # An agent keeps to its uplink by itself; what is on its way meanwhile must not come in any faster, though.
        self._buckets = [network.bucket(capacity), *(link.bucket for link in self._above)]

    @property
    def capacity(self) -> float:
        """Of the client's own link now [B/s]; nobody knows what a link that is not shaped has."""
        return self._link.capacity_at(self.env.now) if self._shaped else math.inf

    def start(self, transfer: Transfer, size: float) -> None:
        """Send it."""

        def arrived(really: float) -> None:
            transfer.size = really
            deliver([transfer], float(self.env.now))

        if isinstance(transfer, Upload):
            self._carrier.upload(transfer, self._buckets, arrived)
        else:
            assert isinstance(transfer, Fetch)
            self._carrier.download(transfer, self._buckets, arrived)

    def alone(self, capacity: float | Varying, size: float) -> float | Varying:
        """A message alone has all of it."""
        return capacity

    def withdraw(self, transfer: Transfer) -> float:
        """Nothing is taken back: what has been sent has been sent."""
        return 0.0

    def path(self) -> Sequence[Link]:
        """The client's own link and those above."""
        return [self._link, *self._above]


class LiveNetwork(Network):
    """Connections to agents.

    Parameters
    ----------
    env : WallClock
        The clock.
    carrier : Carrier
        Gets messages to agents and back.
    shaped : bool
        Whether links are held to their capacities here; otherwise they are what they are.
    ingress, egress : float or Varying
        Of the server's link [B/s].
    """

    def __init__(
        self, env: WallClock, carrier: Carrier, *, shaped: bool, ingress: float | Varying, egress: float | Varying
    ):
        self.carrier = carrier
        self._clock = env
        self.shaped = shaped
        super().__init__(env, ingress, egress)

    def note_bottlenecks(self) -> None:
        """Nobody knows what holds up bytes on a real link."""

    def bucket(self, capacity: float | Varying) -> Bucket:
        """Make what holds a link to its capacity [B/s]."""
        return Bucket(capacity if self.shaped else math.inf, self._clock.elapsed)

    def _link(self, capacity: float | Varying, above: Link | None, name: str) -> Link:
        assert above is None or isinstance(above, _LiveLink)
        return _LiveLink(capacity, name, above, self.bucket(capacity))

    def _connect(self, port: Port, above: Shared, up: Connection | None, down: Connection | None) -> None:
        assert isinstance(above.up, _LiveLink)
        assert isinstance(above.down, _LiveLink)
        port.up = LiveAccess(self, port, port.uplink, above.up)
        port.down = LiveAccess(self, port, port.downlink, above.down)

    def _change(self, owner: Port | Shared, link: Link | AccessLink, capacity: float | Varying) -> None:
        raise NotImplementedError("capacities of real links are not changed from here")


class LiveLinks(Links):
    """A scenario's links, over real connections.

    Parameters
    ----------
    carrier : Carrier
        Gets messages to agents and back.
    shaped : bool
        As in `LiveNetwork`.
    of : object
        Parameters of `Links`.
    """

    def __init__(self, carrier: Carrier, shaped: bool, *of: Any):
        self._carrier = carrier
        self._shaped = shaped
        super().__init__(*of)

    def _star(
        self, groups: list[Group], ingress: float | Varying = math.inf, egress: float | Varying = math.inf
    ) -> Network:
        assert isinstance(self._env, WallClock)
        return LiveNetwork(self._env, self._carrier, shaped=self._shaped, ingress=ingress, egress=egress)
