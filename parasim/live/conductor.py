"""`live(scenario) -> Live`: run a scenario's protocol on the wall-clock, with agents."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parasim.api import set_up
from parasim.contracts import as_given
from parasim.costs import costs_of
from parasim.live.learner import DryAgents
from parasim.live.link import AgentLink, Beginning
from parasim.live.local_agents import local_agents
from parasim.live.network import LiveLinks
from parasim.live.wall_clock import WallClock
from parasim.live.wire import Caller, Secrets
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.lines import both
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.simulate import Platform, Setup, simulate
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.scenario.reading import Overrides, Source, load, plain_fields
from parasim_core.sim.scenario.scenario import Scenario

if TYPE_CHECKING:
    from parasim.live.trained import Trained

Report = Callable[[str, int, int], None]
"""Told what is being done, the steps done and in total."""
PATIENCE = 3600.0
"""Longest time that anything may take, if nothing else is said [s]."""


@dataclass(frozen=True)
class Live:
    """What a run on real machines gave.

    Attributes
    ----------
    result : Result
        Its timeline and figures, on the conductor's clock.
    trained : Trained or None
        What was learned; None if agents only slept.
    """

    result: Result
    trained: Trained | None = None


def check(scenario: Scenario, setup: Setup, *, shaped: bool) -> None:
    """Refuse what does not run live.

    Raises
    ------
    ScenarioError
        Naming the field.
    """
    if setup.opened:
        raise ScenarioError(
            "live: a scenario's failures and availability are simulated; agents fail by themselves, so leave them out"
        )
    if any(region.aggregates for region in scenario.regions.values()):
        raise ScenarioError("regions: aggregators have no agents yet; leave out aggregates: true")
    if not shaped:
        return
    for index, group in enumerate(scenario.fleet):
        if group.duplex == "half":
            raise ScenarioError(f"fleet.{index}.duplex: half is not shaped; give --no-shaping, or leave it out")
        if group.transport is not None:
            raise ScenarioError(
                f"fleet.{index}.transport: connections have their own TCP, which is not shaped; leave it out"
            )


def live(
    source: Source,
    set: Overrides = (),
    *,
    out: Path,
    dry: bool = False,
    agents: Sequence[str] = (),
    shaped: bool = True,
    known: Secrets | None = None,
    patience: float = PATIENCE,
    report: Report = lambda what, done, total: None,
) -> Live:
    """Run a scenario with agents, in real time.

    Parameters
    ----------
    source, set
        The scenario, as of `parasim.simulate`.
    out : Path
        What local agents and checkpoints of the base write goes below it.
    dry : bool
        Agents sleep as long as computing is predicted to take, and send zeros.
    agents : sequence of str
        Addresses of one agent per client, HOST:PORT; started here if there are none.
    shaped : bool
        Whether links are held to the scenario's capacities.
    known : Secrets or None
        What is shared with agents that are not started here.
    patience : float
        Longest time that anything may take [s].
    report : callable
        Told what is being done, the steps done and in total.

    Raises
    ------
    ParaSimError
        If anything is wrong with the scenario, an agent cannot be reached, refuses or fails, or nothing happens any
        more.
    """
    scenario = load(source, set) if dry else load({"model": "demo", **plain_fields(source, set)})
    if agents and len(agents) != scenario.clients:
        raise ScenarioError(f"--agents: are {len(agents)}, and the scenario has {scenario.clients:,} clients; one each")
    if dry:
        setup, costs = set_up(scenario)
        check(scenario, setup, shaped=shaped)
        learner = DryAgents(costs, setup.schedule, setup.blocks)
        with _reached(scenario, agents, known, out, ("--dry",), patience) as reached:
            return Live(_run(setup, learner, reached, shaped=shaped, dry=True, base=None, report=report))
    from parasim.live.trained import Training

    training = Training(scenario, out, report)
    check(scenario, training.learner.setup, shaped=shaped)
    options = ("--model", training.model, *(part for data in training.data for part in ("--data", data)))
    with _reached(scenario, agents, known, out, options, patience) as reached:
        result = _run(
            training.learner.setup,
            training.learner,
            reached,
            shaped=shaped,
            dry=False,
            base=training.base,
            observer=training.note,
            report=report,
        )
    return Live(result, training.trained(result))


def without_files(fields: Any) -> Any:
    """Copy a scenario's fields with links that follow no recorded trace: an agent is told by itself what it keeps to.

    How fast links are changes nothing of what is learned.
    """
    if isinstance(fields, list):
        return [without_files(field) for field in fields]
    if not isinstance(fields, dict):
        return fields
    return "1MB/s" if "trace" in fields else {name: without_files(field) for name, field in fields.items()}


@dataclass(frozen=True)
class _Reached:
    """The clock and the agents on it."""

    clock: WallClock
    links: dict[int, AgentLink]


@contextmanager
def _reached(
    scenario: Scenario,
    agents: Sequence[str],
    known: Secrets | None,
    out: Path,
    options: Sequence[str],
    patience: float,
) -> Iterator[_Reached]:
    """Have one agent per client, started here if none are named."""
    if agents and known is None:
        raise ScenarioError("--agents: need the token that they were started with")
    own = Secrets(secrets.token_urlsafe(32)) if known is None or not agents else known
    clock = WallClock(patience)
    with local_agents(0 if agents else scenario.clients, out / "agents", own.token, options) as local:
        links = {}
        for client in range(scenario.clients):
            address = agents[client] if agents else local.address(client)
            revive = None if agents else partial(local.revive, client)
            links[client] = AgentLink(
                client, partial(Caller, secrets=own, name=f"client {client}"), address, revive, clock, patience
            )
        try:
            yield _Reached(clock, links)
        finally:
            for link in links.values():
                link.end()


def _run(
    setup: Setup,
    learner: Any,
    reached: _Reached,
    *,
    shaped: bool,
    dry: bool,
    base: bytes | None,
    observer: Callable[..., None] | None = None,
    report: Report,
) -> Result:
    """Prepare the agents, run the protocol, and say what was measured how."""
    scenario, clock, links = setup.scenario, reached.clock, reached.links
    fields = without_files(as_given(scenario))
    for client, link in links.items():
        report("reaching agents", client, len(links))
        uplink = _uplink(scenario, client) if shaped else math.inf
        link.hello(Beginning(fields, uplink, dry, base))
    learner.begin(links, clock)
    # What they simulate is done: packing and aggregating take the time that they take.
    real = scenario.model_copy(
        update={
            "wire": scenario.wire.model_copy(update={"serialization": 0.0}),
            "server": scenario.server.model_copy(update={"aggregation": 0.0}),
        }
    )
    platform = Platform(clock, partial(LiveLinks, learner, shaped))
    costs: Any = costs_of(setup) if dry else _Measured()
    clock.start()
    for link in links.values():
        link.start()
    result = simulate(replace(setup, scenario=real), costs, learner, observer, platform=platform)
    for link in links.values():
        link.look_at_the_clock()
    computed = costs.provenance()
    if dry:
        computed = {**computed, "source": f"slept as long as is predicted: {computed['source']}"}
    provenance = {
        **result.provenance,
        "compute": computed,
        "network": {
            "origin": "measured",
            "source": f"gRPC over TCP, {'held to the capacities of the scenario' if shaped else 'links as they are'}",
        },
        "clocks": {
            "source": "the conductor's; each agent's is compared with it before and after the run",
            "largest_offset_s": max(abs(link.readings[-1].offset - link.readings[0].offset) for link in links.values()),
            "largest_drift": max(abs(link.drift()) for link in links.values()),
            "largest_round_trip_s": max(reading.round_trip for link in links.values() for reading in link.readings),
        },
    }
    if lost := sum(link.lost for link in links.values()):
        provenance["lost_agents"] = lost
    return replace(result, scenario=scenario, provenance=provenance)


class _Measured:
    """Costs of updates that are measured; only their origin is asked for."""

    def provenance(self) -> dict[str, object]:
        """Say that they are measured."""
        return {"origin": "measured", "source": "each local update, as an agent took it"}


def _uplink(scenario: Scenario, client: int) -> Any:
    """What a client's uplink can carry."""
    group = Fleet.of(scenario).group(client)
    return both(scenario.seed, scenario.clock, group.uplink, group.down, client)[0]
