"""FLoRA's merge: amounts by hand, a fit of known prices, and real merges of a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.calibration.measuring import measure_merging as measure_merging_module
from parasim_core.calibration.measuring.measure_merging import STACKED, measure_merging
from parasim_core.calibration.measuring.measured_model import MeasuredModel
from parasim_core.calibration.measuring.plan import MeasuringPlan, Role
from parasim_core.calibration.profiles.cost_terms import MERGE_TERMS, merge_work
from parasim_core.calibration.profiles.measured_file import MergeSample
from parasim_core.calibration.profiles.merging import fit_merging, merge_seconds
from parasim_core.train.models.adapters import Adapter
from parasim_core.train.models.blocks import Values
from tests.calibration.synthetic import ARCHITECTURE, CONFIG

PLAN = MeasuringPlan(
    batch_sizes=(1,), sequence_lengths=(8,), layers=(1,), ranks=(2, 4), targets=("q_proj+v_proj", "all-linear")
)


def test_work_by_hand():
    # q is 16 x 16 and v 8 x 16 in each of 8 layers: 16 modules of 8 x 384 weights, 2 operations each and unit of rank.
    amounts = merge_work(ARCHITECTURE, "q_proj+v_proj", 5)
    assert amounts["modules"] == 16
    assert amounts["weights"] == pytest.approx(8 * 384 * 1e-9)
    assert amounts["products"] == pytest.approx(2 * 5 * 8 * 384 * 1e-12)
    # All linear: also k (8 x 16), o (16 x 16), and three of 16 x 24.
    every = merge_work(ARCHITECTURE, "all-linear", 5)
    assert every["modules"] == 56
    assert every["weights"] == pytest.approx(8 * (2 * 256 + 2 * 128 + 3 * 384) * 1e-9)


@given(st.lists(st.floats(1e-6, 1e3), min_size=3, max_size=3))
def test_a_fit_finds_the_prices_that_were_paid(prices: list[float]):
    def paid(targets: str, rank: int) -> float:
        amounts = merge_work(ARCHITECTURE, targets, rank)
        return sum(price * amounts[term.amount] for price, term in zip(prices, MERGE_TERMS, strict=True))

    samples = [
        MergeSample(targets=targets, rank=rank, role=role, seconds=(paid(targets, rank),))
        for targets in PLAN.targets
        for rank, role in ((1, "fit"), (30, "held-out"), (500, "fit"))
    ]
    merging = fit_merging(samples, ARCHITECTURE)
    assert merging is not None
    assert all(one.value >= 0 for one in merging.coefficients.values())
    for targets in PLAN.targets:
        assert merge_seconds(merging.coefficients, ARCHITECTURE, targets, 100) == pytest.approx(
            paid(targets, 100), rel=1e-2
        )
    assert merging.largest_error_pct < 1
    assert merging.largest_rank("all-linear") == 500
    assert merging.largest_rank("k_proj") == 0


def test_real_merges_leave_the_model_as_it_was(tmp_path: Path):
    torch.set_num_threads(1)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    subject = MeasuredModel(str(tmp_path / "config.json"), torch.device("cpu"))
    before = {name: value.clone() for name, value in subject.model.state_dict().items()}
    labels: list[str] = []
    samples = measure_merging(subject, PLAN, "wall-clock", labels.append)
    after = subject.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    # The smallest rank's stacks and the largest one's, of each adapter.
    ranks = sorted({rank * clients for rank in (2, 4) for clients, _ in STACKED})
    assert [sample.rank for sample in samples] == ranks * 2
    assert {sample.role for sample in samples} == {"fit", "held-out"}
    assert min(min(sample.seconds) for sample in samples) > 0
    assert len(labels) == len(samples)


@pytest.fixture
def subject(tmp_path: Path) -> MeasuredModel:
    torch.set_num_threads(1)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return MeasuredModel(str(tmp_path / "config.json"), torch.device("cpu"))


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("CUDA error: out of memory")]
)
def test_stacks_beyond_the_memory_are_left_out(
    subject: MeasuredModel, error: Exception, monkeypatch: pytest.MonkeyPatch
):
    make = measure_merging_module._nothing

    def nothing(adapter: Adapter, rank: int) -> Values:
        if rank > 40:
            raise error
        return make(adapter, rank)

    monkeypatch.setattr(measure_merging_module, "_nothing", nothing)
    samples = measure_merging(subject, PLAN, "wall-clock", lambda label: None)
    # Of 2, 4, 6, 12, 16, 32, 48, 96, 128 and 256.
    assert [sample.rank for sample in samples] == [2, 4, 6, 12, 16, 32] * 2
    merging = fit_merging(samples, subject.architecture)
    assert merging is not None
    assert merging.largest_rank("all-linear") == 32


def test_other_errors_end_merging(subject: MeasuredModel, monkeypatch: pytest.MonkeyPatch):
    def nothing(adapter: Adapter, rank: int) -> Values:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(measure_merging_module, "_nothing", nothing)
    with pytest.raises(RuntimeError, match="assert"):
        measure_merging(subject, PLAN, "wall-clock", lambda label: None)


def test_too_few_stacks_are_not_fitted():
    def stacks(*roles: Role) -> list[MergeSample]:
        return [MergeSample(targets="q_proj", rank=2**at, role=role, seconds=(1.0,)) for at, role in enumerate(roles)]

    assert fit_merging([], ARCHITECTURE) is None
    assert fit_merging(stacks("fit", "held-out"), ARCHITECTURE) is None
    assert fit_merging(stacks("fit", "fit"), ARCHITECTURE) is None
    assert fit_merging(stacks("fit", "held-out", "fit"), ARCHITECTURE) is not None
