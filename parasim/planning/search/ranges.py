"""How far a scenario may be changed: its links by four digits, batch size and width as profile and model allow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile

from parasim.costs import predicted
from parasim.planning.changes import with_batch_size
from parasim.planning.methods import Case
from parasim.sentences import grouped, say
from parasim.text import origin_said
from parasim_core.calibration.memory.fits import fits
from parasim_core.sim.analysis.deadline_search import decimals, spread
from parasim_core.sim.engine.simulate import DEFAULT_LAYERS_PER_BLOCK, Setup
from parasim_core.sim.errors import CostError, ScenarioError
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.seconds import given_batch_sizes
from parasim_core.sim.workload.methods import Trains

UNLIMITED = 999.9e12
"""The largest of `searched_bandwidths` [B/s]."""
"""As good as unlimited [B/s]."""
_LARGEST_BATCH = 4096
"""Batch sizes above this are not looked for."""
_MOST_COMPARED = 8


def searched_bandwidths() -> list[float]:
    """Bandwidths that are searched, rising [B/s]."""
    return decimals(0, 15)


def is_covered(scenario: Scenario) -> bool:
    """Tell whether the seconds, profile or device that a scenario names cover its computation.

    Predicted times have no bounds of their own: they cover what fits the devices' memory, by a lower bound.
    """
    try:
        case = Case.of(scenario)
    except CostError:
        return False
    return not (predicted(case.costs) and fits(case.setup))


def batch_sizes(scenario: Scenario) -> list[int]:
    """Batch sizes that profile or device covers, or that seconds are given for; only its own if for none apart."""
    own = scenario.local.batch_size
    if (given := scenario.compute.seconds) is not None:
        return sorted({*given_batch_sizes(given, scenario.method.name, scenario.model), own})

    def covers(size: int) -> bool:
        return is_covered(with_batch_size(scenario, size))

    smaller, larger = range(own - 1, 0, -1), range(own + 1, _LARGEST_BATCH + 1)
    # A device that has no room for the scenario's own batch may have some for a smaller one.
    return [*filter(covers, reversed(smaller)), own, *takewhile(covers, larger)]


def compared_batch_sizes(*scenarios: Scenario) -> list[int]:
    """Choose batch sizes that all of some scenarios can have, at most eight beside the first one's own."""
    known = sorted(set.intersection(*(set(batch_sizes(scenario)) for scenario in scenarios)))
    chosen = {known[position] for position in spread(len(known), _MOST_COMPARED)}
    return sorted(chosen | {scenarios[0].local.batch_size})


def origins(cases: Iterable[Case], sizes: Sequence[int]) -> list[str]:
    """Say for each method at which batch sizes its computing times are fitted, predicted and so on.

    Parameters
    ----------
    cases : iterable of Case
        The methods.
    sizes : sequence of int
        Batch sizes that the profile covers. Nothing is said if there is only one.
    """
    if len(sizes) < 2:
        return []

    def said(case: Case) -> str:
        sized = ((size, Case.of(with_batch_size(case.scenario, size)).costs.provenance()) for size in sizes)
        found = grouped((origin_said(provenance), str(size)) for size, provenance in sized)
        return ", ".join(say("origin.at_sizes", origin=origin, sizes=own) for origin, own in found.items())

    methods = grouped((said(case), case.method) for case in cases)
    return [say("origin.of_methods", methods=names, origins=origins) for origins, names in methods.items()]


def block_widths(setup: Setup) -> list[float]:
    """Layers per block that a scenario could have: none if its method does not train blocks, or one per client."""
    if setup.method.trains is not Trains.BLOCK or setup.traits.takes_turns:
        return []
    if setup.architecture is None:
        raise ScenarioError("block width: the scenario names no model, whose layers a block could have")
    return [0.5, *map(float, range(1, len(setup.architecture.layers) + 1))]


def own_width(setup: Setup) -> float:
    """Layers per block of a scenario that says nothing of their number."""
    return setup.scenario.blocks.layers or DEFAULT_LAYERS_PER_BLOCK
