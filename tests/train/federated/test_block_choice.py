"""Adaptive schedules of blocks, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from parasim_core.sim.errors import SimulationError
from parasim_core.train.federated.block_choice import AdaptiveSchedule, Bandit, ByChange, RoundReport
from tests.train.tiny import federate, tiny_model, weights


def changed(block: int, change: float, loss: float = 1.0) -> RoundReport:
    return RoundReport({block: change}, [(1.0, loss)])


class Listed:
    """A policy that chooses as many blocks up as it has observed rounds, and remembers what it saw before each."""

    def __init__(self):
        self.losses: list[float] = []
        self.known: list[int] = []

    def observe(self, report: RoundReport) -> None:
        self.losses.append(report.loss)

    def choose(self) -> int:
        self.known.append(len(self.losses))
        return len(self.losses)


@pytest.mark.parametrize("policy", [ByChange, Bandit])
def test_every_block_comes_once_before_any_comes_again(policy):
    first = policy(5, np.random.default_rng(3))
    assert sorted(first.choose() for _ in range(5)) == [0, 1, 2, 3, 4]
    orders = {tuple(policy(5, np.random.default_rng(seed)).choose() for _ in range(5)) for seed in range(5)}
    assert len(orders) > 1


def test_chances_are_in_proportion_to_the_last_change_of_each_block():
    chooser = ByChange(4, np.random.default_rng(0))
    for report in (changed(0, 6.0), changed(1, 1.0), changed(0, 2.0), changed(2, 3.0)):
        chooser.observe(report)
    # Of block 3 nothing is known: it counts like the mean of 2, 1 and 3, which is 2. The sum is 8; a tenth of the
    # chances is shared: 0.1 / 4 = 0.025, and 0.9 / 8 = 0.1125 for each unit of change.
    assert chooser.chances() == pytest.approx([0.25, 0.1375, 0.3625, 0.25])


def test_blocks_are_drawn_with_these_chances():
    chooser = ByChange(2, np.random.default_rng(1))
    for block in (0, 1):
        chooser.choose()
        chooser.observe(changed(block, (3.0, 1.0)[block]))
    # 0.05 + 0.9 x 3/4 = 0.725; of 4,000 draws 2,900, with a standard deviation of 28.
    drawn = [chooser.choose() for _ in range(4000)]
    assert drawn.count(0) == pytest.approx(2900, abs=5 * 28)


def test_where_nothing_moved_all_blocks_are_alike():
    chooser = ByChange(2, np.random.default_rng(1))
    for block in (0, 1):
        chooser.observe(changed(block, 0.0))
    assert chooser.chances() == [0.5, 0.5]
    assert ByChange(4, np.random.default_rng(1)).chances() == [0.25] * 4


def test_the_bandit_takes_the_block_that_lowered_the_loss_most():
    bandit = Bandit(3, np.random.default_rng(0))
    order = [bandit.choose() for _ in range(3)]
    for loss in (10.0, 9.0, 5.0, 4.5):
        bandit.observe(changed(0, 1.0, loss))
    # Rounds 0, 1 and 2 earned 1, 4 and 0.5; on a scale from 0.5 to 4: 1/7, 1 and 0.
    # n is 0.95^2 = 0.9025, 0.95 and 1, N = 2.8525, ln N = 1.04819; the bonuses are half the roots of
    # 1.04819 / 0.9025 = 1.16143, 1.10336 and 1.04819: 0.53885, 0.52520 and 0.51191.
    expected = dict(zip(order, (1 / 7 + 0.53885, 1 + 0.52520, 0.51191), strict=True))
    assert bandit.indices() == pytest.approx([expected[block] for block in range(3)], abs=1e-5)
    assert bandit.choose() == order[1]


def test_what_the_bandit_has_not_seen_the_end_of_counts_as_chosen():
    bandit = Bandit(2, np.random.default_rng(0))
    first, second = bandit.choose(), bandit.choose()
    for loss in (3.0, 2.0):
        bandit.observe(changed(0, 1.0, loss))
    # Round 0 earned 1, all that is known: in the middle of the scale, as is what is not known. n is 0.95 and 1, and so
    # the first block has the larger bonus: 0.5 sqrt(ln 1.95 / 0.95) = 0.41922 against 0.40861. Chosen again, it has
    # n = 0.9025 + 1 and the other 0.95: N = 2.8525, and the other one is next.
    indices = bandit.indices()
    assert (indices[first], indices[second]) == pytest.approx((0.91922, 0.90861), abs=1e-5)
    assert [bandit.choose(), bandit.choose()] == [first, second]


def test_a_later_choice_outweighs_an_earlier_one():
    bandit = Bandit(1, np.random.default_rng(0))
    for _ in range(2):
        bandit.choose()
    for loss in (3.0, 3.0, 2.0):
        bandit.observe(changed(0, 1.0, loss))
    # It earned 0 and then 1: (0.95 x 0 + 1) / 1.95, and the bonus with N = n = 1.95.
    assert bandit.indices() == pytest.approx([1 / 1.95 + 0.5 * math.sqrt(math.log(1.95) / 1.95)])


def test_losses_are_means_with_weights():
    assert RoundReport({}, [(1.0, 2.0), (3.0, 4.0)]).loss == 3.5


@pytest.mark.parametrize(("staleness", "known"), [(0, [0, 1, 2, 3]), (1, [0, 0, 1, 2]), (2, [0, 0, 0, 1])])
def test_a_round_is_chosen_by_what_is_known_when_it_can_begin_and_no_more(staleness, known):
    schedule = AdaptiveSchedule(policy := Listed(), 4, staleness)
    for number in range(4):
        schedule.report(number, 0, 1.0, [(1.0, float(number))])
    assert list(schedule) == known
    assert policy.known == known
    assert policy.losses == [float(number) for number in range(known[-1])]


def test_a_round_is_not_chosen_before_that():
    schedule = AdaptiveSchedule(Listed(), 4, 1)
    assert schedule[:2] == [0, 0]
    with pytest.raises(SimulationError, match="block of round 2 was asked for before round 0 was aggregated"):
        schedule[2]
    schedule.report(0, 0, 1.0, [(1.0, 1.0)])
    assert schedule[2] == 1
    with pytest.raises(IndexError):
        schedule[4]


def test_an_aggregation_may_renew_several_blocks():
    schedule = AdaptiveSchedule(Listed(), 2, 0)
    schedule.report(0, 2, 0.5, [(1.0, 1.0)])
    schedule.report(0, 1, 0.25, [(1.0, 3.0)])
    assert schedule.reports == [RoundReport({2: 0.5, 1: 0.25}, [(1.0, 1.0), (1.0, 3.0)])]


def test_training_reports_how_far_the_server_moved_a_block_and_the_losses_on_the_way():
    # The first four rounds train each of the four blocks once, with half the server's rate in these changes.
    model, learner = federate(
        method="fedbcd",
        rounds=4,
        blocks={"layers": 1, "schedule": "change"},
        settings={"global_learning_rate": 0.5, "mean": "weighted"},
    )
    before, after = weights(tiny_model()), weights(model)
    schedule = learner.schedule()
    assert sorted(schedule) == [0, 1, 2, 3]
    for round, block in enumerate(schedule):
        moved = [after[n].double() - before[n].double() for n in before if f"layers.{block}." in n]
        squares = sum(float((values**2).sum()) for values in moved)
        (told,) = learner.adaptive.reports[round].changes.items()
        assert told == (block, pytest.approx(math.sqrt(squares / sum(v.numel() for v in moved)), rel=1e-4))
        traces = [learner.traces[client, round].loss for client in range(3)]
        sizes = [float(learner.task.examples[client]) for client in range(3)]
        assert learner.adaptive.reports[round].losses == [*zip(sizes, traces, strict=True)]


@pytest.mark.parametrize("schedule", ["change", "bandit"])
@pytest.mark.parametrize("method", ["fedbcd", {"name": "parablock", "staleness": 2}])
def test_the_blocks_that_are_trained_are_those_that_were_chosen(schedule, method):
    _, learner = federate(method=method, rounds=12, blocks={"layers": 1, "schedule": schedule})
    chosen = list(learner.schedule())
    assert [block for report in learner.adaptive.reports for block in report.changes] == chosen
    # Not what a simulation draws in their place.
    assert chosen != list(learner.setup.schedule)


def test_who_takes_turns_has_a_block_of_its_own():
    _, learner = federate(method="fedcybgd", blocks={"schedule": "bandit"})
    assert list(learner.schedule()) == [0, 1, 2, 0, 1]
