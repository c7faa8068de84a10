"""Networks of clients below a server, shared by max-min fairness.

`model.py` is the interface, with the messages in `transfer.py` and links in `link.py`; `tree.py` the exact and fast
tree, whose links are in `access.py`, `levels.py` and `trunk.py`; `general.py` any paths, by progressive filling
(`filling.py`); `half_duplex.py` begins with the one and goes on with the other; `timing.py` the tools on SimPy's clock
that both need. `capacity.py` is what changes with time, `transport.py` and `loss.py` what TCP makes of it, `alone.py`
what sharing has cost.
"""

from __future__ import annotations

import math

from simpy import Environment

from parasim_core.sim.network.capacity import Course, Varying
from parasim_core.sim.network.general import PathNetwork
from parasim_core.sim.network.half_duplex import HalfDuplexTree
from parasim_core.sim.network.link import Link
from parasim_core.sim.network.model import Network, Port
from parasim_core.sim.network.transfer import Transfer
from parasim_core.sim.network.tree import Tree

__all__ = [
    "Course", "HalfDuplexTree", "Link", "PathNetwork", "Port", "Transfer", "Tree", "Varying", "star_network",
]  # fmt: skip


MOST_FILLED = 200
"""With half duplex, up to so many clients are left to progressive filling: for them it is just as fast."""


def star_network(
    env: Environment,
    ingress: float | Varying = math.inf,
    egress: float | Varying = math.inf,
    half_duplex: bool = False,
    clients: int = 1,
) -> Network:
    """Choose the fastest exact network.

    Parameters
    ----------
    env : Environment
        The clock.
    ingress, egress : float or Varying
        Capacities of the server's link towards it and away from it [B/s], positive, `inf` for unlimited.
    half_duplex : bool
        Whether any port will be half duplex.
    clients : int
        How many ports will have messages under way at a time, about.

    Returns
    -------
    Network
        A `Tree`; if it has to do half duplex, a `PathNetwork` for few clients and a `HalfDuplexTree` for many.

    Raises
    ------
    NetworkError
        If a capacity is not positive.
    """
    if not half_duplex:
        return Tree(env, ingress, egress)
    return (HalfDuplexTree if clients > MOST_FILLED else PathNetwork)(env, ingress, egress)
