"""Where a long training is, kept now and then, so that an interrupted one goes on with the same bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from parasim_core.train.models.blocks import Part, Values
from parasim_core.train.update.kept_optimizer import go_on, state

_RANDOM = "random"


@dataclass(frozen=True)
class Pauses:
    """After which steps a training is kept, and from where it goes on.

    Parameters
    ----------
    every : int
        Steps from one time to the next.
    keep : callable
        Given the number of steps that were taken, and the state after them.
    step : int
        Steps that were taken before; 0 for none.
    found : dict of str to torch.Tensor
        The state after those.
    """

    every: int
    keep: Callable[[int, Values], None]
    step: int
    found: Values

    def go_on(self, optimizer: Optimizer, masters: Part) -> int:
        """Put back what was kept, and return how many steps were taken before."""
        if self.step:
            parts: dict[str, Values] = {"adamw": {}, "weight": {}}
            for key, value in self.found.items():
                kind, _, name = key.partition("/")
                parts.setdefault(kind, {})[name] = value
            with torch.no_grad():
                for name, master in masters.items():
                    master.copy_(parts["weight"][name])
            go_on(optimizer, masters, parts["adamw"])
            for place, value in parts[_RANDOM].items():
                _set_random_state(place, value)
        return self.step

    def after(self, step: int, optimizer: Optimizer, masters: Part) -> None:
        """Keep the state, if so many steps are when that is done."""
        if step % self.every:
            return
        device = next(iter(masters.values())).device
        kept = {f"weight/{name}": master.detach() for name, master in masters.items()}
        kept |= {f"adamw/{key}": value for key, value in state(optimizer, masters).items()}
        kept[f"{_RANDOM}/cpu"] = torch.get_rng_state()
        if device.type == "cuda":
            kept[f"{_RANDOM}/{device}"] = torch.cuda.get_rng_state(device)
        self.keep(step, kept)


def _set_random_state(place: str, value: Tensor) -> None:
    if place == "cpu":
        torch.set_rng_state(value)
    else:
        torch.cuda.set_rng_state(value, place)
