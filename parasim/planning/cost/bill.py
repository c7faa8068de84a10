"""What a simulated run costs: the clients' devices, their links, traffic and electricity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.result import Result
from parasim_core.sim.scenario.economy import LinkChoice

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
    hours = _billed_hours(result)
    months = wall_clock / MONTH if prices.months == "share" else math.ceil(wall_clock / MONTH)
    groups = []
    for index, group in enumerate(fleet.groups):
        clients = fleet.members(index)
        computing = result.mean("compute", clients)
        watts, link = group.power or scenario.power, links.get(index)
        month, once = (prices.link_month, 0.0) if link is None else (link.month, link.once)
        upload = prices.upload if link is None or link.upload is None else link.upload
        download = prices.download if link is None or link.download is None else link.download
        lines = group.count if group.site is None else -(-group.count // group.site.clients)
        parts = (
            hours[index] * group.gpus * (prices.gpu_hour if group.gpu_hour is None else group.gpu_hour),
            lines * (months * month + once),
            group.count * result.mean("uploaded", clients) * upload,
            group.count * result.mean("downloaded", clients) * download,
            group.count * group.gpus * (computing * watts.compute + (wall_clock - computing) * watts.idle),
        )
        groups.append(parts)
    gpus, sums, uploads, downloads, energy = (math.fsum(parts) for parts in zip(*groups, strict=True))
    return Bill(gpus, sums, uploads, downloads, energy / JOULES_PER_KILOWATT_HOUR * prices.kilowatt_hour, energy)


def _billed_hours(result: Result) -> list[float]:
    """Hours of one device of a client that are billed, of all clients of each group."""
    prices, fleet = result.scenario.prices, Fleet(result.scenario.fleet)
    whole = math.ceil if prices.hours == "started" else float
    hours: list[list[float]] = [[] for _ in fleet.groups]
    if prices.billed == "wall-clock":
        return [group.count * whole(result.wall_clock / HOUR) for group in fleet.groups]
    for client, count in result.counts.items():
        if prices.billed == "compute":
            rented = [result.accounts[client].compute]
        elif prices.hours == "started":
            rented = [end - start for start, end in result.presence[client]]
        else:
            rented = [result.wall_clock - result.accounts[client].offline]
        hours[fleet.index(client)].append(count * math.fsum(whole(seconds / HOUR) for seconds in rented))
    return [math.fsum(each) for each in hours]
