"""Other block widths and batch sizes at which communication can be hidden, where the scenario as it is cannot hide it.

Whether unlimited links help is a matter of everyone: what remains in the way is the server and what each message costs.
Narrower blocks are smaller messages, larger batches leave more computing to hide them behind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from parasim.planning.hidden_points import HidingPoint
from parasim.text import amount, clock


class Choice(NamedTuple):
    """A batch size and a block width.

    Attributes
    ----------
    batch_size : int
        Sequences per step.
    layers : float or None
        Layers per block; None where blocks are no matter of width.
    """

    batch_size: int
    layers: float | None


def hideable(points: Sequence[HidingPoint], own: Choice) -> list[Choice]:
    """Choose what to change so that communication can be hidden: as little as possible, one thing alone if that does.

    Parameters
    ----------
    points : sequence of HidingPoint
        Of every group, batch size and block width.
    own : Choice
        The scenario's own, at which it cannot.

    Returns
    -------
    list of Choice
        The widest of the narrower blocks, and the smallest of the larger batches; if neither helps, the nearest batch
        size at which some width does; empty if nothing does.
    """
    # A point that is everyone's says that unlimited links do not help.
    helping = {Choice(point.batch_size, point.layers) for point in points if point.group is not None}
    narrower = [choice for choice in helping if choice.batch_size == own.batch_size and _width(choice) < _width(own)]
    larger = [choice for choice in helping if choice.batch_size > own.batch_size and choice.layers == own.layers]
    alone = [*sorted(narrower, key=_width)[-1:], *sorted(larger)[:1]]
    if alone or not helping:
        return alone
    return [min(helping, key=lambda choice: (abs(choice.batch_size - own.batch_size), -_width(choice)))]


def _width(choice: Choice) -> float:
    return math.inf if choice.layers is None else choice.layers


def changed(choice: Choice, own: Choice) -> str:
    """Say what a choice changes: ``blocks of 1 layer``, ``batch size 6``, or both."""
    parts = []
    if choice.layers is not None and choice.layers != own.layers:
        parts.append(f"blocks of {choice.layers:g} layer{'' if choice.layers == 1 else 's'}")
    if choice.batch_size != own.batch_size:
        parts.append(f"batch size {choice.batch_size}")
    return " and ".join(parts)


def instead(points: Sequence[HidingPoint], choices: Sequence[Choice], own: Choice) -> str:
    """Say from which bandwidths on one group's communication is hidden with what could be chosen instead.

    Parameters
    ----------
    points : sequence of HidingPoint
        Of the group.
    choices : sequence of Choice
        What could be chosen.
    own : Choice
        The scenario's own.
    """
    by_choice = {Choice(point.batch_size, point.layers): point for point in points}
    parts = []
    for choice in choices:
        point = by_choice[choice]
        least = "whatever the bandwidth" if point.bandwidth is None else f"from {amount(point.bandwidth, 'B/s')} on"
        parts.append(f"with {changed(choice, own)} {least} ({clock(point.wall_clock)})")
    return f"hidden {' or '.join(parts)}"
