"""`simulate(scenario, costs) -> Result`: put the parts together and run the events."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any

import simpy

from parasim_core.sim.engine.aggregator import Aggregator
from parasim_core.sim.engine.attendance import Attendance
from parasim_core.sim.engine.cost_learner import CostLearner
from parasim_core.sim.engine.costs import Costs
from parasim_core.sim.engine.dispatcher import Dispatcher
from parasim_core.sim.engine.fallible import Fallible
from parasim_core.sim.engine.fleet import Cohorts, Fleet, cohorts, opened_one_by_one, selection, sites
from parasim_core.sim.engine.learner import Learner
from parasim_core.sim.engine.links import Access, Links
from parasim_core.sim.engine.outline import Outline
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.rules import Rules
from parasim_core.sim.engine.run import Run
from parasim_core.sim.engine.server import Observer
from parasim_core.sim.engine.shape import Shape, Traits
from parasim_core.sim.engine.timeline import Timeline
from parasim_core.sim.errors import OverdueError, ScenarioError
from parasim_core.sim.network.model import Port
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.traces import followed_traces
from parasim_core.sim.support.collector import collect_if_due, no_collection
from parasim_core.sim.workload.architecture import Architecture
from parasim_core.sim.workload.blocks import Block, partition, partition_evenly
from parasim_core.sim.workload.methods import METHODS, Method, Trains
from parasim_core.sim.workload.payload import Payload, payload
from parasim_core.sim.workload.schedule import CHOSEN_IN_TRAINING, UNKNOWN_MODEL_BLOCKS, block_schedule

DEFAULT_LAYERS_PER_BLOCK = 2.0


@dataclass(frozen=True)
class Setup:
    """What follows from a scenario before anything happens.

    Attributes
    ----------
    scenario : Scenario
        The scenario.
    method : Method
        Its method.
    architecture : Architecture or None
        Its model, where one is named.
    blocks : tuple of Block or None
        The model's blocks, for methods that train blocks of a model that is known.
    schedule : sequence of int or None
        Block of each round.
    cohorts : Cohorts
        Who takes part when.
    payload : Payload
        What messages weigh.
    traces : sequence of dict
        What is to be said of the recorded links that it follows.
    starts : int or None
        Seed of the places where these begin if they are drawn; the scenario's if None.
    own_blocks : int or None
        Where each client has a block of its own, how many there are; with fewer than clients, some share one.
    failures : int or None
        Seed of what fails, of who is there, and of those who are selected beyond the wanted; the scenario's if None.
    participants : int or None
        Seed of who is drawn to take part; the scenario's if None. See `with_participants`.
    """

    scenario: Scenario
    method: Method
    architecture: Architecture | None
    blocks: tuple[Block, ...] | None
    schedule: Sequence[int | None]
    cohorts: Cohorts
    payload: Payload
    traces: Sequence[dict[str, Any]] = ()
    starts: int | None = None
    own_blocks: int | None = None
    failures: int | None = None
    participants: int | None = None

    @property
    def traits(self) -> Traits:
        """What the method's shape declares of itself."""
        return self.method.shape.traits

    @property
    def opened(self) -> bool:
        """Whether it is only known when a round opens who takes part in it."""
        return opened_one_by_one(self.scenario)

    @property
    def trained_blocks(self) -> list[Block]:
        """Blocks that some round trains, or may train; none for other methods, or without a model."""
        if self.chooses_blocks:
            return [*(self.blocks or ())]
        scheduled = set(self.schedule)
        return [block for number, block in enumerate(self.blocks or ()) if number in scheduled]

    @property
    def ranks_blocks(self) -> bool:
        """Whether a full pass of the model tells the order in which blocks are trained."""
        return self.method.trains is Trains.BLOCK and self.scenario.blocks.schedule == "gradient"

    @property
    def chooses_blocks(self) -> bool:
        """Whether which block a round trains follows from what earlier rounds taught."""
        by = self.scenario.blocks.schedule
        return self.method.trains is Trains.BLOCK and by in CHOSEN_IN_TRAINING and not self.traits.takes_turns

    @property
    def staleness(self) -> int | None:
        """Rounds that a client may train behind the server's model; None where there is no bound."""
        return self.method.shape.staleness(self.scenario.method)


@dataclass(frozen=True)
class Platform:
    """What a run goes on: by default, a simulated clock and simulated links.

    Attributes
    ----------
    env : simpy.Environment
        The clock.
    links : callable
        Lays the links, given what `Links` is.
    """

    env: simpy.Environment = field(default_factory=lambda: simpy.Environment(0.0))
    links: Callable[..., Links] = Links


def prepare(scenario: Scenario, architecture: Architecture | None) -> Setup:
    """Work out blocks, schedule, participants and message sizes.

    Parameters
    ----------
    scenario : Scenario
        What to simulate.
    architecture : Architecture or None
        Its model; may be missing if compute and payload are explicit.

    Raises
    ------
    ScenarioError
        If the scenario asks for what the model or the fleet does not have, or a trace cannot be read.
    """
    method = METHODS[scenario.method.name]
    if method.trains is Trains.STACKED_LORA and not method.shape.traits.rounds_numbered:
        raise ScenarioError(f"method: {method.name} stacks the adapters of a round, and its clients have no rounds")
    if opened_one_by_one(scenario) and not method.shape.traits.opens_rounds:
        raise ScenarioError(
            f"method: {method.name} does not say what becomes of rounds that end early, nor of clients that vanish; "
            "leave out dropout, failures, outages and available of the fleet, and participation's quorum, "
            "over_selection and deadline"
        )
    cyclic = method.shape.traits.takes_turns
    who = cohorts(scenario, method.shape.traits)
    blocks: tuple[Block, ...] | None = None
    schedule: Sequence[int | None] = [None] * scenario.rounds
    own_blocks: int | None = None
    if method.trains is Trains.BLOCK:
        # Each client of a cyclic method has a block of its own.
        count = scenario.blocks.count or (scenario.clients if cyclic else None)
        if architecture is not None:
            layers = len(architecture.layers)
            if cyclic and scenario.blocks.count is None and scenario.clients > layers:
                raise ScenarioError(
                    f"fleet: {scenario.method.name} gives every client a block of its own, here {scenario.clients} "
                    f"blocks, but {architecture.name} has only {layers} layers; let clients share: blocks.count"
                )
            width = scenario.blocks.layers or DEFAULT_LAYERS_PER_BLOCK
            blocks = partition_evenly(architecture, count) if count else partition(architecture, width)
            count = len(blocks)
        count = count or UNKNOWN_MODEL_BLOCKS
        if cyclic:
            assert who.members is not None
            schedule, own_blocks = [members[0] % count for members in who.members], count
        else:
            if scenario.blocks.schedule in CHOSEN_IN_TRAINING and not method.shape.traits.rounds_numbered:
                raise ScenarioError(
                    f"blocks.schedule: {scenario.blocks.schedule} chooses a block for each round, and clients of "
                    f"{method.name} have no rounds; allowed are random, sequential, reverse, gradient, or a list"
                )
            # Clients without numbered rounds begin it again and again, each by itself: in whole passes over the blocks.
            rounds = scenario.rounds if method.shape.traits.rounds_numbered else -(-scenario.rounds // count) * count
            schedule = block_schedule(scenario, count, rounds)
    sizes, traces = payload(scenario, method, architecture, blocks, who.sizes()), followed_traces(scenario)
    return Setup(scenario, method, architecture, blocks, schedule, who, sizes, traces, own_blocks=own_blocks)


def with_participants(setup: Setup, seed: int) -> Setup:
    """Draw who takes part anew; as many in each round as before."""
    return replace(setup, cohorts=cohorts(setup.scenario, setup.traits, seed), participants=seed)


def simulate(
    setup: Setup,
    costs: Costs,
    learner: Learner | None = None,
    observer: Observer | None = None,
    access: Mapping[int, Access] | None = None,
    until: float = math.inf,
    timeline: bool = True,
    platform: Platform | None = None,
) -> Result:
    """Run a scenario.

    Parameters
    ----------
    setup : Setup
        The scenario and what follows from it; see `prepare`.
    costs : Costs
        How long local updates take.
    learner : Learner or None
        What computes; by default, nothing is learned and `costs` predicts the seconds. Clients of a learner
        differ even where their links and devices are alike.
    observer : callable or None
        Told the run and the round whenever a round has been aggregated.
    access : mapping of int to Access
        Access links that are others than the scenario's, by (first) client.
    until : float
        When it is given up [s].
    timeline : bool
        Whether its timeline is kept; its figures are the same without.
    platform : Platform or None
        What it goes on.

    Returns
    -------
    Result

    Raises
    ------
    CostError
        If a local update's cost is not known.
    SimulationError
        If the run stands still, or an update was lost.
    OverdueError
        If it is not over by the time at which it is given up.
    """
    collect_if_due()
    # Where there are models, garbage can be large though it is few objects.
    with no_collection() if learner is None else nullcontext():
        run, shape = _built(
            setup, costs, learner, access, Timeline() if timeline else Outline(), platform or Platform()
        )
        run.server.observer = observer
        shape.start()
        run.finish(until)
        if until < math.inf and run.world.timeline.end > until:
            raise OverdueError(f"the run is not over at {until:.6g} s, when it was given up")
        return _result(run, shape, setup, costs)


def _built(
    setup: Setup,
    costs: Costs,
    learner: Learner | None,
    access: Mapping[int, Access] | None,
    spans: Timeline,
    platform: Platform,
) -> tuple[Run, Shape[Any]]:
    """Put a run together."""
    scenario = setup.scenario
    fleet = Fleet.of(scenario)
    alike = learner is None and setup.traits.collapsible
    simulated = [] if setup.opened else list(sites(scenario, fleet, setup.cohorts, alike=alike))
    at_once = max(setup.cohorts.sizes(), default=0)
    at_once = min(at_once, len(simulated)) if simulated else at_once
    links = platform.links(platform.env, scenario, at_once, access, setup.starts)
    rules = Rules(
        rounds=scenario.rounds,
        seed=scenario.seed,
        serialization=scenario.wire.serialization,
        aggregation=scenario.server.aggregation,
        parallel=scenario.server.parallel,
        sequential=setup.staleness == 0,
        blocks_named=setup.method.trains is Trains.BLOCK,
        surveyed=setup.ranks_blocks,
        own_blocks=setup.own_blocks,
    )
    sizes = setup.payload.of_a_run() if setup.opened else setup.payload
    run = Run(
        platform.env, links.network, learner or CostLearner(costs, setup.schedule, setup.blocks), sizes, rules, spans
    )
    run.world.shared_links = links.shared
    aggregators: dict[str | None, Aggregator] = {
        name: run.aggregate_below(number, name, links.aggregators[name], rounds_numbered=setup.traits.rounds_numbered)
        for name, number in fleet.aggregators.items()
    }
    for client, count, index, rounds in simulated:
        group = fleet.groups[index]
        port = links.attach(group, client, fleet.firsts[index], count)
        run.join(client, count, port, rounds, aggregators.get(group.region))
    if setup.opened:

        def attach(client: int) -> Port:
            index = fleet.index(client)
            return links.attach(fleet.groups[index], client, fleet.firsts[index], 1)

        def meet(client: int) -> Fallible:
            return run.meet(client, attach, aggregators.get(fleet.group(client).region))

        told = scenario if setup.failures is None else scenario.model_copy(update={"seed": setup.failures})
        if setup.traits.rounds_numbered:
            run.attendance = Attendance(run, told, selection(scenario, setup.traits, setup.participants), meet)
        else:
            run.dispatcher = Dispatcher(run, told, meet)
    return run, setup.method.shape(run, scenario.method)


def _result(run: Run, shape: Shape[Any], setup: Setup, costs: Costs) -> Result:
    """Sum up a run that is over."""
    spans = run.world.timeline
    wall_clock = spans.end
    spans.wasted.update(*run.world.unsettled.values())
    attending = sorted(run.sites, key=attrgetter("client")) if setup.opened else run.sites
    fallible = [site for site in attending if isinstance(site, Fallible)]
    return Result(
        setup.scenario,
        spans,
        {site.client: site.count for site in attending},
        {site.client: shape.presence(site, wall_clock) for site in attending},
        _provenance(setup, costs) | run.unaggregated(),
        next(run.env._eid),
        {site.client: site.down(wall_clock) for site in fallible},
        {site.client: site.repairs for site in fallible if site.repairs},
        {site.client: site.outages for site in fallible if site.outages},
    )


def _provenance(setup: Setup, costs: Costs) -> dict[str, object]:
    scenario, payload_source = setup.scenario, ""
    if scenario.payload is not None:
        payload_source = "payload of the scenario"
    elif setup.architecture is not None:
        payload_source = f"{setup.architecture.name}'s parameters x {scenario.wire.bytes_per_parameter:g} B"
    provenance: dict[str, object] = {
        "compute": costs.provenance(),
        "payload": {"origin": "computed" if scenario.payload is None else "given", "source": payload_source},
        "network": {"origin": "simulated", "source": f"max-min fair fluid sharing of a {_shape_of_network(scenario)}"},
    }
    if setup.traces:
        provenance["traces"] = list(setup.traces)
    if setup.ranks_blocks:
        provenance["schedule"] = {
            "origin": "drawn",
            "source": "seeded stand-in for the gradient-based order: a simulation has no gradients",
        }
    if setup.chooses_blocks:
        provenance["schedule"] = {
            "origin": "drawn",
            "source": "seeded stand-in for the order that training chooses: a simulation learns nothing",
        }
    return provenance


def _shape_of_network(scenario: Scenario) -> str:
    """Say what links there are, and what stands in front of them."""
    transports = [each.transport for each in scenario.fleet] + [each.transport for each in scenario.regions.values()]
    tree = any(group.site is not None or group.region is not None for group in scenario.fleet)
    return ("tree" if tree else "star") + (", with TCP in front of it" if any(transports) else "")
