"""AdamW's state from one local update to the next, for clients that keep it (FedCyBGD)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.optim import Optimizer

from parasim_core.train.models.blocks import Part, Values


@dataclass(frozen=True)
class KeptOptimizer:
    """What an update goes on from whose client keeps AdamW and the schedule from one update to the next.

    Parameters
    ----------
    adamw : dict of str to torch.Tensor
        Moments and step counts that the client's last update of the same part left (`LocalUpdate.adamw`); empty before
        the first one.
    before, updates : int
        How many updates the client has done before, and how many it does in the whole run.
    """

    adamw: Mapping[str, Tensor]
    before: int
    updates: int


def go_on(optimizer: Optimizer, masters: Part, adamw: Mapping[str, Tensor]) -> None:
    """Give AdamW what it knew, on copies: whoever keeps it may need it once more."""
    for key, value in adamw.items():
        slot, _, name = key.partition(".")
        optimizer.state[masters[name]][slot] = value.to(masters[name].device, copy=True)


def state(optimizer: Optimizer, masters: Part) -> Values:
    """Take what AdamW knows; nothing of parameters that no loss has seen yet."""
    return {
        f"{slot}.{name}": value
        for name, master in masters.items()
        for slot, value in optimizer.state.get(master, {}).items()
    }
