"""The registry of methods: a method is a protocol x what is trained (and therefore sent).

A new method is one `register` call where it recombines what is there, or one short file with a protocol of
its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from parasim.core.sim.engine.shape import Shape, Traits
from parasim.core.sim.errors import ScenarioError, nearest, shown
from parasim.core.sim.protocols.buffered import Asynchronous, Buffered
from parasim.core.sim.protocols.cyclic import Cyclic
from parasim.core.sim.protocols.overlapped import Overlapped
from parasim.core.sim.protocols.overlapped_async import OverlappedAsync
from parasim.core.sim.protocols.synchronous import Synchronous


class Trains(StrEnum):
    """What a local update changes and a message holds."""

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

    Raises
    ------
    ScenarioError
        If it trains what nobody knows the size, the seconds or the memory of.
    """

    name: str
    shape: type[Shape[Any]]
    trains: Trains
    summary: str

    def __post_init__(self) -> None:
        # Whoever asks what is trained compares with these members: anything else would pass for the last of them.
        try:
            object.__setattr__(self, "trains", Trains(self.trains))
        except ValueError:
            known = nearest(str(self.trains), [kind.value for kind in Trains])
            raise ScenarioError(f"method {self.name!r}: trains is {shown(self.trains)}; {known}") from None


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
