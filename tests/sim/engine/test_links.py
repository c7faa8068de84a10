"""A scenario's links: access - site - region - server, each shared by max-min fairness."""

from __future__ import annotations

from typing import Any

import pytest

from parasim_core.sim.analysis.critical_path import Holder, critical_path
from parasim_core.sim.engine.links import Access
from parasim_core.sim.engine.simulate import simulate
from parasim_core.sim.engine.timeline import SERVER, Kind
from tests.sim.runs import of, prepared, simulated

ONE_ROUND: dict[str, Any] = {"method": "fedbcd", "rounds": 1, "compute": {"seconds": 0}}


def ends(kind: Kind = Kind.UPLOAD, **fields: Any) -> dict[int, float]:
    """When the spans of a kind end, by client [s]."""
    return {span.client: span.end for span in of(simulated(**ONE_ROUND | fields), kind)}


def test_clients_in_a_row_share_the_line_of_their_site():
    # 100 MB each on 100 MB/s. Sites of 0 1 and 2 3 share 50 MB/s: 4 s; the last site has one client: 2 s.
    site = {"clients": 2, "uplink": "50MB/s"}
    fleet = [{"count": 5, "site": site}, {"count": 1}]
    lists = {"rounds": [[0, 1, 2, 3, 4, 5]]}
    assert ends(fleet=fleet, participation=lists) == {0: 4, 2: 4, 4: 2, 5: 1}
    # Told apart, they take just as long.
    apart = simulated(**ONE_ROUND | {"fleet": fleet, "compute": {"seconds": [0.0] * 6}})
    assert {span.client: span.end for span in of(apart, Kind.UPLOAD)} == {0: 4, 1: 4, 2: 4, 3: 4, 4: 2, 5: 1}


def test_a_line_has_two_directions():
    # Downloads of 100 MB: two on 400 MB/s are limited by their access links, to 1 s; uploads by the line: 4 s.
    site = {"clients": 2, "uplink": "50MB/s", "downlink": "400MB/s"}
    result = simulated(**ONE_ROUND | {"rounds": 2, "fleet": [{"count": 2, "site": site}]})
    assert [span.end - span.start for span in of(result, Kind.DOWNLOAD)] == [1]
    assert [span.end - span.start for span in of(result, Kind.UPLOAD)] == [4, 4]


def test_a_region_is_shared_by_all_its_groups_and_its_latency_comes_on_top():
    # Two groups of one client on 50 MB/s together: 4 s, and 1 + 2 s and 0.5 + 2 s of latency: they start to share at
    # 2.5 s and 3 s. Client 1 sends 25 MB alone, then both 25 MB/s: client 1's 75 MB until 6 s; then client 0's last
    # 25 MB at 50 MB/s: 6.5 s.
    regions = {"eu": {"uplink": "50MB/s", "latency": "2s"}}
    fleet = [{"region": "eu", "latency": "1s"}, {"region": "eu", "latency": "0.5s"}, {}]
    assert ends(fleet=fleet, regions=regions) == {0: pytest.approx(6.5), 1: pytest.approx(6), 2: 1}


def test_a_region_without_a_capacity_is_a_latency_alone():
    assert ends(fleet=[{"region": "eu"}], regions={"eu": {"latency": "2s"}}) == {0: 3}


def test_the_server_is_above_regions_and_sites():
    # Site 0: clients 0 and 1 share 50; region: site 0 and client 2 share 60; server: region and client 3 share 90.
    # Max-min fair: an equal share of 90 is 22.5; below the region's 60 / 3 = 20 the site's 25 does not bind: 20 each;
    # client 3 gets the other 30. 100 MB: client 3 is done at 3.33 s; nothing else changes until 5 s.
    fleet = [
        {"count": 2, "region": "eu", "site": {"clients": 2, "uplink": "50MB/s"}},
        {"region": "eu"},
        {},
    ]
    got = ends(fleet=fleet, regions={"eu": {"uplink": "60MB/s"}}, server={"ingress": "90MB/s"})
    assert got == pytest.approx({0: 5, 2: 5, 3: 100 / 30})


def test_other_access_links_change_nothing_else():
    setup, costs = prepared(**ONE_ROUND | {"fleet": [{"count": 2, "region": "eu"}], "regions": {"eu": {"latency": 1}}})
    result = simulate(setup, costs, access={0: Access(50e6, 1e6, 0.5)})
    # 100 MB at 50 MB/s, after 0.5 s and the region's 1 s.
    assert [(span.client, span.end) for span in of(result, Kind.UPLOAD)] == [(0, 3.5)]
    assert result.scenario is setup.scenario


def test_alike_clients_are_simulated_once_per_site():
    result = simulated(fleet=[{"count": 5, "site": {"clients": 2, "uplink": "50MB/s"}}, {"count": 3}])
    assert result.counts == {0: 2, 2: 2, 4: 1, 5: 3}


def test_the_critical_path_names_the_level_that_binds():
    # 100 MB each. Site: 2 clients on 50 MB/s: 4 s; their own links alone would take 1 s. Down: 400 MB/s do not bind.
    site = {"clients": 2, "uplink": "50MB/s", "downlink": "400MB/s"}
    fleet = [{"name": "branch", "count": 2, "site": site}, {"name": "lone"}]
    held = critical_path(simulated(**ONE_ROUND | {"rounds": 2, "fleet": fleet})).held()
    assert held == {(Holder.SITE, 0): 6, (Holder.UPLINK, 0): 2, (Holder.DOWNLINK, 0): 1}
    # A region's 25 MB/s bind before the site's 50, and the server's 20 before these.
    eu = SERVER - 1
    below = ONE_ROUND | {"fleet": [{"count": 2, "site": site, "region": "eu"}], "regions": {"eu": {"uplink": "25MB/s"}}}
    assert critical_path(simulated(**below)).held() == {(Holder.REGION, eu): 7, (Holder.UPLINK, 0): 1}
    busy = simulated(**below | {"server": {"ingress": "20MB/s"}})
    assert critical_path(busy).held() == {(Holder.INGRESS, SERVER): 9, (Holder.UPLINK, 0): 1}


def test_tcp_starts_up_in_front_of_clients_and_of_regions():
    # A fresh connection takes round trips to get going; of a warm one on a link without latency nothing is seen.
    transport = {"control": "cubic"}
    fleet = [{"latency": "50ms", "transport": transport, "region": "eu"}]
    regions = {"eu": {"latency": "50ms", "transport": transport, "aggregates": True}}
    result = simulated(**ONE_ROUND | {"fleet": fleet, "regions": regions})
    for client in (0, SERVER - 1):
        (span,) = of(result, Kind.UPLOAD, client)
        assert span.parts is not None
        assert span.parts.start_up > 0.1
        assert sum(span.parts) == pytest.approx(span.end - span.start)
    assert (Holder.START_UP, SERVER - 1) in critical_path(result).held()


def test_regions_and_servers_may_vary():
    # 100 MB: the region carries 10 MB/s for 5 s, then 25 MB/s: 7 s. The server 20 MB/s for 2 s, then 30: 2 + 2 s.
    def steps(first: str, then: str, at: str) -> dict[str, Any]:
        return {"steps": [["0s", first], [at, then]]}

    regions = {"eu": {"uplink": steps("10MB/s", "25MB/s", "5s"), "aggregates": True}}
    result = simulated(**ONE_ROUND | {"fleet": [{"region": "eu", "uplink": "1GB/s"}], "regions": regions})
    # The client's 0.1 s at 1 GB/s before: 4.9 s at 10 MB/s are 49 MB; 51 MB at 25 MB/s.
    assert result.wall_clock == pytest.approx(5 + 51 / 25)
    assert ends(fleet=[{}], server={"ingress": steps("20MB/s", "30MB/s", "2s")}) == {0: pytest.approx(4)}


def test_a_message_that_is_cut_off_while_tcp_starts_up():
    # The run ends with the first update; the other client's upload has begun 0.1 ms later, and nothing is through yet.
    fields = {
        "method": {"name": "fedbuff", "buffer": 1},
        "rounds": 1,
        "compute": {"seconds": [1, 1.0001]},
        "payload": {"upload": "1MB"},
        "fleet": [{"count": 2, "uplink": "1GB/s", "latency": "100ms", "transport": {"control": "bbr"}}],
    }
    first, cut = [span for span in simulated(**fields).timeline.spans if span.kind is Kind.UPLOAD]
    assert (first.size, cut.size) == (1e6, 0)
    assert sum(cut.spent) == pytest.approx(cut.end - cut.start) == pytest.approx(first.end - first.start - 1e-4)
