"""Networks of clients below a server, shared by max-min fairness.

`model.py` is the interface, with the messages in `transfer.py`; `tree.py` the exact and fast tree, whose links are
in `access.py`, `levels.py` and `trunk.py`; `general.py` any paths and half duplex, on `filling.py`; `timing.py` the
tools on SimPy's clock that both need.
"""

from __future__ import annotations

import math

from simpy import Environment

from sim.network.general import PathNetwork
from sim.network.model import Network, Port
from sim.network.transfer import Link, Transfer
from sim.network.tree import Tree

__all__ = ["Link", "PathNetwork", "Port", "Transfer", "Tree", "star_network"]


def star_network(
    env: Environment, ingress: float = math.inf, egress: float = math.inf, half_duplex: bool = False
) -> Network:
    """Choose the fastest exact network.

    Parameters
    ----------
    env : Environment
        The clock.
    ingress, egress : float
        Capacities of the server's link towards it and away from it [B/s], positive, `inf` for unlimited.
    half_duplex : bool
        Whether any port will be half duplex.

    Returns
    -------
    Network
        A `Tree`, or a `PathNetwork` if it has to do half duplex.

    Raises
    ------
    NetworkError
        If a capacity is not positive.
    """
    return PathNetwork(env, ingress, egress) if half_duplex else Tree(env, ingress, egress)
