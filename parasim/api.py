"""Scenarios with their model and profile: what `import parasim` and the command line read, set up and simulate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast

from parasim.costs import at_edge, costs_of, predicted
from parasim.figures.look import USUAL, Look
from parasim.ignored import KEY, ignored
from parasim.memory_notes import memory_of
from parasim.text import BAND
from parasim_core.sim.analysis.sweep import split_values
from parasim_core.sim.engine.costs import Costs
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.simulate import Setup, prepare
from parasim_core.sim.engine.simulate import simulate as run_setup
from parasim_core.sim.errors import ArchitectureError, SimulationError, install_hint
from parasim_core.sim.scenario.reading import Overrides, Source, load
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.workload.architecture import Architecture, UnknownModelTypeError, architecture

__all__ = ["Overrides", "Source", "costs_of", "judged", "load", "prepared", "set_up", "several", "simulate"]

V = TypeVar("V")


def set_up(scenario: Scenario) -> tuple[Setup, Costs]:
    """Find a scenario's model and costs.

    Raises
    ------
    ParaSimError
        If the model is not known, the scenario does not fit it, or no profile covers the computation.
    """
    setup = prepared(scenario)
    return setup, costs_of(setup)


def prepared(scenario: Scenario) -> Setup:
    """Find a scenario's model, and what follows from it without costs.

    Raises
    ------
    ParaSimError
        If the model is not known, or the scenario does not fit it.
    """
    return prepare(scenario, None if scenario.model is None else _architecture(scenario.model))


def simulate(
    source: Source,
    set: Overrides = (),
    *,
    out: str | Path | None = None,
    timeline: bool = True,
    collapse: bool = False,
    look: Look = USUAL,
) -> Result:
    """Simulate a scenario.

    Parameters
    ----------
    source : path, mapping or Scenario
        What to simulate.
    set : mapping, str, or iterable of str or (str, value)
        Fields of it to set first: ``{"fleet.0.uplink": "20MB/s", "rounds": 16}``, or as the command line has them,
        ``["fleet.0.uplink=20MB/s"]``.
    out : path, optional
        A folder for figures, timeline and pictures.
    timeline : bool
        Whether the result has a timeline. Without one, its figures are the same and take a small part of the memory.
    collapse : bool
        In `out`, one set of timeline rows per group of alike clients.
    look : Look
        How pictures are wanted.

    Raises
    ------
    ParaSimError
        If the scenario is wrong, its costs are not known, or `out` cannot be written.
    """
    setup, costs = set_up(load(source, set))
    result = judged(run_setup(setup, costs, timeline=timeline), setup, costs)
    if out is not None:
        from parasim.outputs.runs import leave_simulation

        leave_simulation(result, Path(out), timeline=timeline, collapse=collapse, look=look)
    return result


def several(given: str | Sequence[V]) -> tuple[str | V, ...]:
    """Take apart values of which there may be several: a sequence, or a text with commas between them."""
    return split_values(given) if isinstance(given, str) else tuple(given)


def judged(result: Result, setup: Setup, costs: Costs) -> Result:
    """Add to a result's provenance what there is to say of it.

    Of clients' memory, of what it did not look at, and between which ends of the band of predicted times its wall-clock
    lies: two more runs, without a timeline.
    """
    said = {"memory": memory_of(setup, costs), KEY: ignored(setup.scenario, setup.architecture)}
    found: dict[str, object] = {name: sentences for name, sentences in said.items() if sentences}
    if predicted(costs):
        compute = cast("dict[str, object]", result.provenance["compute"])
        found["compute"] = compute | {BAND: wall_clock_band(setup, costs)}
    return replace(result, provenance={**result.provenance, **found}) if found else result


def wall_clock_band(setup: Setup, costs: Costs) -> list[float] | None:
    """Simulate with all predicted times at the fast and at the slow end of their band.

    Returns
    -------
    list of float or None
        Both wall-clocks [s]; None if one of these runs does not come to its end.
    """
    try:
        ends = [run_setup(setup, at_edge(costs, slow=slow), timeline=False).wall_clock for slow in (False, True)]
    except SimulationError:
        return None
    return ends


def _architecture(model: str) -> Architecture:
    """Count a model's parameters: by formula for the families we know, through transformers for any other."""
    try:
        return architecture(model)
    except UnknownModelTypeError as unknown:
        from parasim_core.train.models.architecture import architecture_from_transformers

        try:
            return architecture_from_transformers(model)
        except ImportError:
            raise ArchitectureError(f"{unknown}. {install_hint('Counting any other model type', 'train')}") from None
