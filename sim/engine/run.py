"""One simulated run: its world, its server, its sites, and the proof that nothing was left over at its end."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any

import simpy
from simpy.core import EmptySchedule, StopSimulation

from parasim_core.sim.engine.aggregator import Aggregator, Member
from parasim_core.sim.engine.fallible import Fallible, FallibleMember
from parasim_core.sim.engine.learner import Learner
from parasim_core.sim.engine.message import Message
from parasim_core.sim.engine.opening import Dispatching, RoundOpener
from parasim_core.sim.engine.rules import Rules, Sizes
from parasim_core.sim.engine.server import Server
from parasim_core.sim.engine.site import Site
from parasim_core.sim.engine.timeline import SERVER, Kind, Timeline
from parasim_core.sim.engine.world import Causes, Process, Signal, World
from parasim_core.sim.errors import DeadLinkError, OverdueError, SimulationError
from parasim_core.sim.network.model import Network, Port

_FEW = 1000
"""Up to so many processes that have ended are no matter."""
_NAMED = 3
"""Waiting clients that a message names; the rest are counted."""


class Run:
    """What a shape has to do with: the clock, the server, the sites.

    Attributes
    ----------
    over : simpy.Event
        When it happens, the run ends, whatever is still under way; see `stop`.
    cancelled : int
        Updates that were under way then.
    attendance : RoundOpener or None
        Where rounds are opened one by one, who opens them; otherwise the participants are known beforehand.
    dispatcher : Dispatching or None
        The same where clients have no numbered rounds.
    """

    def __init__(
        self,
        env: simpy.Environment,
        network: Network,
        learner: Learner,
        sizes: Sizes,
        rules: Rules,
        timeline: Timeline | None = None,
    ):
        self.world = World(env, network, learner, sizes, rules, Timeline() if timeline is None else timeline)
        self.env = env
        self.rules = rules
        self.server = Server(self.world)
        self.sites: list[Site] = []
        self.aggregators: list[Aggregator] = []
        self.attendance: RoundOpener | None = None
        self.dispatcher: Dispatching | None = None
        self.over = env.event()
        self.cancelled = 0
        self._processes: dict[simpy.Process, Site | Server] = {}
        self._most_processes = _FEW

    def join(self, client: int, count: int, port: Port, rounds: Sequence[int], below: Aggregator | None = None) -> Site:
        """Add a site that takes part in the given rounds, below an aggregator if there is one."""
        of = self.world, self.server, client, count, port, rounds
        site = Site(*of) if below is None else Member(*of, below)
        self.sites.append(site)
        return site

    def meet(self, client: int, attach: Callable[[int], Port], below: Aggregator | None = None) -> Fallible:
        """Add a client that takes part in rounds as they are opened."""
        of = attach, self.world, self.server, client, 1, attach(client), ()
        site = Fallible(*of) if below is None else FallibleMember(*of, below)
        self.sites.append(site)
        return site

    def aggregate_below(self, number: int, name: str, port: Port, *, rounds_numbered: bool) -> Aggregator:
        """Add the aggregator of a region."""
        self.aggregators.append(Aggregator(self.world, self.server, number, name, port, rounds_numbered))
        return self.aggregators[-1]

    def signal(self, what: str) -> Signal:
        """Make something that can be waited for; `what` says what it is, in words."""
        return Signal(self.env, lambda: what)

    def process(self, actor: Site | Server, generator: Process) -> simpy.Process:
        """Begin a process of an actor; it has to end before the run does."""
        process = actor.work(generator) if isinstance(actor, Site) else self.env.process(generator)
        self._processes[process] = actor
        if self.attendance is not None and len(self._processes) > self._most_processes:
            # Where rounds are opened one by one, each has processes of its own.
            self._processes = {each: whose for each, whose in self._processes.items() if each.is_alive}
            self._most_processes = _FEW + 2 * len(self._processes)
        return process

    def survey(self, first: Sequence[Site] | None = None) -> Generator[simpy.Event, Any, Causes]:
        """Let the participants of round 0 do the full pass of the gradient-based schedule, if there is one.

        Afterwards the block of every round is known. The pass costs computation; the few numbers that it
        tells the server are not priced.
        """
        spans: list[int] = []
        world = self.world
        if self.rules.surveyed:
            passes = []
            if first is None:
                first = [site for site in self.sites if site.rounds and site.rounds[0] == 0]
            for site in first:
                seconds = world.learner.survey(site.client)
                now = self.env.now
                spans.append(world.timeline.record(site.client, 0, Kind.COMPUTE, now, now + seconds))
                passes.append(self.env.timeout(seconds))
            yield self.env.all_of(passes)
        world.schedule = world.learner.schedule()
        return tuple(spans)

    def stop(self) -> None:
        """End the run at this instant: what is still under way then is cancelled."""
        self.over.succeed()

    def finish(self, until: float = math.inf) -> None:
        """Run all events, and prove that every update was aggregated, dropped for a reason, or cancelled.

        Parameters
        ----------
        until : float
            When it is given up [s].

        Raises
        ------
        SimulationError
            Who waits for what since when, if anyone does for ever; or which updates or aggregations are missing.
        OverdueError
            If it is given up.
        """
        step, peek = self.env.step, self.env.peek
        self.over.callbacks.append(StopSimulation.callback)
        try:
            while until < math.inf and peek() <= until:
                step()
            # Alarms that have become superfluous may be all that is left.
            if until < peek() < math.inf and any(process.is_alive for process in self._processes):
                raise OverdueError(f"the run is not over at {until:.6g} s, when it was given up")
            while True:
                step()
        except StopSimulation:
            threads = [thread for site in self.sites for thread in (site, site.second) if thread is not None]
            messages: list[Message] = [message for thread in threads for message in thread.under_way]
            messages += [message for aggregator in self.aggregators for message in aggregator.under_way]
            timeline = self.world.timeline
            done = len(timeline)
            for message in messages:
                message.cancel()
            timeline.wasted.update(range(done, len(timeline)))
            timeline.cut(self.env.now)
            self._prove_the_end(stopped=True)
        except EmptySchedule:
            self._prove_the_end(stopped=False)

    def unaggregated(self) -> dict[str, object]:
        """What became of updates that were not aggregated, as `updates` of a result's provenance; nothing if none."""
        # Of those that are lost with their clients, some had not been begun.
        begun = sum((site.updates - site.lost) * site.count for site in self.sites)
        never_begun = max(0, self.server.expected - self.server.lost - begun)
        counts = {
            "dropped": dict(self.server.dropped),
            "cancelled": self.cancelled,
            "never_begun": never_begun,
            "lost": self.server.lost,
        }
        known = {name: count for name, count in counts.items() if count}
        return {"updates": known} if known else {}

    def _prove_the_end(self, *, stopped: bool) -> None:
        """Raise unless all rounds are aggregated and every update is accounted for."""
        server = self.server
        server.drop_left_over()
        begun = sum((site.updates - site.lost) * site.count for site in self.sites)
        outstanding = begun - server.received + server.held
        lost = outstanding - sum(server.cut_off.values())
        if stopped:
            # What was computed, sent, held or aggregated when the run was ended need not come to anything; but whoever
            # had ended by then was not about to send anything any more.
            lost = self._never_sent(self._ended())
        self.cancelled = outstanding - lost + server.aggregating
        stuck = [] if stopped else [each for each in self._processes.items() if each[0].is_alive]
        if server.aggregations >= self.rules.rounds and not stuck and not lost:
            return
        # Whoever waits for a link that is dead says why all the others wait.
        stuck.sort(key=lambda waiting: not _dead(_messages(waiting[0].target)))
        reasons = [self._waiting(*waiting) for waiting in stuck[:_NAMED]]
        if len(stuck) > _NAMED:
            reasons.append(f"{len(stuck) - _NAMED:,} more of them wait")
        for each in self.aggregators:
            waits = [] if stopped else [f"waits for {_described(message)}" for message in each.under_way]
            reasons += [f"region {each.name} {what}" for what in each.holds() + waits]
        short = [site for site in self.sites if site.updates < len(site.rounds)]
        if short:
            last = min(short, key=lambda site: site.updates - len(site.rounds))
            reasons.append(f"client {last.client} computed {last.updates} of {len(last.rounds)} updates")
        if lost:
            sent = Counter(span.client for span in self.world.timeline if span.kind is Kind.UPLOAD)
            whose = [str(site.client) for site in self.sites if site.updates > sent[site.client]]
            of = f" (of client {', '.join(whose[:_NAMED])}{' ...' if len(whose) > _NAMED else ''})" if whose else ""
            reasons.append(f"{lost:,} updates were computed that were neither aggregated nor dropped{of}")
        waited_for = [message for process, _ in stuck[:1] for message in _messages(process.target)]
        below = [message for each in self.aggregators for message in each.under_way]
        error = DeadLinkError if not stopped and _dead([*waited_for, *below]) else SimulationError
        raise error(
            f"the run {'was ended' if stopped else 'stands still'} at {self.world.timeline.end:.6g} s, with "
            f"{server.aggregations} of {self.rules.rounds} rounds aggregated: "
            + "; ".join(reasons or ["nothing is left that could go on"])
        )

    def _ended(self) -> list[Site]:
        """Sites whose processes, as far as they are known, have all come to their end."""
        known = set(self._processes.values())
        alive = {actor for process, actor in self._processes.items() if process.is_alive}
        return [site for site in self.sites if site not in alive and (site in known or isinstance(site, Fallible))]

    def _never_sent(self, sites: Sequence[Site]) -> int:
        """Updates that some sites computed and that neither arrived nor were cut off."""
        computed = sum((site.updates - site.received - site.lost) * site.count for site in sites)
        whose = {site.client for site in sites}
        return computed - sum(count for (client, _), count in self.server.cut_off.items() if client in whose)

    def _waiting(self, process: simpy.Process, actor: Site | Server) -> str:
        """Say what one process waits for, and since when."""
        client = SERVER if isinstance(actor, Server) else actor.client
        name = "the server" if client == SERVER else f"client {client}"
        since = max((span.end for span in self.world.timeline if span.client == client), default=0.0)
        # A message may have begun later than whatever the client did before it ended.
        since = max(since, min((message.started for message in _messages(process.target)), default=0.0))
        return f"{name} waits for {_described(process.target)} since {since:.6g} s"


def _messages(event: object) -> Iterator[Message]:
    """Messages that an event waits for."""
    if isinstance(event, Message):
        yield event
    elif isinstance(event, simpy.Process):
        yield from _messages(event.target)
    elif isinstance(event, simpy.events.Condition):
        for one in event._events:
            if not one.triggered:
                yield from _messages(one)


def _dead(messages: Iterable[Message]) -> bool:
    return any(_dead_link(message) for message in messages)


def _dead_link(message: Message) -> str:
    """Name the first link on a message's way that carries nothing for ever, if there is one."""
    if hasattr(message, "access"):
        for link in message.access.path():
            if (since := link.dead_from()) < math.inf:
                return f" ({link.name} carries nothing from {since:.6g} s on)"
    return ""


def _described(event: object) -> str:
    if isinstance(event, Signal):
        return event.what()
    if isinstance(event, Message):
        return event.awaited() + _dead_link(event)
    if isinstance(event, simpy.Process):
        return _described(event.target)
    if isinstance(event, simpy.events.Condition):
        return " and ".join(_described(one) for one in event._events if not one.triggered) or "what has happened"
    return "an event that never happens"
