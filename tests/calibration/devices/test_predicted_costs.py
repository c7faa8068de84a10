"""Costs on a device that nobody measured, by hand: steps, what an update does once, merging, several GPUs."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from parasim.api import prepared
from parasim_core.calibration.devices.catalogue import CatalogueDevice, device
from parasim_core.calibration.devices.operators import Operator, Operators, Phase
from parasim_core.calibration.devices.predicted_costs import MERGED_TRAFFIC, PredictedCosts
from parasim_core.sim.engine.simulate import Setup
from parasim_core.sim.errors import CostError
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.workload.blocks import Block
from parasim_core.sim.workload.methods import Trains

PLAIN = CatalogueDevice("plain", 1e9, "float32", 1e9, 0.0, {"float32": 1e9}, "made up", kind="cpu")
"""0.8e9 operations a second, as 80 % of the printed rate count; other traffic at 85 % of 1e9 B/s."""


def setup(**fields: Any) -> Setup:
    return prepared(Scenario.parse({"model": "llama-3-8b", "method": "fedit", **fields}))


def operator(phase: Phase, flops: int = 0, traffic: int = 0) -> Operator:
    return Operator("aten.mm" if flops else "aten.mul", phase, "float32", flops, traffic)


UPDATE = {
    operator(Phase.PREPARATION, traffic=1_700_000_000): 1,  # 2 s, once
    operator(Phase.OPTIMIZER, traffic=850_000_000): 1,  # 1 s a step
    operator(Phase.DELTA, traffic=850_000_000): 1,  # 1 s, once
}
PASS = operator(Phase.FORWARD, flops=1_600_000_000)
"""2 s for every batch."""


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Trains, int]]:
    """A trace made by hand, and what was asked for."""
    asked: list[tuple[Trains, int]] = []

    def operators(self: PredictedCosts, trains: Trains, block: Block | None, batches: int) -> Operators:
        asked.append((trains, batches))
        return UPDATE | {PASS: batches}

    monkeypatch.setattr(PredictedCosts, "_operators", operators)
    return asked


def test_an_update_is_its_steps_and_what_it_does_once(traced: list[tuple[Trains, int]]) -> None:
    # Three steps of 2 + 1 s and 3 s once are 12 s; the second group is twice as fast.
    fleet = [{"count": 2}, {"speed": 2.0}]
    costs = PredictedCosts(setup(local={"steps": 3}, fleet=fleet), PLAIN)
    assert costs.local_update(0, 0, None).seconds == pytest.approx(12.0, rel=1e-4)
    assert costs.local_update(2, 5, None).seconds == pytest.approx(6.0, rel=1e-4)
    assert costs.local_update(0, 0, None).serial == 0.0
    assert traced == [(Trains.LORA, 1)]


def test_batches_of_a_step_repeat_its_passes_alone(traced: list[tuple[Trains, int]]) -> None:
    # Five batches a step: 5 x 2 + 1 s; two steps, and 3 s once. The trace has two of the batches.
    costs = PredictedCosts(setup(local={"steps": 2}, train={"accumulation": 5}), PLAIN)
    assert costs.local_update(0, 0, None).seconds == pytest.approx(25.0, rel=1e-4)
    assert traced == [(Trains.LORA, 2)]


def test_the_gradient_orders_pass_is_of_everything_and_without_the_update(traced: list[tuple[Trains, int]]) -> None:
    costs = PredictedCosts(setup(method="fedbcd", blocks={"schedule": "gradient"}, fleet=[{"speed": 4}]), PLAIN)
    assert costs.full_pass(0) == pytest.approx(2.0 / 4, rel=1e-4)
    assert traced == [(Trains.EVERYTHING, 1)]
    given = PredictedCosts(setup(blocks={"gradient_pass": "8s"}, fleet=[{"speed": 4}]), PLAIN)
    assert given.full_pass(0) == 2.0


def test_ends_of_the_band(traced: list[tuple[Trains, int]]) -> None:
    # Of such a chip nobody knows more than a factor of 2.5.
    costs = PredictedCosts(setup(local={"steps": 3}), PLAIN)
    assert costs.provenance()["band"] == 2.5
    seconds = [one.local_update(0, 0, None).seconds for one in (costs.times(1 / 2.5), costs, costs.times(2.5))]
    assert seconds == pytest.approx([12 / 2.5, 12.0, 30.0], rel=1e-4)


def test_merging_stacks_is_paid_before_training(traced: list[tuple[Trains, int]]) -> None:
    # q and v of 32 layers: 4096 x 4096 and 1024 x 4096 weights each. A stack of two clients has rank 64: 2 x 64
    # operations a weight in the product, which writes 4 B for each and reads 4 B of every factor.
    weights = 32 * (4096 * 4096 + 1024 * 4096)
    computing = 2 * 64 * weights / 0.8e9
    moving = MERGED_TRAFFIC * weights / 0.85e9
    costs = PredictedCosts(setup(method="flora", rounds=3, local={"steps": 3}, fleet=[{"count": 2}]), PLAIN)
    assert costs.local_update(0, 0, None).seconds == pytest.approx(12.0, rel=1e-4)
    assert costs.local_update(0, 1, None).seconds == pytest.approx(12.0 + computing + moving, rel=1e-4)


def test_gpus_of_a_client_share_its_batch_and_send_each_other_the_weights(traced: list[tuple[Trains, int]]) -> None:
    one = PredictedCosts(setup(local={"batch_size": 6}, fleet=[{"gpus": 4}]), device("h100"), 4)
    # Six sequences are at most two a GPU.
    assert one._batch_size == 2
    assert "4 x h100" in str(one.provenance()["source"])
    assert any("sharding" in note for note in one.provenance()["notes"])  # type: ignore[attr-defined]
    # Weights of 8.03e9 parameters are gathered twice in 2 B, 3/4 of them by each GPU, at 82 % of 450 GB/s: a step
    # takes at least that long.
    sent = 2 * 2 * 8.03e9 * 3 / 4 / (0.82 * 450e9)
    assert one.local_update(0, 0, None).seconds > 40 * sent


def test_fewer_sequences_than_gpus_are_refused() -> None:
    with pytest.raises(CostError, match=r"local.batch_size is 4, fewer sequences than the 8 GPUs"):
        PredictedCosts(setup(fleet=[{"gpus": 8}]), device("h100"), 8)


def test_a_device_without_a_rate_for_its_precision_is_refused() -> None:
    half = CatalogueDevice("half", 1e9, "bfloat16", 1e9, 0.0, {"float16": 1e9}, "made up")
    with pytest.raises(CostError, match="device half has no rate for bfloat16; the catalogue knows float16"):
        PredictedCosts(setup(), half)


def test_without_torch_one_line_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "parasim_core.calibration.measuring.configuration", None)
    with pytest.raises(CostError, match="predicting the times of a device needs the extra 'train'"):
        PredictedCosts(setup(), device("h100")).local_update(0, 0, None)


def test_blocks_of_a_real_model_take_the_longer_the_lower_they_lie() -> None:
    # Layers above a block go backward too: 28 layers more for the lowest of 15 blocks than for the highest.
    costs = PredictedCosts(
        prepared(Scenario.parse({"model": "smollm2-135m", "method": "fedbcd", "local": {"batch_size": 8}})),
        device("a100-80gb"),
    )
    blocks = costs._setup.blocks
    assert blocks is not None
    seconds = [costs.local_update(0, 0, block).seconds for block in blocks]
    assert seconds == sorted(seconds, reverse=True)
    assert 1.5 < seconds[0] / seconds[-1] < 3.0
