"""What `local_training.py` compares: a local update of the trainer's, and what others would write instead."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from parasim_core.sim.scenario.sections import Lora
from parasim_core.train.models.adapters import SCALING
from parasim_core.train.models.blocks import Part, activate
from parasim_core.train.update.local import LocalSettings, train_locally

RATE = 1e-5
Batches = Sequence[dict[str, Tensor]]


@dataclass(frozen=True)
class Run:
    """One contender: what is timed, and what puts it back to its start beforehand."""

    steps: Callable[[], None]
    start_over: Callable[[], None]


def model_loss(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    loss: Tensor = model(**batch).loss
    return loss


def local_update(model: nn.Module, part: Part, batches: Batches) -> Run:
    settings = LocalSettings(RATE, len(batches))

    def steps() -> None:
        train_locally(model, part, batches, model_loss, settings)

    return Run(steps, start_over=lambda: None)


def plain_loop(model: nn.Module, part: Part, batches: Batches) -> Run:
    """What anyone would write for one update; in bfloat16 with a master copy, like the update it stands beside."""
    parameters: list[Any] = list(part.values())
    narrow = parameters[0].dtype != torch.float32

    def steps() -> None:
        activate(model, part)
        model.train()
        masters = [nn.Parameter(one.detach().float()) for one in parameters] if narrow else parameters
        optimizer = torch.optim.AdamW(masters, lr=RATE, weight_decay=0, fused=True)
        for batch in batches:
            model(**batch).loss.backward()
            if narrow:
                for parameter, master in zip(parameters, masters, strict=True):
                    master.grad, parameter.grad = parameter.grad.float(), None
            optimizer.step()
            optimizer.zero_grad()
            if narrow:
                with torch.no_grad():
                    for parameter, master in zip(parameters, masters, strict=True):
                        parameter.copy_(master)

    return from_here(part, steps)


def bare_peft(model: nn.Module, lora: Lora, batches: Batches) -> Run:
    from peft import LoraConfig, get_peft_model

    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    config = LoraConfig(r=lora.rank, lora_alpha=round(SCALING * lora.rank), target_modules=targets)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft's own affair with transformers
        adapted = get_peft_model(model, config).train()
    part = {name: parameter for name, parameter in adapted.named_parameters() if parameter.requires_grad}

    def steps() -> None:
        optimizer = torch.optim.AdamW(part.values(), lr=RATE, weight_decay=0, fused=True)
        for batch in batches:
            adapted(**batch).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    return from_here(part, steps)


def badam(model: nn.Module, part: Part, batches: Batches) -> Run | None:
    """BAdam's optimizer on the same block, switched to it beforehand; None where the package is absent."""
    try:
        from badam import BlockOptimizer
    except ImportError:
        return None
    model.train()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # it warns that the base weights are not bfloat16
        optimizer = BlockOptimizer(
            base_optimizer=torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0, fused=True),
            named_parameters_list=list(model.named_parameters()),
            block_prefix_list=[list(part)],
            switch_block_every=10**9,
            switch_mode="ascending",
            verbose=0,
        )

    def steps() -> None:
        for batch in batches:
            model(**batch).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    return from_here(part, steps)


def from_here(part: Part, steps: Callable[[], None]) -> Run:
    """A contender that leaves its part trained, which goes back to its present values each time.

    It gets them in memory of its own, as a client does that received them and as a local update has them: the same
    loop over weights that stay where the model's construction put them is up to 4 % faster on some processors.
    """
    values = {name: parameter.detach().clone() for name, parameter in part.items()}

    def start_over() -> None:
        for name, parameter in part.items():
            parameter.data = values[name].clone()

    return Run(steps, start_over)
