"""Questions about links that vary, are shared, or carry TCP: every answer is what a scenario written out takes."""

from __future__ import annotations

from typing import Any

import pytest

import parasim
from parasim.api import set_up
from parasim.planning.search import work
from parasim.planning.search.work import affordable
from parasim_core.sim.analysis.hidden import computed
from parasim_core.sim.engine.simulate import simulate
from parasim_core.sim.errors import OverdueError
from parasim_core.sim.scenario.reading import load

STEPS = {"steps": [["0s", "4MB/s"], ["5s", "1MB/s"]], "period": "9s"}
BASE: dict[str, Any] = {
    "method": "parablock",
    "rounds": 4,
    "compute": {"seconds": 20},
    "payload": {"upload": "20MB"},
}
VARYING = BASE | {"fleet": [{"name": "a", "count": 2, "uplink": STEPS, "downlink": "8MB/s"}, {"uplink": "7MB/s"}]}
SHARED = BASE | {
    "fleet": [{"name": "a", "count": 4, "uplink": "9MB/s", "site": {"clients": 2, "uplink": "10MB/s"}, "region": "eu"}],
    "regions": {"eu": {"uplink": "12MB/s", "latency": "1s", "aggregates": True}},
}
TCP = BASE | {"fleet": [{"name": "a", "uplink": "9MB/s", "latency": "50ms", "transport": {"loss": "0.01%"}}]}
SCENARIOS = pytest.mark.parametrize("fields", [VARYING, SHARED, TCP], ids=["varying", "shared", "tcp"])
"""How long such messages take is the same for all of them, so that bandwidths of any size may be asked for."""


@SCENARIOS
@pytest.mark.parametrize("solve_for", ["bandwidth", "device-speed", "server-ingress", "rounds", "clients"])
def test_an_answer_meets_its_deadline_and_the_one_beside_it_does_not(fields: dict[str, Any], solve_for: str):
    [answer] = parasim.plan(fields, within="2min", solve_for=solve_for, jobs=1).answers
    assert answer.feasible
    assert [check.holds for check in answer.checked] == [True, False][: len(answer.checked)]
    assert answer.checked[0].wall_clock_s == answer.wall_clock_s


def test_hidden_where_links_vary_is_a_multiple_of_them():
    plan = parasim.plan(VARYING, hide_communication=True, jobs=1)
    answer = next(answer for answer in plan.answers if answer.more["clients"] == "a")
    assert answer.value is not None
    mean = 24e6 / 9
    factor = answer.value / mean
    assert answer.row[1].startswith(f"{factor:.4g} x (mean ")
    steps = [[time, f"{rate * factor!r}MB/s"] for time, rate in ((0, 4.0), (5, 1.0))]
    # The other group's links are out of the way; the downlink keeps its proportion.
    other = {"uplink": "1PB/s"}
    mine = {"count": 2, "uplink": STEPS | {"steps": steps}, "downlink": f"{8 * factor!r}MB/s"}
    run = parasim.simulate(VARYING | {"fleet": [mine, other]})
    assert run.wall_clock == pytest.approx(answer.wall_clock_s, rel=1e-9)
    # Four rounds of 20 s, one after the other.
    assert computed(run) == pytest.approx(80, rel=1e-9)


def test_what_is_in_the_way_is_the_link_that_is():
    slow = SHARED | {"regions": {"eu": {"uplink": "0.5MB/s", "aggregates": True}}}
    [answer] = parasim.plan(slow, hide_communication=True, jobs=1).answers
    assert not answer.feasible
    assert {"uplink of region eu", "downlink of region eu"} <= set(answer.more["in_the_way_s"])


def test_what_one_direction_costs_the_other_is_said():
    plan = parasim.plan(TCP | {"payload": {"upload": "2MB"}}, hide_communication=True, jobs=1)
    assert any("acknowledgements and buffers cost nothing" in note for note in plan.notes)


def test_break_even_with_and_without_tcp():
    given = {"upload": "20MB", "download": "20MB"}
    fields = TCP | {"payload": given, "fleet": [TCP["fleet"][0] | {"transport": {"loss": "1%"}}]}
    plan = parasim.plan(fields, break_even="parablock,fedbcd", jobs=1)
    fluid = {key: value for key, value in fields["fleet"][0].items() if key != "transport"}
    alone = parasim.plan(fields | {"fleet": [fluid]}, break_even="parablock,fedbcd", jobs=1)
    by_links: dict[str, list[float | None]] = {"TCP": [], "fluid": []}
    for answer in plan.answers:
        by_links[answer.more["links"]].append(answer.value)
        assert all(check.holds for check in answer.checked)
    assert by_links["fluid"] == [answer.value for answer in alone.answers]
    assert len(by_links["TCP"]) == 1
    assert "links" in plan.columns


def test_break_even_of_links_that_vary_is_a_multiple():
    plan = parasim.plan(VARYING, break_even="parablock,fedbcd", jobs=1)
    assert "0.1 x to 10 x" in plan.question
    assert {answer.unit for answer in plan.answers} == {""}


@SCENARIOS
def test_a_run_that_is_late_is_given_up(fields: dict[str, Any]):
    setup, costs = set_up(load(fields))
    whole = simulate(setup, costs)
    for until in (whole.wall_clock, 1.5 * whole.wall_clock):
        assert simulate(setup, costs, until=until).timeline == whole.timeline
    with pytest.raises(OverdueError):
        simulate(setup, costs, until=0.999 * whole.wall_clock)


def test_how_much_is_simulated_depends_on_the_run_alone():
    plain = parasim.simulate(BASE | {"fleet": [{"uplink": "1MB/s"}]})
    varying = parasim.simulate(VARYING)
    assert affordable(plain, 10**9) == 10**9
    assert affordable(varying, 10**9) == work.EVENTS // (2000 + varying.events)
    assert affordable(varying, 3) == 3
    assert affordable(varying, 10**9, least=10**8) == 10**8


def test_what_would_take_too_long_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(work, "EVENTS", 30_000)
    plan = parasim.plan(VARYING, sensitivity=True, jobs=1)
    names = {answer.more["input"] for answer in plan.answers}
    assert {"uplink of every client", "downlink of every client"} <= names
    assert all(check.holds for answer in plan.answers for check in answer.checked)
    assert all(answer.more["total"] is None for answer in plan.answers)
    assert any("move together" in note for note in plan.notes)
    assert any("left out" in note for note in plan.notes)


def test_sensitivity_says_what_it_does_not_move():
    plan = parasim.plan(TCP | {"rounds": 2}, sensitivity=True, jobs=1)
    assert "not moved: TCP" in plan.notes


def test_searches_of_long_runs_are_shorter_and_say_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(work, "EVENTS", 1)
    fields = VARYING | {"compute": {"seconds": {"2": 10, "4": 20, "6": 30}}, "local": {"batch_size": 4}}
    plan = parasim.plan(fields, break_even="parablock,fedbcd", jobs=1)
    assert {answer.more["batch_size"] for answer in plan.answers} == {4}
    assert any("Batch sizes 2, 6 were left out" in note for note in plan.notes)
    hidden = parasim.plan(fields, hide_communication=True, jobs=1)
    assert all(check.holds is not bool(n) for answer in hidden.answers for n, check in enumerate(answer.checked))
    assert any("2 other batch sizes and block widths were not searched" in note for note in hidden.notes)
    [deadline] = parasim.plan(fields, within="2min", solve_for="bandwidth", jobs=1).answers
    assert [check.holds for check in deadline.checked] == [True, False]


def test_runs_that_take_long_are_drawn_less_often(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(work, "EVENTS", 1)
    group = VARYING["fleet"][0] | {"speed_jitter": {"sigma": 0.1}}
    [answer] = parasim.plan(VARYING | {"fleet": [group]}, confidence=0.5, jobs=1).answers
    assert answer.more["runs"] == 16
