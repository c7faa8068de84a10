"""What a simulated run costs: the clients' devices, their links, traffic and electricity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sim.engine.fleet import Fleet
from sim.engine.result import Result
from sim.scenario.economy import LinkChoice

HOUR = 3600.0
MONTH = 365.25 / 12 * 24 * HOUR
JOULES_PER_KILOWATT_HOUR = 3.6e6


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


def bill(result: Result, links: Mapping[int, LinkChoice]) -> Bill:
    """Work out what a run costs, by the prices of its scenario.

    Parameters
    ----------
    result : Result
        The run.
    links : mapping of int to LinkChoice
        Groups that have other links, whose traffic costs what it did where they do not say.
    """
    scenario, wall_clock = result.scenario, result.wall_clock
    prices, fleet = scenario.prices, Fleet(scenario.fleet)
    groups = []
    for index, group in enumerate(fleet.groups):
        clients = fleet.members(index)
        computing, present = result.mean("compute", clients), wall_clock - result.mean("offline", clients)
        billed = {"wall-clock": wall_clock, "presence": present, "compute": computing}[prices.billed]
        watts, link = group.power or scenario.power, links.get(index)
        month = prices.link_month if link is None else link.month
        upload = prices.upload if link is None or link.upload is None else link.upload
        download = prices.download if link is None or link.download is None else link.download
        each = (
            billed / HOUR * (prices.gpu_hour if group.gpu_hour is None else group.gpu_hour),
            wall_clock / MONTH * month,
            result.mean("uploaded", clients) * upload,
            result.mean("downloaded", clients) * download,
            computing * watts.compute + (wall_clock - computing) * watts.idle,
        )
        groups.append([group.count * part for part in each])
    gpus, sums, uploads, downloads, energy = (math.fsum(parts) for parts in zip(*groups, strict=True))
    return Bill(gpus, sums, uploads, downloads, energy / JOULES_PER_KILOWATT_HOUR * prices.kilowatt_hour, energy)
