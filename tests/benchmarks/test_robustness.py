"""The study of robustness: its statistics by hand, and what it compares."""

from __future__ import annotations

import pytest

from benchmarks.robustness import Outcome, Study, interval
from benchmarks.robustness_runs import STUDIES, Run, merged, rounds_within, scenario
from parasim.training import DEMONSTRATION
from parasim_core.sim.scenario.reading import read
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.train.runs.settings import TrainSettings


def outcome(*losses: float) -> Outcome:
    return Outcome([(float(place), place, loss) for place, loss in enumerate(losses)], len(losses))


def run(method: str, choice: str, **reference: str) -> Run:
    return Run("rounds", method, choice, "fedbcd", {}, **reference)


def test_an_interval_is_students():
    # Mean 3; the standard deviation is sqrt(10 / 4), its share sqrt(2.5 / 5) = 0.70711, and t at 4 degrees is 2.77645.
    assert interval([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx((3.0, 2.77645 * 0.70711), abs=1e-4)


def test_the_loss_of_a_run_is_the_mean_of_its_last_three_measurements():
    assert outcome(9.0, 1.0, 2.0, 6.0).loss == 3.0
    assert outcome(4.0, 2.0).loss == 3.0
    assert Outcome([], 0, "nobody is left").loss is None


def test_differences_are_taken_seed_by_seed_where_both_came_to_their_end():
    few, all_ = run("fedbcd", "few", against="all"), run("fedbcd", "all")
    # Seeds are far apart and differences are 1, 1 and, of the last, not known.
    found = Study(
        [few, all_],
        {
            few.folder: [outcome(11.0), outcome(21.0), outcome(31.0)],
            all_.folder: [outcome(10.0), outcome(20.0), Outcome([], 0, "nobody is left")],
        },
    )
    assert found.difference(few) == (1.0, 0.0)
    assert found.difference(all_) is None
    assert found.loss(few) is not None
    # Of two seeds, 10 and 20: t at one degree is 12.706, and half of their difference is the mean's standard error.
    assert found.table("rounds").splitlines() == [
        "| rounds | few | all |",
        "|---|---|---|",
        "| fedbcd | 21.00, +1.00 ± 0.00 | 15.00 ± 63.53, 1 ended early |",
    ]


def test_an_interaction_is_a_difference_of_differences():
    choices = {("a", "all"): (1.0, 2.0), ("a", "few"): (2.0, 5.0), ("b", "all"): (0.0, 0.0), ("b", "few"): (0.5, 0.5)}
    runs = [run(m, c, **({"against": "all"} if c == "few" else {})) for m, c in choices]
    found = Study(runs, {r.folder: [*map(outcome, losses)] for r, losses in zip(runs, choices.values(), strict=True)})
    # Few clients cost 1 and 3 for a, and 0.5 for b: 0.5 and 2.5 more for a.
    assert found.interaction(runs[1], runs[3]) == pytest.approx((1.5, 12.706), abs=1e-3)


def test_a_reference_may_be_another_method_at_the_same_choice():
    stale, fresh = run("s = 1", "alpha 1", against_method="fedbcd"), run("fedbcd", "alpha 1")
    losses = {stale.folder: [outcome(3.0), outcome(4.0)], fresh.folder: [outcome(1.0), outcome(2.0)]}
    assert Study([stale, fresh], losses).difference(stale) == (2.0, 0.0)


def test_fields_go_into_their_sections():
    base = {"rounds": 3, "train": {"mean": "uniform", "data": {"examples": 1}}}
    fields = {"rounds": 4, "train": {"data": {"held_out_examples": 2}}}
    expected = {"rounds": 4, "train": {"mean": "uniform", "data": {"examples": 1, "held_out_examples": 2}}}
    assert merged(base, fields) == expected
    assert base["rounds"] == 3


def test_rounds_at_equal_wall_clock_are_those_that_are_aggregated_by_then():
    # Computing takes 2 s, a message 1 s; the first round has no download: rounds end at 3, 7, 11 and 15 s.
    whole = {
        "method": "fedbcd",
        "fleet": [{"uplink": "400kB/s"}],
        "payload": {"upload": "400kB"},
        "compute": {"seconds": 2},
    }
    assert [rounds_within(whole, seconds) for seconds in (2.9, 3, 10, 15)] == [0, 1, 2, 4]


def test_every_run_can_be_trained_and_is_compared_with_one_that_there_is():
    demonstration = read(DEMONSTRATION)
    for compared in STUDIES.values():
        runs = compared()
        known = {(one.method, one.choice) for one in runs}
        assert len({one.folder for one in runs}) == len(runs)
        for one in runs:
            assert (one.against_method or one.method, one.against or one.choice) in known
            whole = Scenario.parse(scenario(one, demonstration, 0))
            TrainSettings.parse(whole.train)
            assert whole.rounds >= 7
