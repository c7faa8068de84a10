"""What meets a deadline: least links and devices, most rounds, and what stands in the way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import parasim
from parasim.figures.deadline import Deadline
from parasim.planning.answer import Answer, Plan
from parasim.planning.changes import with_clients
from parasim.planning.methods import Case, by_method, scenario_of
from parasim.planning.search import quantities, runtimes
from parasim.planning.search.quantities import QUANTITIES
from parasim.planning.search.ranges import batch_sizes
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.workload.methods import METHODS
from tests.sim.whatifs import scenarios

# FedBCD: 4 rounds of 10 s, 4 uploads and 3 downloads of 100 MB: 40 s + 700 MB / bandwidth.
BASE: dict[str, Any] = {
    "method": "fedbcd",
    "compute": {"seconds": 10},
    "payload": {"upload": "100MB"},
    "rounds": 4,
    "fleet": [{"count": 3, "uplink": "10MB/s"}],
}


def deadline(source: Any, methods: list[str] | None, within: float, quantity: str, *overrides: str) -> Plan:
    return parasim.plan(source, overrides, method=methods, within=within, solve_for=quantity, jobs=1)


def solve(within: float, quantity: str, *overrides: str, source: Any = BASE) -> Answer:
    [answer] = deadline(source, None, within, quantity, *overrides).answers
    return answer


def checks(answer: Answer) -> list[tuple[float, bool]]:
    return [(check.value, check.holds) for check in answer.checked]


def test_least_bandwidth():
    # 70 s leave 30 s for 700 MB: 23.33 MB/s, and of four digits 23.34.
    answer = solve(70, "bandwidth")
    assert (answer.feasible, answer.value, answer.unit) == (True, 23.34e6, "B/s")
    assert answer.wall_clock_s == pytest.approx(40 + 700 / 23.34, rel=1e-12)
    assert checks(answer) == [(23.34e6, True), (23.33e6, False)]


def test_a_deadline_that_is_met_on_the_dot_is_met():
    assert solve(75, "bandwidth").value == 20e6


def test_computing_alone_stands_in_the_way():
    answer = solve(39.9, "bandwidth")
    assert (answer.feasible, answer.value, answer.wall_clock_s) == (False, None, None)
    assert answer.because == "even with unlimited bandwidth, computing alone takes 40 s"
    assert [check.holds for check in answer.checked] == [False]


def test_what_else_stands_in_the_way_is_named():
    # 7 messages of a second of latency.
    latency = solve(46, "bandwidth", "fleet.0.latency=1s")
    assert all(part in latency.because for part in ("47 s", "computing 40 s", "latency 7 s"))
    links = solve(69, "device-speed")
    assert all(part in links.because for part in ("70 s", "uplink 40 s", "downlink 30 s"))
    # 3 clients, 15 MB/s: 4 x 20 s up instead of 40.
    server = solve(90, "bandwidth", "server.ingress=15MB/s")
    assert server.because.index("server ingress 80 s") < server.because.index("computing 40 s")


def test_least_device_speed_is_a_multiple():
    # 80 s leave 10 s for 40 s of computing.
    assert checks(solve(80, "device-speed")) == [(4.0, True), (3.999, False)]
    assert checks(solve(80, "device-speed", "fleet.0.speed=2")) == [(2.0, True), (1.999, False)]


def test_least_server_links():
    # 120 s leave 80 - 30 = 50 s for 4 uploads of 3 x 100 MB: 24 MB/s.
    assert checks(solve(120, "server-ingress")) == [(24e6, True), (23.99e6, False)]
    # 40 s up leave 40 s for 3 downloads of 3 x 100 MB: 22.5 MB/s.
    assert checks(solve(120, "server-egress")) == [(22.5e6, True), (22.49e6, False)]


def test_rounds_are_not_tried_without_end_and_the_bound_is_said(monkeypatch: pytest.MonkeyPatch):
    # A round takes 30 s, the last one 20 s: 1000 d are 2.88 million rounds.
    simulated: list[float] = []
    work = runtimes._wall_clock
    monkeypatch.setattr(quantities, "_MOST_SPANS", 6000)
    monkeypatch.setattr(runtimes, "_wall_clock", lambda *given: simulated.append(given[-1]) or work(*given))
    plan = parasim.plan(BASE, within="1000d", solve_for="rounds", jobs=1)
    [answer] = plan.answers
    # Three alike clients download, compute and upload as one, and the server aggregates: 15 activities in 4 rounds.
    assert answer.value == 6000 // (15 // 4)
    assert max(simulated) == answer.value
    assert sum(simulated) < 2 * answer.value
    assert any("2.88 M" in note for note in plan.notes)


def test_the_bound_counts_the_activities_of_a_round(monkeypatch: pytest.MonkeyPatch):
    # Clients with seconds of their own are simulated one by one, though they are of one group.
    monkeypatch.setattr(quantities, "_MOST_SPANS", 10_000)
    apart = ["fleet=[{count: 100}]", f"compute.seconds={[10.0 + n for n in range(100)]}"]
    [few] = parasim.plan(BASE, apart, within="1000d", solve_for="rounds", jobs=1).answers
    assert few.value is not None
    assert few.value * 300 < 5 * 10_000


def test_most_rounds():
    # A round takes 30 s, the last one 20 s: 6 rounds in 170 s.
    assert checks(solve(170, "rounds")) == [(6, True), (7, False)]
    assert "20 s" in solve(19, "rounds").because


def test_most_clients_share_the_server():
    # n x 100 MB through 50 MB/s: 2 n s each way, and no less than 10 s: 40 + 7 x 2 n <= 138 s up to n = 7.
    server = ("server.ingress=50MB/s", "server.egress=50MB/s")
    assert checks(solve(139, "clients", *server)) == [(7, True), (8, False)]


def test_clients_keep_their_proportions():
    fleet = [{"name": "a", "count": 6}, {"name": "b", "count": 3}, {"name": "c", "count": 1}]

    def counts(clients: int) -> list[tuple[str, int]]:
        changed = with_clients(Scenario.parse(BASE | {"fleet": fleet}), clients)
        return [(group.name, group.count) for group in changed.fleet]

    assert counts(20) == [("a", 12), ("b", 6), ("c", 2)]
    assert counts(3) == [("a", 2), ("b", 1)]
    assert sum(count for _, count in counts(7)) == 7


def test_paper_25_minutes_but_not_20():
    assert not deadline(None, ["parablock"], 20 * 60, "bandwidth").answers[0].feasible
    [answer] = deadline(None, ["parablock"], 25 * 60, "bandwidth").answers
    assert answer.feasible
    assert [check.holds for check in answer.checked] == [True, False]


@pytest.mark.parametrize("method", ["full-ft", "fedbcd"])
def test_without_a_file_all_methods_run_the_rounds_of_the_example(method: str):
    [without] = deadline(None, [method], 25 * 60, "bandwidth").answers
    [example] = deadline("examples/paper.yaml", None, 25 * 60, "bandwidth", f"method={method}").answers
    assert scenario_of(None).rounds == 32
    assert (without.value, without.more, without.because) == (example.value, example.more, example.because)


def test_many_clients_are_written_in_full():
    assert QUANTITIES["clients"].text(12_000_000) == "12,000,000"
    assert QUANTITIES["block-width"].text(0.5) == "0.5"


def test_batch_sizes_and_widths_of_the_paper():
    # C = 39.45 s at batch 4, 48.2 s at 5: 21.2 and 25.9 minutes.
    plan = deadline(None, ["parablock"], 25 * 60, "batch-size")
    assert checks(plan.answers[0]) == [(4, True), (5, False)]
    plan = deadline(None, ["parablock", "fedit"], 25 * 60, "block-width")
    assert checks(plan.answers[0]) == [(5, True), (6, False)]
    assert batch_sizes(scenario_of(None)) == [2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(("within", "met"), [(35 * 60, True), (34 * 60, False)])
def test_what_means_nothing_to_a_method_keeps_it_from_no_deadline(within: float, met: bool):
    # FedIT trains adapters, no blocks: 34.5 minutes, whatever the width.
    plan = deadline(None, ["fedit"], within, "block-width")
    [answer] = plan.answers
    assert (answer.feasible, answer.value) == (met, None)
    assert answer.wall_clock_s == (pytest.approx(2070, rel=1e-3) if met else None)
    assert checks(answer) == [(2.0, met)]
    assert f"{'met' if met else 'missed'} as it is" in answer.because
    assert [tuple(answer.row[1:]) for answer in plan.answers] == [
        ("any", "34.5 min", "-") if met else ("none", "> 34 min", "-")
    ]


def test_what_means_nothing_to_a_method_is_drawn_as_a_level_line(tmp_path, monkeypatch: pytest.MonkeyPatch):
    drawn: dict[str, Any] = {}

    def draw(deadline: Deadline, *rest: Any) -> list[Any]:
        drawn.update(curves=deadline.curves, answers=deadline.answers)
        return []

    monkeypatch.setattr("parasim.figures.deadline.draw_deadline", draw)
    plan = deadline(None, ["parablock", "fedit"], 35 * 60, "block-width")
    assert plan.draw is not None
    plan.draw(tmp_path)
    widths, level = zip(*drawn["curves"]["fedit"], strict=True)
    assert widths == tuple(width for width, _ in drawn["curves"]["parablock"])
    assert set(level) == {plan.answers[1].wall_clock_s}
    assert set(drawn["answers"]) == {"parablock"}
    assert deadline(None, ["fedit"], 35 * 60, "block-width").draw is None


def test_methods_that_cannot_run_a_scenario_are_told_apart():
    runs, refused = by_method(scenario_of(None, ["fleet.0.count=50"]), "all", Case.of)
    assert set(runs) | set(refused) == set(METHODS)
    assert "32 layers" in refused["fedcybgd"]
    assert "parablock" in runs
    with pytest.raises(ScenarioError):
        by_method(scenario_of({**BASE, "payload": {}}), "all", Case.of)


def test_what_cannot_be_varied_is_refused():
    with pytest.raises(ScenarioError, match="no batch size changes the given"):
        solve(70, "batch-size")
    with pytest.raises(ScenarioError, match="names no model"):
        solve(70, "block-width")


@settings(max_examples=40, deadline=None)
@given(scenarios(), st.floats(1.001, 30))
def test_the_answer_is_the_least(data: dict[str, Any], times: float):
    # Somewhere between unlimited links and slow ones.
    unlimited = parasim.simulate(QUANTITIES["bandwidth"].change(Scenario.parse(data), 1e15)).wall_clock
    within = max(unlimited * times, 1e-3)
    answer = solve(within, "bandwidth", source=data)
    assert answer.feasible
    assert answer.checked[0].holds
    assert not any(check.holds for check in answer.checked[1:])
    assert answer.checked[0].wall_clock_s == answer.wall_clock_s


@settings(max_examples=30, deadline=None)
@given(scenarios(server=True), st.floats(1.01, 3), st.sampled_from(["bandwidth", "server-egress", "server-ingress"]))
def test_the_answer_has_a_miss_beside_it_where_links_are_shared(data: dict[str, Any], times: float, quantity: str):
    best = parasim.simulate(QUANTITIES[quantity].change(Scenario.parse(data), 9e14)).wall_clock
    answer = solve(max(best * times, 1e-3), quantity, source=data)
    assert answer.feasible
    assert [check.holds for check in answer.checked] == [True, False][: len(answer.checked)]


@settings(max_examples=40, deadline=None)
@given(scenarios(), st.floats(1e5, 1e9), st.floats(1, 10))
def test_more_bandwidth_never_slows_an_uncontended_run(data: dict[str, Any], bandwidth: float, times: float):
    change = QUANTITIES["bandwidth"].change
    slow, fast = (
        parasim.simulate(change(Scenario.parse(data), value)).wall_clock for value in (bandwidth, bandwidth * times)
    )
    assert fast <= slow * (1 + 1e-9)


@settings(max_examples=40, deadline=None)
@given(scenarios(server=True), st.integers(2, 9))
def test_more_bytes_at_as_much_more_bandwidth_take_the_same_time(data: dict[str, Any], times: int):
    grown = {
        **data,
        "payload": {way: f"{times * int(size.removesuffix('MB'))}MB" for way, size in data["payload"].items()},
        "server": data["server"] | {way: _times(data["server"][way], times) for way in ("ingress", "egress")},
        "fleet": [
            group | {way: _times(group[way], times) for way in ("uplink", "downlink")} for group in data["fleet"]
        ],
    }
    assert parasim.simulate(grown).wall_clock == pytest.approx(parasim.simulate(data).wall_clock, rel=1e-9)


def _times(bandwidth: str, times: int) -> str:
    return f"{times * float(bandwidth.removesuffix('MB/s'))!r}MB/s"


LISTED = [
    ("rounds", {"compute": {"seconds": [[1, 2], [3, 4]]}}, "compute.seconds", "one number or one per client"),
    ("rounds", {"compute": {"seconds": {"parablock": [[1, 2], [3, 4]]}}}, "compute.seconds", "one number"),
    ("rounds", {"participation": {"rounds": [[0], [1]]}}, "participation.rounds", "participation.fraction"),
    ("rounds", {"blocks": {"schedule": [0, 1]}}, "blocks.schedule", "sequential"),
    ("clients", {"compute": {"seconds": [1, 2]}}, "compute.seconds", "one number"),
    ("clients", {"compute": {"seconds": [[1, 2], [3, 4]]}}, "compute.seconds", "one number"),
    ("clients", {"participation": {"rounds": [[0], [1]]}}, "participation.rounds", "participation.fraction"),
]


@pytest.mark.parametrize(("what", "fields", "field", "instead"), LISTED)
def test_a_question_about_what_is_listed_one_by_one_is_blamed_and_not_the_scenario(
    what: str, fields: dict[str, Any], field: str, instead: str
):
    scenario = {"model": "llama-3-8b", "rounds": 2, "fleet": [{"count": 2}], "compute": {"seconds": 3}} | fields
    parasim.simulate(scenario)
    with pytest.raises(ScenarioError) as raised:
        parasim.plan(scenario, solve_for=what, within="1h")
    said = str(raised.value)
    assert said.startswith(f"--solve-for {what}: asks about other numbers of {what} than the 2 that {field} lists")
    assert instead in said
    # Not what the search itself tried.
    assert "for 1" not in said


def test_what_is_not_listed_by_round_does_not_hinder_a_question_about_rounds():
    scenario = {"model": "llama-3-8b", "rounds": 2, "fleet": [{"count": 2}], "compute": {"seconds": [1, 2]}}
    (answer,) = parasim.plan(scenario, solve_for="rounds", within="1h").answers
    assert answer.feasible


def test_a_width_that_changes_neither_seconds_nor_messages_is_not_solved_for():
    scenario = {"model": "llama-3-8b", "rounds": 2, "compute": {"seconds": 3}}
    assert parasim.plan(scenario, solve_for="block-width", within="1h").answers[0].feasible
    with pytest.raises(ScenarioError, match="no width changes"):
        parasim.plan(scenario | {"payload": {"upload": "1MB"}}, solve_for="block-width", within="1h")
