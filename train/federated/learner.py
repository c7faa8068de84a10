"""The learner that really trains: real deltas, real aggregation, and ParaBlock's correction.

It takes the place of `sim.engine.cost_learner.CostLearner` in the same protocols. What each client knows and still has
under way is bookkeeping (`train.federated.versions`); who trains on it, and where, is the affair of
`train.update.jobs`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from parasim_core.sim.engine.costs import Costs
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.learner import Promise, Update
from parasim_core.sim.engine.simulate import Setup
from parasim_core.train.data.task import Task
from parasim_core.train.federated.block_choice import adaptive_schedule
from parasim_core.train.federated.client import Client
from parasim_core.train.federated.versions import BASE, Versions
from parasim_core.train.models.blocks import Values
from parasim_core.train.runs.settings import TrainSettings
from parasim_core.train.update.aggregate import mean, overwriting, root_mean_square
from parasim_core.train.update.compression import messages
from parasim_core.train.update.jobs import Job, LocalTrainer, TrainerFactory
from parasim_core.train.update.kept_optimizer import KeptOptimizer
from parasim_core.train.update.local import DivergedError, LocalSettings, LocalUpdate, TrainingError
from parasim_core.train.update.trained_part import TrainedPart, TrainedStack


class Trace(NamedTuple):
    """What is noted of every local update.

    Attributes
    ----------
    client, round : int
        Whose.
    loss : float
        Mean training loss.
    measured : float
        Seconds it took on this device [s].
    seconds, serial : float
        Simulated seconds, and the part of them at the start during which nothing can be sent [s].
    """

    client: int
    round: int
    loss: float
    measured: float
    seconds: float
    serial: float


class TorchLearner:
    """Trains for real.

    Parameters
    ----------
    setup : Setup
        What is simulated.
    settings : TrainSettings
        What the server and the messages do.
    trained : TrainedPart
        What of the model is trained.
    task : Task
        Data, loss and evaluation.
    local : LocalSettings
        Local training.
    costs : Costs or None
        Say what updates take in simulated time, however long they really take. None for what they took on this device
        over the speed of the client's group: updates are trained one after the other then, so that none waits for the
        device while it is measured.
    trainer_factory : callable
        Gives who trains; by default, this process.
    on_update : callable, optional
        Given each new update's trace and what was sent.
    """

    def __init__(
        self,
        setup: Setup,
        settings: TrainSettings,
        trained: TrainedPart,
        task: Task,
        local: LocalSettings,
        costs: Costs | None,
        trainer_factory: TrainerFactory = LocalTrainer,
        on_update: Callable[[Trace, Values], None] = lambda trace, sent: None,
    ):
        self.setup, self.settings = setup, settings
        self.trained = trained
        self.task = task
        # By client and round, in the order of training.
        self.traces: dict[tuple[int, int], Trace] = {}
        # Of what each aggregation brought in, by its number, until somebody asks: weights in the mean, training losses.
        self.losses: dict[int, list[tuple[float, float]]] = {}
        self.clients: defaultdict[int, Client] = defaultdict(Client)
        self.messages = messages(setup, settings)
        held = self._held if setup.staleness is None or setup.opened or not settings.correction else lambda item: ()
        self.versions = Versions(trained.part, lag=setup.staleness or 0, held=held)
        # Where a client waits for the aggregate before it trains again, its own update is in it by then.
        self._keeps_own = trained.keeps_own and (setup.traits.overlaps or not settings.correction)
        # FedCyBGD's clients skip downloads: where they do, the base's values stand, or what they had last.
        self._forgets = setup.traits.takes_turns and settings.cyclic.unfetched == "base"
        # And clients that correct nothing never hear of newer versions.
        skip = setup.staleness is None and setup.traits.rounds_numbered and not self._forgets
        # Where rounds end early, or there are none, others go on while a client that overlaps is still to begin with
        # what it has.
        no_rounds = not setup.traits.rounds_numbered
        self._goes_back = not settings.correction or skip or ((setup.opened or no_rounds) and setup.traits.overlaps)
        self._skips = skip
        # Without rounds, it does not wait for the aggregate either: its own update is replaced by what it fetches.
        self._corrects_itself = no_rounds and setup.traits.overlaps and self._keeps_own and settings.correction
        self._keeps_adamw = setup.traits.takes_turns and settings.cyclic.optimizer == "kept"
        self._turns: Mapping[int, Sequence[int]] = setup.cohorts.rounds_of() if self._keeps_adamw else {}
        # What AdamW knows after turns that are not aggregated yet: a turn that comes to nothing leaves nothing.
        self._adamw: dict[tuple[int, int], Values] = {}
        self._trainer = trainer_factory(trained, self.versions, task, local)
        self._learning_rate = local.learning_rate
        self._costs = costs
        self._fleet = Fleet(setup.scenario.fleet)
        self.surveyed: dict[int, tuple[float, Tensor]] = {}
        self.adaptive = adaptive_schedule(setup)
        # What was sent of updates that are not aggregated yet.
        self.in_flight: dict[tuple[int, int], Values] = {}
        # Of stacks: what merging each round's took here, and what each client has to merge before it trains [s].
        self.merge_seconds: dict[int, float] = {}
        self._to_merge: dict[int, float] = {}
        # Of stacks: the last round whose stack each client has.
        self._merged: dict[int, int] = {}
        # Clients that train, or are about to; and versions that are on their way to each.
        self._at_work: set[int] = set()
        self._served: dict[int, Mapping[int, int]] = {}
        # Clients that will fetch all that they miss before they train again.
        self._resting: set[int] = set()
        # What clients owed before they sent what is in flight, where a computation may turn out to have been cut off.
        self.owed_before: dict[tuple[int, int], Values] = {}
        # Set when a run is resumed: updates that were trained before, and the last round that was aggregated.
        self.replay: dict[tuple[int, int], Trace] = {}
        self.replayed_until = -1
        self._aggregated = -1
        # A round that is begun anew is trained more than once; how often, now and before the run was resumed.
        self.times: Counter[tuple[int, int]] = Counter()
        self.replayed_times: Mapping[tuple[int, int], int] = {}
        self._on_update = on_update

    @property
    def model(self) -> nn.Module:
        """The one model."""
        return self.trained.model

    @property
    def advice(self) -> str:
        """What to do about a global model that diverged."""
        return (
            f"lower train.global_learning_rate ({self.settings.global_learning_rate:g}) "
            f"or the clients' train.learning_rate ({self._learning_rate:g})"
        )

    def survey(self, client: int) -> float:
        """Measure the norm of every block's gradient on one of the client's batches."""
        if client not in self.surveyed:
            batch = next(iter(self.task.batches(client, 0)))
            norms, measured = self.trained.gradient_norms(batch, self.task.loss)
            seconds = self._costs.full_pass(client) if self._costs else measured / self._fleet.group(client).speed
            self.surveyed[client] = (seconds, norms)
        return self.surveyed[client][0]

    def schedule(self) -> Sequence[int | None]:
        """Block of each round; ranked ones go round from the largest mean gradient norm to the smallest.

        A client that takes turns has a block of its own, whatever the ranks. Where blocks are chosen by what rounds
        brought, each is when it is looked up.
        """
        if self.adaptive is not None:
            return self.adaptive
        if not self.setup.ranks_blocks or self.setup.traits.takes_turns:
            return self.setup.schedule
        # In the order of the clients: a sum must not depend on who was surveyed first.
        norms = torch.stack([self.surveyed[client][1] for client in sorted(self.surveyed)])
        order = norms.sum(dim=0).argsort(descending=True, stable=True).tolist()
        return [order[round % len(order)] for round in range(len(self.setup.schedule))]

    def train(self, client: int, round: int, block: int | None) -> Promise:
        """Have a client train on what it knows now; its update is noted when the promise is redeemed."""
        if (client, round) in self.traces and not self.setup.opened:
            raise TrainingError(
                f"client {client} trains round {round} a second time: what is learned is told apart by client and "
                "round, so give each of a client's updates a number of its own, such as site.updates"
            )
        self._resting.discard(client)
        self.times[client, round] += 1
        merging = self._to_merge.pop(client, 0.0)
        duration = None
        if self._costs is not None:
            blocks = self.setup.blocks
            cost = self._costs.local_update(client, round, blocks[block] if blocks and block is not None else None)
            duration = (cost.seconds, cost.serial)
        # Promised as it was the first time, so that a resumed run's events come in the same order.
        if self.times[client, round] <= self.replayed_times.get((client, round), int((client, round) in self.replay)):
            return Promise(partial(self._repeated, client, round, block), duration)
        job = self.job(client, round, block)
        return Promise(partial(self._finished, job, block, duration, merging, self._trainer.submit(job)), duration)

    def job(self, client: int, round: int, block: int | None) -> Job:
        """Put together what a client's update starts from."""
        view = self.clients[client]
        if self._forgets:
            view.forget(self.versions.newest)
        item, kept = self.trained.item(block), None
        if self._keeps_adamw:
            # Its place in the schedule goes by the round: others may have had its turns, and it theirs.
            turns = self._turns.get(client, (round,))
            before = min(bisect_left(turns, round), len(turns) - 1)
            kept = KeptOptimizer(view.adamw.get(item, {}), before, len(turns))
        return Job(
            client,
            round,
            item,
            known=dict(view.known),
            own=view.own(replaced=self.setup.traits.rounds_numbered),
            rate=self.settings.global_learning_rate,
            merged=self._merged.get(client, BASE),
            kept=kept,
        )

    def _repeated(self, client: int, round: int, block: int | None) -> Update:
        trace = self.traces[client, round] = self.replay[client, round]
        last = self.times[client, round] == self.replayed_times.get((client, round), 1)
        sent = self.in_flight.get((client, round)) if last else None
        return self._noted(Update(client, round, block, trace.seconds, trace.serial, sent))

    def _finished(
        self,
        job: Job,
        block: int | None,
        duration: tuple[float, float] | None,
        merging: float,
        result: Callable[[], LocalUpdate],
    ) -> Update:
        """Wait for an update, note it as the client's own, and tell what is sent of it."""
        client, round = job.client, job.round
        self._at_work.discard(client)
        try:
            learned = result()
            if self.setup.opened and (owed := self.messages.residuals.get((client, job.item))):
                self.owed_before[client, round] = owed
            sent = self.messages.send(client, job.item, round, learned.delta)
        except TrainingError as error:
            raise type(error)(f"client {client}, round {round}: {error}") from None
        if self._keeps_own:
            self.clients[client].pending[job.item, round] = learned.delta
        if learned.adamw:
            self._adamw[client, round] = learned.adamw
        # Nobody measures during which part of it nothing can be sent.
        seconds, serial = duration or ((merging + learned.seconds) / self._fleet.group(client).speed, 0.0)
        trace = Trace(client, round, learned.loss, learned.seconds, seconds, serial)
        self.traces[client, round], self.in_flight[client, round] = trace, sent
        self._on_update(trace, sent)
        return self._noted(Update(client, round, block, seconds, serial, sent))

    def _noted(self, update: Update) -> Update:
        """Remember an update whose client replaces its own part once the server has it."""
        if self._corrects_itself:
            self.clients[update.client].updates[self.trained.item(update.block), update.round] = update
        return update

    def _held(self, item: int) -> set[int]:
        # Whoever is at rest fetches what is newer before it trains again, unless it may skip that.
        known = {
            client.known.get(item, BASE)
            for number, client in self.clients.items()
            if number in self._at_work or (self._goes_back and number not in self._resting)
        }
        return {BASE, *known, *(versions[item] for versions in self._served.values() if item in versions)}

    def aggregate(self, number: int, item: int, updates: Sequence[Update]) -> None:
        """Bring the mean of some updates into the server's model (Algorithm 2, line 10)."""
        self._aggregated = number
        if number <= self.replayed_until:
            return
        weights = [float(self.task.examples[u.client]) if self.settings.mean == "weighted" else 1.0 for u in updates]
        losses = (self.traces[update.client, update.round].loss for update in updates)
        weighted = [*zip(weights, losses, strict=True)]
        self.losses.setdefault(number, []).extend(weighted)
        contents = [cast(Values, update.content) for update in updates]
        rate = self.settings.global_learning_rate
        if isinstance(self.trained, TrainedStack):
            stack = self.messages.broadcast(number, self.trained.stacked(contents, weights, rate))
            # Whoever downloads now has what was merged before, and nothing of what is merged meanwhile.
            has, served = self._merged, self._served
            self.trained.keep_older({max(served.get(c, {}).values(), default=has.get(c, BASE)) for c in self._at_work})
            self.merge_seconds[number] = self.trained.merge(stack, number)
        else:
            change = mean(contents, weights, [update.weight for update in updates])
            if self.setup.traits.takes_turns and self.settings.correction:
                begun = self.clients[updates[0].client].known.get(item, BASE)
                change = overwriting(change, self.versions.get(item, begun), self.versions.newest_values(item))
            change = self.messages.broadcast(number, change)
            self.versions.renew(item, number, {name: rate * value for name, value in change.items()})
            if self.adaptive is not None:
                self.adaptive.report(number, item, rate * root_mean_square(change), weighted)
        self._check_finite(item, number)
        for update in updates:
            self.settle(update)

    def settle(self, update: Update) -> None:
        """Learn that an update is in the server's model: nothing of it needs to be kept."""
        del self.in_flight[update.client, update.round]
        if adamw := self._adamw.pop((update.client, update.round), None):
            self.clients[update.client].adamw[self.trained.item(update.block)] = adamw
        self.owed_before.pop((update.client, update.round), None)
        # Events and processes hold on to an update for a while; its tensors need not stay for that.
        update.content = None
        if self.settings.correction and not self._corrects_itself:
            # Its client fetches the aggregate before it trains again: nothing of its own is left.
            self.clients[update.client].pending.pop((self.trained.item(update.block), update.round), None)

    def drop(self, update: Update) -> None:
        """Forget an update that will never be aggregated; so does its client, unless it corrects nothing.

        With error feedback, the client sends what was dropped with its next update of the same item, unless it vanished
        before it had computed it.
        """
        if self._replaying:
            return
        key, item = (update.client, update.round), self.trained.item(update.block)
        owed_before, sent = self.owed_before.pop(key, None), self.in_flight.pop(key, None)
        self._adamw.pop(key, None)
        if not update.computed:
            self.messages.restore(update.client, item, owed_before)
        elif sent:
            self.messages.take_back(update.client, item, sent)
        update.content = None
        if self.settings.correction and update.client in self.clients:
            self.clients[update.client].replace(item, update.round)

    def _check_finite(self, item: int, number: int) -> None:
        """Refuse a diverged global model before it can be evaluated, saved or sent."""
        values = self.trained.merged() or self.versions.get(item, number)
        if not torch.stack([value.isfinite().all() for value in values.values()]).all():
            raise DivergedError(f"the global model diverged: it is not finite after round {number}; {self.advice}")

    def rest(self, client: int, *, vanished: bool) -> None:
        """Forget what is on its way to a client, and if it vanished what it had of its own."""
        if not self._skips:
            self._resting.add(client)
        self._at_work.discard(client)
        self._served.pop(client, None)
        if vanished and client in self.clients and not self._replaying:
            self.clients[client].pending.clear()
            self.clients[client].updates.clear()

    @property
    def _replaying(self) -> bool:
        """Whether what happens has happened before the run was resumed: its effects are known already."""
        return self._aggregated < self.replayed_until

    def serve(self, client: int, versions: Mapping[int, int]) -> None:
        """Hold versions that are on their way to a client."""
        self._served[client] = versions
        self._at_work.add(client)
        self._resting.discard(client)

    def receive(self, client: int, versions: Mapping[int, int]) -> None:
        """Let a client know versions of the server's items (line 9: its own updates in them are replaced).

        A client that receives stacks merges them: a part of its next update's seconds.
        """
        self._served.pop(client, None)
        arrived = sum(self.merge_seconds.get(round, 0.0) for round in versions.values())
        self._to_merge[client] = self._to_merge.get(client, 0.0) + arrived
        if isinstance(self.trained, TrainedStack):
            self._merged[client] = max(versions.values())
        if self.settings.correction and self.trained.keeps_own:
            self.clients[client].known.update(versions)
            self.clients[client].correct(versions)
