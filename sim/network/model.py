"""What a network is to a protocol: clients attached to one server, and the time that messages take.

Protocols know `Port` and `Network` and nothing else, so that any implementation can stand behind them:
`star.py` holds the exact and fast one, `general.py` one for any paths.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from simpy import Event

from sim.errors import NetworkError


@dataclass(frozen=True, eq=False, slots=True)
class Port:
    """The attachment of one client, or of `count` identical ones, to the network.

    Parameters
    ----------
    uplink : float
        Capacity from the client towards the server [B/s], positive, `inf` for unlimited.
    downlink : float
        Capacity from the server towards the client [B/s], positive, `inf` for unlimited.
    latency : float
        One-way latency [s] of either direction, finite and not negative.
    half_duplex : bool
        Uploads and downloads share one medium: the fractions of time that it is used in the two directions,
        upload rate / uplink and download rate / downlink, add up to at most 1.
    count : int
        Multiplicity. The port stands for `count` clients that act as one, each with its own access link: a
        transfer on it stands for one per client and takes `count` times its rate on the server's link.

    Raises
    ------
    NetworkError
        If a figure is out of range.
    """

    uplink: float
    downlink: float
    latency: float = 0.0
    half_duplex: bool = False
    count: int = 1

    def __post_init__(self) -> None:
        check_capacity("uplink", self.uplink)
        check_capacity("downlink", self.downlink)
        check_latency(self.latency)
        check_count(self.count)


class Network(Protocol):
    """Clients around one server, with max-min fair fluid sharing of every link.

    Rates are those of the max-min fair allocation at every instant: they change whenever a transfer starts or
    ends. Latency is paid once, before a transfer starts to share (SimGrid's CM02 model). Concurrent transfers
    of one port in one direction share it like any others.

    Notes
    -----
    The clock may run on for a while after the last arrival when `Environment.run` is called without an end,
    because alarms that have become superfluous cannot be taken back: take times from the events, not from the
    clock after the run.

    What may come later fits behind this interface. *Other topologies* attach clients in their own way and give
    out their own kind of `Port`; `upload` and `download` stay. *Capacities that vary with time* (traces) are a
    process that changes a capacity and has the rates levelled again, as if a transfer had started or ended.
    *An outage* is a capacity of zero for a while (transfers wait) or the failure of the events of the transfers
    that it interrupts (protocols see an exception at their `yield`).
    """

    def attach(
        self,
        uplink: float,
        downlink: float,
        latency: float = 0.0,
        half_duplex: bool = False,
        count: int = 1,
    ) -> Port:
        """Attach a client, or `count` identical ones; the parameters are those of `Port`.

        Returns
        -------
        Port
            What `upload` and `download` of this network take.

        Raises
        ------
        NetworkError
            If a figure is out of range, or the network cannot do half duplex.
        """
        ...

    def upload(self, port: Port, size: float) -> Event:
        """Send a message from a client to the server.

        Parameters
        ----------
        port : Port
            The client's, attached to this network.
        size : float
            Message size [B], finite and positive.

        Returns
        -------
        Event
            Fires when the last byte has arrived; its value is that time [s].

        Raises
        ------
        NetworkError
            If `size` is not finite and positive, or the port belongs to another network.
        """
        ...

    def download(self, port: Port, size: float) -> Event:
        """Send a message from the server to a client; everything else as in `upload`."""
        ...


def check_capacity(name: str, capacity: float) -> None:
    """Raise `NetworkError` unless `capacity` [B/s] is positive (`inf` is); `name` says whose it is."""
    if not capacity > 0:
        raise NetworkError(f"{name} is {capacity} B/s; it must be positive, or inf for unlimited")


def check_latency(latency: float) -> None:
    """Raise `NetworkError` unless `latency` [s] is finite and not negative."""
    if not 0 <= latency < math.inf:
        raise NetworkError(f"latency is {latency} s; it must be finite and not negative")


def check_count(count: int) -> None:
    """Raise `NetworkError` unless `count` is at least 1."""
    if count < 1:
        raise NetworkError(f"count is {count}; a port or transfer stands for at least 1 client")


def check_size(size: float) -> None:
    """Raise `NetworkError` unless `size` [B] is finite and positive."""
    if not 0 < size < math.inf:
        raise NetworkError(f"message size is {size} B; it must be finite and positive")
