"""Training through failures once more, as plainly as can be: given only what happened when, by whole copies of models.

A timeline says who downloaded, computed and aggregated what from when to when. What that does to tensors is written
down here by the rules of `docs/explanation/failures.md`, with no versions, no bookkeeping and no protocols.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import Kind, Span
from tests.oracles.plain_training import Batches, State, add, local_training, mean, overwrite

Names = Callable[[Sequence[int]], list[str]]
"""Parameters that some blocks have; of methods without blocks, all that are trained."""


class Own(NamedTuple):
    """What a client has computed, and of which round and blocks."""

    round: int
    blocks: tuple[int, ...]
    delta: State


class Plain:
    """A server and its clients, all whole models.

    Parameters
    ----------
    model : torch.nn.Module
        Everyone's at the beginning.
    names, batches, rate
        What is trained, on what, and the learning rate.
    goes_on : bool
        Whether clients go on from their own updates until they have what was aggregated (ParaBlock).
    """

    def __init__(self, model: nn.Module, names: Names, batches: Batches, rate: float, *, goes_on: bool):
        self.names, self.batches, self.rate, self.goes_on = names, batches, rate, goes_on
        # The server's model from the end of each aggregation on.
        self.server = [(0.0, -1, copy.deepcopy(model))]
        self.has: dict[int, nn.Module] = {}
        self.own: dict[int, list[Own]] = {}
        self.sent: dict[tuple[int, int], Own] = {}

    def run(self, result: Result) -> nn.Module:
        """Go through what happened, in its order; return the server's model at the end."""
        spans = result.timeline.spans
        down = {client: [end for _, end in times] for client, times in result.presence.items()}
        events: list[tuple[float, int, int, Callable[[], None]]] = []
        begun: set[tuple[int, int, int]] = set()
        for number, span in enumerate(spans):
            if span.kind is Kind.AGGREGATE:
                included = [spans[cause] for cause in span.causes if spans[cause].kind is Kind.UPLOAD]
                events.append((span.end, 1, number, lambda s=span, i=included: self.aggregate(s, i)))
            elif span.kind is Kind.DOWNLOAD and number not in result.timeline.wasted:
                events.append((span.end, 2, number, lambda s=span: self.download(s)))
            # Who vanishes in the instant in which it begins has not computed anything.
            elif span.kind is Kind.COMPUTE and span.end > span.start:
                # What is begun anew after a repair is the same; after its client was gone it is not.
                presence = sum(end <= span.start for end in down[span.client])
                if (key := (span.client, span.round, presence)) not in begun:
                    begun.add(key)
                    events.append((span.start, 3, number, lambda s=span: self.compute(s)))
        for client, ends in down.items():
            events += [(end, 0, -1, lambda c=client: self.vanish(c)) for end in ends if end < result.wall_clock]
        for _, _, _, happens in sorted(events, key=lambda event: event[:3]):
            happens()
        return self.server[-1][2]

    def aggregate(self, span: Span, included: Sequence[Span]) -> None:
        model = copy.deepcopy(self.server[-1][2])
        by_block: dict[tuple[int, ...], list[State]] = {}
        for upload in sorted(included, key=lambda upload: upload.client):
            own = self.sent[upload.client, upload.round]
            by_block.setdefault(own.blocks, []).append(own.delta)
        for deltas in by_block.values():
            add(model, mean(deltas, [1.0] * len(deltas)))
        self.server.append((span.end, span.round, model))

    def download(self, span: Span) -> None:
        # It brings what the server had when it was asked for, of all that changed: its newest is that round's.
        model = next(model for _, number, model in reversed(self.server) if number <= span.round)
        client = self._client(span.client)
        overwrite(client, model, self.names(span.blocks))
        # The server's version stands in the place of its own updates, whether or not these are part of it.
        self.own[span.client] = [
            own
            for own in self.own[span.client]
            if own.round > span.round or (span.blocks and not set(own.blocks) & set(span.blocks))
        ]

    def compute(self, span: Span) -> None:
        view = copy.deepcopy(self._client(span.client))
        for own in self.own[span.client]:
            add(view, own.delta)
        delta = local_training(view, self.names(span.blocks), self.batches(span.client, span.round), self.rate)
        own = Own(span.round, span.blocks, delta)
        self.sent[span.client, span.round] = own
        if self.goes_on:
            self.own[span.client].append(own)

    def vanish(self, client: int) -> None:
        self.own[client] = []

    def _client(self, client: int) -> nn.Module:
        if client not in self.has:
            self.has[client], self.own[client] = copy.deepcopy(self.server[0][2]), []
        return self.has[client]


class PlainStack(Plain):
    """The same for FLoRA: adapters begin anew, and what is aggregated is merged into the base weights.

    Parameters
    ----------
    start : callable
        A and B that a client's update of a round starts from, by their names.
    scaling : float
        Factor of every product B A.
    """

    def __init__(self, *of: Any, start: Callable[[int, int], State], scaling: float, **more: Any):
        super().__init__(*of, **more)
        self.start, self.scaling = start, scaling

    def compute(self, span: Span) -> None:
        view = copy.deepcopy(self._client(span.client))
        start = self.start(span.client, span.round)
        with torch.no_grad():
            for name, parameter in view.named_parameters():
                if name in start:
                    parameter.copy_(start[name])
        delta = local_training(view, [*start], self.batches(span.client, span.round), self.rate)
        whole = {name: start[name] + delta[name] for name in start}
        self.sent[span.client, span.round] = Own(span.round, span.blocks, whole)

    def aggregate(self, span: Span, included: Sequence[Span]) -> None:
        model = copy.deepcopy(self.server[-1][2])
        parameters = dict(model.named_parameters())
        with torch.no_grad():
            for upload in included:
                sent = self.sent[upload.client, upload.round].delta
                for name in (name for name in sent if "lora_A" in name):
                    weight = parameters[name.replace("lora_A.default", "base_layer")]
                    weight += self.scaling / len(included) * (sent[name.replace("lora_A", "lora_B")] @ sent[name])
        self.server.append((span.end, span.round, model))
