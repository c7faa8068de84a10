"""Choosing among those who are there: each set with the same chance, without asking everyone."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from parasim_core.sim.engine.selection import Fraction
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.failures.availability import Sessions
from parasim_core.sim.failures.population import Population
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.sessions import recorded_sessions
from parasim_core.sim.scenario.traces import followed_traces
from parasim_core.sim.support.streams import KeyedStream, stream
from tests.growth import bytecodes

PLAIN: dict[str, Any] = {"method": "fedbcd", "rounds": 2, "compute": {"seconds": 1}, "payload": {"upload": "10MB"}}


def population(*fleet: dict[str, Any]) -> Population:
    return Population(Scenario.parse(PLAIN | {"fleet": list(fleet)}))


@pytest.fixture
def recorded(tmp_path: Path) -> Population:
    """Clients 0 and 1 always, of 2 to 5 every second one from 10 s on: at 15 s, 0, 1, 3 and 5 are there."""
    (tmp_path / "s.json").write_text(json.dumps([[[20, 30]], [[10, 30]]]))
    return population({"count": 2}, {"count": 4, "available": {"file": str(tmp_path / "s.json")}})


def test_who_is_there(recorded: Population):
    assert not recorded.always_there
    assert list(recorded.available(15)) == [0, 1, 3, 5]
    assert list(recorded.available(15, barred={1, 4})) == [0, 3, 5]
    assert recorded.next_change(3, 15) == 30
    assert recorded.next_change(0, 15) == math.inf


def test_each_set_has_the_same_chance(recorded: Population):
    # Two of 0, 1, 3 and 5: six pairs, each in a sixth of the cases.
    draws, cases = stream(1, "participation"), 3000
    chosen = Counter(tuple(recorded.choose(2, 15, draws)) for _ in range(cases))
    assert len(chosen) == 6
    for count in chosen.values():
        assert count / cases == pytest.approx(1 / 6, abs=4 * math.sqrt(5 / 36 / cases))
    assert recorded.choose(2, 15, draws, barred={1, 3}) == [0, 5]
    # No more than there are.
    assert recorded.choose(5, 15, draws) == [0, 1, 3, 5]
    assert recorded.choose(99, 15, draws, barred=[0]) == [1, 3, 5]


def test_the_first_to_be_there(recorded: Population):
    assert recorded.first_there(15) == 15
    # Of 2 to 5, 3 and 5 come at 10 s, 2 and 4 at 20 s.
    assert recorded.first_there(0, barred={0, 1}) == 10
    assert recorded.first_there(0, barred={0, 1, 3, 5}) == 20
    assert recorded.first_there(0, barred=range(6)) == math.inf


def test_where_all_are_always_there_chance_is_what_it_was():
    everyone = population({"count": 70}, {"count": 30})
    one, other = stream(5, "participation"), stream(5, "participation")
    for number in range(3):
        assert everyone.choose(20, 7.0, one) == Fraction(0.2, other).select(number, range(100))
    # As before, nothing is drawn for all of them.
    assert everyone.choose(100, 7.0, one) == [*range(100)]
    assert one.random() == other.random()


def test_few_of_a_million_are_asked(monkeypatch: pytest.MonkeyPatch):
    # 100 of those who are there, a share of 0.4: 250 are asked on average, with a standard deviation of
    # sqrt(100 x 0.6) / 0.4 = 19.
    asked: list[int] = []
    there = Sessions.there

    def counted(self: Sessions, client: int, time: float) -> bool:
        asked.append(client)
        return there(self, client, time)

    monkeypatch.setattr(Sessions, "there", counted)
    everyone = population({"count": 1_000_000, "available": {"share": 0.4, "session": "2h"}})
    chosen = everyone.choose(100, 1e6, stream(1, "participation"))
    assert len(chosen) == 100
    assert len(asked) == pytest.approx(250, abs=4 * 19)
    assert all(there(everyone.availability(0), client, 1e6) for client in chosen)  # type: ignore[arg-type]


def test_neither_work_nor_memory_grow_with_the_population():
    group = {"available": {"share": 0.4, "session": "2h", "day_to_night": 4}}
    work = []
    # The first one only loads what it takes.
    for clients in (100, 10_000, 1_000_000):
        everyone, draws = population({"count": clients, **group}), stream(1, "participation")
        rounds = [600.0 * round for round in range(5)]
        work.append(bytecodes(lambda: [everyone.choose(100, time, draws) for time in rounds]))  # noqa: B023
        # All that it knows, the few windows that it looked at last included.
        assert len(pickle.dumps(everyone)) < 20_000
    # 1,250 +- 43 are asked; of the many, none is drawn twice.
    assert work[2] == pytest.approx(work[1], rel=0.15)


def test_by_client():
    one = {"outages": {"every": "2h", "last": "30s"}, "dropout": {"rate": 0.5}}
    both = population({"count": 3}, {"count": 2, **one, "failures": {"every": "12h", "repair": "20min"}})
    assert both.outages(2) is both.failures(2) is both.dropouts(2) is both.availability(2) is None
    assert (both.outages(3).length, both.failures(4).every) == (30, 43200)  # type: ignore[union-attr]
    assert both.dropouts(3) is not None
    # Outages and failures of one client are drawn apart.
    same = population({"outages": {"every": 10, "last": 1}, "failures": {"every": 10, "repair": 1}})
    assert same.outages(0).following(0, 0) != same.failures(0).following(0, 0)  # type: ignore[union-attr]


def test_groups_of_which_the_same_is_said_have_their_models_together():
    group = {"available": {"share": 0.4, "session": "2h"}, "failures": {"every": "12h", "repair": "20min"}}
    many = population(*[group] * 3, group | {"available": {"share": 0.5, "session": "2h"}})
    assert many.availability(0) is many.availability(2) is not many.availability(3)
    assert many.failures(0) is many.failures(3)


def test_nothing_is_drawn_where_nothing_is_set(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: Any) -> None:
        raise AssertionError("a stream is made")

    monkeypatch.setattr(KeyedStream, "__init__", refuse)
    for group in ({}, {"available": {"share": 1, "session": "2h"}}, {"dropout": {"rate": 0}}):
        nothing = population({"count": 2, **group})
        assert nothing.always_there
        assert nothing.there(1, 5)
        assert nothing.dropouts(1) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "must be a list with the sessions of each client"),
        ("{}", "must be a list"),
        ("[[[0, 5]", "not well-formed"),
        ("[[], []]", "no client is ever there"),
        ("[5]", "client 0: must be a list"),
        ("[[[0, 5]], [[1]]]", "client 1, session 0: must be"),
        ('[[[0, "5s"]]]', "client 0, session 0: must be"),
        ("[[[0, true]]]", "client 0, session 0: must be"),
        ("[[[-1, 5]]]", "client 0, session 0: must be"),
        ("[[[0, 5], [3, 9]]]", "session 1: begins at 3 s, before 5 s"),
        ("[[[5, 5]]]", "session 0: ends at 5 s, not later"),
        ("[[], [[0, 1e-9]]]", "client 1: all is over at 1e-09 s"),
        ("[[[0, 1e999]]]", "client 0, session 0: must be"),
    ],
)
def test_recorded_sessions_that_are_wrong(tmp_path: Path, content: str, said: str):
    path = tmp_path / "s.json"
    path.write_text(content)
    with pytest.raises(ScenarioError) as error:
        recorded_sessions(str(path))
    assert said in str(error.value)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_recorded_sessions_are_said_to_be_followed(tmp_path: Path):
    path = tmp_path / "s.json"
    path.write_text("[[[0, 5]], []]")
    group = {"available": {"file": str(path)}}
    said = followed_traces(Scenario.parse(PLAIN | {"fleet": [group, {}, group]}))
    assert said == [{"sessions": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "clients": 2}]


def test_recorded_sessions_that_are_not_there(tmp_path: Path):
    with pytest.raises(ScenarioError, match=r"none\.json"):
        population({"available": {"file": str(tmp_path / "none.json")}}).there(0, 0)
