"""Trees of links above full-duplex clients: exact max-min fairness in O(depth log n) per start or end.

Uploads and downloads never meet, so that a tree of links is two, one for each direction. In each, transfers cross
an access link, any number of shared links, and the server's. With the capacity C of a link and the transfers, or
links, below it, let the *level* L of the link solve sum_i U_i(L) = C, or be infinite, where U_i(x) is what i takes
when all its transfers are offered a rate of x: x itself for a transfer, min(C_i, sum_j U_j(x)) for a link. The
max-min fair rate of a transfer is the lowest level on its path: a link's level depends on what is below it only.
That splits the links below any link in two:

- *capped* ones (level below that of the link above) take their capacity and run at a level of their own;
- *fair* ones run at the level of the link above. With its virtual time V, dV/dt = level, what ends first in a fair
  one ends when V reaches a value known from the start, however often the level changes in between.

So every link has a virtual time, and heaps of what is below it: by the virtual time at which it ends, for the fair;
by clock at which it ends, for the capped (one heap for the whole tree); and by the levels at which something below
changes sides. A link that changes sides takes all that is below it along: its own heaps stay as they are.

This is the virtual time of generalised processor sharing (Parekh and Gallager, 1993), nested and with rate caps.
Access links are in `access.py`, shared ones in `levels.py`, the server's in `trunk.py`.
"""

from __future__ import annotations

from typing import cast

from parasim_core.sim.errors import NetworkError
from parasim_core.sim.network.access import Access, couple
from parasim_core.sim.network.capacity import Varying
from parasim_core.sim.network.levels import Branch
from parasim_core.sim.network.link import Link
from parasim_core.sim.network.model import DOWNLINK, UPLINK, Network, Port, Shared
from parasim_core.sim.network.transfer import AccessLink
from parasim_core.sim.network.transport import Connection
from parasim_core.sim.network.trunk import Trunk


class Tree(Network):
    """A `Network` of full-duplex clients below shared links of any depth; without them it is a star.

    Examples
    --------
    >>> from simpy import Environment
    >>> env = Environment()
    >>> tree = Tree(env, ingress=100e6)
    >>> port = tree.attach(uplink=25e6, downlink=100e6)
    >>> env.run(until=tree.upload(port, size=50e6))
    2.0
    >>> site = tree.shared(uplink=10e6, downlink=50e6)
    >>> port = tree.attach(uplink=25e6, downlink=100e6, above=site)
    >>> env.run(until=tree.upload(port, size=50e6))
    7.0
    """

    def _link(self, capacity: float | Varying, above: Link | None, name: str) -> Link:
        if above is None:
            return Trunk(self.env, capacity, name)
        return Branch(capacity, cast(Branch, above), name)

    def _connect(self, port: Port, above: Shared, up: Connection | None, down: Connection | None) -> None:
        if port.half_duplex:
            raise NetworkError("a Tree is full duplex only; attach half-duplex ports to a PathNetwork")
        sending = Access(port.uplink, port.count, port.latency, cast(Branch, above.up), up, UPLINK)
        receiving = Access(port.downlink, port.count, port.latency, cast(Branch, above.down), down, DOWNLINK)
        port.up, port.down = sending, receiving
        if up is not None or down is not None:
            couple(sending, receiving)

    def _disconnect(self, port: Port) -> None:
        cast(Access, port.up).withdraw_peak()
        cast(Access, port.down).withdraw_peak()

    def _change(self, owner: Port | Shared, link: Link | AccessLink, capacity: float | Varying) -> None:
        cast("Access | Branch", link).set_capacity(capacity)

    def note_bottlenecks(self) -> None:
        """Note which link bound each transfer; see `Network.note_bottlenecks`."""
        for link in (self.server.up, self.server.down):
            cast(Trunk, link).notes = True
