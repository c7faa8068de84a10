"""The conductor's end of one agent: what it is told to do goes on in threads, and completes events of the clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from time import monotonic, sleep
from typing import Any, TypeVar

from parasim.live.agent import course_of
from parasim.live.pacing import Bucket, Pace
from parasim.live.wall_clock import WallClock
from parasim.live.wire import Caller, LiveError, LostError, cut, zeros
from parasim_core.sim.network.capacity import Varying

A = TypeVar("A")
_PINGS = 8
LONGEST_LOST = 120.0
"""An agent that does not come back in this time is lost for good [s]."""
_BETWEEN_TRIES = 0.5
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


@dataclass(frozen=True)
class Beginning:
    """What an agent is told at first.

    Attributes
    ----------
    scenario : dict
        The scenario.
    uplink : float or Varying
        What it keeps to when it sends [B/s].
    dry : bool
        Whether it only sleeps.
    base : bytes or None
        What all begin with, if that is not the model as it is loaded.
    """

    scenario: dict[str, Any]
    uplink: float | Varying
    dry: bool
    base: bytes | None


class AgentLink:
    """One agent, which may be lost and come back.

    Whatever it is told is told again where the connection was cut. An agent that was started anew is told all that its
    predecessor was, in the same order: it computes the same updates, and knows the same, to the bit.

    Parameters
    ----------
    client : int
        Whose agent it is.
    call : callable
        Opens connections to an address.
    address : str
        HOST:PORT.
    revive : callable or None
        Starts it anew if it is dead, and gives its new address; None if it is somebody else's to start.
    clock : WallClock
        The run's clock.
    patience : float
        Longest time that anything may take [s].

    Attributes
    ----------
    lost : int
        How often it, or a connection to it, was lost.
    """

    def __init__(
        self,
        client: int,
        call: Callable[[str], Caller],
        address: str,
        revive: Callable[[], str | None] | None,
        clock: WallClock,
        patience: float,
    ):
        self.client = client
        self._call = call
        self._caller = call(address)
        self._revive = revive
        self._clock = clock
        self._patience = patience
        # It computes, sends and takes at once, and each of them one after the other.
        self._threads = ThreadPoolExecutor(4, thread_name_prefix=f"agent-{client}")
        self.readings: list[Reading] = []
        self._beginning: Beginning | None = None
        self._instance = ""
        # What it has begun to compute and taken so far, in this order.
        self._past: list[dict[str, Any] | tuple[dict[str, Any], Sequence[bytes]]] = []
        self._numbers = count()
        self._mending = threading.Lock()
        self.lost = 0

    def hello(self, beginning: Beginning) -> None:
        """Have it prepare for a run; raises what is wrong between the two."""
        self._beginning = beginning
        self._surely(self._introduce)
        self._surely(self._warm_up)
        self._surely(self.read_clock)

    def _warm_up(self) -> None:
        """Send nothing in both directions: what is done for the first time takes longer."""
        nothing = {"bytes": 0}
        list(self._caller.upload(nothing, self._patience))
        self._caller.download(nothing, iter(()), self._patience)

    def _introduce(self) -> None:
        from parasim import __version__

        beginning = self._beginning
        assert beginning is not None
        self._caller.connect(min(self._patience, _TO_CONNECT))
        told = self._caller.command(
            "hello",
            self._patience,
            client=self.client,
            scenario=beginning.scenario,
            dry=beginning.dry,
            uplink=course_of(beginning.uplink),
        )
        if told.get("parasim") != __version__:
            raise LiveError(f"agent of {self._caller.name}: has paraSim {told.get('parasim')}, this is {__version__}")
        self._instance = str(told["instance"])
        if (base := beginning.base) is not None:
            self._send({"what": "base"}, [base])

    def _send(self, header: dict[str, Any], parts: Sequence[bytes]) -> None:
        """Send something as fast as can be: it is no message of the protocol."""
        data = b"".join(parts)
        self._caller.download({**header, "bytes": len(data)}, cut(data, lambda: 1 << 18), self._patience)

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

    def start(self) -> None:
        """Tell it that the run's clock has started."""
        self._surely(self._tell_the_time)

    def _tell_the_time(self) -> None:
        self._caller.command("start", self._patience, elapsed=self._clock.elapsed())

    def train(self, told: dict[str, Any], done: Callable[[dict[str, Any]], None]) -> None:
        """Have it compute an update; `done` is given its answer."""
        # From now on: what is taken while it computes is for the next one.
        self._past.append(told)
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
        self,
        header: dict[str, Any],
        parts: Sequence[bytes] | int,
        buckets: Sequence[Bucket],
        done: Callable[[int], None],
    ) -> None:
        """Send it something: bytes, or so many that say nothing; `done` is given their number."""
        data = b"" if isinstance(parts, int) else b"".join(parts)
        size = parts if isinstance(parts, int) else len(data)
        # It is taken once, however often it is sent.
        numbered = {**header, "number": next(self._numbers)}

        def sent() -> int:
            pace = Pace(buckets, self._clock.elapsed)

            def paced() -> Iterator[bytes]:
                for piece in zeros(size, pace.piece) if isinstance(parts, int) else cut(data, pace.piece):
                    pace.wait(len(piece))
                    yield piece

            self._caller.download({**numbered, "bytes": size}, paced(), self._patience)
            if not isinstance(parts, int):
                self._past.append((numbered, parts))
            return size

        self._go("take what it fetches", sent, done)

    def look_at_the_clock(self) -> None:
        """Compare clocks once more, at the end."""
        self._surely(self.read_clock)

    def end(self) -> None:
        """Close the connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._caller.close()

    def _go(self, what: str, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Do something in a thread; what comes of it happens on the clock."""
        post = self._clock.awaits(f"client {self.client} to {what}")

        def worked() -> None:
            try:
                answer = self._surely(work)
            except BaseException as error:
                # Raised where the run goes on.
                failed = error
                post(lambda: _raise(failed))
                return
            post(lambda: done(answer))

        self._threads.submit(worked)

    def _surely(self, work: Callable[[], Any]) -> Any:
        """Do something, and do it again when the agent was lost over it and is back."""
        since = monotonic()
        while True:
            lost = self.lost
            try:
                return work()
            except LostError:
                self._mend(lost, since + min(self._patience, LONGEST_LOST))

    def _mend(self, lost: int, until: float) -> None:
        """Get an agent back that was lost, unless another thread has since.

        Raises
        ------
        LostError
            If it does not come back in time.
        """
        with self._mending:
            while self.lost == lost:
                try:
                    self._get_back()
                    self.lost += 1
                except LostError:
                    if monotonic() > until:
                        raise
                    sleep(_BETWEEN_TRIES)

    def _get_back(self) -> None:
        address = None if self._revive is None else self._revive()
        if address is not None:
            self._caller.close()
            self._caller = self._call(address)
        self._caller.connect(_TO_CONNECT)
        if self._caller.command("clock", self._patience)["instance"] == self._instance:
            return
        self._introduce()
        for past in list(self._past):
            if not isinstance(past, dict):
                self._send(*past)
            elif self._beginning is not None and not self._beginning.dry:
                self._caller.command("train", self._patience, **past)
        self._tell_the_time()


def _raise(error: BaseException) -> None:
    raise error
