"""Where communication becomes hidden, found by simulating."""

from __future__ import annotations

import pytest

import parasim
from parasim.hiding import hiding_points
from parasim.sweep_table import numeric_axis
from parasim_core.sim.errors import ScenarioError

BASE = {
    "compute": {"seconds": 10},
    "payload": {"upload": "100MB"},
    "rounds": 4,
}


def test_parablock_hides_where_a_round_trip_fits_into_the_computation():
    # 2 x 100 MB in 10 s: 20 MB/s.
    table = parasim.sweep(BASE, method=["parablock", "fedbcd"], bandwidth=["5MB/s", "50MB/s", "500MB/s"])
    (hidden,) = hiding_points(table, numeric_axis(table.axes))
    assert hidden.labels["method"] == "parablock"
    assert hidden.value == 20e6
    # 4 rounds of 10 s, and the last upload.
    assert hidden.wall_clock == pytest.approx(40 + 5, rel=1e-3)


def test_a_line_that_always_hides_has_no_such_point():
    table = parasim.sweep(BASE, bandwidth=["50MB/s", "500MB/s"])
    assert hiding_points(table, numeric_axis(table.axes)) == []


def test_the_last_whole_number_that_hides_is_told():
    # 10 s to send 100 MB, in 1 s, and to fetch as much: n clients that share 55 MB/s take n x 100/55 s. 1 + 4 x 1.82 s
    # are 8.3 s, 1 + 5 x 1.82 s are 10.1 s. 4 rounds of 10 s end with an upload of 1 s.
    fields = BASE | {"fleet": [{"uplink": "100MB/s"}], "server": {"egress": "55MB/s"}}
    table = parasim.sweep(fields, vary={"fleet.0.count": ["1", "50"]})
    (hidden,) = hiding_points(table, numeric_axis(table.axes))
    assert (hidden.until, hidden.value) == (True, 4)
    stalled = [
        parasim.simulate(fields | {"fleet": [{"uplink": "100MB/s", "count": count}]}).mean("stalled")
        for count in (4, 5)
    ]
    assert stalled[0] == 0 < stalled[1]
    assert hidden.wall_clock == pytest.approx(40 + 1)


def test_an_axis_needs_numbers():
    with pytest.raises(ScenarioError, match="at least two values"):
        numeric_axis(parasim.sweep(BASE, method=["parablock", "fedbcd"]).axes)
