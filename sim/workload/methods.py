"""The registry of methods: a method is a protocol x what is trained (and therefore sent).

A new method is one `register` call where it recombines what is there, or one short file with a protocol of
its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from parasim_core.sim.engine.shape import Shape, Traits
from parasim_core.sim.errors import ScenarioError, nearest, shown
from parasim_core.sim.protocols.buffered import Asynchronous, Buffered
from parasim_core.sim.protocols.cyclic import Cyclic
from parasim_core.sim.protocols.overlapped import Overlapped
from parasim_core.sim.protocols.overlapped_async import OverlappedAsync
from parasim_core.sim.protocols.synchronous import Synchronous
from parasim_core.sim.workload.own_code import import_own_code, offered


class Sends(Protocol):
    """What a method sends where that is not what it trains: any object that says its bytes on the wire."""

    def bytes_up(self, scenario: Any, architecture: Any) -> float:
        """Size of a client's update [B]; of the scenario and its model, which is None where none is named."""

    def bytes_down(self, scenario: Any, architecture: Any) -> float:
        """Size of what the server sends a client [B]."""


class Trains(StrEnum):
    """What a local update changes, and, unless the method says otherwise, a message holds."""

    BLOCK = "block"
    LORA = "lora"
    LORA_B = "lora-b"
    STACKED_LORA = "stacked-lora"
    EVERYTHING = "everything"


@dataclass(frozen=True)
class Method:
    """One federated method.

    Attributes
    ----------
    name : str
        As written in scenarios.
    shape : type of Shape
        The protocol: who computes, sends and waits when.
    trains : Trains
        What is trained and sent.
    summary : str
        One line for `paraSim list methods`.
    sends : Sends or None
        What messages weigh; None if they hold what is trained. Such a method is simulated and not trained.

    Raises
    ------
    ScenarioError
        If it trains what nobody knows the seconds or the memory of, or sends what does not say its bytes.
    """

    name: str
    shape: type[Shape[Any]]
    trains: Trains
    summary: str
    sends: Sends | None = None

    def __post_init__(self) -> None:
        # Whoever asks what is trained compares with these members: anything else would pass for the last of them.
        try:
            object.__setattr__(self, "trains", Trains(self.trains))
        except ValueError:
            known = nearest(str(self.trains), [kind.value for kind in Trains])
            raise ScenarioError(f"method {self.name!r}: trains is {shown(self.trains)}; {known}") from None
        if self.sends is not None and not all(callable(getattr(self.sends, name, None)) for name in _SAYS):
            raise ScenarioError(f"method {self.name!r}: sends is {shown(self.sends)}; it needs {' and '.join(_SAYS)}")


_SAYS = ("bytes_up", "bytes_down")
"""What an object that is sent is asked."""


METHODS: dict[str, Method] = {}


def register(method: Method) -> Method:
    """Add a method, so that scenarios can name it.

    Raises
    ------
    ScenarioError
        If it is no `Method`, its name is taken or empty, or the shape is none.
    """
    # What only looks like one was not held against what can be trained.
    if not isinstance(method, Method):
        raise ScenarioError(f"only a Method can be registered, not {shown(method)}")
    if not method.name or not isinstance(getattr(method.shape, "traits", None), Traits):
        raise ScenarioError(f"a method needs a name and a shape's class, not {method.name!r} and {method.shape!r}")
    if method.name in METHODS:
        raise ScenarioError(f"a method named {method.name!r} is already registered")
    METHODS[method.name] = method
    return method


def is_known(name: str) -> bool:
    """Tell whether a method is registered; one that an installed package offers is registered then."""
    if name not in METHODS:
        register_offered()
    return name in METHODS


def register_offered() -> None:
    """Register the methods that installed packages offer as entry points of the group `parasim.methods`."""
    for one in offered():
        if isinstance(one, Method) and METHODS.get(one.name) is not one:
            register(one)


def with_parameter(field: str) -> list[str]:
    """Name the methods that can be told something under `method:`; all of them for its name."""
    return [name for name, method in METHODS.items() if field in method.shape.Params.model_fields]


for _method in (
    Method("parablock", Overlapped, Trains.BLOCK, "sends the previous round's block while it trains the next one"),
    Method("fedbcd", Synchronous, Trains.BLOCK, "one block per round for all: download, train, upload, mean"),
    Method("fedit", Synchronous, Trains.LORA, "LoRA in FedAvg: A and B go up and down"),
    Method("ffa-lora", Synchronous, Trains.LORA_B, "LoRA with A frozen: only B is trained and sent"),
    Method("flora", Synchronous, Trains.STACKED_LORA, "LoRA stacked by the server, merged by every client"),
    Method("fedcybgd", Cyclic, Trains.BLOCK, "clients take turns, each training a block of its own"),
    Method("full-ft", Synchronous, Trains.EVERYTHING, "FedAvg on all weights"),
    Method("fedbuff", Buffered, Trains.EVERYTHING, "clients at their own pace; every few updates are aggregated"),
    Method("fedasync", Asynchronous, Trains.EVERYTHING, "FedBuff that aggregates every update by itself"),
    Method("parablock-async", OverlappedAsync, Trains.BLOCK, "ParaBlock at each client's own pace, a buffer per block"),
    Method("overlapped-lora", Overlapped, Trains.LORA, "ParaBlock's overlap with FedIT's adapters"),
):
    register(_method)

# Last, as it registers methods; here, so that every process that knows methods knows these.
import_own_code()
