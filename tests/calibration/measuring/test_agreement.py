"""Predicted against measured rounds, by hand."""

from __future__ import annotations

import pytest

from calibration.measuring.agreement import Agreement, RoundTimes


def rounds(*pairs: tuple[float, float]) -> list[RoundTimes]:
    return [RoundTimes("fedbcd", number, 0.0, *pair) for number, pair in enumerate(pairs)]


def test_by_hand():
    # Predicted 2, 3, 4 (mean 3), measured 2, 2, 5 (mean 3): no error on the whole, 0, 50 and 20 % in single rounds.
    found = Agreement.of(rounds((2, 2), (3, 2), (4, 5)), goal_pct=5)
    assert (found.method, found.rounds, found.met) == ("fedbcd", 3, True)
    assert (found.predicted_s, found.measured_s) == (3, 3)
    assert found.error_pct == pytest.approx(0)
    assert found.median_round_pct == pytest.approx(20)
    assert found.largest_round_pct == pytest.approx(50)


@pytest.mark.parametrize(("predicted", "error", "met"), [(1.1, 10, True), (1.11, 11, False), (0.89, -11, False)])
def test_the_goal_counts_in_both_directions(predicted: float, error: float, met: bool):
    found = Agreement.of(rounds((predicted, 1)), goal_pct=10.001)
    assert found.error_pct == pytest.approx(error)
    assert found.met is met
