"""What messages weigh: a block, LoRA's A and B, B alone, a stack of adapters, the whole model; compressed or not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from parasim_core.sim.engine.learner import Update
from parasim_core.sim.errors import ScenarioError, shown
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.sections import Compression
from parasim_core.sim.workload.architecture import Architecture
from parasim_core.sim.workload.blocks import Block, lora_parameters
from parasim_core.sim.workload.methods import Method, Trains


def kept_values(fraction: float, values: float) -> float:
    """Number of values that top-k compression keeps: the nearest whole number, at least one."""
    return max(1.0, float(round(fraction * values)))


def message_bytes(parameters: float, bytes_per_parameter: float, compression: Compression) -> float:
    """Size of a message that holds `parameters` values.

    Parameters
    ----------
    parameters : float
        Number of values before compression.
    bytes_per_parameter : float
        Size of one uncompressed value [B].
    compression : Compression
        Top-k pays for each kept value and its index, quantization for its bits and the scale of each group.

    Returns
    -------
    float
        Size [B]; a whole number if anything is compressed.
    """
    if compression.top_k is None and compression.bits is None:
        return parameters * bytes_per_parameter
    values, indices = parameters, 0.0
    if compression.top_k is not None:
        values = kept_values(compression.top_k, parameters)
        indices = values * compression.index_bytes
    if compression.bits is None:
        return math.ceil(values * bytes_per_parameter + indices)
    scales = math.ceil(values / compression.group_size) * compression.scale_bytes
    return math.ceil(values * compression.bits / 8 + scales + indices)


@dataclass(frozen=True)
class Payload:
    """Sizes of a method's messages, and which of the server's items each round renews.

    Attributes
    ----------
    parameters_up : sequence of float
        Values in one client's update: one entry per block, or a single one.
    parameters_down : sequence of float
        Values in one aggregate, likewise; of one client's share for a stack.
    stacked : sequence of int or None
        For stacked adapters, the number of clients whose adapters each round's stack holds; a list where that may
        change.
    bytes_per_parameter : float
        Size of an uncompressed value on the wire [B].
    up, down : Compression
        What is left out in each direction.
    """

    parameters_up: Sequence[float]
    parameters_down: Sequence[float]
    stacked: Sequence[int] | None
    bytes_per_parameter: float
    up: Compression
    down: Compression

    def of_a_run(self) -> Payload:
        """Copy it for a run in which it is only known when a stack is made how many clients' adapters it holds."""
        return replace(self, stacked=[*self.stacked]) if isinstance(self.stacked, list) else self

    def holds(self, item: int, clients: int) -> None:
        """Learn that a stack holds so many clients' adapters, unless its size is given."""
        if isinstance(self.stacked, list):
            self.stacked[item] = clients

    def upload(self, update: Update) -> float:
        """Size of one client's update [B]."""
        return message_bytes(_entry(self.parameters_up, update.block or 0), self.bytes_per_parameter, self.up)

    def together(self, update: Update, clients: int) -> float:
        """Size of what stands for so many updates [B]: their mean, as large as one of them, or a stack of them all."""
        return self.upload(update) * (1 if self.stacked is None else clients)

    def download(self, item: int, changes: int = 1) -> float:
        """Size of the current version of an item for a client that misses its last `changes` [B].

        These are sent one after the other, each compressed as it was for everyone, or, where that is less, the item as
        a whole and uncompressed: either way, the client then has what the server has.
        """
        parameters = _entry(self.parameters_down, item) * (self.stacked[item] if self.stacked else 1)
        change = message_bytes(parameters, self.bytes_per_parameter, self.down)
        return change if changes == 1 else min(changes * change, parameters * self.bytes_per_parameter)

    def item(self, round: int, block: int | None) -> int:
        """Item that a round renews: its block; the one adapter or model; or, as merged stacks add up, itself."""
        if self.stacked is not None:
            return round
        return block or 0


def _entry(parameters: Sequence[float], item: int) -> float:
    return parameters[item if len(parameters) > 1 else 0]


def payload(
    scenario: Scenario,
    method: Method,
    architecture: Architecture | None,
    blocks: Sequence[Block] | None,
    participants: Sequence[int],
) -> Payload:
    """Work out the message sizes of a scenario.

    Parameters
    ----------
    scenario : Scenario
        Its `wire` and, if given, its `payload`.
    method : Method
        What it trains, and what it sends if that is something else.
    architecture : Architecture or None
        The model; not needed if the scenario gives a payload.
    blocks : sequence of Block or None
        The model's blocks, likewise.
    participants : sequence of int
        Number of participants of each round.

    Raises
    ------
    ScenarioError
        If the model is needed and missing, or what is sent does not say its bytes.
    """
    wire, trains = scenario.wire, method.trains
    if method.sends is not None and scenario.payload is None:
        ways = ("bytes_up", "bytes_down")
        own_up, own_down = ([_own_bytes(method, way, scenario, architecture)] for way in ways)
        return Payload(own_up, own_down, None, 1.0, Compression(), Compression())
    stacked: Sequence[int] | None = [*participants] if trains is Trains.STACKED_LORA else None
    if scenario.payload is not None:
        up = [scenario.payload.upload / wire.bytes_per_parameter]
        down = [scenario.payload.down / wire.bytes_per_parameter]
        if scenario.payload.download is not None:
            # A stack whose size is given is not multiplied again.
            stacked = None if stacked is None else (1,) * len(participants)
    else:
        if architecture is None:
            raise ScenarioError("model: needed, because payload is not given")
        up = down = _parameters(scenario, trains, architecture, blocks or ())
    return Payload(up, down, stacked, wire.bytes_per_parameter, wire.upload, wire.download)


def _own_bytes(method: Method, which: str, scenario: Scenario, architecture: Architecture | None) -> float:
    """Ask an object that is sent for its size [B]."""
    size = getattr(method.sends, which)(scenario, architecture)
    if isinstance(size, bool) or not isinstance(size, int | float) or not 0 <= size < math.inf:
        raise ScenarioError(f"method {method.name!r}: {which} of what it sends is {shown(size)}, not a number of bytes")
    return float(size)


def _parameters(scenario: Scenario, trains: Trains, architecture: Architecture, blocks: Sequence[Block]) -> list[float]:
    if trains is Trains.BLOCK:
        return [block.parameters for block in blocks]
    if trains is Trains.EVERYTHING:
        return [architecture.parameters]
    a, b = lora_parameters(architecture, scenario.lora.rank, scenario.lora.targets)
    return [b if trains is Trains.LORA_B else a + b]
