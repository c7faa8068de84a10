"""What a simulated run costs: the clients' devices, their links, traffic and electricity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sim.economy import Link, Prices, Watts
from sim.fleet import Fleet
from sim.result import Result
from sim.scenario import Scenario

HOUR = 3600.0
MONTH = 365.25 / 12 * 24 * HOUR
JOULES_PER_KILOWATT_HOUR = 3.6e6


@dataclass(frozen=True)
class Tariff:
    """What clients of one group pay.

    Attributes
    ----------
    gpu_hour : float
        Per billed hour of the device [USD].
    watts : Watts
        What the device draws.
    link_month : float
        Per month of the client's links [USD].
    upload, download : float
        Per byte [USD/B].
    """

    gpu_hour: float
    watts: Watts
    link_month: float
    upload: float
    download: float

    def with_link(self, link: Link) -> Tariff:
        """Return the tariff with other links, whose traffic costs what it did where they do not say."""
        upload = self.upload if link.upload is None else link.upload
        download = self.download if link.download is None else link.download
        return Tariff(self.gpu_hour, self.watts, link.month, upload, download)


def tariffs(scenario: Scenario) -> tuple[Tariff, ...]:
    """Tariff of each group of a scenario as it is."""
    prices = scenario.prices
    return tuple(
        Tariff(
            prices.gpu_hour if group.gpu_hour is None else group.gpu_hour,
            group.power or scenario.power,
            prices.link_month,
            prices.upload,
            prices.download,
        )
        for group in scenario.fleet
    )


@dataclass(frozen=True)
class Bill:
    """What a run costs.

    Attributes
    ----------
    gpus, links, upload, download, electricity : float
        Of all clients together [USD].
    energy : float
        Drawn by all clients' devices [J].
    """

    gpus: float
    links: float
    upload: float
    download: float
    electricity: float
    energy: float

    @property
    def total(self) -> float:
        """All of it [USD]."""
        return math.fsum((self.gpus, self.links, self.upload, self.download, self.electricity))

    @property
    def kilowatt_hours(self) -> float:
        """Energy of the run [kWh]."""
        return self.energy / JOULES_PER_KILOWATT_HOUR


def bill(result: Result, prices: Prices, by_group: Sequence[Tariff]) -> Bill:
    """Work out what a run costs.

    Parameters
    ----------
    result : Result
        The run.
    prices : Prices
        Which hours are billed, and electricity.
    by_group : sequence of Tariff
        One per group of the fleet.
    """
    fleet, wall_clock = Fleet(result.scenario.fleet), result.wall_clock
    groups = []
    for index, tariff in enumerate(by_group):
        clients = range(fleet.firsts[index], fleet.firsts[index + 1])
        computing, present = result.mean("compute", clients), wall_clock - result.mean("offline", clients)
        billed = {"wall-clock": wall_clock, "presence": present, "compute": computing}[prices.billed]
        each = (
            billed / HOUR * tariff.gpu_hour,
            wall_clock / MONTH * tariff.link_month,
            result.mean("uploaded", clients) * tariff.upload,
            result.mean("downloaded", clients) * tariff.download,
            computing * tariff.watts.compute + (wall_clock - computing) * tariff.watts.idle,
        )
        groups.append([len(clients) * part for part in each])
    gpus, links, upload, download, energy = (math.fsum(parts) for parts in zip(*groups, strict=True))
    return Bill(gpus, links, upload, download, energy / JOULES_PER_KILOWATT_HOUR * prices.kilowatt_hour, energy)
