"""Runs that a profile has not seen: between its levels, and with full sequences."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.calibration.measuring.agreement import between, unseen_run, workbench
from parasim_core.calibration.measuring.measured_model import MeasuredModel
from parasim_core.calibration.measuring.plan import MeasuringPlan
from parasim_core.sim.scenario.scenario import Scenario
from tests.calibration.synthetic import CONFIG


@pytest.mark.parametrize(
    ("levels", "multiple", "expected"),
    [
        ((1, 2, 4), 1, 3),  # only 2 to 4 has room
        ((1, 2, 4, 8), 1, 6),  # 2.8 and 5.7: the second of two
        ((32, 64, 128), 8, 88),  # sqrt(32 x 64) = 45, sqrt(64 x 128) = 90.5: multiples of 8 are 48 and 88
        ((1, 2), 1, 1),
        ((0.5, 1, 2), 1, 0.5),
        ((7,), 1, 7),
    ],
)
def test_between_by_hand(levels: tuple[float, ...], multiple: int, expected: float):
    assert between(levels, multiple) == expected


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=6), st.sampled_from([1, 8]))
def test_it_is_a_new_value_within_the_range_wherever_there_is_room(levels: list[int], multiple: int):
    value, known = between(levels, multiple), sorted(set(levels))
    assert min(known) <= value <= max(known)
    room = any(high - low >= 2 for low, high in itertools.pairwise(known))
    if multiple == 1:
        assert (value not in known) == room
    elif value not in known:
        assert value % multiple == 0


def test_a_run_is_within_the_plan_and_no_part_of_it():
    plan = MeasuringPlan(
        batch_sizes=(1, 2, 4), sequence_lengths=(32, 64, 128), layers=(1, 2, 4), ranks=(8,), targets=("all-linear",)
    )
    run = Scenario.parse(unseen_run("a-model", plan, 30))
    assert run.local.batch_size not in plan.batch_sizes
    assert run.local.sequence_length not in plan.sequence_lengths
    assert run.blocks.layers == 3
    assert (run.lora.rank, run.lora.targets) == (8, "all-linear")
    # A model of four layers has no two blocks of three: then a width that was measured.
    assert Scenario.parse(unseen_run("a-model", plan, 4)).blocks.layers == 1


def test_every_sequence_is_full(tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    subject = MeasuredModel(str(tmp_path / "config.json"), torch.device("cpu"))
    plan = MeasuringPlan(batch_sizes=(1, 4), sequence_lengths=(8, 32), layers=(1,))
    scenario = Scenario.parse(unseen_run("tiny", plan, 8))
    bench = workbench(subject, scenario)
    drawn = list(bench.task.batches(1, 2))
    assert len(drawn) == scenario.local.steps
    for batch in drawn:
        assert tuple(batch["input_ids"].shape) == (2, 16)
        assert bool(batch["attention_mask"].all())
    assert len(bench.task.examples) == scenario.clients
    assert bench.task.loss(bench.model, drawn[0]).ndim == 0
