"""What of a model a method trains, and how the server puts the clients' updates together.

A block, an adapter (A and B, or B alone) or everything is averaged; stacked adapters are merged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from parasim_core.sim.scenario.sections import Lora
from parasim_core.sim.support.streams import stream
from parasim_core.sim.workload.blocks import Block
from parasim_core.sim.workload.methods import Trains
from parasim_core.train.data.task import Batch
from parasim_core.train.models.adapters import A, Adapter
from parasim_core.train.models.blocks import Part, Values, activate, block_parameters, compile_layers, install
from parasim_core.train.update.local import LocalSettings
from parasim_core.train.update.loss import Loss
from parasim_core.train.update.timing import now


class TrainedPart:
    """What is trained; by default something that is averaged: the message is the delta, the server adds their mean.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    parts : sequence of mapping of str to torch.nn.Parameter
        Parameters of each of the server's items: of every block, or of the one adapter or the whole model.
    adapter : Adapter, optional
        The adapter that the part belongs to.
    """

    keeps_own = True
    """Whether a client goes on from its own update until it receives the aggregate."""

    def __init__(self, model: nn.Module, parts: Sequence[Part], adapter: Adapter | None = None):
        self.model = model
        self.adapter = adapter
        self._parts = parts

    def prepare(self, settings: LocalSettings) -> None:
        """Let `torch.compile` make the layers' kernels, if that is asked for: in every process that trains."""
        if settings.compiled:
            compile_layers(self.model)

    def item(self, block: int | None) -> int:
        """Server's item that a round with this block renews; there is only one unless blocks are trained."""
        return block or 0

    def part(self, item: int) -> Part:
        """Parameters of an item."""
        return self._parts[item]

    def fresh_start(self, client: int, round: int, start: Values) -> Values:
        """Values that an update starts from, given those that the client has."""
        return start

    def message(self, start: Values, delta: Values) -> Values:
        """Tell what is sent of an update."""
        return delta

    def merged(self) -> Values:
        """Weights of the model that the server changed in place; none where versions hold it all."""
        return {}

    def load_merged(self, values: Values) -> None:
        """Put such weights back."""

    def merged_up_to(self, round: int) -> AbstractContextManager[None]:
        """Let the model have such weights as they were after a round."""
        return nullcontext()

    def gradient_norms(self, batch: Batch, loss: Loss) -> tuple[Tensor, float]:
        """Norm of the gradient of every block on one batch: the full pass of the gradient-based schedule.

        Parameters
        ----------
        batch : mapping of str to torch.Tensor
            The batch.
        loss : callable
            Mean loss of a model on a batch.

        Returns
        -------
        tuple of torch.Tensor and float
            Norms, shape (blocks,), float32 on the CPU; and the seconds that the pass took [s].
        """
        every = {name: parameter for part in self._parts for name, parameter in part.items()}
        device = next(iter(every.values())).device
        activate(self.model, every)
        began = now(device)
        loss(self.model, batch).backward()  # type: ignore[no-untyped-call]
        # Layers that attend to an image take no part in a text.
        gradients = [[p.grad for p in part.values() if p.grad is not None] for part in self._parts]
        norms = [nn.utils.get_total_norm(own) for own in gradients]
        stacked = torch.stack(norms)
        seconds = now(device) - began
        for parameter in every.values():
            parameter.grad = None
        return stacked.float().cpu(), seconds


class TrainedStack(TrainedPart):
    """Adapters that the server stacks and everyone merges into the base weights (FLoRA).

    The one model holds what the server has: a round ends with the merge. So do its participants, unless stacks were
    merged while they downloaded.

    Attributes
    ----------
    newest : int
        Last round whose stack is in the base weights.
    older : dict of int to values
        Base weights as they were after earlier rounds, as far as somebody is still to train on them.
    """

    keeps_own = False
    adapter: Adapter

    def __init__(self, model: nn.Module, settings: Lora, *, seed: int, precision: torch.dtype | None = None):
        adapter = Adapter(model, settings, seed, precision=precision)
        super().__init__(model, [adapter.part], adapter)
        self._seed = seed
        self.newest = -1
        self.older: dict[int, Values] = {}

    def fresh_start(self, client: int, round: int, start: Values) -> Values:
        """Draw a new adapter, of zero effect, for this client and round."""
        self.adapter.reset(int(stream(self._seed, "initialisation", client, round).integers(2**31)))
        return {name: parameter.detach().to(torch.float32, copy=True) for name, parameter in self.adapter.part.items()}

    def message(self, start: Values, delta: Values) -> Values:
        """Send A and B themselves: their start was the client's own."""
        return {name: start[name] + delta[name] for name in start}

    def merged(self) -> Values:
        """Base weights of the adapter's targets."""
        return {name: parameter.detach() for name, parameter in self.adapter.bases.items()}

    def load_merged(self, values: Values) -> None:
        """Put base weights back."""
        install(self.adapter.bases, values)

    def keep_older(self, rounds: Collection[int]) -> None:
        """Keep base weights as they are after some rounds, the newest one among them maybe, and no others."""
        self.older = {round: values for round, values in self.older.items() if round in rounds}
        if self.newest in rounds:
            self.older[self.newest] = self._copied()

    @contextmanager
    def merged_up_to(self, round: int) -> Iterator[None]:
        """Let the model have the base weights as they were after a round."""
        if round == self.newest:
            yield
            return
        newest = self._copied()
        self.load_merged(self.older[round])
        try:
            yield
        finally:
            self.load_merged(newest)

    def _copied(self) -> Values:
        return {name: value.clone() for name, value in self.merged().items()}

    def stacked(self, adapters: Sequence[Values], weights: Sequence[float], rate: float) -> Values:
        """Stack the clients' adapters: `rate` times the weighted sum of their products, as one product.

        Parameters
        ----------
        adapters : sequence of values
            A and B of every client.
        weights : sequence of float
            One per client.
        rate : float
            Global learning rate.
        """
        stack = self.adapter.stack(adapters, weights)
        return {name: rate * value if name.endswith(A) else value for name, value in stack.items()}

    def merge(self, stacked: Values, round: int) -> float:
        """Merge a round's stack, as it arrived, into the base weights.

        Returns
        -------
        float
            Seconds that merging took, as every client that receives the stack has to [s]. Stacking, which the server
            does, does not count.
        """
        device = next(iter(stacked.values())).device
        began = now(device)
        self.adapter.merge(stacked)
        self.newest = round
        return now(device) - began


def trained_part(
    trains: Trains,
    model: nn.Module,
    blocks: Sequence[Block] | None,
    lora: Lora,
    *,
    seed: int,
    precision: torch.dtype | None = None,
) -> TrainedPart:
    """Choose what is trained.

    Parameters
    ----------
    trains : Trains
        The method's choice.
    model : torch.nn.Module
        The model; LoRA replaces its target modules in place.
    blocks : sequence of Block or None
        Needed where blocks are trained.
    lora : Lora
        Rank and targets, where adapters are trained.
    seed : int
        Seed of the adapters.
    precision : torch.dtype, optional
        Of adapters; that of the weights beside them if left out.
    """
    if trains is Trains.BLOCK:
        assert blocks is not None
        return TrainedPart(model, [block_parameters(model, block) for block in blocks])
    if trains is Trains.EVERYTHING:
        # By name, each tensor once: tied weights are one.
        return TrainedPart(model, [dict(model.named_parameters())])
    if trains is Trains.STACKED_LORA:
        return TrainedStack(model, lora, seed=seed, precision=precision)
    adapter = Adapter(model, lora, seed, precision=precision)
    # FFA-LoRA keeps A frozen at its seeded start.
    return TrainedPart(model, [adapter.b_part if trains is Trains.LORA_B else adapter.part], adapter)
