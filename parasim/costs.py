"""How long the clients of a scenario compute: given, by a profile, or predicted, group by group.

A scenario that names neither `compute.device` nor, anywhere, another device than the paper's A100s keeps the paper's
profile. As soon as one is named, what no profile covers is predicted: and then for every device, as the paper's seconds
are of whole rounds that its authors ran, and compare with no step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

from parasim.sentences import listed
from parasim.text import origin_said
from parasim_core.calibration.devices.catalogue import device as catalogued
from parasim_core.calibration.devices.device_memory import measured_file
from parasim_core.calibration.devices.predicted_costs import SOURCE, PredictedCosts
from parasim_core.calibration.profiles.loading import (
    DEFAULT_PROFILE,
    Profile,
    covering_profiles,
    load_profile,
    shipped_profiles,
)
from parasim_core.calibration.profiles.profile_file import other_devices
from parasim_core.sim.engine.costs import Cost, Costs, GivenSeconds
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.simulate import Setup
from parasim_core.sim.errors import CostError
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.workload.blocks import Block

_WEAKER = ("fitted", "predicted", "extrapolated", "badly fitted")
"""Origins, from the most certain one on."""


def costs_of(setup: Setup) -> Costs:
    """Find the costs of a scenario: the seconds that it gives, those of a profile, or predicted ones.

    Raises
    ------
    CostError
        If there is no such profile or device, or a profile that is named does not cover the computation.
    """
    scenario, compute = setup.scenario, setup.scenario.compute
    if compute.seconds is not None:
        return GivenSeconds(scenario, Fleet(scenario.fleet))
    own = load_profile(compute.profile or DEFAULT_PROFILE)
    if compute.device is None and not other_devices(scenario, own.device.name):
        return _by_profile(setup)
    keys = [(scenario.device_of(group), group.gpus) for group in scenario.fleet]
    found = {key: _on_device(setup, *key) for key in dict.fromkeys(keys)}
    first, *others = found.values()
    return CostsByGroup(scenario, [found[key] for key in keys]) if others else first


def predicted(costs: Costs) -> list[PredictedCosts]:
    """Those of some costs that are predicted: one for each kind of device."""
    own = costs.parts if isinstance(costs, CostsByGroup) else [costs]
    return [one for one in own if isinstance(one, PredictedCosts)]


def at_edge(costs: Costs, *, slow: bool) -> Costs:
    """Costs whose predicted times are all at the slow or fast end of their band."""
    if isinstance(costs, CostsByGroup):
        return costs.changed(partial(at_edge, slow=slow))
    if isinstance(costs, PredictedCosts):
        return costs.times(costs.band if slow else 1 / costs.band)
    return costs


class CostsByGroup:
    """Costs of a fleet whose groups compute on several devices.

    Parameters
    ----------
    scenario : Scenario
        The scenario.
    costs : sequence of Costs
        Those of each group; alike ones are the same object.
    """

    def __init__(self, scenario: Scenario, costs: Sequence[Costs]):
        self._scenario, self._fleet, self._costs = scenario, Fleet(scenario.fleet), costs
        self.parts = list({id(own): own for own in costs}.values())

    def changed(self, change: Callable[[Costs], Costs]) -> CostsByGroup:
        """Costs of which each device's are changed."""
        new = {id(own): change(own) for own in self.parts}
        return CostsByGroup(self._scenario, [new[id(own)] for own in self._costs])

    @property
    def file(self) -> object:
        """File of a measured profile among them, whose device's memory is known."""
        return next((own.file for own in self.parts if hasattr(own, "file")), None)

    def local_update(self, client: int, round: int, block: Block | None) -> Cost:
        """As of the client's group."""
        return self._costs[self._fleet.index(client)].local_update(client, round, block)

    def full_pass(self, client: int) -> float:
        """As of the client's group."""
        return self._costs[self._fleet.index(client)].full_pass(client)

    def provenance(self) -> dict[str, object]:
        """Say of each device what its seconds are; the least certain ones name the origin of all."""
        told = list({repr(one): one for one in (own.provenance() for own in self.parts)}.values())
        source = "; ".join(f"{one['device']} {origin_said(one)}" for one in told)
        if len(by_device := predicted(self)) == len(self.parts) and len({own.band for own in by_device}) == 1:
            source = SOURCE.format(devices=listed([own.described for own in by_device]))
        found: dict[str, object] = {
            "origin": max((str(one["origin"]) for one in told), key=_WEAKER.index),
            "source": source,
            "devices": told,
            "notes": [*dict.fromkeys(note for one in told for note in cast("list[str]", one.get("notes", [])))],
        }
        bands = [cast("float", one["band"]) for one in told if "band" in one]
        warnings = dict.fromkeys(str(one["warning"]) for one in told if "warning" in one)
        return found | ({"band": max(bands)} if bands else {}) | ({"warning": "; ".join(warnings)} if warnings else {})


def _by_profile(setup: Setup) -> Costs:
    """Costs by the profile that is named, or else by the paper's."""
    named = setup.scenario.compute.profile
    try:
        return load_profile(named or DEFAULT_PROFILE).costs(setup)
    except CostError as error:
        others = covering_profiles(setup) if named is None else []
        raise CostError(
            f"{error}; {others[0]} covers it: compute.profile={others[0]}" if others else str(error)
        ) from None


def _on_device(setup: Setup, name: str | None, gpus: int) -> Costs:
    """Costs of groups on a device: by the profile that is named, by one that comes along, or predicted.

    Raises
    ------
    CostError
        If nobody knows the device, or none is named.
    """
    scenario, alone = setup.scenario, _without_devices(setup, gpus)
    if scenario.compute.profile is not None:
        own = load_profile(scenario.compute.profile)
        if name is None or name.lower() == own.device.name.lower():
            return own.costs(alone)
    where = _where(scenario, name)
    if name is None:
        raise CostError(
            f"{where}: is missing, and profile {DEFAULT_PROFILE} does not cover the devices of other groups; name one, "
            "or compute.device for all groups that name none"
        )
    refused: list[CostError] = []
    for profile in _measured_on(name, setup):
        try:
            return profile.costs(alone)
        except CostError as error:
            refused.append(error)
    try:
        known = catalogued(name)
    except CostError as unknown:
        if refused:
            raise refused[0] from None
        raise CostError(
            f"{where}: {unknown}; or measure it with `paraSim calibrate`, or give compute.seconds"
        ) from None
    return PredictedCosts(setup, known, gpus)


def _measured_on(device: str, setup: Setup) -> list[Profile]:
    """Profiles that come along and were measured on a device, those of the scenario's model first.

    Not the published one: its seconds compare with no step.
    """
    found = [
        (file, profile)
        for profile in map(load_profile, shipped_profiles())
        if (file := measured_file(profile)) is not None and file.device.name.lower() == device.lower()
    ]
    parameters = 0 if setup.architecture is None else setup.architecture.parameters
    return [profile for _, profile in sorted(found, key=lambda one: one[0].model.parameters != parameters)]


def _without_devices(setup: Setup, gpus: int) -> Setup:
    """The same, of clients that all have the one device that a profile is of."""
    scenario = setup.scenario
    fleet = tuple(group.model_copy(update={"device": None, "gpus": gpus}) for group in scenario.fleet)
    compute = scenario.compute.model_copy(update={"device": None})
    return replace(setup, scenario=scenario.model_copy(update={"fleet": fleet, "compute": compute}))


def _where(scenario: Scenario, device: str | None) -> str:
    """Say where a device is named first, or should be."""
    number = next(n for n, group in enumerate(scenario.fleet) if scenario.device_of(group) == device)
    return (
        "compute.device" if scenario.fleet[number].device is None and device is not None else f"fleet.{number}.device"
    )
