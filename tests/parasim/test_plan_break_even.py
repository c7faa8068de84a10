"""Where one method overtakes another."""

from __future__ import annotations

import re
from typing import Any

import pytest

import parasim
from parasim.planning.answer import Plan
from parasim.planning.questions.break_even import faster
from tests.parasim.pictures import words

# FedBCD takes 40 s + 700 MB / b; ParaBlock, hidden from 20 MB/s on, 40 s + 100 MB / b.
BASE: dict[str, Any] = {"compute": {"seconds": 10}, "payload": {"upload": "100MB"}, "rounds": 4}


def break_even(source: Any, overrides: list[str], methods: list[str], jobs: int = 1) -> Plan:
    return parasim.plan(source, overrides, break_even=methods, jobs=jobs)


def test_one_is_faster_throughout():
    plan = break_even(BASE, [], ["parablock", "fedbcd"], jobs=1)
    [answer] = plan.answers
    assert not answer.feasible
    assert answer.more == {"batch_size": 4, "faster": "parablock"}


def test_the_paper_s_break_even():
    # fedit: 2070 s at 100 MB/s and 63 x 27.3 MB besides; parablock: C + 31 (2 b + o) + b: near 27 MB/s at batch 4.
    plan = break_even(None, [], ["parablock", "fedit"], jobs=1)
    at = {answer.more["batch_size"]: answer for answer in plan.answers}
    assert sorted(at) == [2, 3, 4, 5, 6, 7, 8]
    assert at[4].value == pytest.approx(27.03e6)
    for answer in plan.answers:
        assert (answer.more["faster_below"], answer.more["faster_above"]) == ("fedit", "parablock")
        above, below = answer.checked
        assert above.holds
        assert below.holds
        assert above.value == answer.value > below.value
        times = answer.more["wall_clocks_below_s"]
        assert times["fedit"] < times["parablock"]


def test_equal_runtimes_are_nobody_s():
    assert faster(("a", "b"), 10.0, 10.0 * (1 + 1e-12)) == ""
    assert faster(("a", "b"), 10.0, 11.0) == "a"


def test_a_shared_server_is_simulated():
    overrides = ["fleet=[{count: 2, uplink: 10MB/s}, {count: 2, uplink: 30MB/s, speed: 0.7}]", "server.egress=20MB/s"]
    overrides += ["rounds=3"]
    source = BASE | {"model": "smollm2-135m"}
    # At 15 MB/s both take 74.3 s to the last bit: that is where neither is faster any more.
    plan = break_even(source, overrides, ["parablock", "fedcybgd"], jobs=1)
    assert [answer.value for answer in plan.answers] == [15e6]
    assert "simulation where links are shared" in plan.notes[0]
    for answer in plan.answers:
        assert all(check.holds for check in answer.checked)


def test_pictures_are_the_same_every_time(tmp_path):
    plan = break_even(None, [], ["parablock", "fedit"], jobs=1)
    assert plan.draw is not None
    first, second = plan.draw(tmp_path / "a"), plan.draw(tmp_path / "b")
    assert [path.name for path in first] == ["break_even.png", "break_even.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert {"parablock or fedit: the faster one", "batch size", "10 MB/s"} <= words(first[1])
    # Of batch sizes 2 to 8, only 4 is fitted for FedIT (docs/how-to/planning.md): the six others carry a mark.
    assert "compute time extrapolated, of one method or both" in words(first[1])
    marks = re.findall(r'<use [^>]*style="fill: #ffffff; stroke: #6e6e6e; stroke-width: 0.6', first[1].read_text())
    assert len(marks) == 6
