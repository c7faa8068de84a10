"""Every run that a budget could be spent on: methods x block widths x devices x links, as scenarios of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from calibration.devices import Extrapolation
from calibration.devices import device as catalogued
from calibration.measured import MeasuredProfileCosts
from calibration.memory import fits
from parasim.planning.bill import Bill, Tariff, bill, tariffs
from parasim.planning.setting import block_widths, parsed
from parasim.planning.speeds import relative_speed
from sim.costs import Costs
from sim.economy import Device, Link
from sim.errors import CostError, ScenarioError, nearest
from sim.fleet import Fleet
from sim.scenario import Scenario
from sim.scenario_file import with_field
from sim.simulate import Setup, simulate
from sim.units import format_bandwidth

OWN = "as it is"


@dataclass(frozen=True)
class Candidate:
    """A run that one could pay for.

    Attributes
    ----------
    method : str
        Its method.
    layers : float or None
        Block width, where it is a choice.
    device, links : str
        Their names.
    data : dict
        The scenario, as plain data.
    by_group : tuple of Tariff
        What it pays.
    names : tuple of str or None
        Device of each group, to hold its memory against; None where the scenario's own stays.
    speed : Extrapolation or None
        Of the device, where it is a guess.
    """

    method: str
    layers: float | None
    device: str
    links: str
    data: dict[str, Any]
    by_group: tuple[Tariff, ...]
    names: tuple[str | None, ...]
    speed: Extrapolation | None


@dataclass(frozen=True)
class Outcome:
    """What a candidate costs and takes.

    Attributes
    ----------
    candidate : Candidate
        Which.
    wall_clock : float
        Event-simulated [s].
    bill : Bill
        Its cost.
    """

    candidate: Candidate
    wall_clock: float
    bill: Bill

    @property
    def cost(self) -> float:
        """What it costs [USD]."""
        return self.bill.total


@dataclass(frozen=True)
class Refused:
    """A candidate that cannot be had.

    Attributes
    ----------
    candidate : Candidate
        Which.
    reason : str
        Why.
    """

    candidate: Candidate
    reason: str


def candidates(data: dict[str, Any], methods: Sequence[str], notes: list[str]) -> Iterator[Candidate]:
    """List the runs to choose from.

    Parameters
    ----------
    data : dict
        The scenario's fields.
    methods : sequence of str
        Names of methods.
    notes : list of str
        Gets a line for each choice that cannot be had.

    Raises
    ------
    ParaSimError
        If the scenario is wrong or a method cannot run it.
    """
    for method in methods:
        of_method = with_field(data, "method.name", method)
        setup, costs = parsed(of_method)
        chosen = _chosen_groups(setup.scenario)
        devices = list(_devices(setup.scenario, costs, chosen, notes))
        links = [None, *(link for link in setup.scenario.choices.links)]
        for layers, fields in _widths(of_method, setup):
            for device, speed in devices:
                for link in links:
                    yield _candidate(fields, method, layers, (device, speed), link, chosen)


def run(candidate: Candidate) -> Outcome | Refused:
    """Simulate a candidate, if it can be had."""
    try:
        setup, costs = parsed(candidate.data)
        _check_memory(setup, costs, candidate)
        result = simulate(setup, costs)
    except CostError as error:
        return Refused(candidate, str(error))
    return Outcome(candidate, result.wall_clock, bill(result, setup.scenario.prices, candidate.by_group))


def at_speed(candidate: Candidate, speed: float) -> Outcome:
    """Simulate a candidate as if the device that was chosen had another speed."""
    data = candidate.data
    for number, name in enumerate(candidate.names):
        if name is not None:
            data = with_field(data, f"fleet.{number}.speed", speed)
    setup, costs = parsed(data)
    result = simulate(setup, costs)
    return Outcome(candidate, result.wall_clock, bill(result, setup.scenario.prices, candidate.by_group))


def _chosen_groups(scenario: Scenario) -> tuple[int, ...]:
    """Positions of the groups that get what is chosen."""
    fleet = Fleet(scenario.fleet)
    names = [fleet.name(index) for index in range(len(fleet.groups))]
    wanted = scenario.choices.groups
    for name in wanted or ():
        if name not in names:
            raise ScenarioError(f"choices.groups: no group {name!r}; {nearest(name, names)}")
    return tuple(index for index, name in enumerate(names) if wanted is None or name in wanted)


def _widths(data: dict[str, Any], setup: Setup) -> Iterator[tuple[float | None, dict[str, Any]]]:
    """Block widths worth trying, the scenario's own first, with the scenario's fields."""
    known = block_widths(setup) if setup.architecture is not None else []
    own = setup.scenario.blocks.layers or (2.0 if setup.scenario.blocks.count is None else None)
    yield own if known else None, data
    if isinstance(setup.scenario.blocks.schedule, tuple):
        # A list of blocks, one per round, is for the scenario's own partition.
        return
    for layers in setup.scenario.choices.layers:
        if layers != own and layers in known:
            yield layers, with_field(data, "blocks.layers", layers)


def _devices(
    scenario: Scenario, costs: Costs, chosen: tuple[int, ...], notes: list[str]
) -> Iterator[tuple[Device | None, Extrapolation | None]]:
    yield None, None
    reference = str(costs.provenance().get("device") or _common_device(scenario, chosen) or "")
    unknown = [device.name for device in scenario.choices.devices if device.speed is None]
    for name in unknown:
        _check_known(name)
    if unknown and not reference:
        _note(
            notes,
            f"left out: {', '.join(unknown)}, as the scenario names no one device to compare their speed with; "
            "name it (fleet.*.device), or give each a speed (choices.devices)",
        )
    for device in scenario.choices.devices:
        if device.speed is None and not reference:
            continue
        if device.name.lower() == (_common_device(scenario, chosen) or "").lower():
            continue
        try:
            yield device, None if device.speed is not None else relative_speed(device.name, reference)
        except CostError as error:
            _note(notes, f"{device.name} is left out, as nothing says how fast it is: {error}")


def _note(notes: list[str], note: str) -> None:
    """Add a note, which every method would repeat."""
    if note not in notes:
        notes.append(note)


def _check_known(name: str) -> None:
    """Refuse a name that is probably misspelt: a device that is known but cannot be compared is merely left out."""
    try:
        catalogued(name)
    except CostError as error:
        raise ScenarioError(f"choices.devices: {error} If it is no slip, give its speed") from None


def _candidate(
    data: dict[str, Any],
    method: str,
    layers: float | None,
    chosen_device: tuple[Device | None, Extrapolation | None],
    link: Link | None,
    chosen: tuple[int, ...],
) -> Candidate:
    device, guess = chosen_device
    scenario = Scenario.parse(data)
    by_group = list(tariffs(scenario))
    devices: list[str | None] = [None] * len(scenario.fleet)
    data = with_field(data, "fleet", [group.model_dump(mode="json", exclude_unset=True) for group in scenario.fleet])
    for number in chosen:
        if device is not None:
            speed = device.speed if guess is None else guess.seconds
            data = with_field(data, f"fleet.{number}.speed", speed)
            by_group[number] = replace(by_group[number], gpu_hour=device.gpu_hour, watts=device.power)
            devices[number] = device.name
        if link is not None:
            downlink = link.uplink if link.downlink is None else link.downlink
            data = with_field(data, f"fleet.{number}.uplink", format_bandwidth(link.uplink))
            data = with_field(data, f"fleet.{number}.downlink", format_bandwidth(downlink))
            by_group[number] = by_group[number].with_link(link)
    return Candidate(
        method,
        layers,
        device.name if device else _common_device(scenario, chosen) or OWN,
        link.name if link else _common_link(scenario, chosen) or OWN,
        data,
        tuple(by_group),
        tuple(devices),
        guess,
    )


def _common_device(scenario: Scenario, chosen: tuple[int, ...]) -> str | None:
    devices = {scenario.fleet[number].device for number in chosen}
    return devices.pop() if len(devices) == 1 else None


def _common_link(scenario: Scenario, chosen: tuple[int, ...]) -> str | None:
    links = {(scenario.fleet[number].uplink, scenario.fleet[number].down) for number in chosen}
    uplink, downlink = links.pop()
    return format_bandwidth(uplink) if not links and uplink == downlink else None


def _check_memory(setup: Setup, costs: Costs, candidate: Candidate) -> None:
    """Refuse devices that the local update cannot fit into."""
    groups = zip(setup.scenario.fleet, candidate.names, strict=True)
    fleet = tuple(group.model_copy(update={"device": name or group.device}) for group, name in groups)
    with_devices = replace(setup, scenario=setup.scenario.model_copy(update={"fleet": fleet}))
    for warning in fits(with_devices, measured=costs.file if isinstance(costs, MeasuredProfileCosts) else None):
        raise CostError(f"a local update needs at least {warning.needed / 1e9:.0f} GB of memory")
