"""Formulas of other simulators on rounds worked out by hand, and how pairs of settings are ranked."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from parasim_core.calibration.paper import cells as paper
from parasim_core.calibration.paper.cells import CellComparison
from parasim_core.calibration.profiles.loading import load_profile
from parasim_core.calibration.profiles.published import PublishedProfile
from validation.case import Case, Work, of_result, of_simgrid
from validation.contest import misranked
from validation.references.simgrid import cases
from validation.rival import rivals

RIVALS = {one.name: one for one in rivals()}
MI = 2**20


def test_each_formula_on_a_round_by_hand():
    # Two clients, 10 s and 1 s of computing, 1 MiB up at 1e6 B/s and 4 MiB down at 2e6 B/s; the server's link is alike.
    slow, fast = (Work(seconds, MI, 4 * MI, 1e6, 2e6) for seconds in (10.0, 1.0))
    case = Case([[slow, fast]], ingress=1e6, egress=2e6, latency=0.5)
    # Both messages alone: 1.048576 + 2.097152 s.
    assert RIVALS["FedScale"].makespan(case) == pytest.approx(10 + 3.145728)
    # A half of 8 and 16 Mbit/s each, "1 MB" at 0.5 MB/s and "4 MB" at 1 MB/s: 2 + 4 s.
    assert RIVALS["Plato"].makespan(case) == pytest.approx(16)
    # The same shares of a pool, and 13.01 round trips of 1 s each way.
    assert RIVALS["APPFL"].makespan(case) == pytest.approx(10 + 6 + 26.02)


def test_links_of_clients_where_the_server_has_no_limit():
    work = Work(10.0, MI, 4 * MI, 1e6, 2e6)
    case = Case([[work, work]])
    # 1 + 2 s: an even share of both clients' links together is a client's own.
    assert RIVALS["Plato"].makespan(case) == pytest.approx(13)
    assert RIVALS["APPFL"].makespan(case) == pytest.approx(13)


def test_a_slow_link_of_a_client_counts_for_those_who_know_it():
    # 1 MiB at 0.1 and 1e6 B/s; the server's share is 0.5e6 B/s.
    case = Case([[Work(0.0, MI, 0.0, rate, rate) for rate in (1e5, 1e6)]], 1e6, 1e6)
    assert RIVALS["FedScale"].makespan(case) == pytest.approx(10.48576)
    assert RIVALS["APPFL"].makespan(case) == pytest.approx(10)
    assert RIVALS["Plato"].makespan(case) == pytest.approx(2)


def test_rounds_follow_one_another_each_with_its_slowest_client():
    rounds = [[Work(seconds, 0.0, 0.0, 1.0, 1.0) for seconds in own] for own in ((3.0, 5.0), (4.0,))]
    assert {one.makespan(Case(rounds)) for one in RIVALS.values()} == {9.0}


def test_a_case_of_simgrid_holds_every_client_and_round():
    told = cases()[0]
    case = of_simgrid(told, 0.001)
    assert [[work.seconds for work in clients] for clients in case.rounds] == told["compute_s"]
    assert {(work.up, work.down) for clients in case.rounds for work in clients} == {
        (told["bytes_up"], told["bytes_down"])
    }
    assert [work.uplink for work in case.rounds[0]] == told["up_Bps"]
    assert (case.ingress, case.egress, case.latency) == (told["server_ingress"], told["server_egress"], 0.001)


def paper_case(method: str) -> Case:
    profile = load_profile(paper.PROFILE)
    assert isinstance(profile, PublishedProfile)
    return of_result(paper.run_with_profile(paper.paper_setting("llama-3-8b", method), profile))


def test_a_case_of_the_paper_holds_what_every_client_does():
    case = paper_case("fedbcd")
    # 2 of 32 layers, 218,112,000 weights each, at 2 bytes; the first round begins with the model that everybody has.
    assert {len(clients) for clients in case.rounds} == {10}
    assert {work.up for clients in case.rounds for work in clients} == {2 * 218_112_000 * 2}
    assert [case.rounds[number][0].down for number in (0, 1)] == [0, 2 * 218_112_000 * 2]
    # Nothing overlaps and links are the clients' own: adding up is exact.
    assert RIVALS["FedScale"].makespan(case) == pytest.approx(30.2 * 60)


def test_what_overlapped_is_added_up():
    case = paper_case("parablock")
    # 32 updates of 39.45 s go up, and all but the last of the aggregates come down again.
    own = [clients[0] for clients in case.rounds]
    assert sum(work.up for work in own) == 32 * 2 * 218_112_000 * 2
    assert sum(work.down for work in own) == 31 * 2 * 218_112_000 * 2
    # FedBCD's seconds: no formula knows that they need not be added up.
    assert RIVALS["FedScale"].makespan(case) == pytest.approx(30.2 * 60)


def test_clients_that_take_turns_are_rounds_of_one():
    assert {len(clients) for clients in paper_case("fedcybgd").rounds} == {1}


def compared(role: str, **changes: object) -> CellComparison:
    (cell,) = (one for one in paper.cells() if (one.model, one.dataset, one.method, one.table) == ROW)
    return CellComparison(cell.model_copy(update=changes), math.nan, role, "")  # type: ignore[arg-type]


ROW = ("llama-3-8b", "alpaca-gpt4", "fedit", "1")


def test_pairs_are_ranked_as_they_were_reported():
    quick, slow = compared("predicted", minutes=10.0), compared("fitted", minutes=20.0, method="fedbcd")
    assert misranked([quick, slow], {quick.cell: 1.0, slow.cell: 2.0}) == (0, 1)
    assert misranked([quick, slow], {quick.cell: 2.0, slow.cell: 1.0}) == (1, 1)
    # No difference is a wrong order.
    assert misranked([quick, slow], {quick.cell: 2.0, slow.cell: 2.0}) == (1, 1)
    # Two fitted ones, other data, and what was reported as the same are no pairs.
    for other in (
        replace(slow, role="predicted", cell=slow.cell.model_copy(update={"dataset": "mathinstruct"})),
        replace(slow, role="predicted", cell=slow.cell.model_copy(update={"minutes": 10.0})),
    ):
        assert misranked([quick, other], {quick.cell: 2.0, other.cell: 1.0}) == (0, 0)
    fitted = replace(quick, role="fitted")
    assert misranked([fitted, slow], {fitted.cell: 2.0, slow.cell: 1.0}) == (0, 0)
