"""What a scenario prices of messages and training does not do: users must hear of it."""

from __future__ import annotations

import math
from itertools import pairwise

from parasim_core.sim.engine.simulate import Setup
from parasim_core.sim.scenario.sections import Wire


def priced_only(wire: Wire, *, catching_up: bool = False) -> list[str]:
    """Say, a sentence each, where training carries more in a message than its priced bytes would hold.

    Parameters
    ----------
    wire : Wire
        That of a scenario.
    catching_up : bool
        Whether clients may fetch several changes of the same values at once (`catches_up`).
    """
    notes = []
    directions = {"upload": wire.upload, "download": wire.download}
    if wire.carried is None and any(how.bits is None for how in directions.values()):
        notes.append(
            f"wire.bytes_per_parameter={wire.bytes_per_parameter:g} is priced and not applied: no type has this size, "
            "so that values of messages stay float32; 2 and 4 are applied, and less where values are quantized (bits)."
        )
    elif wire.carried != "float32" and catching_up:
        notes.append(
            f"wire.bytes_per_parameter={wire.bytes_per_parameter:g} is priced and not applied where a client missed "
            "several changes of what it downloads: it has the server's values then, which may have more digits."
        )
    for direction, how in directions.items():
        if how.bits is not None and how.scale_bytes < 4 and how.scale_bytes != 2:
            notes.append(
                f"wire.{direction}.scale_bytes={how.scale_bytes:g} is priced and not applied: no type has this size, "
                "so that scales stay float32; 2 and 4 are applied."
            )
        if how.top_k is not None and how.index_bytes * 8 < bits_per_index(how.top_k):
            notes.append(
                f"wire.{direction}.index_bytes={how.index_bytes:g} is priced and not applied: to say which values were "
                f"kept takes {bits_per_index(how.top_k) / 8:.2g} bytes each at least."
            )
    return notes


def catches_up(setup: Setup) -> bool:
    """Tell whether a client may miss several changes of the same values before it downloads them."""
    if setup.staleness is None:
        return True
    # Blocks that training chooses may come again at once.
    blocks = [0] * len(setup.schedule) if setup.chooses_blocks else setup.schedule
    items = [setup.payload.item(round, block) for round, block in enumerate(blocks)]
    missed = (items[last:next] for own in setup.cohorts.rounds_of().values() for last, next in pairwise([0, *own]))
    return any(len(set(changed)) < len(changed) for changed in missed)


def bits_per_index(fraction: float) -> float:
    """Fewest bits per kept value that tell which share of many values was kept: H(f) / f, Shannon's bound."""
    rest = 1 - fraction
    return -math.log2(fraction) - (rest * math.log2(rest) / fraction if rest else 0.0)
