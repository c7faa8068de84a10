"""The fit: it finds prices that are there, never negative ones, and predicts what it has not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parasim_core.calibration.measuring.calibrate import fitted
from parasim_core.calibration.profiles.cost_terms import TERMS, Amounts, Form, work
from parasim_core.calibration.profiles.fit import fit
from parasim_core.calibration.profiles.measured_file import MeasuredFile, StepFit, StepSample, coefficients
from parasim_core.calibration.profiles.points import StepPoint, Visit
from parasim_core.calibration.profiles.quality import summary
from parasim_core.sim.workload.methods import Trains
from tests.calibration.synthetic import ARCHITECTURE, PRICES, VALUES, measured_file, visit

POINTS = [sample.point for sample in measured_file().samples]
AMOUNTS = [work(ARCHITECTURE, point) for point in POINTS]
PARTS = ("forward", "head", "backward", "update")
NOTHING = dict.fromkeys(AMOUNTS[0], 0.0)


def priced(form: Form, prices: Mapping[str, float]) -> StepFit:
    """Prices, 0 where none is given."""
    return StepFit(form=form, coefficients=coefficients({**dict.fromkeys(VALUES, 0.0), **prices}))


def values(fit: StepFit) -> dict[str, float]:
    return {name: one.value for name, one in fit.coefficients.items()}


def times_of(prices: StepFit, amounts: Sequence[Amounts]) -> list[Visit]:
    return [Visit(**{phase: prices.phase(phase, one) for phase in PARTS}) for one in amounts]


def relative_errors(prices: StepFit, amounts: Sequence[Amounts], times: list[Visit]) -> list[float]:
    return [prices.step(one) / measured.step - 1 for one, measured in zip(amounts, times, strict=True)]


def measured(forward: float, head: float = 0.0, backward: float = 0.0) -> Visit:
    return Visit(forward=forward, head=head, backward=backward, update=0.0)


def test_a_step_is_the_sum_of_its_terms():
    # constant 2 s, 3 s per 1e12 operations of layers, 5 of the head, 7 s per 1e9 weights.
    prices = priced(
        "sum",
        {
            "forward_constant": 2.0,
            "forward_layers": 3.0,
            "head_forward": 5.0,
            "optimizer": 7.0,
            "update_weights": 11.0,
        },
    )
    amounts = NOTHING | {"one": 1.0, "forward": 10.0, "head": 100.0, "weights": 1000.0}
    assert prices.step(amounts) == pytest.approx(2 + 30 + 500 + 7000)
    assert prices.full_pass(amounts) == pytest.approx(2 + 30 + 500)
    assert prices.phase("update", amounts) == pytest.approx(11_000)


def test_on_a_gpu_the_longer_of_launches_and_work_counts():
    prices = priced(
        "maximum",
        {"backward_constant": 1.0, "backward_launch": 2.0, "backward_layers": 4.0, "optimizer": 8.0},
    )
    waiting = NOTHING | {"one": 1.0, "layers_above": 3.0, "above": 1.0, "weights": 1.0}
    assert prices.step(waiting) == pytest.approx(1 + 2 * 3 + 8)  # launches 7 s, work 4 s, and the optimizer
    busy = waiting | {"above": 100.0}
    assert prices.step(busy) == pytest.approx(400 + 8)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.1, 10), min_size=len(TERMS), max_size=len(TERMS)))
def test_exact_times_are_predicted_exactly(factors: list[float]):
    true = priced("sum", {name: value * f for (name, value), f in zip(VALUES.items(), factors, strict=True)})
    half = AMOUNTS[::2]
    found = fit(half, times_of(true, half), "sum")
    assert min(values(found).values()) >= 0
    np.testing.assert_allclose(relative_errors(found, half, times_of(true, half)), 0, atol=1e-6)


def test_times_that_fall_with_work_get_no_negative_price():
    falling = [measured(1 / (1 + one["forward"] * 1e6), 1.0, 1.0) for one in AMOUNTS]
    found = fit(AMOUNTS, falling, "sum")
    assert min(values(found).values()) >= 0
    assert values(found)["forward_layers"] == 0


def test_what_samples_cannot_tell_apart_has_one_price():
    # One rank: the values of adapters are their operations times a constant. Without blocks all layers are trained, so
    # what is kept is what is passed. Of either pair the first carries the price of both.
    times = times_of(PRICES, AMOUNTS)
    found = fit(AMOUNTS, times, "sum")
    assert found.undetermined == {
        "forward_adapter_values": ("forward_adapter_layers",),
        "backward_adapter_values": ("backward_adapter_layers",),
    }
    assert values(found)["forward_adapter_values"] == 0
    assert values(found)["forward_layers"] == pytest.approx(VALUES["forward_layers"], rel=1e-6)
    np.testing.assert_allclose(relative_errors(found, AMOUNTS, times), 0, atol=1e-9)
    adapters = [(one, time) for one, time, point in zip(AMOUNTS, times, POINTS, strict=True) if point.rank]
    without_blocks = fit(*map(list, zip(*adapters, strict=True)), "sum")
    assert without_blocks.undetermined["forward_kept"] == ("forward_layers",)
    everything = [(one, time) for one, time, point in zip(AMOUNTS, times, POINTS, strict=True) if not point.rank]
    assert fit(*map(list, zip(*everything, strict=True)), "sum").undetermined["forward_adapters"] == ()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.floats(1e-15, 1e-12))
def test_the_last_bits_of_the_times_do_not_move_a_price(seed: int, size: float):
    # Another processor rounds differently: prices must follow continuously, whatever the samples do not determine.
    draw = np.random.default_rng(seed)
    times = times_of(PRICES, AMOUNTS)
    moved = [Visit(**{part: getattr(one, part) * (1 + size * draw.normal()) for part in PARTS}) for one in times]
    before, after = fit(AMOUNTS, times, "sum"), fit(AMOUNTS, moved, "sum")
    assert before.undetermined == after.undetermined
    for name, price in values(before).items():
        assert values(after)[name] == pytest.approx(price, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("launch", [1e-4, 1e-3, 1e-2])
def test_saturation_is_found(launch: float):
    # From all points waiting for launches to hardly any.
    prices = {t.name: launch if t.role == "launch" else 20.0 for t in TERMS}
    true = priced("maximum", prices)
    found = fit(AMOUNTS, times_of(true, AMOUNTS), "maximum")
    median, _ = summary(relative_errors(found, AMOUNTS, times_of(true, AMOUNTS)))
    assert median < 1


def test_a_small_step_counts_as_much_as_a_large_one():
    # Two points that no line through the origin meets: relative errors balance, absolute ones would not.
    amounts = [NOTHING | {"forward": 1.0}, NOTHING | {"forward": 1000.0}]
    found = fit(amounts, [measured(1.0), measured(2000.0)], "sum")
    # min (x - 1)^2 + (1000 x / 2000 - 1)^2: (x - 1) + (x / 2 - 1) / 2 = 0, x = 1.2
    assert values(found)["forward_layers"] == pytest.approx(1.2)


def test_held_out_points_are_not_used():
    file = measured_file()
    honest = fitted(file, ARCHITECTURE)
    spoilt = tuple(
        StepSample.of(s.point, s.role, [visit(ARCHITECTURE, s.point, factor=2.0)], None) if s.role == "held-out" else s
        for s in file.samples
    )
    worse = fitted(file.model_copy(update={"samples": spoilt}), ARCHITECTURE)
    assert honest.fit == worse.fit
    assert honest.held_out is not None
    assert worse.held_out is not None
    assert honest.held_out.p95_error_pct == pytest.approx(0, abs=0.01)
    # Twice the time: the prediction is half of it.
    assert worse.held_out.median_error_pct == pytest.approx(50, abs=0.01)


def test_held_levels_are_reported():
    held = fitted(measured_file(), ARCHITECTURE).held_out
    assert held is not None
    assert 2 * held.points >= held.fitted_points
    assert held.batch_size in (2, 4)
    assert held.layers == 2
    assert held.first_layers


def test_block_positions_follow_the_structure():
    file: MeasuredFile = fitted(measured_file(), ARCHITECTURE)
    assert file.fit is not None
    steps = [
        file.fit.step(
            work(
                ARCHITECTURE,
                StepPoint(trains=Trains.BLOCK, batch_size=4, sequence_length=32, first_layer=first, layers=2),
            )
        )
        for first in range(7)
    ]
    # Backward grows linearly with the layers above: a second difference of zero.
    assert np.diff(steps, 2) == pytest.approx(0, abs=1e-9)
    assert steps[0] > steps[-1]
