"""What compression leaves of a message, in both directions, as the scenario's `wire` says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from sim.scenario.sections import Compression
from sim.support.streams import stream
from train.models.blocks import Values
from train.update.compression import quantize, top_k


@dataclass
class Messages:
    """Sender and receiver of compressed updates.

    Parameters
    ----------
    upload, download : Compression
        What is left out in each direction.
    error_feedback : bool
        Whether a client adds what it left out of its last message about an item to its next one.
    stochastic : bool
        Whether quantization rounds at random, without bias, instead of to the nearest level.
    seed : int
        Seed of that rounding.
    values : bool
        Whether messages hold values that begin afresh in every round, as FLoRA's A and B do, instead of changes. Top-k
        then takes its share of each tensor by itself: A, drawn at random, would leave nothing of B, which grows from
        zero. And nothing is owed from one message to the next, whatever `error_feedback` says.
    residuals : dict of (client, item) to values
        What clients left out of their messages so far.
    """

    upload: Compression
    download: Compression
    error_feedback: bool = False
    stochastic: bool = False
    seed: int = 0
    values: bool = False
    residuals: dict[tuple[int, int], Values] = field(default_factory=dict)

    def send(self, client: int, item: int, round: int, message: Values) -> Values:
        """Return what the server receives of a client's message of a round about an item."""
        if self.upload.top_k is None and self.upload.bits is None:
            return message
        owes = self.error_feedback and not self.values
        if owes and (owed := self.residuals.get((client, item))):
            message = {name: value + owed[name] for name, value in message.items()}
        sent = self._compressed(message, self.upload, client + 1, round)
        if owes:
            # All that was ever sent and what is still owed add up to all that was ever to be sent.
            self.residuals[client, item] = {name: value - sent[name] for name, value in message.items()}
        return sent

    def take_back(self, client: int, item: int, sent: Values) -> None:
        """Let a client owe again what it sent about an item and the server dropped; without memory, it is lost."""
        if owed := self.residuals.get((client, item)):
            self.residuals[client, item] = {name: value + sent[name] for name, value in owed.items()}

    def broadcast(self, round: int, change: Values) -> Values:
        """Return what clients, and so the server's model too, get of a round's aggregate."""
        return self._compressed(change, self.download, 0, round)

    def _compressed(self, message: Mapping[str, Tensor], how: Compression, *keys: int) -> Values:
        # By name: what is drawn, and which of equal values is kept, must not depend on how a message was built.
        kept = {name: message[name] for name in sorted(message)}
        if how.top_k is not None:
            kept = top_k(kept, how.top_k, by_tensor=self.values)
        if how.bits is not None:
            seed = int(stream(self.seed, "quantization", *keys).integers(2**31)) if self.stochastic else None
            kept = quantize(kept, how.bits, group=how.group_size, seed=seed)
        return kept
