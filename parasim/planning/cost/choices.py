"""Every run that a budget could be spent on, as a scenario of its own.

There is who takes part how often, block widths, devices and links to choose, for all groups or for one of them alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TypeVar

from parasim.costs import at_edge, predicted
from parasim.planning.changes import with_block_width, with_groups
from parasim.planning.cost.bill import Bill, bill
from parasim.planning.cost.fleets import chosen_names, fleets, positions
from parasim.planning.cost.speeds import relative_speed
from parasim.planning.methods import Case
from parasim.planning.search.ranges import block_widths, own_width
from parasim.sentences import say
from parasim_core.calibration.devices.catalogue import device as catalogued
from parasim_core.calibration.devices.device_memory import measured_file
from parasim_core.calibration.devices.prediction import Extrapolation
from parasim_core.calibration.memory.fits import fits
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.simulate import simulate
from parasim_core.sim.errors import CostError, ScenarioError
from parasim_core.sim.scenario.economy import DeviceChoice, LinkChoice
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.sections import Group
from parasim_core.sim.scenario.traces import rate_text

PREDICTED = "predicted"
"""Origin of speeds of devices whose times are predicted for the scenario's own step."""
OWN = "as it is"
"""Devices or links of a fleet that has several, or does not name them."""
Value = TypeVar("Value")


@dataclass(frozen=True)
class Given:
    """What is chosen of one kind, and for whom.

    Attributes
    ----------
    name : str
        What it is called.
    groups : tuple of int
        Positions of the groups that get it; none where everything stays as it is.
    """

    name: str
    groups: tuple[int, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A run that one could pay for.

    Attributes
    ----------
    scenario : Scenario
        What is run.
    layers : float or None
        Block width, where it is a choice.
    device, links : Given
        Devices and links that are chosen.
    fleet : str
        Who is left out, or takes part more seldom; empty where it is everyone as before.
    new_links : LinkChoice or None
        Links, if they are other ones.
    speed : Extrapolation or None
        Of the device, where it is a guess.
    """

    scenario: Scenario
    layers: float | None
    device: Given
    links: Given
    fleet: str = ""
    new_links: LinkChoice | None = None
    speed: Extrapolation | None = None

    @property
    def method(self) -> str:
        """Name of its method."""
        return self.scenario.method.name

    @property
    def width(self) -> str:
        """Block width as people write it; empty where it is no choice."""
        if self.layers is None:
            return ""
        return "half a layer" if self.layers == 0.5 else f"{self.layers:g} layer{'s' * (self.layers > 1)}"

    @property
    def chosen(self) -> str:
        """What tells it from other runs of its method: ``2 layers, h100, 1 Gbit/s for country``."""
        return ", ".join(filter(None, (self.width, self.told(self.device), self.told(self.links), self.fleet)))

    def told(self, given: Given) -> str:
        """Write a choice, and for whom it is if not for everyone."""
        fleet = Fleet(self.scenario.fleet)
        if len(given.groups) in (0, len(fleet.groups)):
            return given.name
        return say("budget.for_some", choice=given.name, groups=[fleet.name(index) for index in given.groups])

    def groups(self) -> dict[str, dict[str, str]]:
        """Device and links of each group that takes part, by its name."""
        fleet, found = Fleet(self.scenario.fleet), {}
        for index, group in enumerate(fleet.groups):
            links = OWN if group.site is not None else _own_links(group)
            own = {"device": self.scenario.device_of(group) or OWN, "links": links}
            own |= {kind: given.name for kind, given in self._by_kind() if index in given.groups}
            found[fleet.name(index)] = own
        return found

    def _by_kind(self) -> tuple[tuple[str, Given], ...]:
        return ("device", self.device), ("links", self.links)


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


def candidates(case: Case, notes: list[str], *, alone: bool) -> Iterator[Candidate]:
    """List the runs of one method to choose from.

    Parameters
    ----------
    case : Case
        The scenario under the method.
    notes : list of str
        Gets a line for each choice that cannot be had.
    alone : bool
        Whether one group alone may get what is chosen, beside all of them together.

    Raises
    ------
    ScenarioError
        If it has no such groups, or no device of such a name is known.
    """
    devices, wanted = list(_devices(case, notes)), chosen_names(case.scenario)
    for fleet, some in fleets(case, notes):
        chosen = positions(some.scenario, wanted)
        there = dict.fromkeys(((*chosen,), *(((index,) for index in chosen) if alone else ())))
        offers = [(device, groups) for device in devices for groups in (there if device[0] else [()])]
        lines = [
            (links, groups) for links in (None, *case.scenario.choices.links) for groups in (there if links else [()])
        ]
        for (layers, scenario), (device, where), (links, along) in product(_widths(some), offers, lines):
            yield _candidate(scenario, layers, device, where, links, along, fleet)


def _candidate(
    scenario: Scenario,
    layers: float | None,
    chosen: tuple[DeviceChoice | None, Extrapolation | None],
    where: tuple[int, ...],
    links: LinkChoice | None,
    there: tuple[int, ...],
    fleet: str,
) -> Candidate:
    """Put a run together."""
    device, guess = chosen
    changes: dict[int, dict[str, object]] = {index: {} for index in {*where, *there}}
    if device is not None:
        speed = device.speed if guess is None else guess.seconds
        computing = {"device": device.name} if guess is not None and guess.origin == PREDICTED else {"speed": speed}
        for index in where:
            changes[index] |= computing | {"gpu_hour": device.gpu_hour, "power": device.power}
    if links is not None:
        rates = {"uplink": links.uplink, "downlink": links.downlink or links.uplink}
        for index in there:
            site = scenario.fleet[index].site
            changes[index] |= rates if site is None else {"site": site.model_copy(update=rates)}
    own_device = _common(map(scenario.device_of, scenario.fleet)) or OWN
    own_links = _common(_own_links(group) for group in scenario.fleet) or OWN
    return Candidate(
        with_groups(scenario, changes),
        layers,
        Given(own_device) if device is None else Given(device.name, where),
        Given(own_links) if links is None else Given(links.name, there),
        fleet,
        links,
        guess,
    )


def _own_links(group: Group) -> str:
    """Links of a group, where both directions are alike and nothing is shared."""
    link = _common((group.uplink, group.down))
    return OWN if link is None or group.site is not None else rate_text(link)


def run(candidate: Candidate) -> Outcome | str:
    """Simulate a candidate, or say why it cannot be had."""
    try:
        case = Case.of(candidate.scenario)
        _check_memory(case, candidate)
        return _outcome(case, candidate)
    except CostError as error:
        return str(error)


def at_ends(candidate: Candidate, speed: Extrapolation) -> tuple[Outcome, Outcome]:
    """Simulate a candidate as if the device that was chosen were as slow, and as fast, as its band allows."""
    if speed.origin == PREDICTED:
        case = Case.of(candidate.scenario)
        edges = (replace(case, costs=at_edge(case.costs, slow=slow)) for slow in (True, False))
    else:
        speeds = ({group: {"speed": end} for group in candidate.device.groups} for end in (speed.low, speed.high))
        edges = (Case.of(with_groups(candidate.scenario, own)) for own in speeds)
    slow, fast = (_outcome(case, candidate) for case in edges)
    return slow, fast


def _outcome(case: Case, candidate: Candidate) -> Outcome:
    result, links = simulate(case.setup, case.costs), candidate.new_links
    new = {} if links is None else dict.fromkeys(candidate.links.groups, links)
    return Outcome(candidate, result.wall_clock, bill(result, new))


def _widths(case: Case) -> Iterator[tuple[float | None, Scenario]]:
    """Block widths to choose from, the scenario's own first, with the scenario that has them."""
    scenario = case.scenario
    known = block_widths(case.setup) if case.setup.architecture is not None else []
    own = None if scenario.blocks.count is not None else own_width(case.setup)
    yield own if known else None, scenario
    if isinstance(scenario.blocks.schedule, tuple):
        # A list of blocks, one per round, is for the scenario's own partition.
        return
    for layers in scenario.choices.layers:
        if layers != own and layers in known:
            yield layers, with_block_width(scenario, layers)


def _devices(case: Case, notes: list[str]) -> Iterator[tuple[DeviceChoice | None, Extrapolation | None]]:
    """Devices to choose from, with their speeds where those are guesses; first what the fleet has."""
    yield None, None
    groups = positions(case.scenario, chosen_names(case.scenario))
    own = _common(case.scenario.device_of(case.scenario.fleet[index]) for index in groups)
    devices = case.scenario.choices.devices
    reference = str(case.costs.provenance().get("device") or own or "")
    unknown = [device.name for device in devices if device.speed is None]
    for name in unknown:
        try:
            catalogued(name)
        except CostError as error:
            # Probably misspelt: a device that is known but cannot be compared is merely left out.
            raise ScenarioError(f"choices.devices: {error} If it is no slip, give its speed") from None
    by_step = bool(predicted(case.costs))
    if unknown and not reference and not by_step:
        notes.append(say("budget.no_reference", devices=unknown))
    for device in devices:
        known = device.speed is not None or reference or by_step
        if not known or device.name.lower() == (own or "").lower():
            continue
        try:
            if device.speed is not None:
                yield device, None
            elif by_step:
                yield device, _speed_by_step(case, device.name, groups)
            else:
                yield device, relative_speed(device.name, reference)
        except CostError as error:
            notes.append(say("budget.no_speed", device=device.name, error=error))


def _speed_by_step(case: Case, device: str, groups: Sequence[int]) -> Extrapolation:
    """Predict how many times as fast as its own device a scenario's first update is on another one."""
    other = Case.of(with_groups(case.scenario, {group: {"device": device} for group in groups}))
    client, block = Fleet(case.scenario.fleet).firsts[groups[0]], next(iter(case.setup.trained_blocks), None)
    ours, theirs = (one.costs.local_update(client, 0, block).seconds for one in (other, case))
    band = max((own.band for own in predicted(other.costs)), default=1.0)
    speed, source = theirs / ours, f"{device} by the operators of the scenario's own step"
    return Extrapolation(speed, speed / band, speed * band, source, PREDICTED)


def _common(values: Iterable[Value]) -> Value | None:
    """Return what all values are; None if they differ."""
    different = set(values)
    return different.pop() if len(different) == 1 else None


def _check_memory(case: Case, candidate: Candidate) -> None:
    """Refuse devices that the local update cannot fit into."""
    device = {"device": candidate.device.name}
    scenario = with_groups(case.scenario, dict.fromkeys(candidate.device.groups, device))
    for warning in fits(replace(case.setup, scenario=scenario), measured=measured_file(case.costs)):
        raise CostError(say("budget.no_memory", gigabytes=warning.needed / 1e9))
