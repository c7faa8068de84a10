"""Runtime against the bandwidth of all clients' links, and from where on a method hides what it sends.

Bandwidths are multiples of the scenario's own, so that an uneven fleet stays as uneven. Where a recorded run can be
replayed, it is; elsewhere each point is simulated, and fewer points are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from parasim.api import load
from parasim.planning.changes import with_faster_links
from parasim.planning.methods import Case, by_method
from parasim.sentences import listed
from parasim_core.sim.analysis.deadline_search import decimals, nearest_position, secant_search, spread
from parasim_core.sim.analysis.hidden import ROUNDING, computed, exposed_before, guess_hiding
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.simulate import simulate
from parasim_core.sim.errors import ParaSimError
from parasim_core.sim.replay.conditions import Floats, Variants, shared_or_varying
from parasim_core.sim.replay.replay import Recording, record
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.traces import mean_rate

POINTS = 25
_REACH = 8.0
"""How many times as slow and as fast as they are links are shown at least."""
_FEWEST = 7
_MOST_EVENTS = 150_000
"""Events that may be simulated for all lines together; about a second."""
_UNLIMITED = 1e9
_FACTORS = decimals(-3, 4)


def lines(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Work out a line for each method, with the point from which on its communication is hidden.

    Parameters
    ----------
    asked : mapping
        ``fields``: the scenario. ``alone``: whether its own method is enough. ``live``: whether other methods are left
        out whose runs have to be simulated, as somebody is moving a slider.

    Raises
    ------
    ParaSimError
        If the scenario's own method cannot run it.
    """
    scenario = load(asked["fields"])
    own = scenario.method.name
    cases, _ = by_method(scenario, None if asked.get("alone") else "all", Case.of)
    hidden = hiding(cases[own])
    at = hidden.get("factor", 1.0)
    reach = max(_REACH, 2 * at, 2 / at)
    factors = np.geomspace(1 / reach, reach, POINTS)
    drawn, left_out = [], []
    budget = 0 if asked.get("live") else _MOST_EVENTS
    # The scenario's own comes first, whatever it takes.
    for name in sorted(cases, key=lambda name: name != own):
        traits = cases[name].setup.traits
        if not budget and name != own and (not traits.causes_fixed or shared_or_varying(scenario)):
            # It would have to be simulated, which recording it would already do once.
            left_out.append(name)
            continue
        try:
            recording = record(cases[name].setup, cases[name].costs)
            points, events = _line(recording, factors, budget, needed=name == own)
        except ParaSimError:
            continue
        budget -= events
        if points:
            drawn.append({"method": name, "points": points})
        else:
            left_out.append(name)
    notes = []
    if left_out:
        notes.append(f"Not drawn: {listed(left_out)}, whose runs cannot be replayed. The chosen method always is.")
    return {"lines": drawn, "hidden": hidden, "bandwidth": _bandwidth(scenario), "notes": notes}


def hiding(case: Case) -> dict[str, Any]:
    """Find the least multiple of all links with which computing ends as early as with unlimited ones.

    Returns
    -------
    dict
        ``said``: a clause; and if there is one, ``factor``, of four digits, and ``wall_clock_s`` there.
    """
    traits = case.setup.traits
    if not (traits.overlaps and traits.rounds_numbered):
        return {"said": f"{case.method} does not send while it computes: nothing is hidden."}

    @cache
    def run(factor: float) -> Result:
        faster = Case.of(with_faster_links(case.scenario, factor))
        return simulate(faster.setup, faster.costs)

    unlimited = run(_UNLIMITED)
    in_the_way = exposed_before(unlimited)
    if in_the_way:
        return {"said": f"Never hidden: even with unlimited links, computing waits for {next(iter(in_the_way)).value}."}
    end = computed(unlimited) * (1 + ROUNDING)
    guess = nearest_position(_FACTORS, _guess(unlimited))
    found, below = secant_search(lambda position: computed(run(_FACTORS[position])) - end, _FACTORS, guess)
    if found is None or below is None:
        return {"said": "Nothing to hide: the links hold up no computing." if below is None else "Not hidden."}
    return {"said": "", "factor": _FACTORS[found], "wall_clock_s": run(_FACTORS[found]).wall_clock}


def _guess(unlimited: Result) -> float:
    """Multiple of the links at which each group's messages just fit beside its own computing."""
    fleet = Fleet(unlimited.scenario.fleet)
    return max(
        guess_hiding(unlimited, fleet.members(index)) * _UNLIMITED / mean_rate(group.uplink)
        for index, group in enumerate(fleet.groups)
    )


def _line(recording: Recording, factors: Floats, budget: int, *, needed: bool) -> tuple[list[list[float]], int]:
    """Points of one method (multiple, wall-clock [s]), and the events that they took; none where there are too many."""
    replayed = recording.replay(_variants(recording, factors))
    if replayed.replayed.all():
        return [[float(x), float(y)] for x, y in zip(factors, replayed.wall_clock, strict=True)], 0
    most = budget // max(1, recording.result.events)
    if most < _FEWEST and not needed:
        return [], 0
    chosen = factors[spread(len(factors), max(_FEWEST, min(len(factors), most)))]
    answers = recording.answer(_variants(recording, chosen))
    points = [[float(x), float(y)] for x, y in zip(chosen, answers.wall_clock, strict=True)]
    return points, recording.result.events * int((~answers.replayed).sum())


def _variants(recording: Recording, factors: Floats) -> Variants:
    column = factors[:, None]
    return Variants(uplink=recording.conditions.uplink * column, downlink=recording.conditions.downlink * column)


def _bandwidth(scenario: Scenario) -> float | None:
    """Bandwidth of all links, up and down [B/s]; None where they differ or vary with time."""
    [link, *others] = {link for group in scenario.fleet for link in (group.uplink, group.down)}
    return link if isinstance(link, float) and not others else None
