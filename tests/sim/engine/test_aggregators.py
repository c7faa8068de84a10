"""Regions that aggregate: one message up for a round's participants there, the server's aggregate down once."""

from __future__ import annotations

from typing import Any

import pytest

from parasim_core.sim.analysis.critical_path import Holder, critical_path, length
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import SERVER, Kind
from tests.sim.runs import of, rotating, simulated, with_staleness

EU = SERVER - 1
US = SERVER - 2
REGIONS: dict[str, Any] = {
    "eu": {"uplink": "25MB/s", "downlink": "50MB/s", "latency": "1s", "aggregates": True},
    "us": {"uplink": "100MB/s", "aggregates": True},
}
FLEET: list[dict[str, Any]] = [
    {"count": 2, "uplink": "50MB/s", "region": "eu"},
    {"uplink": "20MB/s", "region": "us"},
    {"uplink": "10MB/s"},
]
METHODS_OF_ROUNDS = ["fedbcd", "parablock", "overlapped-lora", "fedit", "ffa-lora", "flora", "full-ft"]


def times(result: Result, kind: Kind, client: int) -> list[tuple[float, float]]:
    return [(span.start, span.end) for span in of(result, kind, client)]


def test_a_round_by_hand():
    # 10 s of computing, 100 MB messages. Up: eu's clients 2 s, its message 1 + 4 s: 17 s. us: 5 s, then 1 s: 16 s.
    # Client 3, directly below the server: 10 s: 20 s, when the round is aggregated.
    # Down: eu 1 + 2 s: 23 s, its clients 2 s: 25 s. us 1 s: 21 s, its client 5 s: 26 s. Client 3: 30 s.
    result = simulated(method="fedbcd", rounds=2, fleet=FLEET, regions=REGIONS)
    assert result.counts == {0: 2, 2: 1, 3: 1}
    assert times(result, Kind.UPLOAD, 0)[0] == (10, 12)
    assert times(result, Kind.UPLOAD, EU)[0] == (12, 17)
    assert times(result, Kind.UPLOAD, US)[0] == (15, 16)
    assert times(result, Kind.AGGREGATE, SERVER)[0] == (20, 20)
    assert times(result, Kind.DOWNLOAD, EU) == [(20, 23)]
    assert times(result, Kind.DOWNLOAD, 0) == [(23, 25)]
    assert times(result, Kind.DOWNLOAD, US) == [(20, 21)]
    assert times(result, Kind.DOWNLOAD, 2) == [(21, 26)]
    assert times(result, Kind.DOWNLOAD, 3) == [(20, 30)]
    # Round 1 ends with client 3: 30 + 10 + 10 s. Bytes over clients' own links and over the regions' are told apart.
    assert result.wall_clock == 50
    assert (result.total("uploaded"), result.total("downloaded")) == (8e8, 4e8)
    moved = {row["name"]: (row["uploaded_bytes"], row["downloaded_bytes"]) for row in result.levels()}
    # Over the server's: what the two aggregators and client 3 send, one update each and round.
    regions = {"region eu": (2e8, 1e8), "region us": (2e8, 1e8)}
    assert moved == {"access links": (8e8, 4e8), **regions, "server": (6e8, 3e8)}


def test_waiting_for_the_region_is_waiting():
    # Client 0 until 50 s: computes 2 x 10, sends 2 x 2, fetches 2, waits for the rest; regions are no clients.
    result = simulated(method="fedbcd", rounds=2, fleet=FLEET, regions=REGIONS)
    account = result.accounts[0]
    assert (account.compute, account.exposed, account.waiting, account.offline) == (20, 6, 24, 0)
    assert set(result.accounts) == {0, 2, 3}
    assert result.mean("exposed") == (6 + 6 + 15 + 30) / 4


def test_an_overlapped_exchange_by_hand():
    # ParaBlock, 30 s of computing, everyone in eu: round 0's update is sent from 30 s on: 2 s, then 1 + 4 s; 37 s;
    # down 1 + 2 s and 2 s: 42 s: hidden behind round 1, as is that of round 1 behind round 2. After 90 s: 2 + 5 s.
    fleet = [{"count": 2, "uplink": "50MB/s", "region": "eu"}]
    result = simulated(rounds=3, fleet=fleet, regions=REGIONS, compute={"seconds": 30})
    assert times(result, Kind.UPLOAD, EU) == [(32, 37), (62, 67), (92, 97)]
    assert times(result, Kind.DOWNLOAD, EU) == [(37, 40), (67, 70)]
    assert times(result, Kind.DOWNLOAD, 0) == [(40, 42), (70, 72)]
    assert result.wall_clock == 97


def test_stacks_are_stacked():
    # FLoRA: eu sends the adapters of its two clients, us that of its one; a stack of four comes down.
    result = simulated(method="flora", rounds=2, fleet=FLEET, regions=REGIONS)
    assert [span.size for span in of(result, Kind.UPLOAD, EU)] == [2e8, 2e8]
    assert [span.size for span in of(result, Kind.UPLOAD, US)] == [1e8, 1e8]
    assert [span.size for span in of(result, Kind.DOWNLOAD, EU)] == [4e8]
    assert [span.size for span in of(result, Kind.DOWNLOAD, 0)] == [4e8]


@pytest.mark.parametrize("method", ["fedbuff", "fedasync"])
def test_without_rounds_every_update_is_passed_on(method: str):
    result = simulated(method=method, rounds=6, fleet=FLEET, regions=REGIONS)
    arrived = [span for client in (0, 1) for span in of(result, Kind.UPLOAD, client) if span.end < result.wall_clock]
    passed = of(result, Kind.UPLOAD, EU)
    assert sorted(span.start for span in passed) == sorted(span.end for span in arrived)
    assert all(len(span.causes) == 1 for span in passed)


def test_what_a_client_sends_is_passed_on_in_its_order():
    # 10 s of computing, 2 s to eu's aggregator, 20 s from there to the server: whoever goes on computing meanwhile
    # sends what waits there until what was sent before has arrived. The run ends with the fourth aggregation.
    fleet, regions = [{"uplink": "50MB/s", "region": "eu"}], {"eu": {"uplink": "5MB/s", "aggregates": True}}
    result = simulated(method="parablock-async", rounds=4, fleet=fleet, regions=regions)
    assert times(result, Kind.UPLOAD, 0)[:3] == [(10, 12), (20, 22), (30, 32)]
    assert times(result, Kind.UPLOAD, EU)[:4] == [(12, 32), (32, 52), (52, 72), (72, 92)]
    assert result.wall_clock == 92
    spans = result.timeline.spans
    assert all(max(spans[cause].end for cause in span.causes) == span.start for span in of(result, Kind.UPLOAD, EU))


def test_turns_pass_through():
    # Clients take turns: 0 and 1 in eu, each with a block of its own. What client 0 sent in turn 0 went through eu,
    # which need not fetch it for client 1; turn 2 is client 2's in us, which fetches both blocks at once, and turn 3
    # is that of client 3, directly below the server.
    result = simulated(method="fedcybgd", rounds=5, fleet=FLEET, regions=REGIONS)
    assert [span.blocks for span in of(result, Kind.UPLOAD, EU)] == [(0,), (1,), (0,)]
    assert [span.blocks for span in of(result, Kind.DOWNLOAD, 1)] == [(0,)]
    assert [span.blocks for span in of(result, Kind.DOWNLOAD, EU)] == [(2, 3)]
    assert [span.blocks for span in of(result, Kind.DOWNLOAD, US)] == [(0, 1)]
    assert [span.blocks for span in of(result, Kind.DOWNLOAD, 3)] == [(0, 1, 2)]
    # Turn 4 is client 0's again: it misses blocks 1, 2 and 3, of which eu has 1.
    assert [span.blocks for span in of(result, Kind.DOWNLOAD, 0)] == [(1, 2, 3)]


def test_each_level_catches_up_on_what_it_missed_itself():
    # One item of 100 MB whose changes are sent as 50.4 MB: 8 bits instead of 16, and a scale for every 128 values.
    # Rounds of 0 1, of 2 (directly below the server), of 0, of 1. Before round 2, eu and client 0 have missed rounds
    # 0 and 1: two changes are more than the whole. Before round 3, eu has missed round 2: one change; but client 1 has
    # missed three.
    result = simulated(
        method="full-ft",
        rounds=4,
        fleet=[{"count": 2, "region": "eu"}, {}],
        regions=REGIONS,
        participation={"rounds": [[0, 1], [2], [0], [1]]},
        wire={"download": {"bits": 8}},
    )
    change = of(result, Kind.DOWNLOAD, 2)[0].size
    assert 50e6 < change < 51e6
    assert [span.size for span in of(result, Kind.DOWNLOAD, EU)] == [1e8, change]
    assert [span.size for span in of(result, Kind.DOWNLOAD, 0)] == [1e8]
    assert [span.size for span in of(result, Kind.DOWNLOAD, 1)] == [1e8]


def test_what_clients_ask_for_at_once_comes_in_one_message():
    # Blocks 0, 1, 2. Clients 0 and 1 take part in rounds 0 and 1 by turns, and both in round 3: then client 0 misses
    # blocks 0 (its own update is not the aggregate), 1 and 2, client 1 misses 1 and 2, of which eu has 0.
    result = simulated(
        method="fedbcd",
        rounds=4,
        fleet=[{"count": 2, "region": "eu"}, {}],
        regions=REGIONS,
        participation={"rounds": [[0], [1], [2], [0, 1]]},
        blocks={"count": 3, "schedule": "sequential"},
    )
    assert [span.blocks for span in of(result, Kind.DOWNLOAD, EU)] == [(0,), (1, 2)]
    assert [span.blocks for span in of(result, Kind.DOWNLOAD, 0)] == [(0, 1, 2)]
    assert [span.blocks for span in of(result, Kind.DOWNLOAD, 1)] == [(0,), (1, 2)]


def test_packing_is_the_clients():
    # 0.5 s of packing and of unpacking at a client; a region's message is as long as its link takes.
    result = simulated(
        method="fedbcd",
        rounds=2,
        fleet=[{"count": 2, "uplink": "50MB/s", "region": "eu"}],
        regions=REGIONS,
        wire={"serialization": 0.5},
    )
    assert times(result, Kind.UPLOAD, 0)[0] == (10, 12.5)
    assert times(result, Kind.UPLOAD, EU)[0] == (12.5, 17.5)
    assert times(result, Kind.DOWNLOAD, EU) == [(17.5, 20.5)]
    assert times(result, Kind.DOWNLOAD, 0) == [(20.5, 23)]


@pytest.mark.parametrize("participation", [{}, {"fraction": 0.5}, {"rounds": rotating(6, 2, 7)}])
@pytest.mark.parametrize("staleness", [1, 2])
@pytest.mark.parametrize("method", METHODS_OF_ROUNDS)
def test_regions_that_cost_nothing_change_nothing(method: str, staleness: int, participation: dict[str, Any]):
    fields = _uneven(with_staleness(method, staleness)) | {"participation": participation}
    _same_but_for_regions(fields)


@pytest.mark.parametrize("method", ["fedcybgd", "fedbuff", "fedasync"])
def test_the_same_where_all_take_part_in_their_own_way(method: str):
    _same_but_for_regions(_uneven({"name": method}))


def _uneven(method: dict[str, Any]) -> dict[str, Any]:
    return {
        "method": method,
        "rounds": 7,
        "compute": {"seconds": [10.0, 12.1, 17.3, 9.7, 11.9, 13.3], "non_overlapping": 0.3},
        "wire": {"serialization": 0.3, "download": {"bits": 8}},
        "server": {"aggregation": 0.7},
    }


def _same_but_for_regions(fields: dict[str, Any]) -> None:
    """Clients' spans are the same, to the last bit, with and without regions of unlimited links."""
    fleet = [{"count": 2, "uplink": "30MB/s"}, {"count": 2, "uplink": "70MB/s", "latency": 0.1}, {"count": 2}]
    regions = {name: {"aggregates": True} for name in ("a", "b")}
    below = [{**group, "region": name} for group, name in zip(fleet, ("a", "b", "a"), strict=True)]
    flat, regional = simulated(**fields, fleet=fleet), simulated(**fields, fleet=below, regions=regions)
    assert regional.wall_clock == flat.wall_clock
    assert regional.figures() == flat.figures()
    assert _clients(regional) == _clients(flat)
    assert regional.presence == flat.presence


def _clients(result: Result) -> list[tuple[Any, ...]]:
    return sorted((*span[:7], span.serial) for span in result.timeline.spans if span.client >= SERVER)


def test_alike_clients_are_simulated_once():
    apart = {"compute": {"seconds": [10.0] * 8}}
    fleet = [
        {"count": 5, "uplink": "50MB/s", "region": "eu", "site": {"clients": 2, "uplink": "60MB/s"}},
        {"count": 3, "uplink": "20MB/s", "region": "us"},
    ]
    for method in METHODS_OF_ROUNDS:
        fields: dict[str, Any] = {"method": method, "fleet": fleet, "regions": REGIONS}
        together, one_by_one = simulated(**fields), simulated(**fields | apart)
        assert together.counts == {0: 2, 2: 2, 4: 1, 5: 3}
        assert len(one_by_one.counts) == 8
        assert together.figures() == pytest.approx(one_by_one.figures(), rel=1e-12)
        assert together.levels() == one_by_one.levels() != []


def test_the_critical_path_goes_through_the_regions():
    # eu is the last in both rounds: 10 + 2 + 5 s; 3 s down to eu, 2 s to its clients, and 17 s again.
    fleet = [FLEET[0], {"uplink": "40MB/s", "region": "us"}]
    result = simulated(method="fedbcd", rounds=2, fleet=fleet, regions=REGIONS)
    path = critical_path(result)
    assert length(path.pieces) == result.wall_clock
    assert path.held() == {
        (Holder.COMPUTING, 0): 20,
        (Holder.UPLINK, EU): 8,
        (Holder.UPLINK, 0): 4,
        (Holder.LATENCY, EU): 3,
        (Holder.DOWNLINK, EU): 2,
        (Holder.DOWNLINK, 0): 2,
    }


def test_messages_that_share_their_own_line_are_held_by_it():
    # 10 s of computing and 1 s to eu's aggregator, whose 50 MB/s both updates share: 2 x 100 MB in 4 s. The server is
    # unlimited.
    regions = {"eu": {"uplink": "50MB/s", "aggregates": True}}
    result = simulated(method="fedbuff", rounds=1, fleet=[{"count": 2, "region": "eu"}], regions=regions)
    assert result.wall_clock == 15
    lengths: dict[tuple[Holder, int], float] = {}
    for piece in critical_path(result).pieces:
        whose = piece.holder, piece.client
        lengths[whose] = lengths.get(whose, 0.0) + piece.end - piece.start
    assert sorted(lengths.values()) == [1, 4, 10]
    assert lengths[Holder.UPLINK, EU] == 4


def test_the_timeline_names_them(tmp_path: Any):
    result = simulated(method="fedbcd", rounds=1, fleet=FLEET, regions=REGIONS)
    result.write_timeline(tmp_path / "timeline.csv")
    rows = (tmp_path / "timeline.csv").read_text().splitlines()
    assert "region eu,0,upload,12.0,17.0,100000000," in "\n".join(rows)
    assert {row.split(",")[0] for row in rows} == {"client", "0", "1", "2", "3", "region eu", "region us", "server"}
