"""What is noted whenever a round has been aggregated."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from parasim_core.sim.engine.timeline import Kind
from parasim_core.train.runs.recorder import Recorder
from parasim_core.train.runs.settings import TrainSettings
from tests.train.tiny import RandomTokens, tiny_model


class Message:
    """A span of a client that counts how often its size is read."""

    client = 0

    def __init__(self, kind: Kind, size: float):
        self.kind, self.read, self._size = kind, 0, size

    @property
    def size(self) -> float:
        self.read += 1
        return self._size


def test_bytes_add_up_though_every_span_is_read_once():
    rounds = 6
    learner: Any = SimpleNamespace(
        replayed_until=-1,
        losses={round: [(1.0, 1.0)] for round in range(rounds)},
        setup=SimpleNamespace(
            scenario=SimpleNamespace(rounds=rounds + 1), method=SimpleNamespace(name="fedbcd"), staleness=0
        ),
        settings=TrainSettings.parse({"checkpoint_every": rounds + 1}),
        versions=SimpleNamespace(show_newest=lambda: None),
        task=RandomTokens(1),
        model=tiny_model(),
    )
    recorder = Recorder(learner, None, lambda rows: None)
    world: Any = SimpleNamespace(env=SimpleNamespace(now=0.0), timeline=SimpleNamespace(spans=[]))
    for round in range(rounds):
        world.timeline.spans += [Message(Kind.UPLOAD, 3.0), Message(Kind.DOWNLOAD, 2.0), Message(Kind.COMPUTE, 0.0)]
        recorder(world, round)
    assert [row["uploaded_bytes"] for row in recorder.metrics] == [3 * (round + 1) for round in range(rounds)]
    assert [row["downloaded_bytes"] for row in recorder.metrics] == [2 * (round + 1) for round in range(rounds)]
    assert {span.read for span in world.timeline.spans} == {1}
