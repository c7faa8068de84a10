"""Thousands of what-ifs in one pass over the recorded graph of one run, instead of thousands of runs.

Where every transfer has its links to itself, a span's duration follows from the conditions alone, and the run is
a sequence of additions and maxima (`program.py`): exactly what the event simulation would do. Whether that holds is
found out for every what-if by itself: if the rates of the transfers in progress never add up to more than the
server's link, max-min sharing gives each of them all it can use. Those for which it does not hold are simulated.

A shape that does not declare its causes fixed is never replayed, nor are links that vary with time, are shared below
the server or have a transport, nor a recording that its own replay does not give back: then every what-if is simulated.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from parasim_core.sim.engine.cost_learner import CostLearner
from parasim_core.sim.engine.costs import Costs
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.simulate import Setup, simulate
from parasim_core.sim.engine.timeline import Kind, Timeline
from parasim_core.sim.network.transfer import NEGLIGIBLE
from parasim_core.sim.replay.conditions import Conditions, Floats, Variants, shared_or_varying
from parasim_core.sim.replay.occupancy import Crossing, messages_follow_one_another, never_exceeds
from parasim_core.sim.replay.program import Program, RecordedTransfer, Term, compile_program
from parasim_core.sim.replay.simulate_variant import simulate_changed
from parasim_core.sim.support.worker_pool import cores, in_order

_BLOCK = 4096
"""What-ifs evaluated together: vectors of 32 KiB, long enough for numpy, and few enough bytes for the caches."""
_TASK = 4 * _BLOCK
"""What-ifs that a worker process takes at a time."""
_SIMULATED_TASK = 16
"""The same where some may have to be simulated."""


class _Direction(NamedTuple):
    """Names of the conditions of a transfer."""

    access: str
    server: str
    size: str


_DIRECTIONS = {
    Kind.UPLOAD: _Direction("uplink", "ingress", "upload_size"),
    Kind.DOWNLOAD: _Direction("downlink", "egress", "download_size"),
}

_DIFFERS = "replaying the recorded run does not give it back"
_CONTRADICTED = "replays differ from what their events take"


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
        Simulated clients, in the order of the columns of what-ifs; all clients where anyone may come to take part.
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

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """Position of the group that each site belongs to, shape (sites,)."""
        fleet = Fleet(self.setup.scenario.fleet)
        return np.array([fleet.index(site) for site in self.sites], dtype=np.int64)

    @cached_property
    def counts(self) -> dict[int, int]:
        """For how many clients each site stands."""
        return {site: self.result.counts.get(site, 1) for site in self.sites}

    def not_replayed(self, reason: str) -> Recording:
        """Copy it without its graph, so that every what-if is simulated."""
        return replace(self, program=None, not_replayable=reason)

    def held_against(self, simulated: ArrayLike, replayed: ArrayLike, exact: ArrayLike = True) -> Recording:
        """Return it, or a copy that simulates every what-if if simulations contradict exact replays.

        Whoever declared the causes fixed was wrong then.

        Parameters
        ----------
        simulated, replayed : array_like of shape (what-ifs,)
            Wall-clocks of the same what-ifs [s].
        exact : array_like of bool
            Which of the replays claim to be exact.
        """
        contradicted = ~np.isclose(replayed, simulated, rtol=1e-6, atol=1e-9) & np.asarray(exact)
        return self.not_replayed(_CONTRADICTED) if contradicted.any() else self

    def replay(self, variants: Variants) -> Answers:
        """Replay what-ifs; those that are not exact have a lower bound: as if the server's links were unlimited."""
        return _joined([self._replay_block(_Durations(self, block, alone=True)) for block in variants.split(_BLOCK)])

    def estimate(self, variants: Variants) -> Floats:
        """Replay what-ifs with every share of a server's link as it was recorded, larger only as the link is [s].

        Exact where `replay` is and the recorded run was not contended; an approximation elsewhere; and simulated where
        the graph must not be replayed.
        """
        if self.program is None:
            return np.array([self.simulate(variants, row).wall_clock for row in range(len(variants))])
        blocks = (_Durations(self, block, alone=False) for block in variants.split(_BLOCK))
        return np.concatenate([self.program.run(block.duration, block.width)[0] for block in blocks])

    def simulate(self, variants: Variants, which: int = 0) -> Result:
        """Simulate one of the what-ifs event by event."""
        conditions = self.conditions.under(variants[which : which + 1])
        return simulate_changed(self.setup, self.costs, self.counts, conditions)

    def answer(self, variants: Variants) -> Answers:
        """Replay what-ifs, and simulate those for which the replay is not exact."""
        wall_clock, replayed = self.replay(variants)
        for row in np.flatnonzero(~replayed):
            wall_clock[row] = self.simulate(variants, int(row)).wall_clock
        return Answers(wall_clock, replayed)

    def without_spans(self) -> Recording:
        """Leave out what no what-if needs, and would be sent along with every task."""
        return replace(self, result=replace(self.result, timeline=Timeline()))

    def _replay_block(self, durations: _Durations) -> Answers:
        width = durations.width
        if self.program is None:
            return Answers(np.zeros(width), np.zeros(width, dtype=np.bool_))
        limited = durations.limited()
        replayed = np.full(width, self.one_at_a_time)
        wall_clock, ends = self.program.run(durations.duration, width, with_transfers=bool(limited))
        for kind in limited:
            crossings = list(durations.crossings(kind, self.program.transfers, ends))
            replayed &= never_exceeds(durations.server(kind), crossings, width)
        return Answers(wall_clock, replayed)


def record(setup: Setup, costs: Costs, *, each_client: bool = False, anyone: bool = False) -> Recording:
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
    anyone : bool
        Whether others may take part in what-ifs: every client is a site, and every what-if is simulated.

    Raises
    ------
    CostError
        If a local update's cost is not known.
    """
    # A learner of one's own forbids the shortcut of simulating alike clients once.
    learner = CostLearner(costs, setup.schedule, setup.blocks) if each_client else None
    result = simulate(setup, costs, learner)
    sites = tuple(range(setup.scenario.clients) if setup.opened or anyone else result.counts)
    reason = shared_or_varying(setup.scenario) or ("who takes part is drawn anew for every run" if anyone else "")
    if not setup.traits.causes_fixed:
        reason = f"{setup.method.name} does not declare that who waits for whom is the same however long things take"
    recording = Recording(
        setup,
        costs,
        result,
        sites,
        Conditions.of(setup.scenario, sites),
        None if reason else compile_program(result, sites),
        messages_follow_one_another(result.timeline.spans),
        reason,
    )
    return recording if _gives_back_itself(recording) else recording.not_replayed(_DIFFERS)


def _gives_back_itself(recording: Recording) -> bool:
    """Replay the recorded conditions, and compare the end of the run and of every message with the recording."""
    program, spans = recording.program, recording.result.timeline.spans
    if program is None:
        return True
    durations = _Durations(recording, None, alone=False)
    replayed, ends = program.run(durations.duration, 1, with_transfers=True)
    recorded = [spans[transfer.number].end for transfer in program.transfers]
    wall_clock = recording.result.wall_clock
    return np.allclose([*ends, replayed], np.reshape([*recorded, wall_clock], (-1, 1)), rtol=0, atol=1e-9 * wall_clock)


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
            unlimited = recording.conditions.unlimited and chunk.given.keys().isdisjoint(("ingress", "egress"))
            simple = unlimited and recording.program is not None
            parts = list(chunk.split(_TASK if simple else _SIMULATED_TASK))
            tasks_of.append(len(parts))
            yield from parts

    answers = in_order(partial(Recording.answer, recording.without_spans()), tasks(), workers=jobs or cores())
    for first in answers:
        yield _joined([first, *islice(answers, tasks_of.popleft() - 1)])


def _joined(answers: Iterable[Answers]) -> Answers:
    return Answers(*map(np.concatenate, zip(*answers, strict=True)))


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
        self._recorded_server = {kind: getattr(recorded, names.server).item() for kind, names in _DIRECTIONS.items()}
        self._recorded_speed = recorded.speed[0]
        self._counts = [*recording.counts.values()]

    def _of(self, name: str, site: int = 0) -> Floats:
        values = self._values[name]
        row: Floats = values[site if len(values) > 1 else 0]
        return row

    def server(self, kind: Kind) -> Floats:
        """Capacity of the server's link in a direction [B/s]."""
        return self._of(_DIRECTIONS[kind].server)

    def duration(self, term: Term) -> Floats:
        """Seconds of a term [s]."""
        if term.kind is Kind.AGGREGATE:
            return self._of("aggregation")
        if term.kind is Kind.COMPUTE:
            seconds: Floats = term.amount * (self._recorded_speed[term.site] / self._of("speed", term.site))
            return seconds
        return self._of("serialization") + self._of("latency", term.site) + self._transfer(term)

    def _transfer(self, term: Term) -> Floats:
        """Seconds for which a message occupies its links [s]."""
        seconds: Floats = term.amount * self._of(_DIRECTIONS[term.kind].size) / self._rate(term)
        return seconds

    def _rate(self, term: Term) -> Floats:
        """Rate of a transfer [B/s]: what its own link and the server's allow it."""
        if self._alone or math.isinf(term.share):
            limit = self.server(term.kind) / self._counts[term.site]
        else:
            limit = term.share * (self.server(term.kind) / self._recorded_server[term.kind])
        rate: Floats = np.minimum(self._of(_DIRECTIONS[term.kind].access, term.site), limit)
        return rate

    def limited(self) -> list[Kind]:
        """Directions in which all clients at once could fill the server's link."""
        asked = {
            kind: sum(self._rate(Term(kind, site, 0.0)) * count for site, count in enumerate(self._counts))
            for kind in _DIRECTIONS
        }
        return [kind for kind, total in asked.items() if np.any(total > self.server(kind) * (1 + NEGLIGIBLE))]

    def crossings(
        self, kind: Kind, transfers: Iterable[RecordedTransfer], ends: Iterable[Floats]
    ) -> Iterator[Crossing]:
        """Begin, end and rate of each transfer of one direction on the server's link [s, s, B/s]."""
        for (_, term, _), end in zip(transfers, ends, strict=True):
            if term.kind is kind and term.amount > 0:
                crossed = end - (self._of("serialization") if kind is Kind.DOWNLOAD else 0.0)
                yield crossed - self._transfer(term), crossed, self._rate(term) * self._counts[term.site]
