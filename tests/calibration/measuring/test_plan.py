"""Planned points: enough are held out, and what is held out is new to the fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.calibration.measuring.plan import MeasuringPlan, check_enough, held_levels, planned_points
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.workload.architecture import architecture, from_config
from parasim_core.sim.workload.methods import Trains
from tests.calibration.synthetic import ARCHITECTURE, CONFIG, PLAN

PLANS = st.builds(
    MeasuringPlan,
    batch_sizes=st.lists(st.integers(1, 16), min_size=1, max_size=4, unique=True).map(tuple),
    sequence_lengths=st.lists(st.integers(1, 64), min_size=1, max_size=4, unique=True).map(tuple),
    layers=st.lists(st.sampled_from([0.5, 1, 2, 4, 8]), min_size=1, max_size=3, unique=True).map(tuple),
    ranks=st.just((4,)) | st.just(()),
    targets=st.just(("q_proj", "all-linear")),
    seed=st.integers(0, 2**32),
)


def test_a_third_is_held_out_and_every_kind_of_level():
    planned = planned_points(PLAN, ARCHITECTURE)
    held_out = [point for point, role in planned.items() if role == "held-out"]
    used = [point for point, role in planned.items() if role == "fit"]
    assert 3 * len(held_out) >= len(planned)
    blocks = [point for point in held_out if point.trains is Trains.BLOCK]
    for level in ("batch_size", "sequence_length", "layers", "first_layer"):
        new = {getattr(point, level) for point in blocks} - {getattr(point, level) for point in used}
        assert new, level


def test_the_corners_of_all_ranges_are_in_the_fit():
    used = [point for point, role in planned_points(PLAN, ARCHITECTURE).items() if role == "fit"]
    blocks = [point for point in used if point.trains is Trains.BLOCK]
    # 8 layers: the widest block begins at layer 4 at the latest, the narrowest at layer 7.
    corners = {(1, 8, 1, 0), (8, 64, 1, 7), (1, 64, 4, 0), (8, 64, 4, 4), (1, 8, 4, 4)}
    assert corners <= {(p.batch_size, p.sequence_length, p.layers, p.first_layer) for p in blocks}


@given(PLANS)
def test_no_fitted_point_has_a_held_out_level(plan: MeasuringPlan):
    held = held_levels(plan)
    for point, role in planned_points(plan, ARCHITECTURE).items():
        if role == "fit":
            assert point.batch_size != held["batch_size"]
            assert point.sequence_length != held["sequence_length"]
            assert point.layers is None or point.layers != held["layers"]


@given(PLANS)
def test_a_third_of_small_plans_is_held_out_too(plan: MeasuringPlan):
    planned = planned_points(plan, ARCHITECTURE)
    held_out = sum(role == "held-out" for role in planned.values())
    fitted = [point for point, role in planned.items() if role == "fit"]
    blocks = [point for point in fitted if point.trains is Trains.BLOCK]
    # Every level that is not held out as a whole is still there to be fitted.
    held = held_levels(plan)
    assert {point.batch_size for point in blocks} >= {min(plan.batch_sizes), max(plan.batch_sizes)}
    assert {point.sequence_length for point in blocks} >= {min(plan.sequence_lengths), max(plan.sequence_lengths)}
    assert {point.layers for point in blocks} >= {min(plan.layers), max(plan.layers)} - {held["layers"]}
    # A single point of its kind cannot be missed by the fit.
    if len(plan.batch_sizes) > 1 and len(plan.sequence_lengths) > 1:
        assert 3 * held_out >= len(planned)


@given(PLANS)
def test_points_lie_within_the_model_and_are_always_the_same(plan: MeasuringPlan):
    planned = planned_points(plan, ARCHITECTURE)
    for point in planned:
        if point.first_layer is not None and point.layers is not None:
            assert 0 <= point.first_layer <= len(ARCHITECTURE.layers) - point.layers
    assert list(planned.items()) == list(planned_points(plan, ARCHITECTURE).items())


def test_another_seed_draws_other_points():
    assert planned_points(PLAN, ARCHITECTURE) != planned_points(PLAN.model_copy(update={"seed": 1}), ARCHITECTURE)


def test_a_rank_beyond_the_width_is_refused():
    with pytest.raises(ScenarioError, match=r"--rank 17: .*16"):
        planned_points(PLAN.model_copy(update={"ranks": (4, 17)}), ARCHITECTURE)


def test_a_block_wider_than_the_model_is_refused():
    with pytest.raises(ScenarioError, match=r"--layers 64: .*30"):
        planned_points(PLAN.model_copy(update={"layers": (64,)}), architecture("smollm2-135m"))


def test_a_sequence_longer_than_the_model_has_positions_is_refused():
    with pytest.raises(ScenarioError, match=r"--sequence-length 64: .*63"):
        planned_points(PLAN, ARCHITECTURE, longest=63)
    assert planned_points(PLAN, ARCHITECTURE, longest=64) == planned_points(PLAN, ARCHITECTURE)


def test_modules_that_the_model_does_not_have_are_refused_by_their_option():
    with pytest.raises(ScenarioError, match=r"--targets no_proj\+q_proj: .*'no_proj'"):
        planned_points(PLAN.model_copy(update={"targets": ("no_proj+q_proj",)}), ARCHITECTURE)


def test_a_plan_too_small_for_a_fit_is_refused():
    small = MeasuringPlan(batch_sizes=(1,), sequence_lengths=(8,), layers=(1,))
    flat = from_config(CONFIG | {"num_hidden_layers": 1}, "flat")
    # A block, in its only place, and everything, one of them held out: nothing is left to fit.
    with pytest.raises(ScenarioError, match=r"\d for the fit .* --batch-size"):
        check_enough(planned_points(small, flat).values(), "are planned")
    check_enough(planned_points(PLAN, ARCHITECTURE).values(), "are planned")
