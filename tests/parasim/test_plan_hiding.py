"""The bandwidth from which on overlapped methods hide what they send."""

from __future__ import annotations

from typing import Any

import pytest

from parasim.figures.hiding import draw_hiding
from parasim.figures.style import FigureError
from parasim.planning.answer import Answer
from parasim.planning.hiding import hide_communication

BASE: dict[str, Any] = {"compute": {"seconds": 10}, "payload": {"upload": "100MB"}, "rounds": 4}


def hide(*overrides: str, source: Any = BASE, method: str = "parablock") -> list[Answer]:
    return list(hide_communication(source, overrides, [method], jobs=1).answers)


def test_a_round_trip_must_fit_beside_the_computing():
    # 2 x 100 MB in 10 s: 20 MB/s; 4 rounds and the last upload.
    [answer] = hide()
    assert (answer.feasible, answer.value, answer.unit) == (True, 20e6, "B/s")
    assert answer.wall_clock_s == pytest.approx(45, rel=1e-12)
    assert [(check.value, check.holds) for check in answer.checked] == [(20e6, True), (19.99e6, False)]


def test_what_cannot_be_sent_meanwhile_takes_its_part():
    # 2 s without sending and 2 x 1 s of latency leave 6 s.
    [answer] = hide("compute.non_overlapping=2s", "fleet=[{latency: 1s}]")
    assert answer.value == 33.34e6


def test_groups_wait_for_the_slowest():
    # The slow one ends its 4 x 20 s at 80 s; 2 x 100 MB in 20 s. The fast one has a head start of 10 s and then no
    # more than the other's pace: uploads from 10 s and 40 s on, 15 s each way, its last 10 s of computing from 70 s on.
    plan = hide_communication(BASE, ["fleet=[{name: fast, count: 3}, {name: slow, speed: 0.5}]"], ["parablock"], jobs=1)
    assert [(answer.more["clients"], answer.value) for answer in plan.answers] == [("fast", 6.667e6), ("slow", 10e6)]
    assert any("these bandwidths for all at once hide it all" in note for note in plan.notes)


def test_what_no_bandwidth_hides_is_said():
    # 6 s of latency each way are more than 10 s of computing.
    [answer] = hide("fleet=[{latency: 6s}]")
    assert (answer.feasible, answer.value) == (False, None)
    assert "latency" in answer.because
    [answer] = hide(method="fedbcd")
    assert not answer.feasible
    assert "does not compute while it communicates" in answer.because


def test_nothing_to_hide_is_no_bandwidth():
    # The only message of a single round is the last upload, which is left over in any case.
    plan = hide_communication(BASE, ["rounds=1"], ["parablock"], jobs=1)
    [answer] = plan.answers
    assert (answer.feasible, answer.value, answer.wall_clock_s, list(answer.checked)) == (False, None, None, [])
    assert answer.because.startswith("nothing to hide")
    assert plan.rows == [("client", "nothing to hide", "-", "-")]
    assert plan.draw is None


def test_the_curve_of_the_paper():
    # 2 x 872.4 MB in 39.45 - 1.38 s: 45.84 MB/s. Larger batches have more time, wider blocks more bytes.
    plan = hide_communication(None, [], ["parablock"], jobs=1)
    [answer] = plan.answers
    assert answer.value == pytest.approx(45.84e6)
    curve = {(p["batch_size"], p["layers_per_block"]): p["bandwidth"] for p in answer.more["curve"]}
    assert set(curve) == {(size, width) for size in range(2, 9) for width in (0.5, 1.0, 2.0, 4.0)}
    assert all(curve[size, 2.0] > curve[size + 1, 2.0] for size in range(2, 8))
    assert all(curve[4, width] < curve[4, 2 * width] for width in (0.5, 1.0, 2.0))
    assert all([c["holds"] for c in point["checked"]] == [True, False] for point in answer.more["curve"])


def test_a_picture_needs_a_hiding_point(tmp_path):
    with pytest.raises(FigureError, match="no communication becomes hidden"):
        draw_hiding([], tmp_path)
