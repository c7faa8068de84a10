"""Thousands of what-ifs in one pass over the recorded graph of one run, instead of thousands of runs.

Where every transfer has its links to itself, a span's duration follows from the conditions alone, and the run is
a sequence of additions and maxima (`program.py`): exactly what the event simulation would do. Whether that holds is
found out for every what-if by itself: if the rates of the transfers in progress never add up to more than the
server's link, max-min sharing gives each of them all it can use. Those for which it does not hold are simulated.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.cost_learner import CostLearner
from sim.costs import Costs
from sim.fleet import Fleet
from sim.result import Result
from sim.simulate import Setup, simulate
from sim.studies.changed import simulate_changed
from sim.studies.critical import NEGLIGIBLE
from sim.studies.occupancy import Occupancy, messages_follow_one_another
from sim.studies.pool import cores, in_order
from sim.studies.program import Program, Term, compile_program
from sim.studies.variants import Floats, Variants
from sim.timeline import Kind

_BLOCK = 4096
"""What-ifs evaluated together: vectors of 32 KiB, long enough for numpy, and few enough bytes for the caches."""
_TASK = 8 * _BLOCK
"""What-ifs that a worker process takes at a time."""
_CONTENDED_TASK = 16
"""The same where some may have to be simulated."""


class Answers(NamedTuple):
    """Wall-clocks of what-ifs.

    Attributes
    ----------
    wall_clock : array of shape (what-ifs,)
        [s].
    replayed : array of bool of shape (what-ifs,)
        True where the replay is exact; where a link is shared, False, and the wall-clock is the event simulation's.
    """

    wall_clock: Floats
    replayed: NDArray[np.bool_]


@dataclass(frozen=True)
class Recording:
    """A run with its graph, ready to be asked what-ifs; see `record`.

    Attributes
    ----------
    setup : Setup
        What was simulated.
    costs : Costs
        What computing cost.
    result : Result
        The run.
    sites : tuple of int
        Numbers of the simulated clients: the columns of what-ifs.
    uplink, downlink, latency, speed : array of shape (1, sites)
        Their recorded conditions [B/s], [B/s], [s], and the scenario's speed.
    program : Program
        The graph.
    one_at_a_time : bool
        Whether no client had two messages under way at once, which would share its link; so it is with all
        protocols that paraSim brings along. Otherwise no replay counts as exact.
    """

    setup: Setup
    costs: Costs
    result: Result
    sites: tuple[int, ...]
    uplink: Floats
    downlink: Floats
    latency: Floats
    speed: Floats
    program: Program
    one_at_a_time: bool

    @property
    def ingress(self) -> float:
        """Server's recorded ingress [B/s], infinite if unlimited."""
        return self.setup.scenario.server.ingress or math.inf

    @property
    def egress(self) -> float:
        """Server's recorded egress [B/s], infinite if unlimited."""
        return self.setup.scenario.server.egress or math.inf

    def replay(self, variants: Variants) -> Answers:
        """Replay what-ifs; those that are not exact have a wall-clock as if the server's links were unlimited."""
        variants.check_sites(len(self.sites))
        answers = [self._replay_block(_Conditions(self, block, alone=True)) for block in variants.split(_BLOCK)]
        return Answers(np.concatenate([a.wall_clock for a in answers]), np.concatenate([a.replayed for a in answers]))

    def estimate(self, variants: Variants) -> Floats:
        """Replay what-ifs with every share of a server's link as it was recorded, larger only as the link is [s].

        Exact where `replay` is and the recorded run was not contended; an approximation elsewhere.
        """
        variants.check_sites(len(self.sites))
        blocks = (_Conditions(self, block, alone=False) for block in variants.split(_BLOCK))
        return np.concatenate([self.program.run(block.duration, block.width) for block in blocks])

    def simulate(self, variants: Variants, which: int = 0) -> Result:
        """Simulate one of the what-ifs event by event."""
        variants.check_sites(len(self.sites))
        return simulate_changed(self.setup, self.costs, self.result.counts, variants[which : which + 1])

    def answer(self, variants: Variants) -> Answers:
        """Replay what-ifs, and simulate those for which the replay is not exact."""
        wall_clock, replayed = self.replay(variants)
        for row in np.flatnonzero(~replayed):
            wall_clock[row] = self.simulate(variants, int(row)).wall_clock
        return Answers(wall_clock, replayed)

    def _replay_block(self, conditions: _Conditions) -> Answers:
        width = conditions.width
        limited = conditions.limited()
        replayed = np.full(width, self.one_at_a_time)
        if not limited:
            return Answers(self.program.run(conditions.duration, width), replayed)
        ends = np.empty((len(self.program.transfers), width))
        wall_clock = self.program.run(conditions.duration, width, ends)
        for kind in limited:
            replayed &= conditions.occupancy(kind, ends).fits()
        return Answers(wall_clock, replayed)


def record(setup: Setup, costs: Costs, *, each_client: bool = False) -> Recording:
    """Simulate a scenario once, and keep its graph.

    Parameters
    ----------
    setup : Setup
        What to simulate.
    costs : Costs
        What computing costs.
    each_client : bool
        Whether every client is a site of its own, though clients of a group are alike: for what-ifs in which
        they are not.

    Raises
    ------
    CostError
        If a local update's cost is not known.
    """
    # A learner of one's own forbids the shortcut of simulating alike clients once.
    learner = CostLearner(costs, setup.schedule, setup.blocks) if each_client else None
    result = simulate(setup, costs, learner)
    sites = tuple(result.counts)
    fleet = Fleet(setup.scenario.fleet)
    groups = [fleet.group(site) for site in sites]
    return Recording(
        setup,
        costs,
        result,
        sites,
        uplink=np.array([[group.uplink for group in groups]]),
        downlink=np.array([[group.down for group in groups]]),
        latency=np.array([[group.latency for group in groups]]),
        speed=np.array([[group.speed for group in groups]]),
        program=compile_program(result, sites),
        one_at_a_time=messages_follow_one_another(result.timeline.spans),
    )


def replay(recording: Recording, chunks: Iterable[Variants], *, jobs: int | None = None) -> Iterator[Answers]:
    """Answer a stream of what-ifs on all cores: by replay where that is exact, by simulation where it is not.

    Parameters
    ----------
    recording : Recording
        The run that they start from.
    chunks : iterable of Variants
        Read as they are needed, so that a range of any length takes little memory; some 10,000 what-ifs each are
        handy.
    jobs : int or None
        Worker processes; all cores if None.

    Yields
    ------
    Answers
        One per chunk, in their order, the same whatever the number of workers.
    """
    unlimited = math.isinf(recording.ingress) and math.isinf(recording.egress)
    tasks_of: deque[int] = deque()

    def tasks() -> Iterator[Variants]:
        for chunk in chunks:
            limited = not unlimited or chunk.ingress is not None or chunk.egress is not None
            parts = list(chunk.split(_CONTENDED_TASK if limited else _TASK))
            tasks_of.append(len(parts))
            yield from parts

    # The run itself is not needed to answer, and would be sent along with every task.
    lean = replace(recording, result=replace(recording.result, timeline=type(recording.result.timeline)()))
    answers = in_order(partial(Recording.answer, lean), tasks(), workers=jobs or cores())
    for first in answers:
        parts = [first, *(next(answers) for _ in range(tasks_of.popleft() - 1))]
        yield Answers(np.concatenate([p.wall_clock for p in parts]), np.concatenate([p.replayed for p in parts]))


class _Conditions:
    """The durations of terms under a block of what-ifs."""

    def __init__(self, recording: Recording, variants: Variants, *, alone: bool):
        self.width = len(variants)
        self._recording = recording
        self._alone = alone
        self._values = {
            name: self._column(variants.get(name), recorded)
            for name, recorded in (
                ("uplink", recording.uplink),
                ("downlink", recording.downlink),
                ("latency", recording.latency),
                ("speed", recording.speed),
                ("upload_size", 1.0),
                ("download_size", 1.0),
                ("ingress", recording.ingress),
                ("egress", recording.egress),
                ("serialization", recording.setup.scenario.wire.serialization),
                ("aggregation", recording.setup.scenario.server.aggregation),
            )
        }
        self._recorded_server = {Kind.UPLOAD: recording.ingress, Kind.DOWNLOAD: recording.egress}
        self._counts = [recording.result.counts[site] for site in recording.sites]

    @staticmethod
    def _column(values: Floats | None, recorded: Floats | float) -> Floats:
        """Transpose to one contiguous row per site; a single row serves for all."""
        return np.ascontiguousarray((np.atleast_2d(recorded) if values is None else values).T)

    def _of(self, name: str, site: int) -> Floats:
        values = self._values[name]
        row: Floats = values[site if len(values) > 1 else 0]
        return row

    def duration(self, term: Term) -> Floats:
        """Seconds of a term [s]."""
        if term.kind is Kind.AGGREGATE:
            return self._of("aggregation", 0)
        if term.kind is Kind.COMPUTE:
            recorded = self._recording.speed[0, term.site]
            seconds: Floats = term.amount * (recorded / self._of("speed", term.site))
            return seconds
        return self._of("serialization", 0) + self._of("latency", term.site) + self.transfer(term)

    def transfer(self, term: Term) -> Floats:
        """Seconds for which a message occupies its links [s]."""
        times = self._of("upload_size" if term.kind is Kind.UPLOAD else "download_size", 0)
        seconds: Floats = term.amount * times / self.rate(term)
        return seconds

    def rate(self, term: Term) -> Floats:
        """Rate of a transfer [B/s]: what its own link and the server's allow it."""
        uploads = term.kind is Kind.UPLOAD
        access = self._of("uplink" if uploads else "downlink", term.site)
        server = self._of("ingress" if uploads else "egress", 0)
        if self._alone or math.isinf(term.share):
            limit = server / self._counts[term.site]
        else:
            limit = term.share * (server / self._recorded_server[term.kind])
        rate: Floats = np.minimum(access, limit)
        return rate

    def limited(self) -> list[Kind]:
        """Directions in which all clients at once could fill the server's link."""
        directions = []
        for kind, server in ((Kind.UPLOAD, "ingress"), (Kind.DOWNLOAD, "egress")):
            sites = range(len(self._counts))
            total = sum(self.rate(Term(kind, site, 0.0)) * self._counts[site] for site in sites)
            if np.any(total > self._of(server, 0) * (1 + NEGLIGIBLE)):
                directions.append(kind)
        return directions

    def occupancy(self, kind: Kind, ends: Floats) -> Occupancy:
        """Transfers of one direction in time."""
        occupancy = Occupancy(self._of("ingress" if kind is Kind.UPLOAD else "egress", 0), self.width)
        for position, (_, term) in enumerate(self._recording.program.transfers):
            if term.kind is kind and term.amount > 0:
                end = ends[position] - (self._of("serialization", 0) if kind is Kind.DOWNLOAD else 0.0)
                occupancy.add(end - self.transfer(term), end, self.rate(term) * self._counts[term.site])
        return occupancy
