"""When a run's communication is hidden, and what keeps it from being so."""

from __future__ import annotations

import pytest

import parasim
from parasim_core.sim.analysis.critical_path import Holder
from parasim_core.sim.analysis.hidden import computed, exposed_before, guess_hiding

BASE = {"compute": {"seconds": 10}, "payload": {"upload": "100MB"}, "rounds": 4}


def run(bandwidth: str, **more: object):
    return parasim.simulate(BASE | {"fleet": [{"uplink": bandwidth} | more]})


def test_computing_ends_as_early_as_possible_where_a_round_trip_fits():
    # 2 x 100 MB in 10 s needs 20 MB/s; 4 rounds of 10 s.
    assert computed(run("20MB/s")) == pytest.approx(40, rel=1e-12)
    # At 10 MB/s, rounds 2 to 4 take 20 s each; the last one's computing takes 10 s of that.
    assert computed(run("10MB/s")) == pytest.approx(10 + 20 + 20 + 10, rel=1e-12)


def test_what_is_exposed_is_named():
    assert exposed_before(run("40MB/s")) == {}
    # Two rounds wait for 10 s up and 10 s down; what comes after the last computing does not count.
    assert exposed_before(run("10MB/s")) == pytest.approx({Holder.UPLINK: 20, Holder.DOWNLINK: 20})
    # 6 s each way: 12 s a round.
    assert set(exposed_before(run("1PB/s", latency="6s"))) >= {Holder.LATENCY}


def test_the_guess_is_right_for_clients_that_are_alike():
    assert guess_hiding(run("1PB/s"), range(1)) == pytest.approx(20e6, rel=1e-6)
    # A second of latency each way leaves 8 s.
    assert guess_hiding(run("1PB/s", latency="1s"), range(1)) == pytest.approx(25e6, rel=1e-6)
    assert guess_hiding(run("1PB/s"), range(5, 6)) == 1e6


def test_the_guess_for_some_clients_leaves_the_others_out():
    fleet = [{"uplink": "1PB/s", "speed": speed} for speed in (0.5, 1)]
    uneven = parasim.simulate(BASE | {"fleet": fleet})
    # 2 x 100 MB beside the 20 s that one client computes, and the 10 s of the other.
    assert guess_hiding(uneven, range(1)) == pytest.approx(10e6, rel=1e-6)
    assert guess_hiding(uneven, range(1, 2)) == pytest.approx(20e6, rel=1e-6)


def test_the_guess_is_for_the_round_with_the_least_time_to_send_in():
    seconds = [[10], [8], [10], [10]]
    uneven = parasim.simulate(BASE | {"fleet": [{"uplink": "1PB/s"}], "compute": {"seconds": seconds}})
    assert guess_hiding(uneven, range(1)) == pytest.approx(25e6, rel=1e-6)
    # 2 of 10 s of computing, in which nothing can be sent, leave as little.
    serial = parasim.simulate(
        BASE | {"fleet": [{"uplink": "1PB/s"}], "compute": {"seconds": 10, "non_overlapping": "2s"}}
    )
    assert guess_hiding(serial, range(1)) == pytest.approx(25e6, rel=1e-6)
