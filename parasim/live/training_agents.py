"""The server's half of training with agents: what they send is aggregated as `paraSim train` does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from parasim.live.learner import computed_by, notices
from parasim.live.link import AgentLink
from parasim.live.pacing import Bucket
from parasim.live.wall_clock import WallClock
from parasim_core.sim.engine.learner import Promise, Update
from parasim_core.sim.engine.message import Fetch, Upload
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.workload.methods import Trains
from parasim_core.train.federated.learner import TorchLearner, Trace
from parasim_core.train.federated.versions import BASE
from parasim_core.train.models.blocks import Values
from parasim_core.train.update.encoding import EncodedMessages, decode

_HEADER = 1 << 16
"""Bytes by which a message may be longer than what it weighs in a simulation [B]."""


class TrainingAgents(TorchLearner):
    """Agents that train; the parameters are those of `TorchLearner`, of which this is the server's half."""

    def __init__(self, *of: Any):
        super().__init__(*of)
        check_can_be_trained(self)
        self.encoded = EncodedMessages.of(self.messages)
        self.messages = self.encoded
        self._own, self._in_model, self._dropped = notices(), notices(), notices()
        # Versions that were sent to each client and have not come in yet, or have just.
        self._sent: dict[int, dict[int, int]] = {}
        # By item, the numbers of aggregations and what these changed, as it is sent.
        self._changes: dict[int, dict[int, bytes]] = {}

    def begin(self, links: Mapping[int, AgentLink], clock: WallClock) -> None:
        """Learn who the agents are."""
        self._links, self._clock = links, clock

    def train(self, client: int, round: int, block: int | None) -> Promise:
        """Have a client train on what it knows now."""
        view = self.clients[client]
        if self._forgets:
            view.forget(self.versions.newest)
        self._resting.discard(client)
        told = {
            "round": round,
            "block": block,
            "known": sorted(view.known.items()),
            "own": self._own.pop(client, []),
            "aggregated": self._in_model.pop(client, []),
            "dropped": self._dropped.pop(client, []),
        }

        def made(answer: dict[str, Any]) -> Update:
            self._at_work.discard(client)
            seconds = float(answer["seconds"])
            self.traces[client, round] = Trace(client, round, float(answer["loss"]), seconds, seconds, 0.0)
            self.in_flight[client, round] = {}
            return Update(client, round, block, seconds)

        return computed_by(self._links[client], self._clock, told, made)

    def upload(self, message: Upload, buckets: Sequence[Bucket], done: Callable[[float], None]) -> None:
        """Have an update come in."""
        update = message.update
        item, how = self.trained.item(update.block), self.encoded.upload
        like = self.trained.part(item)

        def read(pieces: Iterator[bytes]) -> tuple[Values, int]:
            data = b"".join(pieces)
            return decode(data, like, how, self.encoded.precision), len(data)

        def received(content: tuple[Values, int]) -> None:
            update.content, size = content
            self.in_flight[update.client, update.round] = content[0]
            done(size)

        most = 2 * message.size + _HEADER
        self._links[update.client].upload(
            {"round": update.round, "item": item, "bytes": 0}, most, buckets, read, received
        )

    def download(self, message: Fetch, buckets: Sequence[Bucket], done: Callable[[float], None]) -> None:
        """Send a client what has changed since the versions that it has."""
        client = message.thread.site.client
        known, items = self.clients[client].known, []
        parts: list[bytes] = []
        for item, version in message.versions.items():
            since = known.get(item, BASE)
            changes = {n: change for n, change in self._changes[item].items() if since < n <= version}
            items.append([item, since, [[number, len(change)] for number, change in changes.items()]])
            parts += changes.values()
        self._sent.setdefault(client, {}).update(message.versions)
        self._links[client].download({"items": items}, parts, buckets, lambda size: done(float(size)))

    def aggregate(self, number: int, item: int, updates: Sequence[Update]) -> None:
        """Bring the mean of some updates into the server's model, and keep what is sent of it."""
        super().aggregate(number, item, updates)
        changes = self._changes.setdefault(item, {})
        changes[number] = self.encoded.broadcasts.pop(number)
        needed = min(self.clients[client].known.get(item, BASE) for client in self._links)
        for old in [n for n in changes if n <= needed]:
            del changes[old]

    def settle(self, update: Update) -> None:
        """Have its client learn that an update is in the server's model."""
        super().settle(update)
        self._in_model[update.client].append(update.round)

    def drop(self, update: Update) -> None:
        """Have its client learn that an update will never be aggregated."""
        super().drop(update)
        self._dropped[update.client].append(update.round)

    def receive(self, client: int, versions: Mapping[int, int]) -> None:
        """Note what a client has; what it was not sent is its own update, brought in."""
        sent = self._sent.get(client, {})
        for item, version in versions.items():
            if sent.pop(item, None) != version:
                self._own[client].append([item, version, version])
        super().receive(client, versions)


def check_can_be_trained(learner: TorchLearner) -> None:
    """Refuse what agents do not train yet.

    Raises
    ------
    ScenarioError
        Naming it.
    """
    setup = learner.setup
    name, method = setup.method.name, setup.scenario.method
    reason = ""
    if setup.method.trains is Trains.STACKED_LORA:
        reason = "its stacks are merged by every client"
    elif not setup.traits.rounds_numbered:
        reason = "it has no rounds"
    elif setup.ranks_blocks:
        reason = "blocks.schedule: gradient needs a pass of everyone before the first round"
    elif getattr(method, "download_fraction", 1.0) < 1:
        reason = "method.download_fraction: below 1, clients may lack what their own update is added to"
    elif learner.settings.weights == "nf4":
        reason = "train.weights: nf4"
    if reason:
        raise ScenarioError(f"{name} is not trained live: {reason}; with --dry, it runs without training")
