"""What a protocol takes for what computes: agents, which train, or only sleep as long as costs predict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from parasim.live.link import AgentLink
from parasim.live.pacing import Bucket
from parasim.live.wall_clock import WallClock
from parasim.live.wire import LiveError
from parasim_core.sim.engine.cost_learner import CostLearner
from parasim_core.sim.engine.learner import Promise, Update
from parasim_core.sim.engine.message import Fetch, Upload


class DryAgents(CostLearner):
    """Agents that sleep, and send zeros of the right size; the parameters are those of `CostLearner`."""

    def begin(self, links: Mapping[int, AgentLink], clock: WallClock) -> None:
        """Learn who the agents are."""
        self._links, self._clock = links, clock

    def train(self, client: int, round: int, block: int | None) -> Promise:  # type: ignore[override]
        """Have a client sleep."""
        update = super().train(client, round, block)
        return computed_by(
            self._links[client], self._clock, {"round": round, "seconds": update.seconds}, lambda _: update
        )

    def upload(self, message: Upload, buckets: Sequence[Bucket], done: Callable[[float], None]) -> None:
        """Have zeros come in."""
        size = whole_bytes(message.size)

        def read(pieces: Iterator[bytes]) -> float:
            got = sum(map(len, pieces))
            if got != size:
                raise LiveError(f"client {message.update.client}: {got:,} bytes came in of {size:,}")
            return message.size

        self._links[message.update.client].upload(
            {"round": message.update.round, "bytes": size}, size, buckets, read, done
        )

    def download(self, message: Fetch, buckets: Sequence[Bucket], done: Callable[[float], None]) -> None:
        """Send zeros off."""
        size = message.size
        client = message.thread.site.client
        self._links[client].download({}, whole_bytes(size), buckets, lambda _: done(size))


def whole_bytes(size: float) -> int:
    """Size of a message as it can be sent [B]."""
    return max(round(size), 1)


def computed_by(
    link: AgentLink, clock: WallClock, told: dict[str, Any], made: Callable[[dict[str, Any]], Update]
) -> Promise:
    """Promise what an agent computes, and `made` makes of its answer."""
    computed, answers = clock.event(), []

    def done(answer: dict[str, Any]) -> None:
        answers.append(answer)
        computed.succeed()

    link.train(told, done)
    return Promise(lambda: made(answers[0]), computed=computed)


Notices = defaultdict[int, list[Any]]
"""What each client is told with its next update."""


def notices() -> Notices:
    """Begin with nothing to tell."""
    return defaultdict(list)
