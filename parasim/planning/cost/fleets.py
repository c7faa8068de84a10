"""Who takes part in a run that one could pay for: everyone, all but one group, or some groups more seldom."""

from __future__ import annotations

from collections.abc import Container, Iterator

from parasim.planning.methods import Case
from parasim.sentences import say
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.errors import ParaSimError, ScenarioError, nearest
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.sections import Participation


def names(scenario: Scenario) -> list[str]:
    """Names of a fleet's groups, in its order."""
    fleet = Fleet(scenario.fleet)
    return [fleet.name(index) for index in range(len(fleet.groups))]


def positions(scenario: Scenario, wanted: Container[str]) -> list[int]:
    """Positions of groups of some names."""
    return [index for index, name in enumerate(names(scenario)) if name in wanted]


def chosen_names(scenario: Scenario) -> list[str]:
    """Names of the groups that get what is chosen.

    Raises
    ------
    ScenarioError
        If `choices` names a group that is not there.
    """
    own, choices = names(scenario), scenario.choices
    for field in ("groups", "leave_out"):
        for name in getattr(choices, field) or ():
            if name not in own:
                raise ScenarioError(f"choices.{field}: no group {name!r}; {nearest(name, own)}")
    return own if choices.groups is None else [name for name in own if name in choices.groups]


def fleets(case: Case, notes: list[str]) -> Iterator[tuple[str, Case]]:
    """List who may take part, the scenario's own fleet first.

    Parameters
    ----------
    case : Case
        The scenario under a method.
    notes : list of str
        Gets a line for each choice that cannot be had.

    Yields
    ------
    str
        What is other than it was; empty for the scenario's own fleet.
    Case
        The scenario with that fleet.
    """
    yield "", case
    scenario, choices = case.scenario, case.scenario.choices
    changed: dict[str, Scenario | None] = {}
    for name in choices.leave_out:
        changed[say("budget.without", group=name)] = _without(scenario, name)
    chosen = chosen_names(scenario)
    for every in choices.every:
        if every > 1:
            together = [(*chosen,)] if len(chosen) < len(scenario.fleet) else []
            for some in dict.fromkeys((*together, *((name,) for name in chosen))):
                changed[say("budget.every", groups=some, every=every)] = _more_seldom(scenario, some, every)
    for what, wanted in changed.items():
        try:
            if wanted is None:
                raise ScenarioError(say("budget.listed"))
            yield what, Case.of(wanted)
        except ParaSimError as error:
            notes.append(say("budget.no_fleet", fleet=what, method=case.method, reason=error))


def _without(scenario: Scenario, name: str) -> Scenario | None:
    """Leave a group out; None where something is listed client by client, or nobody would be left."""
    fleet = tuple(group for group, own in zip(scenario.fleet, names(scenario), strict=True) if own != name)
    if not fleet or _lists_clients(scenario):
        return None
    # Groups without a name are called by their number, which must not become another's.
    named = dict(zip(map(id, scenario.fleet), names(scenario), strict=True))
    fleet = tuple(group.model_copy(update={"name": named[id(group)]}) for group in fleet)
    return scenario.model_copy(update={"fleet": fleet})


def _more_seldom(scenario: Scenario, some: tuple[str, ...], every: int) -> Scenario | None:
    """Let groups take part in every n-th round, beginning with the first; None where participants are given already."""
    if scenario.participation != Participation() or _lists_clients(scenario) or len(scenario.fleet) == 1:
        return None
    fleet = Fleet(scenario.fleet)
    seldom = [fleet.name(index) in some for index in range(len(fleet.groups))]
    always = [client for index, less in enumerate(seldom) if not less for client in fleet.members(index)]
    rounds = tuple(
        tuple(range(fleet.clients)) if round % every == 0 else tuple(always) for round in range(scenario.rounds)
    )
    told = scenario.participation.model_copy(update={"rounds": rounds})
    return scenario.model_copy(update={"participation": told})


def _lists_clients(scenario: Scenario) -> bool:
    """Whether seconds or participants are given client by client."""
    seconds = scenario.given_seconds[1] if scenario.compute.seconds is not None else None
    return isinstance(seconds, tuple) or scenario.participation.rounds is not None
