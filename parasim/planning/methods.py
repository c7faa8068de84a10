"""What a plan starts from: one scenario, set up once under each method that is asked about."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from parasim.api import Overrides, Source, load, set_up
from parasim.sentences import say
from parasim.text import origin
from parasim_core.sim.engine.costs import Costs
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.simulate import Setup, simulate
from parasim_core.sim.errors import ParaSimError, ScenarioError, nearest
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.workload.methods import METHODS, is_known

Methods = str | Sequence[str]
"""Names in a list, or with commas between them."""
Report = Callable[[str, int, int], None]
"""Told what is being done, the steps done and in total."""
Prepared = TypeVar("Prepared")


@dataclass(frozen=True)
class Case:
    """A scenario with all that follows from it.

    Attributes
    ----------
    setup : Setup
        Blocks, participants and message sizes.
    costs : Costs
        How long computing takes.
    """

    setup: Setup
    costs: Costs

    @classmethod
    def of(cls, scenario: Scenario) -> Case:
        """Set a scenario up.

        Raises
        ------
        ParaSimError
            If the scenario does not fit its model, or its costs are not known.
        """
        return cls(*set_up(scenario))

    @property
    def scenario(self) -> Scenario:
        """The scenario itself."""
        return self.setup.scenario

    @property
    def method(self) -> str:
        """Name of its method."""
        return self.scenario.method.name


@dataclass(frozen=True)
class Question:
    """A question, as `parasim.plan` took it apart.

    Attributes
    ----------
    scenario : Scenario
        What it is asked about, with its own method.
    cases : list of Case
        The scenario under each method that is to be answered for.
    left_out : mapping of str to str
        For a budget that may choose any method: those that cannot run the scenario, with the reasons.
    asked : str
        What is asked for: a quantity, an amount of money, a probability; as it was written.
    probability : float
        How sure an answer is to be, where something is random.
    within : float or None
        The deadline [s].
    jobs : int or None
        Worker processes; all cores if None.
    report : callable
        Told what is being done, the steps done and in total.
    """

    scenario: Scenario
    cases: list[Case]
    left_out: Mapping[str, str]
    asked: str
    probability: float
    within: float | None
    jobs: int | None
    report: Report

    @property
    def origins(self) -> dict[str, str]:
        """Where each method's computing times are from."""
        return {case.method: origin({"compute": case.costs.provenance()}) for case in self.cases}


def simulated(scenario: Scenario, until: float = math.inf) -> Result:
    """Set a scenario up and simulate it event by event.

    Raises
    ------
    OverdueError
        If it is not over by the time at which it is given up [s].
    """
    return simulate(*set_up(scenario), until=until)


def scenario_of(source: Source | None, set: Overrides = ()) -> Scenario:
    """Read a scenario; without a source, the ParaBlock paper's setting for Llama 3-8B, 32 rounds for every method.

    Raises
    ------
    ScenarioError
        If it cannot be read, or an override names no field.
    """
    if source is None:
        from parasim_core.calibration.paper.cells import PAPER_MODELS, paper_setting

        # The paper's fewer rounds of full fine-tuning would not compare with those of the others.
        source = paper_setting(PAPER_MODELS[0])
    return load(source, set)


def named_methods(option: str, methods: Methods) -> tuple[str, ...]:
    """Read a list of methods.

    Parameters
    ----------
    option : str
        Where it was given.
    methods : str or sequence of str
        The list.

    Raises
    ------
    ScenarioError
        If it is empty, or a name is unknown or stands twice.
    """
    names = tuple(filter(None, map(str.strip, methods.split(",")))) if isinstance(methods, str) else tuple(methods)
    if not names:
        raise ScenarioError(f"{option} {methods!r}: holds no methods; separate them with commas")
    for name in names:
        if not is_known(name):
            raise ScenarioError(f"{option}: unknown method {name!r}; {nearest(name, METHODS)}")
    if len(set(names)) < len(names):
        raise ScenarioError(f"{option}: a method stands twice in {', '.join(names)}")
    return names


def uneven_rounds(methods: Iterable[str]) -> list[str]:
    """Say, if methods whose rounds are aggregations stand beside others, that rounds do not compare: one sentence."""
    numbered = {name: METHODS[name].shape.traits.rounds_numbered for name in methods}
    counted = [name for name, waits in numbered.items() if not waits]
    return [say("found.rounds", methods=counted)] if 0 < len(counted) < len(numbered) else []


def by_method(
    scenario: Scenario, methods: Methods | None, prepare: Callable[[Scenario], Prepared]
) -> tuple[dict[str, Prepared], dict[str, str]]:
    """Prepare a scenario under each method that is asked about.

    Parameters
    ----------
    scenario : Scenario
        The scenario.
    methods : str, sequence of str or None
        Names of methods; ``all`` for those that can run it; its own if None.
    prepare : callable
        What is done with the scenario under each.

    Returns
    -------
    tuple of (dict, dict)
        What was prepared, by method; and of ``all``, the reasons of those that cannot run it.

    Raises
    ------
    ParaSimError
        If a method that was named, or the scenario's own, cannot run it.
    """
    own = scenario.method.name
    all_methods = methods == "all"
    names: Iterable[str] = METHODS if all_methods else [own] if methods is None else named_methods("--method", methods)
    prepared: dict[str, Prepared] = {}
    refused: dict[str, str] = {}
    for name in names:
        try:
            prepared[name] = prepare(scenario if name == own else load(scenario, [f"method.name={name}"]))
        except ParaSimError as error:
            # What is wrong with the scenario's own method is wrong with the scenario.
            if name == own or not all_methods:
                raise
            refused[name] = str(error)
    return prepared, refused
