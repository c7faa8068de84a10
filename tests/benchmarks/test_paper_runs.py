"""The search for settings that explain the paper: its arithmetic, with steps whose times are made up."""

from __future__ import annotations

import pytest

from benchmarks import paper_runs
from benchmarks.paper_runs import BIG, SMALL, TABLE_8, Explanation, Passes, RoundTime, Setting, grid, implied, needed


def setting(steps: str = "round") -> Setting:
    return Setting(512, "fused", "fast", steps, dict.fromkeys(("block", "lora"), Passes(False, False)))


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of LoRA takes twice as long as one of a block, which takes 1 s, and 0.6 s at half the length."""

    def seconds(setting: Setting, time: RoundTime, short: bool) -> float:
        return (0.6 if short else 1.0) * (2 if time.kind == "lora" else 1)

    monkeypatch.setattr(paper_runs, "step_seconds", seconds)
    monkeypatch.setattr(paper_runs, "peak", lambda setting, kind, model: 1.1 * TABLE_8[kind, model] * 2**30)


def test_the_profile_implies_six_times_of_blocks_and_three_of_lora():
    assert [time.kind for time in implied()] == ["block"] * 6 + ["lora"] * 3
    assert implied()[0] == RoundTime("block", BIG, False, 4, 39.44868)


def test_every_combination_stands_once():
    # 5 lengths, 2 kinds of attention, 2 hosts, 2 rules for steps, and 4 x 4 ways of passing blocks and LoRA.
    settings = list(grid())
    assert len(settings) == 5 * 2 * 2 * 2 * 16
    assert len({str(one) for one in settings}) == len(settings)


def test_a_factor_either_way_holds_numbers_together():
    # Between 2 and 8 lies 4: a factor of 2 either way.
    assert needed([2.0, 8.0, 4.0]) == pytest.approx(2)


def test_steps_are_those_that_explain_all_times(made_up: None):
    # Alpaca's 30 s are 30 steps. Math's 24 s are 30 steps of 0.8 s, half way between 0.6 s and 1 s: 0.75 of the length.
    times = [RoundTime("block", BIG, False, 4, 30.0), RoundTime("block", BIG, True, 4, 24.0)]
    found = paper_runs.explain(setting(), [*times, RoundTime("lora", BIG, False, 4, 60.0)])
    assert (found.blocks, found.everything) == pytest.approx((1, 1))
    assert (found.steps, found.math) == pytest.approx((30, 0.75))
    assert found.memory("block") == pytest.approx(1.1)


def test_as_many_steps_in_a_run_are_more_a_round_where_there_are_fewer_rounds(made_up: None):
    # 32 rounds of 28 steps are 28 rounds of 32.
    times = [RoundTime("block", BIG, False, 4, 28.0), RoundTime("block", SMALL, False, 4, 32.0)]
    assert paper_runs.explain(setting("run"), times).blocks == pytest.approx(1)
    assert paper_runs.explain(setting("round"), times).blocks == pytest.approx((32 / 28) ** 0.5)


def test_what_is_furthest_beyond_its_band_counts():
    peaks = {place: 1.15 * gib for place, gib in TABLE_8.items()}
    assert Explanation(setting(), 1.1, 1.2, 30, 1, peaks).far == pytest.approx(1)
    # Twice the band in logarithms.
    assert Explanation(setting(), 1.1, 1.3**2, 30, 1, peaks).far == pytest.approx(2)
