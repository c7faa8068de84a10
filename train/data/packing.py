"""Several examples in one sequence, so that little of a batch is padding."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Any

import torch

from parasim_core.train.data.evaluate import evaluating
from parasim_core.train.data.task import DataError

_TRIED = 4


def packed(examples: Sequence[int], lengths: Sequence[int], longest: int) -> list[tuple[int, ...]]:
    """Put examples together, the longest first and each where the least room is left for it (best fit decreasing).

    Parameters
    ----------
    examples : sequence of int
        Numbers of the examples.
    lengths : sequence of int
        Tokens of every example, by its number; of these examples, no more than `longest` each.
    longest : int
        Tokens that a sequence holds at most.

    Returns
    -------
    list of tuple of int
        Examples of each sequence; each example is in one of them.
    """
    packs: list[list[int]] = []
    # Room that is left in every pack, and which, from the least.
    rooms: list[tuple[int, int]] = []
    for example in sorted(examples, key=lambda number: -lengths[number]):
        place = bisect_left(rooms, (lengths[example], -1))
        if place == len(rooms):
            packs.append([])
            rooms.append((longest, len(packs) - 1))
        room, pack = rooms.pop(place)
        packs[pack].append(example)
        insort(rooms, (room - lengths[example], pack))
    return [tuple(pack) for pack in packs]


def check_packing(model: Any) -> None:
    """Make sure that the examples of a packed sequence know nothing of one another.

    Parameters
    ----------
    model : torch.nn.Module
        A causal language model of transformers.

    Raises
    ------
    DataError
        If what it makes of an example depends on the one before it: because it does not ask for positions, or carries
        more from token to token than attention does.
    """
    if not _keeps_apart(model):
        raise DataError(
            f"train.packing: is not possible with {type(model).__name__}, allowed is false: the examples of a sequence "
            "would know of one another"
        )


def _keeps_apart(model: Any) -> bool:
    device = next(model.parameters()).device
    positions = torch.arange(_TRIED, device=device).repeat(2)[None]
    after = []
    with evaluating(model):
        for before in (0, 1):
            tokens = torch.cat([torch.full((_TRIED,), before), torch.arange(_TRIED)])[None].to(device)
            try:
                after.append(model(input_ids=tokens, position_ids=positions).logits[:, _TRIED:])
            except (TypeError, ValueError):
                return False  # It takes no positions.
    return torch.equal(*after)
