"""On average, runs of clients that fail take as long and lose as much as order statistics and renewal theory say."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise
from typing import Any

import pytest

from parasim_core.sim.engine.aggregation import at_least
from parasim_core.sim.engine.costs import Cost
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.simulate import prepare, simulate
from parasim_core.sim.engine.timeline import Kind, Span
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.support.streams import KeyedStream
from parasim_core.sim.workload.blocks import Block

SIGMAS = 4
"""An unbiased mean lies so many standard errors away in 1 of 16,000 cases; seeds are fixed."""


class Stragglers:
    """Computing times of exponential distribution, drawn for each client and round."""

    def __init__(self, mean: float) -> None:
        self._mean = mean
        self._numbers = KeyedStream(5, "jitter")

    def local_update(self, client: int, round: int, block: Block | None) -> Cost:
        [number] = self._numbers.uniform(1, client, round)
        return Cost(-self._mean * math.log1p(-number))

    def full_pass(self, client: int) -> float:
        raise NotImplementedError

    def provenance(self) -> dict[str, object]:
        return {"origin": "given"}


class Same(Stragglers):
    """The same time for all."""

    def local_update(self, client: int, round: int, block: Block | None) -> Cost:
        return Cost(self._mean)


def simulated(costs: Stragglers, **fields: Any) -> Result:
    """Simulate clients whose messages weigh nothing, unless fields say otherwise."""
    given = {"method": "full-ft", "compute": {"seconds": 1}, "payload": {"upload": "0B"}, "rounds": 1}
    return simulate(prepare(Scenario.parse(given | fields), None), costs)


def of_clients(result: Result, kind: Kind) -> dict[int, Span]:
    """Each client's last span of a kind."""
    return {span.client: span for span in result.timeline.spans if span.kind is kind and span.client >= 0}


def expected_of_fastest(count: int, clients: int, mean: float) -> tuple[float, float]:
    """Mean and standard deviation of the time at which so many of some clients are done, each exponentially.

    With n at work, the next one is done after mean / n, as none of them has a memory: mean (1/n + 1/(n-1) + ...).
    """
    parts = [mean / (clients - done) for done in range(count)]
    return math.fsum(parts), math.sqrt(math.fsum(part**2 for part in parts))


def test_order_statistics_by_hand():
    # The second of three: 1/3 + 1/2.
    assert expected_of_fastest(2, 3, 1.0)[0] == pytest.approx(5 / 6)


@pytest.mark.parametrize(("over_selection", "quorum"), [(1.0, 1.0), (1.3, 1.0), (1.3, 0.8), (2.0, 0.5)])
def test_rounds_that_do_not_wait_for_stragglers(over_selection: float, quorum: float):
    # Of 10 that are wanted, ceil(o x 10) compute, and ceil(q x 10) are enough. Among 50,000, hardly anybody is chosen
    # while it is still late: 20 of 50,000 a round.
    rounds = 500
    told = {"fraction": 10 / 50_000, "over_selection": over_selection, "quorum": quorum}
    result = simulated(Stragglers(30.0), rounds=rounds, fleet=[{"count": 50_000}], participation=told)
    ends = [0.0, *(span.end for span in result.timeline.spans if span.kind is Kind.AGGREGATE)]
    took = [after - before for before, after in pairwise(ends)]
    mean, deviation = expected_of_fastest(at_least(quorum, 10), at_least(over_selection, 10), 30.0)
    assert len(took) == rounds
    assert statistics.fmean(took) == pytest.approx(mean, abs=SIGMAS * deviation / math.sqrt(rounds))


def expected(work: float, every: float, down: float, *, goes_on: bool) -> float:
    """Mean time that some seconds of work take if something fails every so often and is down for so long [s].

    If it goes on, there are work / every failures. If it begins anew: Ross, Introduction to Probability Models.
    """
    return work * (1 + down / every) if goes_on else (every + down) * math.expm1(work / every)


def assert_mean(took: list[float], mean: float) -> None:
    assert statistics.fmean(took) == pytest.approx(mean, abs=SIGMAS * statistics.stdev(took) / math.sqrt(len(took)))


@pytest.mark.parametrize("resume", [True, False])
def test_updates_on_devices_that_fail(resume: bool):
    work, every, repair, clients = 80.0, 100.0, 30.0, 3000
    failing = {"failures": {"every": every, "repair": repair, "resume": resume}}
    result = simulated(Same(work), fleet=[{"count": clients, **failing}], seed=11)
    done = [span.end for span in of_clients(result, Kind.COMPUTE).values()]
    assert len(done) == clients
    assert_mean(done, expected(work, every, repair, goes_on=resume))
    # What is neither work that counts nor a repair is wasted: all but work seconds of computing.
    computing = [span.end - span.start for span in result.timeline.spans if span.kind is Kind.COMPUTE]
    assert result.figures()["wasted_compute_s"] == pytest.approx(math.fsum(computing) - clients * work, abs=1e-4)
    if not resume:
        # (exp(s / m) - 1) failures, after m seconds each but for the work itself.
        mean = every * math.expm1(work / every) - work
        assert result.figures()["wasted_compute_s"] / clients == pytest.approx(mean, rel=0.1)


@pytest.mark.parametrize("transfers", ["stall", "restart"])
def test_messages_on_links_that_fail(transfers: str):
    # 800 MB at 10 MB/s are 80 s.
    every, last, clients = 100.0, 30.0, 2000
    failing = {"uplink": "10MB/s", "outages": {"every": every, "last": last, "transfers": transfers}}
    result = simulated(
        Same(1e-6), fleet=[{"count": clients, **failing}], payload={"upload": "800MB"}, participation={"short": "wait"}
    )
    done = [span.end for span in of_clients(result, Kind.UPLOAD).values()]
    assert len(done) == clients
    assert_mean(done, expected(80.0, every, last, goes_on=transfers == "stall"))


def test_who_is_there_when_rounds_open_and_who_leaves_in_the_middle():
    # A share of them is there; a session has no memory, so that 50 s of computing are done with exp(-50 / 200).
    clients, share, session = 4000, 0.3, 200.0
    fleet = [{"count": clients, "available": {"share": share, "session": session}}]
    result = simulated(Same(50.0), rounds=4, fleet=fleet)
    began = [0] * 4
    for span in result.timeline.spans:
        if span.kind is Kind.COMPUTE:
            began[span.round] += 1
    for count in began:
        assert count == pytest.approx(clients * share, abs=SIGMAS * math.sqrt(clients * share * (1 - share)))
    stays = math.exp(-50 / session)
    lost = result.provenance["updates"]["lost"]
    total = sum(began)
    assert lost == pytest.approx(total * (1 - stays), abs=SIGMAS * math.sqrt(total * stays * (1 - stays)))


def test_a_share_of_the_work_is_wasted_where_clients_drop_out():
    # A fifth vanishes, at a uniform place of 10 s of computing: (5 +- 10 / sqrt(12)) s each.
    clients, rounds, rate = 500, 8, 0.2
    fleet = [{"count": clients, "dropout": {"rate": rate, "during": "compute"}}]
    result = simulated(Same(10.0), rounds=rounds, fleet=fleet)
    lost = result.provenance["updates"]["lost"]
    began = sum(span.kind is Kind.COMPUTE for span in result.timeline.spans)
    assert lost == pytest.approx(rate * began, abs=SIGMAS * math.sqrt(began * rate * (1 - rate)))
    wasted = result.figures()["wasted_compute_s"]
    assert wasted == pytest.approx(5 * lost, abs=SIGMAS * 10 / math.sqrt(12) * math.sqrt(lost))
