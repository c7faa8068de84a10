"""Who holds memory when: allocations and frees in order, each with what it is for, and the peak by category.

Categories may be known late (a gradient is one once it has been accumulated), so nothing is summed while the
events happen: the ledger keeps them and plays them back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from parasim_core.calibration.devices.operators import Phase


class Category(StrEnum):
    """What memory is held for."""

    WEIGHTS = "weights"
    """The model's parameters and buffers."""
    WORKING_COPY = "working-copy"
    """The trained part in the model's precision, beside the values that a local update leaves untouched."""
    MASTER = "master"
    """The trained part in float32, where the model itself is narrower."""
    GRADIENTS = "gradients"
    """Gradients of the trained part, in the model's precision and in the master's."""
    MOMENTS = "moments"
    """AdamW's first and second moment."""
    ACTIVATIONS = "activations"
    """What the forward pass keeps for the backward pass."""
    LOGITS = "logits"
    """From the output head to the loss and back: logits, their softmax and their gradients."""
    TEMPORARIES = "temporaries"
    """Everything else: inputs and outputs of single operators, recomputed activations, the batch."""


@dataclass(frozen=True)
class Footprint:
    """Memory at one moment.

    Attributes
    ----------
    by_category : mapping of Category to int
        Bytes of every category [B], zeros included.
    phase : Phase
        When it is.
    """

    by_category: Mapping[Category, int]
    phase: Phase = Phase.PREPARATION

    @property
    def total(self) -> int:
        """All categories together [B]."""
        return sum(self.by_category.values())


@dataclass(eq=False)
class Holding:
    """One piece of memory.

    Attributes
    ----------
    size : int
        What the allocator sets aside for it [B]; may be changed as long as the ledger has not been read.
    category : Category
        What it is for; may be changed as long as the ledger has not been read.
    freed : bool
        Whether it was given back.
    """

    size: int
    category: Category = Category.TEMPORARIES
    freed: bool = False


@dataclass
class Ledger:
    """Allocations and frees in the order in which they happen.

    Parameters
    ----------
    granularity : int
        Every size is rounded up to a multiple of this [B]: 512 in PyTorch's allocator for CUDA.
    """

    granularity: int = 1
    _events: list[tuple[Holding, int]] = field(default_factory=list)
    _begins: list[tuple[int, Phase]] = field(default_factory=list)

    def allocate(self, size: int, category: Category = Category.TEMPORARIES) -> Holding:
        """Note an allocation.

        Parameters
        ----------
        size : int
            Bytes asked for [B].
        category : Category
            What for, as far as it is known.

        Returns
        -------
        Holding
            To be handed to `free`.
        """
        holding = Holding(-(-size // self.granularity) * self.granularity, category)
        self._events.append((holding, 1))
        return holding

    def free(self, holding: Holding) -> None:
        """Note that memory was given back."""
        holding.freed = True
        self._events.append((holding, -1))

    @property
    def events(self) -> Sequence[tuple[Holding, int]]:
        """Allocations (1) and frees (-1) in order."""
        return self._events

    def begin(self, phase: Phase) -> None:
        """Begin another stretch of the step: `peaks` has footprints of each."""
        self._begins.append((len(self._events), phase))

    def peak(self) -> Footprint:
        """Memory at its highest, by category.

        Notes
        -----
        Moments count from the start: the first step of an update allocates them after its backward pass, but
        every later step runs its backward pass beside them.
        """
        return max(self.peaks(), key=lambda footprint: footprint.total)

    def peaks(self) -> tuple[Footprint, ...]:
        """Memory at its highest in every stretch, and in both halves of a stretch.

        A stretch that fills and then empties, or the other way round, is highest at one of its ends, and which one may
        change with the number of layers.
        """
        level = dict.fromkeys(Category, 0)
        for holding, sign in self._events:
            if holding.category is Category.MOMENTS and sign > 0:
                level[Category.MOMENTS] += holding.size
        total, highest = sum(level.values()), -1
        bounds, phases = self._halves(), dict(self._begins)
        found, when = [dict(level)], [Phase.PREPARATION]
        for number, (holding, sign) in enumerate(self._events):
            if number in bounds:
                found.append(dict(level))
                when.append(phases.get(number, when[-1]))
                highest = total
            if holding.category is Category.MOMENTS:
                continue
            level[holding.category] += sign * holding.size
            total += sign * holding.size
            if total > highest:
                highest, found[-1] = total, dict(level)
        return tuple(map(Footprint, found, when))

    def _halves(self) -> set[int]:
        """Where the stretches begin, and their middles."""
        begins = [number for number, _ in self._begins]
        ends = [0, *begins, len(self._events)]
        return {*begins, *((first + last) // 2 for first, last in pairwise(ends))} - {0}
