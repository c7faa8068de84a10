"""Thousands of what-ifs in one pass over the recorded graph of one run, instead of thousands of runs.

Where every transfer has its links to itself, a span's duration follows from the conditions alone, and the run is
a sequence of additions and maxima (`program.py`): exactly what the event simulation would do. Whether that holds is
found out for every what-if by itself: if the rates of the transfers in progress never add up to more than the
server's link, max-min sharing gives each of them all it can use. Those for which it does not hold are simulated.

A shape that does not declare its causes fixed is never replayed, nor is a recording that its own replay does not give
back: then every what-if is simulated.
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
from sim.network.transfer import NEGLIGIBLE
from sim.result import Result
from sim.simulate import Setup, simulate
from sim.studies.changed import simulate_changed
from sim.studies.conditions import Conditions, Floats, Variants
from sim.studies.occupancy import Occupancy, messages_follow_one_another
from sim.studies.pool import cores, in_order
from sim.studies.program import Program, Term, compile_program
from sim.timeline import Kind

_BLOCK = 4096
"""What-ifs evaluated together: vectors of 32 KiB, long enough for numpy, and few enough bytes for the caches."""
_TASK = 8 * _BLOCK
"""What-ifs that a worker process takes at a time."""
_SIMULATED_TASK = 16
"""The same where some may have to be simulated."""

_DIFFERS = "replaying the recorded run does not give it back"


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
        Simulated clients, in the order of the columns of what-ifs.
    conditions : Conditions
        What they had, in one row.
    program : Program or None
        The recorded graph; None if it must not be replayed.
    one_at_a_time : bool
        Whether no client had two messages under way at once; otherwise nothing is replayed, as they may share a link.
    not_replayable : str
        Why every what-if has to be simulated; empty if the graph may be replayed.
    """

    setup: Setup
    costs: Costs
    result: Result
    sites: tuple[int, ...]
    conditions: Conditions
    program: Program | None
    one_at_a_time: bool
    not_replayable: str

    def replay(self, variants: Variants) -> Answers:
        """Replay what-ifs; those that are not exact have a lower bound: as if the server's links were unlimited."""
        variants.check_sites(len(self.sites))
        answers = [self._replay_block(_Durations(self, block, alone=True)) for block in variants.split(_BLOCK)]
        return Answers(np.concatenate([a.wall_clock for a in answers]), np.concatenate([a.replayed for a in answers]))

    def estimate(self, variants: Variants) -> Floats:
        """Replay what-ifs with every share of a server's link as it was recorded, larger only as the link is [s].

        Exact where `replay` is and the recorded run was not contended; an approximation elsewhere; and simulated where
        the graph must not be replayed.
        """
        variants.check_sites(len(self.sites))
        if self.program is None:
            return np.array([self.simulate(variants, row).wall_clock for row in range(len(variants))])
        blocks = (_Durations(self, block, alone=False) for block in variants.split(_BLOCK))
        return np.concatenate([self.program.run(block.duration, block.width) for block in blocks])

    def simulate(self, variants: Variants, which: int = 0) -> Result:
        """Simulate one of the what-ifs event by event."""
        variants.check_sites(len(self.sites))
        conditions = self.conditions.under(variants[which : which + 1])
        return simulate_changed(self.setup, self.costs, self.result.counts, conditions)

    def answer(self, variants: Variants) -> Answers:
        """Replay what-ifs, and simulate those for which the replay is not exact."""
        wall_clock, replayed = self.replay(variants)
        for row in np.flatnonzero(~replayed):
            wall_clock[row] = self.simulate(variants, int(row)).wall_clock
        return Answers(wall_clock, replayed)

    def _replay_block(self, durations: _Durations) -> Answers:
        width = durations.width
        if self.program is None:
            return Answers(np.zeros(width), np.zeros(width, dtype=np.bool_))
        limited = durations.limited()
        replayed = np.full(width, self.one_at_a_time)
        if not limited:
            return Answers(self.program.run(durations.duration, width), replayed)
        ends = np.empty((len(self.program.transfers), width))
        wall_clock = self.program.run(durations.duration, width, ends)
        for kind in limited:
            replayed &= durations.occupancy(kind, ends).fits()
        return Answers(wall_clock, replayed)


def record(setup: Setup, costs: Costs, *, each_client: bool = False) -> Recording:
    """Simulate a scenario once, and keep its graph if that may be replayed.

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
    fixed = setup.traits.causes_fixed
    recording = Recording(
        setup,
        costs,
        result,
        sites,
        Conditions.of(setup.scenario, sites),
        compile_program(result, sites) if fixed else None,
        messages_follow_one_another(result.timeline.spans),
        ""
        if setup.traits.causes_fixed
        else f"in {setup.method.name}, who waits for whom depends on how long things take",
    )
    return recording if _gives_back_itself(recording) else replace(recording, program=None, not_replayable=_DIFFERS)


def _gives_back_itself(recording: Recording) -> bool:
    """Replay the recorded conditions, and compare the end of the run and of every message with the recording."""
    program, spans = recording.program, recording.result.timeline.spans
    if program is None:
        return True
    durations = _Durations(recording, None, alone=False)
    ends = np.empty((len(program.transfers), 1))
    wall_clock = program.run(durations.duration, 1, ends)
    recorded = np.array([[spans[transfer.number].end] for transfer in program.transfers]).reshape(-1, 1)
    near = 1e-9 * recording.result.wall_clock
    return bool(np.all(abs(ends - recorded) <= near) and abs(wall_clock[0] - recording.result.wall_clock) <= near)


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
    tasks_of: deque[int] = deque()

    def tasks() -> Iterator[Variants]:
        for chunk in chunks:
            unlimited = recording.conditions.unlimited and chunk.ingress is None and chunk.egress is None
            simple = unlimited and recording.program is not None
            parts = list(chunk.split(_TASK if simple else _SIMULATED_TASK))
            tasks_of.append(len(parts))
            yield from parts

    # The run itself is not needed to answer, and would be sent along with every task.
    lean = replace(recording, result=replace(recording.result, timeline=type(recording.result.timeline)()))
    answers = in_order(partial(Recording.answer, lean), tasks(), workers=jobs or cores())
    for first in answers:
        parts = [first, *(next(answers) for _ in range(tasks_of.popleft() - 1))]
        yield Answers(np.concatenate([p.wall_clock for p in parts]), np.concatenate([p.replayed for p in parts]))


class _Durations:
    """How long terms take under a block of what-ifs, or as recorded."""

    def __init__(self, recording: Recording, variants: Variants | None, *, alone: bool):
        self.width = 1 if variants is None else len(variants)
        self._recording = recording
        self._alone = alone
        conditions = recording.conditions if variants is None else recording.conditions.under(variants)
        # One contiguous row per site; a single one serves for all.
        self._values = {name: np.ascontiguousarray(values.T) for name, values in vars(conditions).items()}
        recorded = recording.conditions
        self._recorded_server = {Kind.UPLOAD: recorded.ingress.item(), Kind.DOWNLOAD: recorded.egress.item()}
        self._recorded_speed = recorded.speed[0]
        self._counts = [recording.result.counts[site] for site in recording.sites]

    def _of(self, name: str, site: int) -> Floats:
        values = self._values[name]
        row: Floats = values[site if len(values) > 1 else 0]
        return row

    def duration(self, term: Term) -> Floats:
        """Seconds of a term [s]."""
        if term.kind is Kind.AGGREGATE:
            return self._of("aggregation", 0)
        if term.kind is Kind.COMPUTE:
            seconds: Floats = term.amount * (self._recorded_speed[term.site] / self._of("speed", term.site))
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
        assert self._recording.program is not None
        for position, (_, term) in enumerate(self._recording.program.transfers):
            if term.kind is kind and term.amount > 0:
                end = ends[position] - (self._of("serialization", 0) if kind is Kind.DOWNLOAD else 0.0)
                occupancy.add(end - self.transfer(term), end, self.rate(term) * self._counts[term.site])
        return occupancy
