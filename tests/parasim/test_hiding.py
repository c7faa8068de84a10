"""Where communication becomes hidden, found by simulating."""

from __future__ import annotations

import pytest

import parasim
from parasim.hiding import hiding_points, numeric_axis
from sim.errors import ScenarioError

BASE = {
    "compute": {"seconds": 10},
    "payload": {"upload": "100MB"},
    "rounds": 4,
}


def test_parablock_hides_where_a_round_trip_fits_into_the_computation():
    # 2 x 100 MB in 10 s: 20 MB/s.
    table = parasim.sweep(BASE, methods=["parablock", "fedbcd"], bandwidths=["5MB/s", "50MB/s", "500MB/s"])
    (hidden,) = hiding_points(table, numeric_axis(table.axes))
    assert hidden.labels["method"] == "parablock"
    assert hidden.value == 20e6
    # 4 rounds of 10 s, and the last upload.
    assert hidden.wall_clock == pytest.approx(40 + 5, rel=1e-3)


def test_a_line_that_always_hides_has_no_such_point():
    table = parasim.sweep(BASE, bandwidths=["50MB/s", "500MB/s"])
    assert hiding_points(table, numeric_axis(table.axes)) == []


def test_whole_quantities_have_whole_points():
    table = parasim.sweep(
        BASE | {"fleet": [{"uplink": "20MB/s"}]}, vary={"wire.bytes_per_parameter": ["2"], "fleet.0.speed": ["4", "1"]}
    )
    axis = numeric_axis(table.axes)
    assert axis.column == "fleet.0.speed"


def test_an_axis_needs_numbers():
    with pytest.raises(ScenarioError, match="at least two values"):
        numeric_axis(parasim.sweep(BASE, methods=["parablock", "fedbcd"]).axes)
