"""FedCyBGD's turns where clients come and go and fail, by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import Kind
from parasim_core.sim.errors import SimulationError
from parasim_core.sim.failures.dropout import Phase, Vanishing
from tests.sim.engine.test_dropout import run as run_
from tests.sim.engine.test_dropout import spans, whose
from tests.sim.engine.test_failing import FAR, device
from tests.sim.engine.test_failing import run as failing_
from tests.sim.engine.test_failing import sessions as sessions_
from tests.sim.runs import of, simulated

run, failing, sessions = run_, failing_, sessions_
Run = Callable[..., Result]
CYCLIC: dict[str, Any] = {"method": "fedcybgd", "rounds": 5, "fleet": [{"count": 4}]}


def aggregated(result: Result) -> list[float]:
    return [span.start for span in of(result, Kind.AGGREGATE)]


def turns(result: Result) -> list[int]:
    """Whose turn came to something, in the order of the rounds; each trained its own block."""
    good = [result.timeline.spans[cause] for span in of(result, Kind.AGGREGATE) for cause in span.causes]
    assert all(span.blocks == (span.client,) for span in good)
    return [client for [client] in whose(result)]


def test_the_turn_of_one_that_vanishes_passes_to_the_next(run: Run):
    # 10 s of computing, 1 s for each block. Client 0 is in at 11. Client 1 fetches block 0 until 12, and vanishes at
    # 16, after 4 s. Client 2 fetches block 0 until 17, and is in at 28. Client 3 fetches blocks 0 and 2: in at 41;
    # client 0, blocks 2 and 3: in at 54. Client 1 has had block 0, which has changed since: it fetches three, and is in
    # at 68.
    result = run({(1, 2): Vanishing("compute", 0.4, 1)}, **CYCLIC)
    assert turns(result) == [0, 2, 3, 0, 1]
    assert aggregated(result) == [11, 28, 41, 54, 68]
    assert [span.blocks for span in of(result, Kind.DOWNLOAD, 1)] == [(0,), (0, 2, 3)]
    assert spans(result, Kind.COMPUTE, 1) == [(12, 16), (57, 67)]
    assert result.provenance["updates"] == {"lost": 1}
    assert result.figures()["wasted_compute_s"] == 4
    # It waits until 11, and is away from 16 until its next turn at 54.
    account = result.accounts[1]
    assert (account.compute, account.exposed, account.waiting, account.offline) == (14, 5, 11, 38)


@pytest.mark.parametrize(("phase", "wasted"), [("download", (0, 50e6)), ("compute", (5, 0)), ("upload", (10, 50e6))])
def test_what_is_wasted_of_a_turn_that_is_lost(run: Run, phase: Phase, wasted: tuple[float, float]):
    result = run({(1, 2): Vanishing(phase, 0.5, 1)}, **CYCLIC)
    assert turns(result) == [0, 2, 3, 0, 1]
    assert (result.figures()["wasted_compute_s"], result.figures()["wasted_bytes"]) == wasted


def test_who_is_away_is_passed_over(run: Run):
    # The second opening is client 1's; away for 4 of them, it is back from the sixth on. That is client 1's.
    assert turns(run({(1, 2): Vanishing("compute", 0.4, 4)}, **CYCLIC)) == [0, 2, 3, 0, 1]
    assert turns(run({(1, 2): Vanishing("compute", 0.4, 5)}, **CYCLIC)) == [0, 2, 3, 0, 2]


def test_a_list_goes_on_and_begins_again_at_its_end(run: Run):
    fields = CYCLIC | {"rounds": 3, "participation": {"rounds": [[2], [0], [2]]}}
    assert turns(run({(0, 2): Vanishing("compute", 0.4, 1)}, **fields)) == [2, 2, 2]
    assert turns(run({(2, 1): Vanishing("compute", 0.4, 1)}, **fields)) == [0, 2, 2]


def test_who_is_not_there_when_its_turn_comes_is_passed_over(sessions):
    # Client 1 leaves at 13, with block 0 and 1 s of computing. Client 2 begins at 13 and is in at 25; then client 0.
    fleet = [sessions([(0, FAR)], [(0, 13), (30, FAR)], [(0, FAR)])]
    result = simulated(method="fedcybgd", rounds=3, fleet=fleet)
    assert turns(result) == [0, 2, 0]
    assert aggregated(result) == [11, 25, 37]
    # It is there again from 30 on, and waits for a turn that does not come.
    account = result.accounts[1]
    assert (account.compute, account.exposed, account.waiting, account.offline) == (1, 1, 11 + 7, 17)
    # There from 12 on, it is passed over at 11.
    fleet = [sessions([(0, FAR)], [(12, FAR)], [(0, FAR)])]
    assert turns(simulated(method="fedcybgd", rounds=5, fleet=fleet)) == [0, 2, 0, 1, 2]


def test_where_nobody_is_there_the_run_ends_or_waits(sessions):
    fleet = [sessions([(0, 5), (100, FAR)])]
    with pytest.raises(SimulationError, match=r"round 0 is short at 5 s, .* nobody is there"):
        simulated(method="fedcybgd", rounds=1, fleet=fleet)
    result = simulated(method="fedcybgd", rounds=1, fleet=fleet, participation={"short": "wait"})
    assert aggregated(result) == [111]
    assert result.accounts[0].offline == 95


def test_who_leaves_before_its_update_is_aggregated_fetches_its_own_block_later(sessions):
    # In at 11, aggregated at 16; client 0 has left at 12. Client 1 fetches block 0, and is in at 28, aggregated at 33.
    fleet = [sessions([(0, 12), (20, FAR)], [(0, FAR)])]
    result = simulated(method="fedcybgd", rounds=3, fleet=fleet, server={"aggregation": "5s"})
    assert turns(result) == [0, 1, 0]
    assert [span.blocks for span in of(result, Kind.DOWNLOAD, 0)] == [(0, 1)]
    assert result.accounts[0].offline == 8


def test_a_device_that_fails_in_its_turn(failing: Run):
    # Client 0 computes 4 s, is repaired for 5 s, and computes 6 s more; client 1 has its turn from 16 on.
    result = failing({0: [(4, 9)]}, device(True), method="fedcybgd", rounds=2)
    assert spans(result, Kind.COMPUTE, 0) == [(0, 4), (9, 15)]
    assert aggregated(result) == [16, 28]
    assert result.accounts[0].failed == 5


@pytest.mark.parametrize("download", [1.0, 0.5])
@pytest.mark.parametrize("told", [{}, {"rounds": [[2], [0], [2], [5], [5], [0]]}])
@pytest.mark.parametrize("region", [{}, {"region": "south"}])
def test_turns_that_nobody_fails_are_as_without_failures(download: float, told: dict[str, Any], region: dict[str, str]):
    groups: list[dict[str, Any]] = [{"count": 3}, {"count": 3, "uplink": "30MB/s", "latency": "70ms", "speed": 0.7}]
    fields: dict[str, Any] = {
        "method": "fedcybgd",
        "rounds": 6,
        "blocks": {"count": 4},
        "cyclic": {"download_fraction": download},
        "participation": told,
        "wire": {"serialization": "300ms"},
        "server": {"aggregation": "1s"},
        "regions": {"south": {"uplink": "50MB/s", "aggregates": True}} if region else {},
    }
    before = simulated(**fields, fleet=[group | region for group in groups])
    opened = simulated(**fields, fleet=[group | region | {"dropout": {"rate": 1e-12}} for group in groups])
    assert opened.figures() == before.figures(failures=True)
    assert opened.accounts == before.accounts
    assert opened.provenance == before.provenance
    assert [span[:7] for span in opened.timeline.spans] == [span[:7] for span in before.timeline.spans]
