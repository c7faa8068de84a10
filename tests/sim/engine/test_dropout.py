"""Clients that vanish in the middle of a round, and what they leave behind, by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import SERVER, Kind
from parasim_core.sim.errors import SimulationError
from parasim_core.sim.failures.dropout import Dropouts, Vanishing
from tests.sim.runs import of, simulated

Fates = Mapping[tuple[int, int], Vanishing]
"""By client and how often a round was opened so far, from 1."""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Simulate with clients that vanish as told."""

    def simulate(fates: Fates, **fields: Any) -> Result:
        monkeypatch.setattr(Dropouts, "draw", lambda self, client, number: fates.get((client, number)))
        fleet = [{**group, "dropout": {"rate": 0.5}} for group in fields.pop("fleet", [{"count": 3}])]
        return simulated(**({"method": "fedbcd", "rounds": 3, "fleet": fleet} | fields))

    return simulate


def spans(result: Result, kind: Kind, client: int) -> list[tuple[float, float]]:
    return [(span.start, span.end) for span in of(result, kind, client)]


def whose(result: Result) -> list[set[int]]:
    """Whose updates each aggregation waited for."""
    every = result.timeline.spans
    return [{every[cause].client for cause in span.causes} - {SERVER} for span in of(result, Kind.AGGREGATE)]


def test_who_vanishes_while_it_computes(run):
    # Client 1 stops after 4 of its 10 s; the others are aggregated at 11 as if it had never been. In round 1 it is
    # back: it fetches what it misses and does as the others do, until 23 and 35.
    result = run({(1, 1): Vanishing("compute", 0.4, 1)})
    assert spans(result, Kind.COMPUTE, 1) == [(0, 4), (12, 22), (24, 34)]
    assert whose(result) == [{0, 2}, {0, 1, 2}, {0, 1, 2}]
    assert result.wall_clock == 35
    assert result.provenance["updates"] == {"lost": 1}
    assert result.figures()["wasted_compute_s"] == 4
    # From 4 to 11 it is gone.
    assert result.accounts[1].offline == 7
    assert result.accounts[1].waiting == 0


def test_who_vanishes_while_it_sends(run):
    # A quarter of 100 MB gets through in 0.25 s.
    result = run({(1, 2): Vanishing("upload", 0.25, 1)})
    assert spans(result, Kind.UPLOAD, 1) == [(10, 11), (22, 22.25), (34, 35)]
    assert [span.size for span in of(result, Kind.UPLOAD, 1)] == [1e8, 25e6, 1e8]
    assert whose(result) == [{0, 1, 2}, {0, 2}, {0, 1, 2}]
    figures = result.figures()
    assert (figures["wasted_compute_s"], figures["wasted_bytes"]) == (10, 25e6)
    assert result.provenance["updates"] == {"lost": 1}


def test_who_vanishes_while_it_receives(run):
    # Of the download that begins at 11, half gets through. What was not received is missing later: client 1 fetches two
    # blocks when it is back, and computes from 25 to 35.
    result = run({(1, 2): Vanishing("download", 0.5, 1)}, blocks={"count": 3, "schedule": "sequential"})
    assert spans(result, Kind.DOWNLOAD, 1) == [(11, 11.5), (23, 25)]
    assert of(result, Kind.DOWNLOAD, 1)[1].blocks == (0, 1)
    assert spans(result, Kind.COMPUTE, 1) == [(0, 10), (25, 35)]
    assert result.figures()["wasted_bytes"] == 50e6
    # It was lost before it was begun.
    assert result.provenance["updates"] == {"lost": 1}


def test_with_nothing_to_receive_it_vanishes_when_it_would_have_received(run):
    result = run({(1, 1): Vanishing("download", 0.5, 1)})
    assert spans(result, Kind.COMPUTE, 1)[0] == (12, 22)
    assert result.accounts[1].offline == 11


def test_what_it_gives_up_is_free_for_others(run):
    # 2 clients share 100 MB/s of ingress: 2 s each. Client 1 vanishes with half of its own, which takes 1 s; the other
    # has sent 50 MB then and the rest in 0.5 s.
    result = run({(1, 1): Vanishing("upload", 0.5, 1)}, fleet=[{"count": 2}], server={"ingress": "100MB/s"}, rounds=1)
    assert spans(result, Kind.UPLOAD, 1) == [(10, 11)]
    assert spans(result, Kind.UPLOAD, 0) == [(10, 11.5)]


def test_it_stays_away_for_so_many_rounds(run):
    result = run({(1, 1): Vanishing("compute", 0.4, 3)}, rounds=5)
    assert [span.round for span in of(result, Kind.COMPUTE, 1)] == [0, 3, 4]
    assert result.accounts[1].offline == 7 + 12 + 12


def test_the_last_one_that_is_missing_ends_the_round(run):
    # Client 0 takes 20 s, and would be in at 21; at half of it, at 10, client 1 is still sending, until 11.
    result = run({(0, 1): Vanishing("compute", 0.5, 1)}, fleet=[{"speed": 0.5}, {}], rounds=1)
    assert [span.start for span in of(result, Kind.AGGREGATE)] == [11]
    # At 0.75, at 15, client 1 has been in for 4 s.
    result = run({(0, 1): Vanishing("compute", 0.75, 1)}, fleet=[{"speed": 0.5}, {}], rounds=1)
    assert [span.start for span in of(result, Kind.AGGREGATE)] == [15]
    assert result.accounts[1].waiting == 4


def test_a_round_of_which_nobody_is_left_ends_the_run(run):
    fates = {(client, 2): Vanishing("compute", 0.5, 1) for client in range(3)}
    with pytest.raises(SimulationError) as short:
        run(fates)
    assert short.value.exit_status == 1
    message = str(short.value)
    assert "round 1 is short at 17 s, with 1 of 3 rounds aggregated" in message
    assert "they were 0, 1, 2" in message
    assert "\n" not in message


def test_a_round_of_which_nobody_is_left_begins_anew_if_so_wished(run):
    # All stop at 17; they are back in the next round that is opened, which is the same one: they have what they
    # fetched, compute from 17 to 27, and are in at 28.
    fates = {(client, 2): Vanishing("compute", 0.5, 1) for client in range(3)}
    result = run(fates, participation={"short": "wait"})
    assert [span.start for span in of(result, Kind.AGGREGATE)] == [11, 28, 40]
    assert result.provenance["updates"] == {"lost": 3}
    # Those who stay away longer let tries pass that nobody takes part in.
    fates = {(client, 2): Vanishing("compute", 0.5, 2 + client) for client in range(3)}
    result = run(fates, participation={"short": "wait"})
    assert whose(result) == [{0, 1, 2}, {0}, {0, 1}]


def test_a_late_client_that_vanishes_is_nobodys_loss_but_its_own(run):
    # Client 1 takes 40 s: late for rounds 0 to 2 of 11, 12 and 12 s; at 30 it is gone.
    result = run(
        {(1, 1): Vanishing("compute", 0.75, 9)}, fleet=[{}, {"speed": 0.25}], participation={"quorum": 0.5}, rounds=4
    )
    assert [span.start for span in of(result, Kind.AGGREGATE)] == [11, 23, 35, 47]
    assert spans(result, Kind.COMPUTE, 1) == [(0, 30)]
    assert result.figures()["wasted_compute_s"] == 30
    # What it had been chosen for in rounds 1 and 2 is lost as well.
    assert result.provenance["updates"] == {"lost": 3}


def test_a_region_learns_of_those_who_vanish(run):
    # The region waits for two, and sends what it has got when the last one is gone, at 15.
    fleet = [{"region": "south"}, {"region": "south", "speed": 0.5}]
    result = run(
        {(1, 1): Vanishing("compute", 0.75, 1)},
        fleet=fleet,
        regions={"south": {"uplink": "100MB/s", "aggregates": True}},
        rounds=1,
    )
    assert [span.start for span in of(result, Kind.AGGREGATE)] == [16]
    # Sent before: nobody has to be waited for.
    result = run(
        {(1, 1): Vanishing("upload", 0.5, 1)},
        fleet=fleet,
        regions={"south": {"uplink": "100MB/s", "aggregates": True}},
        rounds=1,
    )
    assert [span.start for span in of(result, Kind.AGGREGATE)] == [21.5]


def test_a_download_in_a_region_that_is_cut_off(run):
    # The region has it at 12 + 1; half of it gets through in half a second more.
    result = run(
        {(1, 2): Vanishing("download", 0.5, 1)},
        fleet=[{"region": "south", "count": 2}],
        regions={"south": {"uplink": "100MB/s", "aggregates": True}},
        rounds=2,
    )
    assert spans(result, Kind.DOWNLOAD, 1) == [(13, 13.5)]
    assert result.wall_clock == 12 + 1 + 1 + 10 + 1 + 1


def test_packing_and_latency_of_what_is_cut_off(run):
    # 2 s of packing and 0.5 s of latency come before the first byte.
    result = run(
        {(1, 1): Vanishing("upload", 0.5, 1)},
        fleet=[{"count": 2, "latency": "500ms"}],
        wire={"serialization": "2s"},
        rounds=1,
    )
    (upload,) = of(result, Kind.UPLOAD, 1)
    assert (upload.start, upload.end, upload.size) == (10, 13, 50e6)
    assert upload.parts[:3] == (2, 0.5, 0.5)


def test_the_same_numbers_for_the_same_seed_and_others_for_another():
    def figures(seed: int) -> dict[str, int | float]:
        fleet = [{"count": 10, "dropout": {"rate": 0.2}}]
        return simulated(method="fedbcd", rounds=10, seed=seed, fleet=fleet).figures()

    assert figures(1) == figures(1)
    assert figures(1) != figures(2)


def test_as_many_vanish_as_told_and_none_without():
    fleet = [{"count": 50, "dropout": {"rate": 0.2, "back_after": 1}}]
    result = simulated(method="full-ft", rounds=40, fleet=fleet)
    # 2,000 participations: 400, within four standard deviations of 18.
    assert result.provenance["updates"]["lost"] == pytest.approx(400, abs=72)
    plain = simulated(method="full-ft", rounds=3, fleet=[{"count": 5}])
    never = simulated(method="full-ft", rounds=3, fleet=[{"count": 5, "dropout": {"rate": 0}}])
    assert never.figures() == plain.figures()
    assert never.timeline == plain.timeline
