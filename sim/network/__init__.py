"""Networks of clients around a server, shared by max-min fairness.

`model.py` is the interface; `star.py` the exact and fast star, on `trunk.py`; `general.py` any paths and half
duplex, on `filling.py`; `timing.py` the two tools on SimPy's clock that both need.
"""

from __future__ import annotations

import math

from simpy import Environment

from sim.network.general import GeneralStar, Hop, Link, PathNetwork
from sim.network.model import Network, Port
from sim.network.star import Star

__all__ = ["GeneralStar", "Hop", "Link", "Network", "PathNetwork", "Port", "Star", "star_network"]


def star_network(
    env: Environment, ingress: float = math.inf, egress: float = math.inf, half_duplex: bool = False
) -> Network:
    """Choose the fastest exact star.

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
        A `Star`, or a `GeneralStar` if it has to do half duplex.

    Raises
    ------
    NetworkError
        If a capacity is not positive.
    """
    return GeneralStar(env, ingress, egress) if half_duplex else Star(env, ingress, egress)
