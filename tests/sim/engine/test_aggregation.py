"""Policies of aggregation, asked directly: who is aggregated when, and who is dropped why."""

from __future__ import annotations

import pytest

from parasim_core.sim.engine.aggregation import (
    AllExpected,
    Batch,
    Buffer,
    Dropped,
    Immediate,
    Quorum,
    Received,
    at_least,
    weight_of_stale,
)
from parasim_core.sim.engine.learner import Update
from parasim_core.sim.errors import ScenarioError


def received(client: int, round: int = 0, trained_on: int = -1, clients: int = 1) -> Received:
    """An update of a round, trained on some aggregation's model."""
    return Received(
        Update(client, round, None, 1.0, versions={0: trained_on}), span=10 * round + client, clients=clients
    )


def clients(batch: Batch | Dropped | None) -> list[int]:
    """Whose updates a batch holds."""
    assert isinstance(batch, Batch)
    return [one.update.client for one in batch.received]


def test_all_expected_waits_for_everyone_and_counts_clients_not_messages():
    policy = AllExpected()
    policy.expect(0, 3)
    policy.expect(1, 1)
    assert policy.receive(received(0, clients=2)) is None
    assert "2 of 3" in policy.waiting(0)
    # Another round's does not count.
    assert clients(policy.receive(received(0, round=1))) == [0]
    batch = policy.receive(received(2))
    assert (clients(batch), batch.number) == ([0, 2], 0)


def test_a_quorum_is_a_share_rounded_up():
    # 0.5 of 5 clients: 3 are enough.
    policy = Quorum(0.5)
    policy.expect(0, 5)
    assert policy.receive(received(4)) is None
    assert policy.receive(received(1)) is None
    assert clients(policy.receive(received(2))) == [4, 1, 2]
    # Who comes later is dropped, and it says why.
    dropped = policy.receive(received(0))
    assert isinstance(dropped, Dropped)
    assert "late" in dropped.reason
    assert policy.left_over() == []


def test_late_updates_go_into_the_next_round_without_counting_for_it():
    policy = Quorum(0.5, late="next-round")
    for round in (0, 1):
        policy.expect(round, 2)
    assert clients(policy.receive(received(0))) == [0]
    assert policy.receive(received(1)) is None
    assert [one.update.client for one in policy.left_over()] == [1]
    batch = policy.receive(received(0, round=1))
    assert ([(one.update.client, one.update.round) for one in batch.received], batch.number) == ([(1, 0), (0, 1)], 1)
    assert policy.left_over() == []


def test_a_deadline_takes_what_there_is():
    policy = Quorum(1.0, deadline=60.0)
    policy.expect(0, 3)
    policy.receive(received(2))
    assert clients(policy.due(0)) == [2]
    # Once only.
    assert policy.due(0) is None


def test_after_a_deadline_with_nobody_there_the_first_is_enough():
    policy = Quorum(1.0, deadline=60.0)
    policy.expect(0, 3)
    assert policy.due(0) is None
    assert clients(policy.receive(received(1))) == [1]


def test_a_buffer_is_filled_by_anyone():
    policy = Buffer(2)
    assert policy.receive(received(3, round=5)) is None
    batch = policy.receive(received(3, round=6))
    assert (clients(batch), batch.number) == ([3, 3], 0)
    policy.receive(received(0))
    assert policy.receive(received(1)).number == 1


@pytest.mark.parametrize(("trained_on", "begun", "staleness"), [(-1, 0, 0), (-1, 3, 3), (2, 3, 0), (0, 3, 2)])
def test_staleness_counts_aggregations_since_the_version_trained_on(trained_on, begun, staleness):
    # Trained on the model after aggregation v, as part of aggregation n: those of numbers v + 1 to n - 1 are missing
    # in it, whether they are done when it arrives or only begun.
    def after(policy: Buffer) -> Buffer:
        for number in range(begun):
            policy.receive(received(9, round=number, trained_on=number - 1))
        return policy

    seen: list[int] = []
    batch = after(Buffer(1, weigh=lambda s: seen.append(s) or 0.25)).receive(received(0, trained_on=trained_on))
    assert seen[-1] == staleness
    assert batch.received[0].update.weight == 0.25
    bounded = after(Immediate(bound=2)).receive(received(0, trained_on=trained_on))
    assert isinstance(bounded, Dropped) == (staleness > 2)


def test_shares_are_rounded_up_but_not_for_rounding():
    # In floats, 0.07 x 100 is a little more than 7, and 0.55 x 20 a little more than 11.
    assert [at_least(0.07, 100), at_least(0.55, 20), at_least(0.5, 5), at_least(1.0, 3)] == [7, 11, 3, 3]


@pytest.mark.parametrize(
    "wrong",
    [{"least": 0}, {"least": 1.5}, {"least": "x"}, {"deadline": -3}, {"deadline": "3s"}, {"late": "nextround"}],
)
def test_a_quorum_that_cannot_be_is_refused(wrong):
    with pytest.raises(ScenarioError, match="quorum"):
        Quorum(**wrong)


@pytest.mark.parametrize("size", [0, -1, 2.5, "x"])
def test_a_buffer_that_cannot_be_is_refused(size):
    with pytest.raises(ScenarioError, match="size"):
        Buffer(size)
    with pytest.raises(ScenarioError, match="bound"):
        Buffer(2, bound=-1)


def test_what_never_fills_a_buffer_is_left_over():
    policy = Buffer(2)
    policy.receive(received(3))
    assert [one.update.client for one in policy.left_over()] == [3]


@pytest.mark.parametrize(
    ("rule", "staleness", "weight"),
    [
        ("constant", 7, 1.0),
        ("polynomial", 0, 1.0),
        ("polynomial", 3, 0.5),  # (1 + 3) ** -0.5
        ("hinge", 4, 1.0),
        ("hinge", 6, 0.5),  # 1 / (1 + 0.5 * (6 - 4))
    ],
)
def test_weights_of_stale_updates(rule, staleness, weight):
    assert weight_of_stale(rule, 0.5, 4)(staleness) == pytest.approx(weight, rel=1e-15)


@pytest.mark.parametrize("policy", [AllExpected(), Quorum(1.0)])
def test_whoever_is_left_is_enough(policy: AllExpected | Quorum):
    policy.expect(0, 3)
    policy.receive(received(1))
    assert policy.lost(0, 1) is None
    assert clients(policy.lost(0, 1)) == [1]


@pytest.mark.parametrize("policy", [AllExpected(), Quorum(0.5), Quorum(0.5, deadline=1.0)])
def test_a_round_of_which_nobody_is_left_is_short(policy: AllExpected | Quorum):
    policy.expect(0, 2)
    assert policy.lost(0, 1) is None
    assert not policy.short(0)
    assert policy.lost(0, 1) is None
    assert policy.short(0)
    # It may be tried again.
    policy.expect(0, 1)
    assert not policy.short(0)
    assert clients(policy.receive(received(1))) == [1]


@pytest.mark.parametrize("policy", [AllExpected(strict=True), Quorum(0.6, strict=True)])
def test_fewer_than_a_strict_quorum_are_never_enough(policy: AllExpected | Quorum):
    # 3 of 3 are needed, or 3 of 5.
    policy.expect(0, 3 if isinstance(policy, AllExpected) else 5)
    for _ in range(0 if isinstance(policy, AllExpected) else 2):
        assert policy.lost(0, 1) is None
    assert (policy.receive(received(1)), policy.short(0), policy.missing(0)) == (None, False, 0)
    assert policy.lost(0, 1) is None
    assert (policy.short(0), policy.missing(0)) == (True, 1)
    # Further ones count beside what is in.
    policy.expect(0, 1)
    assert not policy.short(0)
    assert policy.receive(received(2)) is None
    assert clients(policy.receive(received(0))) == [1, 2, 0]


def test_a_strict_quorum_that_is_not_in_at_its_deadline_is_short():
    policy = Quorum(1.0, deadline=60.0, strict=True)
    policy.expect(0, 2)
    policy.receive(received(1))
    assert policy.due(0) is None
    assert (policy.short(0), policy.missing(0)) == (True, 0)
    policy.expect(0, 0)
    assert not policy.short(0)
    assert clients(policy.receive(received(0))) == [1, 0]


def test_a_quorum_is_a_share_of_those_wanted():
    # 2 of 4 are wanted: with all of these two, whoever else was selected is late.
    policy = Quorum(1.0)
    policy.expect(0, 4, wanted=2)
    policy.receive(received(3))
    assert policy.lost(0, 1) is None
    assert clients(policy.receive(received(0))) == [3, 0]
    # Whoever was late and is lost then, does not matter.
    assert policy.lost(0, 1) is None
    assert not policy.short(0)
