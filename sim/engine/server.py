"""The server: it receives updates, has its policy say when to aggregate whom, and remembers each item's version."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

from parasim_core.sim.engine.aggregation import Aggregation, AllExpected, Batch, Dropped, Received
from parasim_core.sim.engine.incidents import Closed, Closing
from parasim_core.sim.engine.learner import Update
from parasim_core.sim.engine.timeline import SERVER, Kind
from parasim_core.sim.engine.world import Causes, Process, Signal, World
from parasim_core.sim.errors import SimulationError
from parasim_core.sim.network.timing import after_delay

Observer = Callable[[World, int], None]
"""Told the run and the number of the aggregation whenever one is done."""


_NEW = tuple.__new__
LEFT_OVER = "left over: no aggregation was left"
"""Why an update is dropped that came in time for an aggregation which the run does not have."""


class Server:
    """Receives and aggregates.

    Attributes
    ----------
    policy : Aggregation
        When to aggregate, and whom; a shape may set another before it starts.
    versions : dict of int to int
        Of each item, the number of the aggregation that renewed it last.
    renewals : dict of int to list of int
        Of each item, the numbers of all aggregations that renewed it.
    aggregations : int
        How many are done.
    expected, received, held, aggregating : int
        Updates that were announced, and that came in so far; of these the policy has some, and some are being
        aggregated.
    dropped : Counter
        By reason, updates that were dropped.
    lost : int
        Updates that were announced and whose clients are gone.
    short : callable
        Told a round that cannot be aggregated unless further clients take part in it.
    cut_off : dict of (client, number) to int
        Clients whose upload of an update was cancelled or failed, and has not been begun again.
    """

    id = SERVER

    def __init__(self, world: World):
        self.world = world
        self.policy: Aggregation = AllExpected()
        self.versions: dict[int, int] = {}
        self.renewals: defaultdict[int, list[int]] = defaultdict(list)
        self.aggregations = 0
        self.expected = self.received = self.held = self.aggregating = 0
        self.dropped: Counter[str] = Counter()
        self.cut_off: dict[tuple[int, int], int] = {}
        self.lost = 0
        self.short: Callable[[int], None] = lambda round: None
        self._openings: Counter[int] = Counter()
        self.observer: Observer | None = None
        self._aggregated: dict[int, Signal] = {}
        self._beginnings: dict[int, Signal] = {}
        self._numbers: set[int] = set()
        self._rounds: dict[int, _Round] = {}

    def expect(self, round: int, clients: int, wanted: int | None = None) -> None:
        """Announce how many clients send an update of a round, and how many are wanted, if these are more than that.

        Of a round that is open and not left by all, these are further ones, and those wanted are so as before.
        """
        self.expected += clients
        if wanted is not None:
            before = self._rounds.get(round)
            if before is None or before.left == 0:
                self._rounds[round] = _Round(wanted, clients)
            else:
                before.left, before.overdue = before.left + clients, False
        self.policy.expect(round, clients, wanted)

    def open(self, round: int) -> None:
        """Begin a round: its deadline, if there is one, runs from now on; what arrives just then is in time."""
        self._openings[round] += 1
        if self.policy.deadline is not None:
            opening = self._openings[round]
            after_delay(self.world.env, self.policy.deadline, lambda _: self._due(round, opening))

    def lose(self, round: int, clients: int) -> None:
        """Learn that so many clients will not send their updates of a round any more."""
        self.lost += clients
        if round in self._rounds:
            self._rounds[round].left -= clients
        self._begin_or_tell(round, self.policy.lost(round, clients))

    def aggregated(self, number: int) -> Signal:
        """Fire when an aggregation is in the server's model; its value is the cause of what follows."""
        if number not in self._aggregated:
            self._aggregated[number] = Signal(
                self.world.env, lambda: f"aggregation {number} ({self.policy.waiting(number)})"
            )
        return self._aggregated[number]

    def missed(self, item: int, version: int) -> int:
        """Count the aggregations that renewed an item after a version of it."""
        numbers = self.renewals[item]
        return len(numbers) - bisect_right(numbers, version)

    def receive(self, update: Update, span: int, clients: int) -> None:
        """Take in one update."""
        received = _NEW(Received, (update, span, clients))
        if update.received:
            raise SimulationError(f"update {update.sequence} of client {update.client} was received twice")
        if clients > 1 and not self.policy.collapsible:
            raise SimulationError(
                f"{type(self.policy).__name__} tells clients apart, but {clients} arrive as one: "
                "a shape that sets it must not declare itself collapsible"
            )
        update.received = True
        self.received += clients
        if self.cut_off:
            # It was sent anew.
            self.cut_off.pop((update.client, update.sequence), None)
        self.held += clients
        decided = self.policy.receive(received)
        if isinstance(decided, Dropped):
            self._drop(received, decided.reason)
        elif decided is not None:
            self._begin(decided)

    def drop_left_over(self) -> None:
        """Drop what a later round would have aggregated: there is none."""
        for received in self.policy.left_over():
            self._drop(received, LEFT_OVER)

    def _drop(self, received: Received, reason: str) -> None:
        if received.update.settled:
            raise _settled_twice(received.update)
        received.update.settled = True
        self.held -= received.clients
        self.dropped[reason] += received.clients
        if reason != LEFT_OVER:
            # Of those that are noted, all spans are known by now.
            self.world.timeline.incidents.late.update(
                self.world.unsettled.get((received.update.client, received.update.sequence), ())
            )
        self.world.waste(received.update)
        self.world.learner.drop(received.update)

    def _due(self, round: int, opening: int) -> None:
        if opening != self._openings[round]:
            return
        if round in self._rounds and round not in self._numbers:
            self._rounds[round].overdue = True
        batch = self.policy.due(round)
        if batch is None and self.policy.short(round):
            self.world.timeline.incidents.passed.add(float(self.world.env.now))
        self._begin_or_tell(round, batch)

    def _begin_or_tell(self, round: int, batch: Batch | None) -> None:
        """Aggregate a batch; where there is none, tell if the round is short."""
        if batch is not None:
            self._begin(batch)
        elif self.policy.short(round):
            self.short(round)

    def _begin(self, batch: Batch) -> None:
        if batch.number >= self.world.rules.rounds:
            for received in batch.received:
                self._drop(received, LEFT_OVER)
            return
        if batch.number in self._numbers:
            raise SimulationError(f"the policy gave two batches the number {batch.number}")
        self._numbers.add(batch.number)
        clients = sum([received.clients for received in batch.received])
        self._note_the_end(batch)
        for received in batch.received:
            update = received.update
            if update.settled:
                raise _settled_twice(update)
            update.settled = True
        self.held -= clients
        self.aggregating += clients
        self.world.env.process(self._aggregate(batch, clients))

    def _note_the_end(self, batch: Batch) -> None:
        """Note why a round ends, where it is known how many updates were wanted of it."""
        of = self._rounds.pop(batch.number, None)
        if of is None:
            return
        own = sum([received.clients for received in batch.received if received.update.round == batch.number])
        by = Closing.DEADLINE if of.overdue else Closing.EVERYONE if own >= of.left else Closing.QUORUM
        self.world.timeline.incidents.closed[batch.number] = Closed(by, of.wanted, own)

    def _begun(self, number: int) -> Signal:
        """Fire when an aggregation begins, with its causes."""
        return self._beginnings.setdefault(number, Signal(self.world.env, lambda: f"the begin of aggregation {number}"))

    def _aggregate(self, batch: Batch, clients: int) -> Process:
        world, number = self.world, batch.number
        # Updates that an aggregator gathered came together.
        causes = tuple(dict.fromkeys([received.span for received in batch.received]))
        if number:
            # In the order of their numbers, also where updates of a later round are in first.
            turn = self._begun(number - 1) if world.rules.parallel else self.aggregated(number - 1)
            implied = world.rules.sequential and turn.processed
            before: Causes = (turn.value or ()) if turn.processed else (yield turn)
            if not implied:
                causes += before
        if world.rules.parallel:
            self._begun(number).succeed(causes)
        start = world.env.now
        if world.rules.aggregation:
            yield world.env.timeout(world.rules.aggregation)
        # What began to train before must not see the aggregate.
        world.redeem()
        # By client, not by arrival: the mean must not depend on who was faster.
        updates = sorted([received.update for received in batch.received], key=attrgetter("client"))
        blocks: tuple[int, ...] = ()
        for block in sorted({update.block for update in updates}, key=lambda block: block or 0):
            item = world.sizes.item(number, block)
            world.learner.aggregate(number, item, [update for update in updates if update.block == block])
            self.versions[item] = number
            self.renewals[item].append(number)
            blocks += world.named(block)
        if world.unsettled:
            world.sizes.holds(world.sizes.item(number, updates[0].block), clients)
            for update in updates:
                world.unsettled.pop((update.client, update.sequence), None)
        self.aggregating -= clients
        span = world.timeline.record(SERVER, number, Kind.AGGREGATE, start, world.env.now, 0.0, blocks, causes)
        self.aggregations += 1
        self.aggregated(number).succeed((span,))
        if self.observer is not None:
            self.observer(world, number)


@dataclass(slots=True)
class _Round:
    """An open round: how many updates are wanted, how many have been or may be sent, and whether it is late."""

    wanted: int
    left: int
    overdue: bool = False


def _settled_twice(update: Update) -> SimulationError:
    return SimulationError(
        f"update {update.sequence} of client {update.client} was aggregated or dropped twice by the policy"
    )
