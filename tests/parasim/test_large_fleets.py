"""Uneven fleets, in which every group is one client: work grows with their number, and words sum up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import parasim
from parasim.explaining import explain
from parasim.explanation import summary, who
from parasim.planning.methods import Case
from parasim.planning.search import hiding_points as search
from parasim.planning.search.ranges import UNLIMITED
from parasim.planning.search.representatives import OtherLinks
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.scenario.scenario import Scenario
from tests.growth import exponent

NEARLY_LINEAR = 1.2
"""n log n is about n^1.2 between 50 and 400."""


def uneven(clients: int, *, method: str = "parablock", **fields: Any) -> Scenario:
    """Build a fleet in which no two clients have the same links, speed or latency."""
    fleet = [
        {
            "uplink": f"{5 + 37 * n % clients}MB/s",
            "downlink": f"{20 + 53 * n % clients}MB/s",
            "speed": 0.5 + (29 * n % clients) / clients,
            "latency": f"{1 + 31 * n % clients}ms",
        }
        for n in range(clients)
    ]
    given = {"compute": {"seconds": 30}, "payload": {"upload": "100MB"}, "rounds": 3}
    return parasim.load({"method": method, "fleet": fleet, **given, **fields})


def figures(clients: int) -> Callable[[], object]:
    result = parasim.simulate(uneven(clients))
    assert result.accounts
    return result.summary


def explained(method: str, **fields: Any) -> Callable[[int], Callable[[], object]]:
    return lambda clients: lambda: summary(explain(uneven(clients, method=method, **fields)))


def hiding(duplex: str) -> Callable[[int], Callable[[], object]]:
    def of(clients: int) -> Callable[[], object]:
        # One latency for all: otherwise there are more clients, the larger the fleet, that none is slower than in both.
        same = {"latency": 0.0, "duplex": duplex}
        fleet = tuple(group.model_copy(update=same) for group in uneven(clients).fleet)
        scenario = uneven(clients).model_copy(update={"fleet": fleet})
        return lambda: parasim.plan(scenario, hide_communication=True, jobs=1).summary()

    return of


def test_figures_of_groups_take_as_long_as_there_are_clients():
    assert exponent(figures, 50, 400) < NEARLY_LINEAR


@pytest.mark.parametrize("method", ["parablock", "fedbcd"])
def test_explaining_takes_as_long_as_there_are_clients(method: str):
    assert exponent(explained(method), 15, 60) < NEARLY_LINEAR


@pytest.mark.parametrize("duplex", ["full", "half"])
def test_hiding_points_of_all_groups_take_as_long_as_there_are_clients(duplex: str):
    assert exponent(hiding(duplex), 12, 36) < NEARLY_LINEAR


SECONDS = [20 + 7 * n % 13 for n in range(12)]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"server": {"ingress": "300MB/s", "egress": "500MB/s"}},
        {"compute": {"seconds": SECONDS}},
        {"compute": {"seconds": [SECONDS, SECONDS[::-1], SECONDS[5:] + SECONDS[:5]]}},
        {"compute": {"seconds": SECONDS}, "server": {"ingress": "300MB/s"}},
        {"compute": {"seconds": 30, "non_overlapping": "2s"}},
        {"participation": {"fraction": 0.5}},
        {"blocks": {"schedule": "gradient", "gradient_pass": "40s"}},
    ],
)
def test_who_holds_nobody_up_may_be_left_out(fields: dict[str, Any]):
    # The run of all twelve clients is the slow, obviously right twin.
    scenario = uneven(12, **fields)
    links = OtherLinks(Case.of(scenario))
    for group in range(12):
        for bandwidth in (1e6, 1e7, 1e8, UNLIMITED):
            assert links.run({group: bandwidth}).wall_clock == links.whole({group: bandwidth}).wall_clock


@pytest.mark.parametrize("bandwidth", [1e6, 1e7, 1e8, UNLIMITED])
def test_half_duplex_clients_that_hold_nobody_up_may_be_left_out_too(bandwidth: float):
    # Each one's air is its own.
    scenario = uneven(12)
    half = tuple(group.model_copy(update={"duplex": "half"}) for group in scenario.fleet)
    links = OtherLinks(Case.of(scenario.model_copy(update={"fleet": half})))
    for group in range(12):
        run = links.run({group: bandwidth})
        assert run.wall_clock == pytest.approx(links.whole({group: bandwidth}).wall_clock, rel=1e-12)
        assert len(run.timeline.spans) < 70  # three rounds of twelve clients are 147


def alike(clients: int, **fields: Any) -> Scenario:
    """Build a fleet in which clients differ in their links alone."""
    groups = uneven(clients, **fields).fleet
    same = {"speed": 1.0, "latency": 0.0}
    return uneven(clients, **fields).model_copy(update={"fleet": tuple(g.model_copy(update=same) for g in groups)})


@pytest.mark.parametrize("fields", [{}, {"server": {"ingress": "900MB/s", "egress": "900MB/s"}}])
def test_groups_that_differ_in_their_links_alone_have_one_answer(fields: dict[str, Any]):
    # 2 x 100 MB in 30 s: 6.667 MB/s, whatever their links are now; the server's are shared by 20.
    [answer] = parasim.plan(alike(20, **fields), hide_communication=True, jobs=1).answers
    assert answer.more["groups"] == [f"group{number}" for number in range(20)]
    assert answer.more["clients"] == "clients 0, 1, 2, 3 and 16 more"
    if not fields:
        assert answer.value == 6.667e6


def test_few_groups_have_an_answer_each():
    answers = parasim.plan(alike(3), hide_communication=True, jobs=1).answers
    assert [(answer.more["clients"], answer.value) for answer in answers] == [(f"group{n}", 6.667e6) for n in range(3)]


def test_a_search_that_would_take_too_long_is_cut_short_and_says_so(monkeypatch: pytest.MonkeyPatch):
    whole = parasim.plan(uneven(12), hide_communication=True, jobs=1)
    monkeypatch.setattr(search, "_MOST_SPANS", 1)
    plan = parasim.plan(uneven(12), hide_communication=True, jobs=1)
    needs = {answer.more["clients"]: answer.value for answer in whole.answers}
    assert len(whole.answers) == 12
    [answer] = plan.answers
    assert answer.value == needs[answer.more["clients"]]
    assert any("of 12 groups 1 could be searched" in note for note in plan.notes)
    assert not any("could be searched" in note for note in whole.notes)


def test_all_workloads_share_the_time_of_a_search(monkeypatch: pytest.MonkeyPatch):
    # Blocks of 0.5, 1, 2 and 4 layers: four searches of 12 groups, of which the time of three is there.
    model = {"model": "llama-3-8b", "payload": None, "wire": {"bytes_per_parameter": 2}}
    scenario = parasim.load({**uneven(12).model_dump(mode="json", exclude_unset=True), **model})
    simulated = []
    whole = OtherLinks.run
    monkeypatch.setattr(OtherLinks, "run", lambda *told: simulated.append(whole(*told)) or simulated[-1])
    parasim.plan(scenario, hide_communication=True, jobs=1)
    spans = len(simulated[0].timeline.spans) + search._SPANS_OF_A_START
    monkeypatch.setattr(search, "_MOST_SPANS", 36 * search._STEPS * spans)
    plan = parasim.plan(scenario, hide_communication=True, jobs=1)
    assert any("of 12 groups 9 could be searched" in note for note in plan.notes)
    assert {len(answer.more["curve"]) for answer in plan.answers} == {4}
    # In the time of one and a half, the scenario as it is comes first: others are proposed where it cannot be hidden.
    monkeypatch.setattr(search, "_MOST_SPANS", 18 * search._STEPS * spans)
    plan = parasim.plan(scenario, hide_communication=True, jobs=1)
    assert len(plan.answers) == 12
    assert {len(answer.more["curve"]) for answer in plan.answers} == {1}
    assert any("3 other batch sizes and block widths were not searched" in note for note in plan.notes)


@pytest.mark.parametrize(
    "fields",
    [
        {"participation": {"fraction": 0.5}},
        {"server": {"ingress": "300MB/s", "egress": "300MB/s"}},
        {"participation": {"short": "wait"}, "failing": {"rate": 0.05}},
    ],
)
def test_who_cannot_be_left_out_makes_a_search_no_longer_than_its_time(
    fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    # Whole fleets are simulated, whose spans grow with their clients: the more there are, the fewer have their turn.
    simulated: list[int] = []
    run = OtherLinks.run
    monkeypatch.setattr(
        OtherLinks, "run", lambda *told: simulated.append(len((found := run(*told)).timeline.spans)) or found
    )
    monkeypatch.setattr(search, "_MOST_SPANS", 50_000)
    for clients in (20, 40, 80):
        simulated.clear()
        given = {name: value for name, value in fields.items() if name != "failing"}
        scenario = uneven(clients, **given)
        if "failing" in fields:
            fleet = [group.model_dump(mode="json", exclude_unset=True) for group in scenario.fleet]
            told = scenario.model_dump(mode="json", exclude_unset=True)
            scenario = parasim.load(told | {"fleet": [group | {"dropout": fields["failing"]} for group in fleet]})
        plan = parasim.plan(scenario, hide_communication=True, jobs=1)
        assert plan.answers
        # What is needed together at the end is found in a few runs more.
        assert sum(simulated) < 50_000 + 20 * max(simulated)


def test_many_names_are_summed_up():
    fleet = Fleet(uneven(1000).fleet)
    assert who(range(3), fleet) == "clients 0, 1 and 2"
    assert who(range(1000), fleet) == "clients 0, 1, 2, 3 and 996 more"
    named = Fleet(tuple(group.model_copy(update={"name": f"site {n}"}) for n, group in enumerate(fleet.groups)))
    assert who(range(1000), named) == "site 0, site 1, site 2, site 3 and 996 more"


def test_an_explanation_of_many_groups_is_a_few_lines():
    told = summary(explain(uneven(300)))["sentences"]
    assert max(map(len, told)) < 300
