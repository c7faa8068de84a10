"""The bandwidth from which on overlapped methods hide what they send."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import parasim
from parasim.figures.hiding import draw_hiding
from parasim.planning.answer import Answer, Plan
from parasim.planning.search.hiding_points import GroupCurve, GroupHidingPoint, Workload, hideable
from parasim.text import amount
from tests.parasim.pictures import words

BASE: dict[str, Any] = {"compute": {"seconds": 10}, "payload": {"upload": "100MB"}, "rounds": 4}
WIDTHS = (0.5, 1.0, 2.0, 4.0)


def hide_communication(source: Any, overrides: Any, methods: list[str], jobs: int = 1) -> Plan:
    return parasim.plan(source, overrides, method=methods, hide_communication=True, jobs=jobs)


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
    in_the_way = answer.more["in_the_way_s"]
    assert max(in_the_way, key=in_the_way.__getitem__) == "latency"
    # One that does not overlap, and one whose clients wait for nobody.
    for method in ("fedbcd", "parablock-async"):
        [answer] = hide(method=method)
        assert (answer.feasible, answer.value, list(answer.checked)) == (False, None, [])


def test_nothing_to_hide_is_no_bandwidth():
    # The only message of a single round is the last upload, which is left over in any case.
    plan = hide_communication(BASE, ["rounds=1"], ["parablock"], jobs=1)
    [answer] = plan.answers
    assert (answer.feasible, answer.value, answer.wall_clock_s, list(answer.checked)) == (False, None, None, [])
    assert answer.row == ("client", "nothing to hide", "-", "-")
    assert plan.draw is None


SERVED: dict[str, Any] = {
    "model": "llama-3-8b",
    "compute": {"profile": "paper-a100", "dataset": "alpaca-gpt4"},
    "rounds": 4,
    "fleet": [{"name": "city", "count": 2}, {"name": "country", "count": 2, "speed": 0.5}],
}


def test_where_no_bandwidth_helps_narrower_blocks_and_larger_batches_do():
    # Four blocks of 872.4 MB go down at 55 MB/s in 63.4 s, those half as wide in 31.7 s; a round of the slow ones takes
    # 2 x 39.45 s at batch size 4, a fifth to a quarter less at 3: enough for one of the two, or at 4 for the wide ones.
    plan = hide_communication(SERVED, ["local.batch_size=3", "server.egress=55MB/s"], ["parablock"], jobs=1)
    assert [answer.more["clients"] for answer in plan.answers] == ["city", "country"]
    assert [(answer.feasible, answer.value) for answer in plan.answers] == [(False, None)] * 2
    for answer in plan.answers:
        curve = {(p["batch_size"], p["layers_per_block"]): p for p in answer.more["curve"]}
        assert set(curve) == {(size, width) for size in range(2, 9) for width in (0.5, 1.0, 2.0, 4.0)}
        assert curve[3, 2.0]["bandwidth"] is None
        assert "server egress" in curve[3, 2.0]["in_the_way_s"]
        narrower, larger = curve[3, 1.0], curve[4, 2.0]
        assert narrower["bandwidth"] > 0
        assert larger["bandwidth"] > 0
        assert f"blocks of 1 layer from {amount(narrower['bandwidth'], 'B/s')} on" in answer.because
        assert f"batch size 4 from {amount(larger['bandwidth'], 'B/s')} on" in answer.because
    assert plan.draw is not None


def point(group: int | None, batch_size: int, layers: float | None) -> GroupHidingPoint:
    in_the_way = {"server egress": 1.0} if group is None else {}
    return GroupHidingPoint(group, Workload(batch_size, layers), None if group is None else 1e6, 60.0, (), in_the_way)


@pytest.mark.parametrize(
    ("helping", "chosen"),
    [
        ([(4, 0.5), (4, 1.0), (5, 2.0), (6, 2.0), (8, 4.0)], [(4, 1.0), (5, 2.0)]),
        ([(8, 2.0)], [(8, 2.0)]),
        # Neither alone: the batch size changes as little as possible, then the width.
        ([(5, 0.5), (6, 0.5), (6, 1.0)], [(5, 0.5)]),
        ([(6, 0.5), (6, 1.0)], [(6, 1.0)]),
        ([], []),
    ],
)
def test_as_little_as_possible_is_changed(helping: list[tuple[int, float]], chosen: list[tuple[int, float]]):
    points = [point(0 if (size, width) in helping else None, size, width) for size in range(2, 9) for width in WIDTHS]
    assert hideable(points, Workload(4, 2.0)) == chosen


def test_other_batch_sizes_where_blocks_have_no_width():
    assert hideable([point(None, 4, None), point(0, 6, None), point(0, 8, None)], Workload(4, None)) == [(6, None)]


def test_widths_that_no_profile_covers_are_left_out():
    # demo-cpu was measured for blocks of half a layer to two; the model has four.
    local = {"batch_size": 4, "sequence_length": 32, "steps": 3}
    fields = {"model": "demo", "rounds": 4, "blocks": {"layers": 1}, "compute": {"profile": "demo-cpu"}, "local": local}
    [answer] = hide(source=fields)
    assert sorted({point["layers_per_block"] for point in answer.more["curve"]}) == [0.5, 1.0, 2.0]


def test_what_nothing_hides_is_one_answer():
    plan = hide_communication(BASE, ["fleet=[{latency: 6s}, {latency: 7s}]"], ["parablock"], jobs=1)
    assert [answer.more["clients"] for answer in plan.answers] == ["all"]
    assert plan.draw is None


def group(
    name: str, own: GroupHidingPoint, points: list[GroupHidingPoint]
) -> tuple[GroupCurve, list[tuple[float, float]]]:
    runtimes = [] if own.bandwidth is None else [(5e5, 120.0), (1e6, 60.0), (2e6, 60.0)]
    return GroupCurve("parablock", name, own, points), runtimes


def test_a_picture_has_a_panel_for_every_group(tmp_path: Path):
    groups = [group(f"site{n}", point(n, 4, 2.0), [point(n, 4, 2.0), point(n, 6, 2.0)]) for n in range(6)]
    drawn = words(draw_hiding(groups, tmp_path)[1])
    # 1e6 B/s and 60 s: what is hidden from where on is said of each group by its name.
    assert {f"site{n}" for n in range(6)} | {f"site{n}: from 1 MB/s on, 60 seconds" for n in range(6)} <= drawn
    assert {"all communication is hidden", "the scenario as it is", "2 layers"} <= drawn
    # More than there are colours: those that need the most, and that there are others.
    many = [group(f"site{n}", point(n, 4, 2.0), [point(n, 4, 2.0)]) for n in range(50)]
    drawn = words(draw_hiding(many, tmp_path)[1])
    assert len({word for word in drawn if word.startswith("site") and ":" not in word}) == 8
    assert any("the 8 of 50 groups that need the most" in word for word in drawn)


@pytest.mark.parametrize("groups", [1, 3])
def test_a_picture_without_an_own_point_shows_the_others(groups: int, tmp_path: Path):
    own, points = point(None, 4, 2.0), [point(None, 4, 2.0), point(None, 4, 4.0)]
    drawn = words(
        draw_hiding([group(f"site{n}", own, [*points, point(n, 4, 1.0)]) for n in range(groups)], tmp_path)[1]
    )
    assert not any("wall-clock" in word for word in drawn)
    assert "2 and 4 layers cannot be hidden at any batch size" in " ".join(drawn)
    assert "the scenario as it is: no bandwidth hides its communication" in drawn


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
