"""Policies of selection: who takes part, among those available."""

from __future__ import annotations

import math

import pytest
import simpy

from parasim_core.sim.engine.selection import Everyone, Fraction, Listed, OverSelection, Places, Turns
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.support.streams import stream


def test_everyone_is_everyone_available():
    assert list(Everyone().select(3, [1, 4, 5])) == [1, 4, 5]


@pytest.mark.parametrize(("share", "available", "size"), [(0.2, 50, 10), (0.01, 10, 1), (0.5, 3, 2), (1.0, 4, 4)])
def test_a_fraction_is_drawn_from_those_available(share: float, available: int, size: int):
    clients = list(range(100, 100 + available))
    chosen = Fraction(share, stream(0, "participation")).select(0, clients)
    assert len(chosen) == size
    assert list(chosen) == sorted(set(chosen))
    assert set(chosen) <= set(clients)


def test_a_fraction_draws_anew_each_round():
    policy = Fraction(0.1, stream(0, "participation"))
    assert len({tuple(policy.select(round, range(50))) for round in range(10)}) > 5


def test_lists_and_turns_keep_to_those_available():
    assert list(Listed([[3, 1], [2]]).select(0, [0, 1, 2])) == [1]
    turns = Turns([0, 1, 2, 0])
    assert [turns.select(turn, range(3))[0] for turn in range(5)] == [0, 1, 2, 0, 0]
    # Next would be 1; who is not there is passed over, and nobody is chosen where nobody is.
    assert [list(turns.select(turn, there)) for turn, there in enumerate(([0, 2], [], [0, 1], [0, 1]))] == [
        [2], [], [0], [0],
    ]  # fmt: skip


@pytest.mark.parametrize(("factor", "size"), [(1.0, 4), (1.3, 6), (5.0, 10)])
def test_over_selection_adds_others(factor: float, size: int):
    # 1.3 x 4 rounded up is 6; there are only 10 clients.
    chosen = OverSelection(Listed([[0, 1, 2, 3]]), factor, stream(0, "participation")).select(0, range(10))
    assert len(chosen) == len(set(chosen)) == size
    assert {0, 1, 2, 3} <= set(chosen)


class Client:
    """As much of a client as places look at."""

    def __init__(self, number: int):
        self.client = number
        self.after = (number,)


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_shares_and_factors_that_cannot_be_are_refused(wrong: float):
    with pytest.raises(ScenarioError):
        Fraction(wrong, stream(0, "participation"))
    with pytest.raises(ScenarioError):
        OverSelection(Everyone(), wrong, stream(0, "participation"))


def test_places_go_round_in_the_order_of_clients():
    env = simpy.Environment()
    places = Places(env, 2)
    got: list[tuple[float, int]] = []

    def client(number: int, seconds: float):
        site = Client(number)
        while True:
            yield places.turn(site)
            got.append((env.now, number))
            yield env.timeout(seconds)
            places.give_back(site)

    # They ask in another order than that of their numbers, all in the same instant.
    for number, seconds in ((3, 5), (0, 2), (2, 4), (1, 3)):
        env.process(client(number, seconds))
    env.run(until=8.5)
    # 0 and 1 begin; 0 is done at 2: 2's turn; 1 at 3: 3's; 2 at 6: 0's again; 3 and 0 at 8: 1's and 2's.
    assert got == [(0, 0), (0, 1), (2, 2), (3, 3), (6, 0), (8, 1), (8, 2)]
