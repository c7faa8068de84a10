"""Explanations where sites, regions and TCP stand between clients and the server: each by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from parasim.explanation import sentences
from parasim_core.sim.analysis.critical_path import Holder
from parasim_core.sim.analysis.explain import Change, Lever
from parasim_core.sim.analysis.hidden import both_directions_at_once
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import Kind, Span, Timeline
from parasim_core.sim.scenario.scenario import Scenario
from tests.sim.analysis.test_explain import claim, explained
from tests.sim.runs import DEFAULTS

EU = -2
ONE_ROUND: dict[str, Any] = {"method": "fedbcd", "rounds": 1}


def held(**fields: Any) -> dict[tuple[Holder, int], float]:
    return {(share.holder, share.group): share.seconds for share in explained(**ONE_ROUND, **fields).shares}


def test_a_site_s_line_is_named_and_what_doubling_it_saves():
    # 100 MB alone take 1 s; two clients of a site send them over its line in 2 s.
    fleet = [{"name": "branch", "count": 4, "uplink": "100MB/s", "site": {"clients": 2, "uplink": "100MB/s"}}]
    assert held(fleet=fleet) == pytest.approx({(Holder.COMPUTING, 0): 10, (Holder.UPLINK, 0): 1, (Holder.SITE, 0): 1})
    why = explained(**ONE_ROUND, fleet=fleet)
    assert claim(why, Lever.SITES, 0).saves == pytest.approx(1)
    assert claim(why, Lever.UPLINK).saves == 0
    assert "the site lines of branch" in sentences(why)[0]


def test_a_site_is_named_by_its_clients_where_sites_differ(tmp_path: Path):
    # One of the two sites is in the slow half of the trace, which is a thousand seconds long.
    trace = tmp_path / "line.csv"
    trace.write_text("seconds,up_MB_s\n0,100\n1000,1\n2000,1\n", encoding="utf-8")
    line = {"clients": 2, "uplink": {"trace": str(trace), "unit": "MB/s", "start": "random"}}
    fleet = [{"name": "branch", "count": 4, "uplink": "100MB/s", "site": line}]
    for seed in range(10):
        why = explained(**ONE_ROUND, fleet=fleet, seed=seed)
        first = {client for holder, client in why.path.held() if holder is Holder.SITE}
        if len(first) == 1 and why.result.wall_clock > 20:
            [number] = first
            assert f"the site line of branch {number} to {number + 1}" in sentences(why)[0]
            return
    pytest.fail("no seed makes a site slow")


def test_a_region_s_link_and_its_latency():
    # Two messages of 100 MB over 50 MB/s: 4 s, of which each alone would take 1; and 0.3 s of latency.
    fields = {
        "fleet": [{"count": 2, "uplink": "100MB/s", "latency": "0.1s", "region": "eu"}],
        "regions": {"eu": {"uplink": "50MB/s", "latency": "0.2s"}},
    }
    assert held(**fields) == pytest.approx(
        {(Holder.COMPUTING, 0): 10, (Holder.UPLINK, 0): 1, (Holder.REGION, EU): 3, (Holder.LATENCY, 0): 0.3}
    )
    why = explained(**ONE_ROUND, **fields)
    assert claim(why, Lever.REGIONS, EU).saves == pytest.approx(2)
    # Both latencies are halved.
    assert claim(why, Lever.LATENCY).saves == pytest.approx(0.15)
    assert "the link of region eu" in sentences(why)[0]


def test_an_aggregator_s_link_is_its_region_s():
    # 1 s to the aggregator, 4 s from there.
    fields = {
        "fleet": [{"count": 2, "uplink": "100MB/s", "region": "eu"}],
        "regions": {"eu": {"uplink": "25MB/s", "aggregates": True}},
    }
    assert held(**fields) == pytest.approx({(Holder.COMPUTING, 0): 10, (Holder.UPLINK, 0): 1, (Holder.UPLINK, EU): 4})
    why = explained(**ONE_ROUND, **fields)
    assert claim(why, Lever.REGIONS, EU).saves == pytest.approx(2)
    assert "uplink of group0 and region eu" in sentences(why)[0]


def test_the_start_up_of_connections_and_what_keeping_them_open_saves():
    # Ten segments go in the first flight: a round trip of 0.2 s for the handshake, 0.1 s on the way, and 15 kB at
    # 10 MB/s.
    fields = {
        "fleet": [{"uplink": "10MB/s", "latency": "0.1s", "transport": {}}],
        "payload": {"upload": "14480B"},
        "compute": {"seconds": 1},
    }
    assert held(**fields) == pytest.approx(
        {(Holder.COMPUTING, 0): 1, (Holder.START_UP, 0): 0.2, (Holder.LATENCY, 0): 0.1, (Holder.UPLINK, 0): 0.0015}
    )
    why = explained(**ONE_ROUND, **fields)
    assert claim(why, Lever.WARM, 0).saves == pytest.approx(0.2)
    assert any("1 messages, 0.2 s each" in sentence for sentence in sentences(why))


def test_what_a_window_leaves_of_a_link_and_what_streams_save():
    # A window of ten segments a round trip of 0.2 s is 75 kB/s with headers. One flight of 0.2 s and two packets of
    # 0.02 s fills it; of 100 segments, 90 are then left: 135 kB, 1.8 s instead of 0.135 s on a link of 1 MB/s.
    transport = {"window": "14480B", "fresh": False}
    fields = {
        "fleet": [{"uplink": "1MB/s", "latency": "0.1s", "transport": transport}],
        "payload": {"upload": "144800B"},
        "compute": {"seconds": 1},
    }
    assert held(**fields) == pytest.approx(
        {
            (Holder.COMPUTING, 0): 1,
            (Holder.LIMITED, 0): 1.8 - 0.135,
            (Holder.START_UP, 0): 0.24,
            (Holder.UPLINK, 0): 0.135,
            (Holder.LATENCY, 0): 0.1,
        }
    )
    # With two, a flight of 20 takes 0.22 s; 80 segments are left, at twice the rate 0.8 s: 1.12 instead of 2.14 s.
    assert claim(explained(**ONE_ROUND, **fields), Lever.STREAMS, 0).saves == pytest.approx(2.14 - 1.12)


def test_what_does_not_change_anything_is_not_claimed():
    warm = {"fleet": [{"uplink": "1MB/s", "latency": "0.1s", "transport": {"fresh": False, "control": "bbr"}}]}
    levers = {claim.change for claim in explained(**ONE_ROUND, **warm).claims}
    assert levers.isdisjoint({Change(Lever.WARM, (0,)), Change(Lever.BBR, (0,)), Change(Lever.SITES)})


@pytest.mark.parametrize(("received", "at_once"), [((4.0, 6.0), False), ((3.9, 6.0), True), ((0.0, 1.0), False)])
def test_whether_a_client_sends_while_it_receives(received: tuple[float, float], at_once: bool):
    sent = Span(0, 0, Kind.UPLOAD, 1.0, 4.0, 1e6, (), ())
    other = Span(0, 0, Kind.DOWNLOAD, *received, 1e6, (), ())
    # Another client's messages do not count.
    elsewhere = Span(1, 0, Kind.DOWNLOAD, 0.0, 9.0, 1e6, (), ())
    scenario = Scenario.parse(DEFAULTS)
    result = Result(scenario, Timeline([elsewhere, other, sent]), {0: 1, 1: 1, 2: 1}, {}, {})
    assert both_directions_at_once(result, range(1)) is at_once


@pytest.mark.parametrize(
    ("shared", "server"),
    [({"site": {"clients": 2, "uplink": "100MB/s"}}, {}), ({"region": "eu"}, {}), ({}, {"ingress": "100MB/s"})],
)
def test_links_that_bind_together_are_named_together(shared: dict[str, Any], server: dict[str, Any]):
    # Two clients with 50 MB/s each fill what they share: 100 MB take 2 s, and 1 s with all links twice as fast.
    regions = {"eu": {"uplink": "100MB/s", "downlink": "1GB/s"}} if "region" in shared else {}
    fleet = [{"name": "branch", "count": 2, "uplink": "50MB/s", "downlink": "1GB/s"} | shared]
    why = explained(**ONE_ROUND, fleet=fleet, regions=regions, server=server)
    assert claim(why, Lever.UPLINK).saves == 0
    assert claim(why, Lever.PATHS).saves == pytest.approx(1)


def test_links_that_help_alone_are_not_named_together():
    # The line is four times what its two clients have, or a quarter: one lever saves all that both do.
    for line in ("400MB/s", "25MB/s"):
        fleet = [{"name": "branch", "count": 2, "uplink": "50MB/s", "site": {"clients": 2, "uplink": line}}]
        levers = {claim.change.lever for claim in explained(**ONE_ROUND, fleet=fleet).claims}
        assert Lever.PATHS not in levers
