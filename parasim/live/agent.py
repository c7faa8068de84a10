"""An agent: one client on a machine, which computes, sends and takes what a conductor asks for.

It never executes what it is sent: that is JSON, and safetensors that have to have the shapes of its own model. It
trains models and data that its own configuration lists, and writes below its own folder.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from parasim.live.pacing import Bucket, Pace
from parasim.live.wire import LARGEST_MESSAGE, LiveError, Secrets, Service, cut, serve, whole, zeros
from parasim_core.sim.network.capacity import Course, Varying
from parasim_core.sim.scenario.reading import FILE_FIELDS

_THREADS = 8
_LONGEST_SLEEP = 86_400.0


class Trainee(Protocol):
    """What computes updates for an agent.

    Attributes
    ----------
    largest : int
        Bytes of the largest message that it may be sent [B].
    """

    largest: int

    def train(self, told: dict[str, Any]) -> dict[str, Any]:
        """Compute the update that a command describes; what is answered."""

    def message(self, told: dict[str, Any]) -> bytes:
        """Bytes of an update that has been computed."""

    def take(self, header: dict[str, Any], data: bytes) -> None:
        """Take in what was sent: versions of the server's items, or the base."""


@dataclass(frozen=True)
class Allowed:
    """What an agent trains.

    Attributes
    ----------
    models, data : tuple of str
        Values of `model` and `train.data.source` that it takes on.
    """

    models: tuple[str, ...] = ()
    data: tuple[str, ...] = ()

    def check(self, scenario: dict[str, Any]) -> None:
        """Refuse a scenario of another model or other data, or that names a file to be read.

        What is wrong with a file's content would tell a conductor some of it.

        Raises
        ------
        LiveError
            Naming what is not listed.
        """
        train = scenario.get("train")
        data = (train.get("data") if isinstance(train, dict) else None) or {}
        source = data.get("source", "word-problems") if isinstance(data, dict) else data
        held_out = data.get("held_out") if isinstance(data, dict) else None
        for what, value, option, listed in (
            ("model", scenario.get("model", "demo"), "--model", self.models),
            ("train.data.source", source, "--data", self.data),
            *([("train.data.held_out", held_out, "--data", self.data)] if held_out is not None else ()),
        ):
            if not isinstance(value, str) or value not in listed:
                raise LiveError(
                    f"{what}: {str(value)[:80]!r} is not among those that this agent trains; see its {option}"
                )
        if (field := _names_file(scenario)) is not None:
            raise LiveError(f"{field}: an agent reads no file that a scenario names")


def _names_file(scenario: dict[str, Any]) -> str | None:
    """Find a field of a scenario that names a file, however deep."""
    nodes: list[Any] = [scenario]
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            if found := [field for field in FILE_FIELDS if field in node]:
                return found[0]
            nodes.extend(node.values())
        elif isinstance(node, list):
            nodes.extend(node)
    return None


class Agent:
    """What an agent does when it is called.

    Parameters
    ----------
    allowed : Allowed
        What it trains.
    trainee : callable
        Makes what computes for a client, given its number and the scenario; raises what is wrong with it.
    say : callable
        Told in words what happens.
    """

    def __init__(self, allowed: Allowed, trainee: Callable[[int, dict[str, Any]], Trainee], say: Callable[[str], None]):
        self._allowed = allowed
        self._make = trainee
        self._say = say
        self._trainee: Trainee | None = None
        self._dry = True
        # What tells this process from one that was started anew.
        self._instance = secrets.token_hex(8)
        # What was done already, should somebody ask again whose connection was cut.
        self._answers: dict[int, dict[str, Any]] = {}
        self._taken: set[int] = set()
        self._zero = time.monotonic()
        self._uplink = Bucket(float("inf"))
        # One computation at a time; messages go on meanwhile.
        self._computing = threading.Lock()
        self.over = threading.Event()

    def service(self) -> Service:
        """What `wire.serve` asks for."""
        return Service(self.command, self.upload, self.download)

    def command(self, told: dict[str, Any]) -> dict[str, Any]:
        """Do what a command says."""
        match told.get("do"):
            case "hello":
                return self._hello(told)
            case "clock":
                return {"time": time.monotonic(), "instance": self._instance}
            case "start":
                self._zero = time.monotonic() - float(whole(told, "elapsed", (float, int)))
                return {}
            case "train":
                with self._computing:
                    round = whole(told, "round")
                    if round not in self._answers:
                        self._answers[round] = self._rest(told) if self._dry else self._learns().train(told)
                    return self._answers[round]
            case "end":
                self.over.set()
                return {}
            case other:
                raise LiveError(f"do: {str(other)[:40]!r} is nothing that an agent does")

    def upload(self, told: dict[str, Any]) -> Iterator[bytes]:
        """Send an update that was computed."""
        size = whole(told, "bytes")
        if not 0 <= size <= LARGEST_MESSAGE:
            raise LiveError(f"bytes: is {size}; at most {LARGEST_MESSAGE:,} are sent")
        if "round" not in told:
            return
        pace = Pace([self._uplink], self._elapsed)
        for piece in zeros(size, pace.piece) if self._dry else cut(self._learns().message(told), pace.piece):
            pace.wait(len(piece))
            yield piece

    def download(self, header: dict[str, Any], pieces: Iterator[bytes]) -> dict[str, Any]:
        """Take in a message."""
        if self._dry or not header["bytes"]:
            for _ in pieces:
                pass
            return {}
        trainee = self._learns()
        if header["bytes"] > trainee.largest:
            raise LiveError(f"bytes: is {header['bytes']:,}; of this model, at most {trainee.largest:,} are taken")
        data = b"".join(pieces)
        if (number := header.get("number")) not in self._taken:
            trainee.take(header, data)
            if number is not None:
                self._taken.add(number)
        return {}

    def _hello(self, told: dict[str, Any]) -> dict[str, Any]:
        from parasim import __version__

        client, scenario = whole(told, "client"), whole(told, "scenario", (dict,))
        dry = whole(told, "dry", (bool,))
        with self._computing:
            if not dry:
                self._allowed.check(scenario)
            self._trainee = None if dry else self._make(client, scenario)
            self._dry = dry
            self._answers, self._taken = {}, set()
            self._uplink = Bucket(capacity_of(told.get("uplink")), self._elapsed)
        self._say(f"client {client}: {'sleeps and sends zeros' if dry else 'trains'} for a conductor")
        return {"parasim": __version__, "instance": self._instance}

    def _elapsed(self) -> float:
        return time.monotonic() - self._zero

    def _learns(self) -> Trainee:
        if self._trainee is None:
            raise LiveError("nothing is trained here yet: a conductor says hello first")
        return self._trainee

    def _rest(self, told: dict[str, Any]) -> dict[str, Any]:
        seconds = float(whole(told, "seconds", (float, int)))
        if not 0 <= seconds <= _LONGEST_SLEEP:
            raise LiveError(f"seconds: is {seconds:g}; at most {_LONGEST_SLEEP:g}")
        time.sleep(seconds)
        return {}


def course_of(capacity: float | Varying) -> dict[str, Any] | None:
    """Describe what a link can carry, for JSON; None if it is not limited."""
    if isinstance(capacity, Varying):
        course = capacity.course
        return {
            "times": list(course.times),
            "rates": list(course.rates),
            "period": course.period,
            "start": capacity.start,
            "scale": capacity.scale,
        }
    return None if capacity == float("inf") else {"times": [0.0], "rates": [capacity], "period": None}


def capacity_of(told: Any) -> float | Varying:
    """Read what `course_of` wrote.

    Raises
    ------
    LiveError
        If it is something else.
    """
    if told is None:
        return float("inf")
    try:
        varying = Varying(
            Course(told["times"], told["rates"], told["period"]), told.get("start", 0.0), told.get("scale", 1.0)
        )
    except Exception as error:  # whatever a stranger sends
        raise LiveError(f"uplink: {' '.join(str(error).split())[:80]}") from None
    return varying if len(varying.course.times) > 1 else varying.rate(0.0)


def listen(address: str, secrets: Secrets, agent: Agent, say: Callable[[str], None]) -> tuple[Any, int]:
    """Begin to serve an agent at an address; return the server, to be stopped, and its port."""
    return serve(agent.service(), address, secrets, ThreadPoolExecutor(_THREADS), say)
