"""Trees with half-duplex clients: as fast as `tree.py` until one really sends and receives at once.

A half-duplex client that only sends, or only receives, is limited by that one link, as any other client is. So the tree
does it all, exactly, as long as no such client does both at the same time. From then on, the rates of the two
directions depend on one another, and what is under way moves over to progressive filling (`general.py`).
"""

from __future__ import annotations

import math
from typing import cast

from simpy import Environment

from parasim_core.sim.network.access import Access, couple
from parasim_core.sim.network.capacity import Varying
from parasim_core.sim.network.general import PathNetwork
from parasim_core.sim.network.levels import Branch
from parasim_core.sim.network.model import DOWNLINK, UPLINK, Port, Shared
from parasim_core.sim.network.transfer import AccessLink, Transfer
from parasim_core.sim.network.transport import Connection
from parasim_core.sim.network.tree import Tree
from parasim_core.sim.network.trunk import Trunk


class HalfDuplexTree(Tree):
    """A `Network` with half-duplex clients, below shared links of any depth.

    Attributes
    ----------
    filling : PathNetwork or None
        What has taken over since a client's two directions met, or a capacity changed; None before.
    """

    def __init__(
        self, env: Environment, ingress: float | Varying = math.inf, egress: float | Varying = math.inf
    ) -> None:
        self.filling: PathNetwork | None = None
        self._above_of: dict[Port | Shared, Shared] = {}
        self._accesses: dict[Port, tuple[_HalfDuplexAccess, _HalfDuplexAccess]] = {}
        super().__init__(env, ingress, egress)
        self._twins: dict[Port | Shared, Port | Shared] = {}

    def shared(
        self,
        uplink: float | Varying,
        downlink: float | Varying,
        above: Shared | None = None,
        name: str = "a shared link",
    ) -> Shared:
        """Make a link that clients share; see `Network.shared`."""
        link = super().shared(uplink, downlink, above, name)
        self._above_of[link] = above or self.server
        if self.filling is not None:
            self._twin(link)
        return link

    def note_bottlenecks(self) -> None:
        """Note which link bound each transfer; see `Network.note_bottlenecks`."""
        super().note_bottlenecks()
        if self.filling is not None:
            self.filling.note_bottlenecks()

    def set_capacity(
        self, link: Port | Shared, uplink: float | Varying | None = None, downlink: float | Varying | None = None
    ) -> None:
        """Change the capacity of a link from now on; see `Network.set_capacity`."""
        self._check_own(link)
        self.fill().set_capacity(self._twins[link], uplink, downlink)
        link.uplink, link.downlink = self._twins[link].uplink, self._twins[link].downlink

    def fill(self) -> PathNetwork:
        """Have progressive filling take over all that is under way, now."""
        if self.filling is not None:
            return self.filling
        self.filling = filling = PathNetwork(self.env, self.server.uplink, self.server.downlink)
        self._twins[self.server] = filling.server
        if cast(Trunk, self.server.up).notes:
            filling.note_bottlenecks()
        under_way: list[tuple[_HalfDuplexAccess, Transfer]] = []
        for owner in self._above_of:
            self._twin(owner)
            if isinstance(owner, Port):
                for access in self._accesses[owner]:
                    under_way += [(access, entry[2]) for entry in access.ends]
        for access, transfer in under_way:
            filling.take_over(transfer, access.withdraw(transfer), access.way)
        return filling

    def _twin(self, owner: Port | Shared) -> None:
        """Make a link's counterpart for progressive filling, below that of the link above."""
        assert self.filling is not None
        above = cast(Shared, self._twins[self._above_of[owner]])
        if isinstance(owner, Shared):
            self._twins[owner] = self.filling.shared(owner.uplink, owner.downlink, above, owner.name)
            return
        up, down = self._accesses[owner]
        self._twins[owner] = twin = self.filling.attach(
            owner.uplink, owner.downlink, owner.latency, owner.half_duplex, owner.count, above,
            up.connection, down.connection,
        )  # fmt: skip
        for access, way in ((up, twin.up), (down, twin.down)):
            access.way = way
        owner.up, owner.down = twin.up, twin.down

    def _connect(self, port: Port, above: Shared, up: Connection | None, down: Connection | None) -> None:
        count, latency = port.count, port.latency
        sending = _HalfDuplexAccess(port.uplink, count, latency, cast(Branch, above.up), up, UPLINK)
        receiving = _HalfDuplexAccess(port.downlink, count, latency, cast(Branch, above.down), down, DOWNLINK)
        for access, other in ((sending, receiving), (receiving, sending)):
            access.network, access.other = self, other if port.half_duplex else None
        if up is not None or down is not None:
            couple(sending, receiving)
        port.up, port.down = sending, receiving
        self._accesses[port] = sending, receiving
        self._above_of[port] = above
        if self.filling is not None:
            self._twin(port)

    def _disconnect(self, port: Port) -> None:
        for access in self._accesses.pop(port):
            access.withdraw_peak()
        del self._above_of[port]
        self._twins.pop(port, None)


class _HalfDuplexAccess(Access):
    """One direction of a port that may have to share the air with the other one."""

    __slots__ = ("network", "other", "way")

    network: HalfDuplexTree
    other: _HalfDuplexAccess | None
    way: AccessLink

    def start(self, transfer: Transfer, size: float) -> None:
        """Let a transfer share from now on, in whichever network does the work."""
        network = self.network
        if network.filling is None and (self.other is None or not self.other.ends):
            super().start(transfer, size)
        else:
            network.fill().take_over(transfer, size, self.way)
