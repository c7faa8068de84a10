"""The conductor's end of one agent: what it is told to do goes on in threads, and completes events of the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

from parasim.live.agent import course_of
from parasim.live.pacing import Bucket, Pace
from parasim.live.wall_clock import WallClock
from parasim.live.wire import Caller, LiveError, cut, zeros
from parasim_core.sim.network.capacity import Varying

A = TypeVar("A")
_PINGS = 8
_TO_CONNECT = 20.0
"""Longest that reaching an agent may take [s]."""


@dataclass(frozen=True)
class Reading:
    """An agent's clock beside the conductor's.

    Attributes
    ----------
    at : float
        Conductor's clock, in the middle of the shortest of a few questions [s].
    offset : float
        How far the agent's clock is ahead [s].
    round_trip : float
        Of that question [s]: half of it is the most that the offset can be wrong.
    """

    at: float
    offset: float
    round_trip: float


class AgentLink:
    """One agent.

    Parameters
    ----------
    client : int
        Whose agent it is.
    caller : Caller
        The connections to it.
    clock : WallClock
        The run's clock.
    patience : float
        Longest time that anything may take [s].
    """

    def __init__(self, client: int, caller: Caller, clock: WallClock, patience: float):
        self.client = client
        self._caller = caller
        self._clock = clock
        self._patience = patience
        # It computes, sends and takes at once, and each of them one after the other.
        self._threads = ThreadPoolExecutor(4, thread_name_prefix=f"agent-{client}")
        self.readings: list[Reading] = []

    def hello(self, scenario: dict[str, Any], uplink: float | Varying, *, dry: bool) -> None:
        """Have it prepare for a run; raises what is wrong between the two."""
        from parasim import __version__

        self._caller.connect(min(self._patience, _TO_CONNECT))
        told = self._caller.command(
            "hello", self._patience, client=self.client, scenario=scenario, dry=dry, uplink=course_of(uplink)
        )
        if told.get("parasim") != __version__:
            raise LiveError(f"agent of {self._caller.name}: has paraSim {told.get('parasim')}, this is {__version__}")
        # What is done for the first time takes longer.
        nothing = {"bytes": 0}
        list(self._caller.upload(nothing, self._patience))
        self._caller.download(nothing, iter(()), self._patience)
        self.read_clock()

    def read_clock(self) -> None:
        """Compare clocks: of a few questions, the one that was answered fastest tells most."""
        readings = []
        for _ in range(_PINGS):
            before = monotonic()
            told = float(self._caller.command("clock", self._patience)["time"])
            after = monotonic()
            readings.append(Reading((before + after) / 2, told - (before + after) / 2, after - before))
        self.readings.append(min(readings, key=lambda reading: reading.round_trip))

    def drift(self) -> float:
        """By how much its clock runs faster than the conductor's, between the first and the last reading."""
        first, last = self.readings[0], self.readings[-1]
        return (last.offset - first.offset) / (last.at - first.at) if last.at > first.at else 0.0

    def begin_with(self, base: bytes) -> None:
        """Send it the base that all begin with; nothing of the run has begun yet."""
        self._caller.download({"what": "base", "bytes": len(base)}, cut(base, lambda: 1 << 18), self._patience)

    def start(self) -> None:
        """Tell it that the run's clock has started."""
        self._caller.command("start", self._patience, elapsed=self._clock.elapsed())

    def train(self, told: dict[str, Any], done: Callable[[dict[str, Any]], None]) -> None:
        """Have it compute an update; `done` is given its answer."""
        self._go(f"train round {told['round']}", lambda: self._caller.command("train", self._patience, **told), done)

    def upload(
        self,
        told: dict[str, Any],
        most: float,
        buckets: Sequence[Bucket],
        read: Callable[[Iterator[bytes]], A],
        done: Callable[[A], None],
    ) -> None:
        """Have it send an update of so many bytes at most [B]; `done` is given what is read of it, piece by piece."""

        def pieces() -> Iterator[bytes]:
            size, pace = 0, Pace(buckets, self._clock.elapsed, comes_in=True)
            for piece in self._caller.upload(told, self._patience):
                pace.wait(len(piece))
                size += len(piece)
                if size > most:
                    raise LiveError(
                        f"agent of {self._caller.name}: sends more than the {most:,.0f} bytes of its update"
                    )
                yield piece

        self._go(f"send its update of round {told['round']}", lambda: read(pieces()), done)

    def download(
        self, header: dict[str, Any], data: bytes | int, buckets: Sequence[Bucket], done: Callable[[int], None]
    ) -> None:
        """Send it something: bytes, or so many that say nothing; `done` is given their number."""
        size = data if isinstance(data, int) else len(data)

        def sent() -> int:
            pace = Pace(buckets, self._clock.elapsed)

            def paced() -> Iterator[bytes]:
                for piece in zeros(size, pace.piece) if isinstance(data, int) else cut(data, pace.piece):
                    pace.wait(len(piece))
                    yield piece

            self._caller.download({**header, "bytes": size}, paced(), self._patience)
            return size

        self._go("take what it fetches", sent, done)

    def end(self) -> None:
        """Close the connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._caller.close()

    def _go(self, what: str, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Do something in a thread; what comes of it happens on the clock."""
        post = self._clock.awaits(f"client {self.client} to {what}")

        def worked() -> None:
            try:
                answer = work()
            except BaseException as error:
                # Raised where the run goes on.
                failed = error
                post(lambda: _raise(failed))
                return
            post(lambda: done(answer))

        self._threads.submit(worked)


def _raise(error: BaseException) -> None:
    raise error
