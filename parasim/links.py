"""What a scenario's links are, in words: a line about all of them, and a row about each group, region and the server.

A scenario whose links are constant and nobody's but the clients' and the server's has no such line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from parasim.sentences import listed, say
from parasim.text import amount, band_figures
from parasim_core.sim.analysis.messages import messages_of
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.lines import are_plain
from parasim_core.sim.engine.result import Result
from parasim_core.sim.scenario.links import Capacity, Steps, Traced, Transport
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.sections import Group
from parasim_core.sim.scenario.traces import mean_rate, varies

CONTROLS = {"reno": "Reno", "cubic": "CUBIC", "bbr": "BBR"}
"""How congestion controls are written."""
_MOST_NAMED = 4


def links_said(scenario: Scenario) -> str:
    """Say in one line what links there are beside constant ones of the clients and the server; else nothing."""
    if are_plain(scenario):
        return ""
    return say("links.all", parts=[*_varying(scenario), *_shared(scenario), *_connected(scenario)])


def run_summary(result: Result) -> dict[str, Any]:
    """Figures of a run, with the ends of its band where computing times are predicted.

    And with what its links are and where messages' time went, where links are more than constants.
    """
    scenario, summary = result.scenario, result.summary() | band_figures(result.provenance)
    if are_plain(scenario):
        return summary
    links = {"said": links_said(scenario), "of": link_rows(scenario)}
    return {**summary, "messages": messages_of(result), "links": links}


def link_rows(scenario: Scenario) -> list[dict[str, Any]]:
    """Say what the links of each group, of each region and of the server are.

    Returns
    -------
    list of dict
        `of`, `clients`, `uplink`, `downlink`, `latency_s` (one way), `between` (it and the server) and `transport`:
        texts but for the two numbers; empty where there is nothing to say.
    """
    fleet, server = Fleet.of(scenario), scenario.server
    rows = [
        {
            "of": fleet.name(index),
            "clients": group.count,
            "uplink": capacity_said(group.uplink),
            "downlink": capacity_said(group.down),
            "latency_s": group.latency,
            "between": ", ".join(_between(group)),
            "transport": "" if group.transport is None else transport_said(group.transport),
        }
        for index, group in enumerate(fleet.groups)
    ]
    rows += [
        {
            "of": f"region {name}",
            "clients": sum(group.count for group in fleet.groups if group.region == name),
            "uplink": capacity_said(region.uplink),
            "downlink": capacity_said(region.down),
            "latency_s": region.latency,
            "between": say("links.aggregates") if region.aggregates else say("links.shares"),
            "transport": "" if region.transport is None else transport_said(region.transport),
        }
        for name, region in scenario.regions.items()
    ]
    own = {"uplink": capacity_said(server.ingress), "downlink": capacity_said(server.egress), "latency_s": 0.0}
    return [*rows, {"of": "server", "clients": fleet.clients, **own, "between": "", "transport": ""}]


def capacity_said(link: Capacity | None) -> str:
    """Say what one direction of a link can carry, with the mean of one that varies."""
    if link is None:
        return say("links.unlimited")
    mean = say("links.mean", rate=amount(float(f"{mean_rate(link):.3g}"), "B/s"))
    if isinstance(link, Traced):
        told = [link.column or "", _begins(link.start), "" if link.scale == 1 else f"× {link.scale:g}", mean]
        return say("links.trace", name=PurePath(link.trace).name, told=list(filter(None, told)))
    if isinstance(link, Steps):
        rates = [rate for _, rate in link.steps]
        if not varies(link):
            return amount(rates[0], "B/s")
        steps = {"steps": len(rates), "least": min(rates), "most": max(rates), "mean": mean}
        return say("links.once", **steps) if link.period is None else say("links.steps", period=link.period, **steps)
    return amount(link, "B/s")


def _begins(start: float | str) -> str:
    """Say where in a trace a run begins."""
    if isinstance(start, str):
        return say("links.random" if start == "random" else "links.time_of_day")
    return f"from {start:g} s on" if start else ""


def transport_said(transport: Transport) -> str:
    """Say how messages are sent, and over what."""
    told = [CONTROLS[transport.control], f"{100 * transport.loss:.6g} % loss"]
    told += [f"{transport.streams} streams"] if transport.streams > 1 else []
    told += [f"window {amount(transport.window)}"] if transport.window is not None else []
    told.append(say("links.fresh") if transport.fresh else say("links.kept"))
    told.append(f"acknowledgements {100 * transport.acknowledgements:.6g} %")
    if transport.buffer is not None:
        up, down = (f"{1000 * queue:g} ms" for queue in (transport.buffer.uplink, transport.buffer.downlink))
        told.append(say("links.queues", up=up, down=down))
    if transport.outages == "dropped":
        told.append(say("links.dropped"))
    return ", ".join(told)


def _between(group: Group) -> Iterator[str]:
    if (line := group.site) is not None:
        up, down = capacity_said(line.uplink), capacity_said(line.down)
        yield say("links.site", clients=line.clients, up=up, down=down)
    if group.region is not None:
        yield say("links.region", name=group.region)


def _varying(scenario: Scenario) -> Iterator[str]:
    """Name whose links vary, with their mean rates up and down; many are counted."""
    fleet, server = Fleet.of(scenario), scenario.server
    links = [(fleet.name(index), group.uplink, group.down) for index, group in enumerate(fleet.groups)]
    for index, group in enumerate(fleet.groups):
        links += [(f"the sites of {fleet.name(index)}", group.site.uplink, group.site.down)] if group.site else []
    regions = [(f"region {name}", region.uplink, region.down) for name, region in scenario.regions.items()]
    whole = [*links, *regions, ("the server", server.ingress, server.egress)]
    found = [(name, up, down) for name, up, down in whole if varies(up) or varies(down)]
    names = [say("links.rates", name=name, up=_rate(up), down=_rate(down)) for name, up, down in found]
    if names:
        more = len(names) - _MOST_NAMED
        yield say("links.vary", names=names if more <= 0 else [*names[:_MOST_NAMED], say("links.more", more=more)])


def _rate(link: Capacity | None) -> str:
    if link is None:
        return say("links.unlimited")
    rate = amount(float(f"{mean_rate(link):.3g}"), "B/s")
    return say("links.mean", rate=rate) if varies(link) else rate


def _shared(scenario: Scenario) -> Iterator[str]:
    sites = [group for group in scenario.fleet if group.site is not None]
    if sites:
        many = sum(-(-group.count // group.site.clients) for group in sites if group.site)
        yield say("links.sites", lines=many, clients=sum(group.count for group in sites))
    for name, region in scenario.regions.items():
        yield say("links.aggregator" if region.aggregates else "links.region", name=name)


def _connected(scenario: Scenario) -> Iterator[str]:
    given = [group.transport for group in scenario.fleet] + [region.transport for region in scenario.regions.values()]
    controls = dict.fromkeys(CONTROLS[transport.control] for transport in given if transport is not None)
    if controls:
        yield say("links.tcp", controls=listed(list(controls)))
