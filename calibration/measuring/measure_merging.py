"""Measure FLoRA's merge with the trainer's own code: stacks of several sizes, on every adapter of a plan."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from parasim_core.calibration.measuring.measured_model import MeasuredModel
from parasim_core.calibration.measuring.plan import MeasuringPlan, Role
from parasim_core.calibration.measuring.stopwatch import Stopwatch
from parasim_core.calibration.profiles.measured_file import MergeSample
from parasim_core.calibration.profiles.points import split_targets
from parasim_core.sim.scenario.sections import Lora
from parasim_core.train.models.adapters import A, Adapter
from parasim_core.train.models.blocks import Values
from parasim_core.train.models.out_of_memory import DeviceMemoryError, retry_with_free_memory
from parasim_core.train.update.timing import Clock

STACKED: tuple[tuple[int, Role], ...] = ((1, "fit"), (3, "held-out"), (8, "fit"), (24, "held-out"), (64, "fit"))
"""Numbers of clients whose adapters are stacked, and what each is measured for."""
_REPEATS = 5


def measure_merging(
    subject: MeasuredModel, plan: MeasuringPlan, clock: Clock, progress: Callable[[str], object]
) -> list[MergeSample]:
    """Measure merges of stacks from one client's rank to 64 times that.

    Parameters
    ----------
    subject : MeasuredModel
        The model; its weights end as they began.
    plan : MeasuringPlan
        Its ranks and targets; the smallest and the largest rank count.
    clock : str
        What is read as time.
    progress : callable
        Told what is measured next.

    Returns
    -------
    list of MergeSample
        None where the plan has no adapters, and none of a stack that the device has no memory for.
    """
    samples = []
    for targets in plan.targets:
        # The adapter's own rank does not matter: only what is merged has one.
        adapter = Adapter(subject.model, Lora(rank=1, targets=split_targets(targets)), seed=0)
        try:
            for rank, role in _stacks(plan):
                progress(f"merging a stack of rank {rank} on {targets}")
                try:
                    seconds = retry_with_free_memory(partial(_timed_merges, adapter, rank, clock))
                except DeviceMemoryError:
                    # What was measured covers the smaller stacks.
                    continue
                samples.append(MergeSample(targets=targets, rank=rank, role=role, seconds=seconds))
        finally:
            adapter.remove()
    return samples


def _stacks(plan: MeasuringPlan) -> list[tuple[int, Role]]:
    """Ranks of stacks, and what each is for."""
    # A stack that both ranks make is for what the smaller one has it for.
    ranks = (max(plan.ranks), min(plan.ranks))
    return sorted({rank * clients: role for rank in ranks for clients, role in STACKED}.items())


def _nothing(adapter: Adapter, rank: int) -> Values:
    """A stack of zeros: merged, it changes no weight, and takes as long as any other."""
    # A is (ranks, inputs), B is (outputs, ranks); the adapter's own have one rank for each expert.
    return {
        name: torch.zeros_like(one, dtype=torch.float32).repeat((rank, 1) if name.endswith(A) else (1, rank))
        for name, one in adapter.part.items()
    }


def _timed_merges(adapter: Any, rank: int, clock: Clock) -> tuple[float, ...]:
    state, found = _nothing(adapter, rank), []
    for _ in range(1 + _REPEATS):
        watch = Stopwatch(clock)
        watch.mark()
        adapter.merge(state)
        watch.mark()
        found.append(round(watch.seconds()[-1], 7))
    # The first one warms up.
    return tuple(found[1:])
