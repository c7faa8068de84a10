"""What learns in an agent: `paraSim train`'s own code, for one client."""

from __future__ import annotations

import threading
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from parasim.live.wire import LiveError, whole
from parasim_core.sim.engine.learner import Update
from parasim_core.sim.scenario.reading import load
from parasim_core.train.federated.learner import TorchLearner
from parasim_core.train.federated.versions import BASE
from parasim_core.train.models.blocks import Values
from parasim_core.train.runs.run import build_learner
from parasim_core.train.runs.settings import TrainSettings
from parasim_core.train.runs.workbench import build
from parasim_core.train.update.encoding import EncodedMessages, decode


class TorchTrainee:
    """One client that trains.

    Parameters
    ----------
    client : int
        Its number.
    scenario : mapping
        What is trained.
    """

    def __init__(self, client: int, scenario: dict[str, Any]):
        self._client = client
        self._scenario = load(scenario)
        self._settings = TrainSettings.parse(self._scenario.train)
        self._bench = build(self._scenario, self._settings)
        parameters = sum(parameter.numel() for parameter in self._bench.model.parameters())
        # Every change of everything, and their headers.
        self.largest = 4 * parameters * (self._scenario.rounds + 1) + (1 << 20)
        self._learner: TorchLearner | None = None
        self._updates: dict[int, Update] = {}
        # What came in and is taken in before the next update: a computation in progress must not see it.
        self._inbox: list[tuple[dict[str, Any], bytes]] = []
        self._lock = threading.Lock()

    def take(self, header: dict[str, Any], data: bytes) -> None:
        """Take in versions of the server's items, or the base that all begin with."""
        if header.get("what") == "base":
            self._begin_with(data)
            return
        with self._lock:
            self._inbox.append((header, data))

    def train(self, told: dict[str, Any]) -> dict[str, Any]:
        """Compute an update, from what the client knows by then."""
        learner, client, round = self._ready(), self._client, whole(told, "round")
        block = None if told.get("block") is None else whole(told, "block")
        for item, round_of, version in whole(told, "own", (list,)):
            self._has_its_own(item, round_of, version)
        for done in whole(told, "aggregated", (list,)):
            learner.settle(self._done_with(done))
        for done in whole(told, "dropped", (list,)):
            learner.drop(self._done_with(done))
        with self._lock:
            inbox, self._inbox = self._inbox, []
        for header, data in inbox:
            self._take_in(header, data)
        learner.clients[client].known = dict(whole(told, "known", (list,)))
        self._updates[round] = learner.train(client, round, block).redeem()
        trace = learner.traces[client, round]
        return {"seconds": trace.measured, "loss": trace.loss, "examples": float(learner.task.examples[client])}

    def message(self, told: dict[str, Any]) -> bytes:
        """Bytes of an update that was computed."""
        key = whole(told, "item"), whole(told, "round")
        if key not in self._messages().uploads:
            raise LiveError(f"there is no update of item {key[0]} and round {key[1]} to send")
        return self._messages().uploads[key]

    def _messages(self) -> EncodedMessages:
        messages = self._ready().messages
        assert isinstance(messages, EncodedMessages)
        return messages

    def _done_with(self, round: int) -> Update:
        """Take out an update that need not be sent any more."""
        update = self._updates.pop(round)
        self._messages().uploads.pop((self._ready().trained.item(update.block), round), None)
        return update

    def _has_its_own(self, item: int, round: int, version: int) -> None:
        """Have a version that is its own update, brought in by the server: it needs no download."""
        learner, sent = self._ready(), self._updates[round].content
        values = learner.versions.get(item, learner.clients[self._client].known.get(item, BASE))
        assert isinstance(sent, dict)
        rate = learner.settings.global_learning_rate
        self._renew(item, version, {name: value + rate * sent[name] for name, value in values.items()})

    def _renew(self, item: int, version: int, values: Values) -> None:
        versions = self._ready().versions
        # Who takes turns may go back to the base.
        base = {BASE: versions.get(item, BASE)} if self._ready().setup.traits.takes_turns else {}
        versions.values[item] = {**base, version: values}
        self._ready().receive(self._client, {item: version})

    def _begin_with(self, data: bytes) -> None:
        """Put the base into the model."""
        parameters = dict(self._bench.model.named_parameters())
        try:
            values = load_tensors(data)
        except SafetensorError as error:
            raise LiveError(f"the base cannot be read: {error}") from None
        shapes = {name: (value.shape, value.dtype) for name, value in values.items()}
        if shapes != {name: (value.shape, value.dtype) for name, value in parameters.items()}:
            raise LiveError("the base is of another model than this agent has")
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(values[name])
        self._learner = None

    def _ready(self) -> TorchLearner:
        if self._learner is None:
            learner, _ = build_learner(
                self._scenario, self._settings, self._bench, None, None, lambda trace, sent: None
            )
            learner.messages = EncodedMessages.of(learner.messages)
            self._learner = learner
        return self._learner

    def _take_in(self, header: dict[str, Any], data: bytes) -> None:
        """Have new versions of items: the changes since a version that is known, one after the other."""
        learner, at = self._ready(), 0
        messages, versions = learner.messages, learner.versions
        for item, since, changes in whole(header, "items", (list,)):
            values = versions.get(item, since)
            for _, size in changes:
                change = decode(data[at : at + size], values, messages.download, messages.precision)
                at += size
                rate = learner.settings.global_learning_rate
                values = {name: value + rate * change[name] for name, value in values.items()}
            self._renew(item, changes[-1][0], values)
