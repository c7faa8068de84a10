"""What a plan can solve for: which values a quantity may take, and how a scenario with one of them is written.

Of what is bought (links, devices) the least that meets a deadline is wanted; of what the run is for (rounds, batch
size, clients, block width) the most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from parasim.planning.setting import batch_sizes, block_widths, parsed, with_clients
from parasim.text import amount
from sim.errors import ScenarioError, nearest
from sim.scenario import Scenario
from sim.scenario_file import with_field
from sim.studies.conditions import Floats, Variants
from sim.studies.ladder import Decimals, Runtimes, Wanted, around_line, spread
from sim.studies.replay import Recording
from sim.units import format_bandwidth

_SCANNED = 33
_MOST_SPANS = 400_000
"""A run of more spans than about this is none that one repeats for a plan."""
_MOST_CLIENTS = 1000

Data = dict[str, Any]


@dataclass(frozen=True)
class Quantity:
    """Something to solve for.

    Attributes
    ----------
    name : str
        As on the command line.
    meaning : str
        What it is, in the words of an answer.
    extreme : str
        Its most favourable value in words: what stands in the way is what is left there.
    wanted : Wanted
        Whether the least or the most is asked for.
    values : callable
        Values that it may take in a scenario, rising; none if it means nothing there.
    change : callable
        A scenario's plain data with a value.
    unit : str
        Base unit, or empty for a number.
    whatifs : callable, optional
        The same as what-ifs of a recorded run, where those can say it.
    usual : tuple of (float, float)
        Where a picture without any answer shows it.
    straight : bool
        Whether the runtime grows along a straight line, or nearly so, and with it what a simulation costs.
    """

    name: str
    meaning: str
    extreme: str
    wanted: Wanted
    values: Callable[[Data], Sequence[float]]
    change: Callable[[Data, float], Data]
    unit: str = ""
    whatifs: Callable[[Recording, Floats], Variants] | None = None
    usual: tuple[float, float] = (1e7, 1e9)
    straight: bool = False

    def __reduce__(self) -> tuple[Callable[[str], Quantity], tuple[str]]:
        # Functions without a name cannot be sent to worker processes; the quantity's own name can.
        return quantity_named, (self.name,)

    @property
    def most(self) -> bool:
        """Whether the most is asked for."""
        return self.wanted is Wanted.MOST

    def scan(self, values: Sequence[float], runtimes: Runtimes, deadline: float) -> list[int]:
        """Positions to try first: all of a short list; around a straight line's guess; powers of two; or evenly."""
        if self.straight:
            return around_line(runtimes, len(values), deadline)
        if isinstance(values, range):
            return sorted({0, *(2**power - 1 for power in range(len(values).bit_length())), len(values) - 1})
        return spread(len(values), _SCANNED if self.whatifs else len(values))

    def text(self, value: float) -> str:
        """Write a value as people do."""
        if self.unit:
            return amount(value, self.unit)
        if not self.most:
            return f"{value:.4g} x"
        return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"


def quantity_named(name: str) -> Quantity:
    """Find a quantity by its name on the command line.

    Raises
    ------
    ScenarioError
        If there is none of that name.
    """
    if name not in QUANTITIES:
        raise ScenarioError(f"--solve-for {name}: {nearest(name, QUANTITIES)}")
    return QUANTITIES[name]


def _bandwidth(data: Data, value: float) -> Data:
    link = format_bandwidth(value)
    return with_field(with_field(data, "fleet.*.uplink", link), "fleet.*.downlink", link)


def _speed(data: Data, value: float) -> Data:
    for number, group in enumerate(Scenario.parse(data).fleet):
        data = with_field(data, f"fleet.{number}.speed", group.speed * value)
    return data


def _server(field: str) -> Callable[[Data, float], Data]:
    return lambda data, value: with_field(data, f"server.{field}", format_bandwidth(value))


def _batch_sizes(data: Data) -> Sequence[float]:
    if Scenario.parse(data).compute.seconds is not None:
        raise ScenarioError("--solve-for batch-size: no batch size changes the given compute.seconds; name a profile")
    return batch_sizes(data)


def _rounds(data: Data) -> Sequence[float]:
    # The scenario's own schedule or participants, where they are listed, are for its own number of rounds.
    setup, _ = parsed(with_field(data, "rounds", 1))
    sites = len(setup.scenario.fleet) if setup.cohorts.members is None else max(setup.cohorts.sizes())
    return range(1, max(1000, _MOST_SPANS // (4 * sites)) + 1)


def _clients(data: Data) -> Sequence[float]:
    # Seconds per client or lists of participants are for the scenario's own number of clients.
    parsed(with_clients(data, 1))
    return range(1, max(_MOST_CLIENTS, 8 * Scenario.parse(data).clients) + 1)


def _layers(value: float) -> float | int:
    return int(value) if value.is_integer() else value


QUANTITIES = {
    quantity.name: quantity
    for quantity in (
        Quantity(
            "bandwidth",
            "bandwidth of every client, up and down",
            "unlimited bandwidth",
            Wanted.LEAST,
            lambda data: Decimals(2, 15),
            _bandwidth,
            "B/s",
            lambda recording, values: Variants(uplink=values, downlink=values),
        ),
        Quantity(
            "device-speed",
            "speed of every device, as a multiple of its own",
            "devices that need no time",
            Wanted.LEAST,
            lambda data: Decimals(-3, 4),
            _speed,
            "",
            lambda recording, values: Variants(speed=recording.conditions.speed * values),
            usual=(0.5, 2.0),
        ),
        Quantity(
            "server-egress",
            "egress of the server",
            "unlimited egress",
            Wanted.LEAST,
            lambda data: Decimals(2, 15),
            _server("egress"),
            "B/s",
            lambda recording, values: Variants(egress=values),
        ),
        Quantity(
            "server-ingress",
            "ingress of the server",
            "unlimited ingress",
            Wanted.LEAST,
            lambda data: Decimals(2, 15),
            _server("ingress"),
            "B/s",
            lambda recording, values: Variants(ingress=values),
        ),
        Quantity(
            "rounds",
            "number of rounds",
            "{} round",
            Wanted.MOST,
            _rounds,
            lambda data, value: with_field(data, "rounds", int(value)),
            straight=True,
        ),
        Quantity(
            "batch-size",
            "batch size, at as many steps as before",
            "batch size {}, the smallest that the profile covers",
            Wanted.MOST,
            _batch_sizes,
            lambda data, value: with_field(data, "local.batch_size", int(value)),
        ),
        Quantity(
            "clients",
            "number of clients, in the fleet's proportions",
            "the most favourable number of clients, {}",
            Wanted.MOST,
            _clients,
            lambda data, value: with_clients(data, int(value)),
        ),
        Quantity(
            "block-width",
            "layers per block",
            "the most favourable width, {} layers",
            Wanted.MOST,
            lambda data: block_widths(parsed(data)[0]),
            lambda data, value: with_field(data, "blocks.layers", _layers(value)),
        ),
    )
}


def column(values: Sequence[float]) -> Floats:
    """Write values as the rows of what-ifs."""
    return np.array(values, dtype=np.float64)[:, None]
