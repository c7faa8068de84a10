"""`paraSim diff`: what differs between two results, and why."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.parasim.command_line import refused, run

# One client, 30 s of computing, 9 MB each way at 9 MB/s: 3 rounds of FedBCD are 3 x (30 s + 1 s up), and 2 x 1 s down.
SLOW = {
    "method": "fedbcd",
    "rounds": 3,
    "fleet": [{"name": "city", "uplink": "9MB/s"}],
    "payload": {"upload": "9MB"},
    "compute": {"seconds": 30},
}


def changed(**fields: Any) -> dict[str, Any]:
    return SLOW | fields


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Last night's scenario, and tonight's: an uplink of a third, and a device twice as fast."""
    a, b = tmp_path / "a.json", tmp_path / "b.yaml"
    a.write_text(json.dumps(SLOW))
    fleet = [{"name": "city", "uplink": "3MB/s", "downlink": "9MB/s", "speed": 2}]
    b.write_text(json.dumps(changed(fleet=fleet)))
    return a, b


def differing(*sides: object) -> dict[str, Any]:
    outcome = run("diff", *sides, "--format", "json")
    assert outcome.status == 0, outcome.err
    found: dict[str, Any] = json.loads(outcome.out)
    return found


def test_what_changed_in_the_scenario_in_the_answer_and_on_the_critical_path(files: tuple[Path, Path]):
    found = differing(*files)
    assert [(one["field"], one["a"], one["b"]) for one in found["scenario_changes"]] == [
        ("fleet.city.uplink", "9MB/s", "3MB/s"),
        ("fleet.city.downlink", None, "9MB/s"),
        ("fleet.city.speed", 1.0, 2.0),
    ]
    # 3 x (30 + 1) + 2 x 1 = 95 s before; 3 x (15 + 3) + 2 x 1 = 56 s after.
    figures = {one["name"]: (one["a"], one["b"], one["change"]) for one in found["figures"]}
    assert figures["wall_clock_s"] == pytest.approx((95, 56, -39))
    assert figures["compute_s"] == pytest.approx((90, 45, -45))
    assert figures["uploaded_bytes"] == (27e6, 27e6, 0)
    path = [(one["resource"], one["group"], one["a_s"], one["b_s"], one["change_s"]) for one in found["critical_path"]]
    assert [row[:2] for row in path] == [("computing", "city"), ("uplink", "city"), ("downlink", "city")]
    assert [list(column) for column in zip(*path, strict=True)][2:] == [
        pytest.approx([90, 3, 2]), pytest.approx([45, 9, 2]), pytest.approx([-45, 6, 0]),
    ]  # fmt: skip
    # The changes of the shares are that of the wall-clock.
    assert sum(row[4] for row in path) == pytest.approx(-39)
    assert found["sentences"] == [
        "B takes 39 s less (41.1%): 56 s instead of 95 s.",
        "On the critical path of B there is 45 s less computing of city and 6 s more uplink of city.",
    ]


def test_a_table_shows_what_differs_and_nothing_else(files: tuple[Path, Path]):
    printed = run("diff", *files).out
    assert ["fleet.city.uplink", "9MB/s", "3MB/s"] in [line.split() for line in printed.splitlines()]
    assert "-39 s" in printed
    assert "uploaded" not in printed


def test_folders_results_and_scenarios_are_alike(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    a, b = files
    told = differing(a, b)
    del told["a"], told["b"]
    run("simulate", a, "--out", tmp_path / "simulated")
    run("explain", b, "--out", tmp_path / "explained")
    (tmp_path / "result.json").write_text(run("simulate", a, "--format", "json").out)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b.read_bytes())))
    for one, other in (
        (tmp_path / "simulated", tmp_path / "explained"),
        (tmp_path / "result.json", b),
        (a, "-"),
    ):
        found = differing(one, other)
        assert found["a"]["scenario"] == SLOW | {"method": {"name": "fedbcd"}, "compute": {"seconds": 30.0}}
        assert {name: found[name] for name in told} == told


def test_the_same_is_said_to_be_the_same(files: tuple[Path, Path], tmp_path: Path):
    # A default that is given is the default.
    same = tmp_path / "same.json"
    same.write_text(json.dumps(changed(seed=0)))
    found = differing(files[0], same)
    assert found["scenario_changes"] == []
    assert found["sentences"] == ["Both take 95 s.", "The scenarios are the same."]


def test_a_result_of_another_version_is_not_taken_for_what_this_one_simulates(files: tuple[Path, Path], tmp_path: Path):
    result = json.loads(run("simulate", files[0], "--format", "json").out)
    (tmp_path / "old.json").write_text(json.dumps(result | {"wall_clock_s": 100.0, "parasim_version": "0.0.9"}))
    found = differing(tmp_path / "old.json", files[0])
    assert found["a"]["parasim_version"] == "0.0.9"
    assert "what differs is paraSim (0.0.9 and " in found["sentences"][1]
    assert "says 100 s, and is simulated in 95 s" in found["sentences"][2]


def test_groups_that_came_and_went_are_told_by_name(files: tuple[Path, Path], tmp_path: Path):
    more = tmp_path / "more.json"
    more.write_text(json.dumps(changed(fleet=[{"name": "rural", "uplink": "1MB/s"}, *SLOW["fleet"]])))
    [one] = differing(files[0], more)["scenario_changes"]
    assert (one["field"], one["a"], one["b"]["uplink"]) == ("fleet.rural", None, "1MB/s")


def test_what_cannot_be_simulated_here_has_no_path(files: tuple[Path, Path], tmp_path: Path):
    trace = tmp_path / "trace.csv"
    trace.write_text("seconds,up_mbit_s\n0,8\n10,16\n20,8\n")
    fleet = [{"uplink": {"trace": str(trace)}, "downlink": "9MB/s"}]
    (tmp_path / "c.json").write_text(json.dumps(changed(fleet=fleet)))
    run("simulate", tmp_path / "c.json", "--out", tmp_path / "out")
    trace.unlink()
    found = differing(files[0], tmp_path / "out")
    assert found["critical_path"] == []
    assert found["sentences"][-1].startswith("Why is not told")
    assert str(trace) in found["sentences"][-1]


def test_rows_of_sweeps_that_differ(files: tuple[Path, Path], tmp_path: Path):
    a, b = files
    axes = ("--vary", "fleet.0.downlink=1MB/s,9MB/s")
    run("sweep", a, *axes, "--out", tmp_path / "a")
    result = run("sweep", b, "--vary", "fleet.0.downlink=3MB/s,9MB/s", "--out", tmp_path / "b", "--format", "json")
    (tmp_path / "sweep.json").write_text(result.out)
    for other in (tmp_path / "b", tmp_path / "sweep.json"):
        found = differing(tmp_path / "a", other)
        rows = {row["of"]["fleet.0.downlink"]: row for row in found["rows"]}
        assert [(value, row["only_in"]) for value, row in rows.items()] == [
            ("1MB/s", "a"), ("9MB/s", None), ("3MB/s", "b"),
        ]  # fmt: skip
        figures = {one["name"]: one["change"] for one in rows["9MB/s"]["figures"]}
        assert figures["wall_clock_s"] == pytest.approx(-39)
        assert "uploaded_bytes" not in figures
    assert differing(tmp_path / "a", tmp_path / "a")["same_rows"] == 2


def test_answers_of_plans_that_differ(files: tuple[Path, Path], tmp_path: Path):
    for name, within in (("a", "95s"), ("b", "96s")):
        run("plan", files[0], "--within", within, "--solve-for", "bandwidth", "--out", tmp_path / name)
    found = differing(tmp_path / "a", tmp_path / "b")
    figures = {one["name"]: one for one in found["rows"][0]["figures"]}
    assert figures["value"]["unit"] == "B/s"
    # Five messages of 9 MB in 5 s, and in 6 s.
    assert figures["value"]["b"] == pytest.approx(7.5e6, rel=0.02)
    assert "They answer different questions." in found["sentences"][0]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.yaml", None, "none.yaml: no such file"),
        ("broken.json", "{", "is damaged: not JSON"),
        ("other.json", '{"contract": "list-models", "parasim_version": "1"}', "is a result of list-models"),
        ("list.json", '{"contract": [1]}', "is damaged"),
        (
            "empty.json",
            '{"contract": "plan", "contract_version": 1, "parasim_version": "1", "scenario": {}}',
            "damaged",
        ),
        (
            "later.json",
            '{"contract": "plan", "contract_version": 9, "parasim_version": "2", "scenario": {}}',
            "another",
        ),
        ("wrong.yaml", "roundz: 3", "roundz: unknown field"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    name: str, content: str | None, said: str, files: tuple[Path, Path], tmp_path: Path
):
    if content is not None:
        (tmp_path / name).write_text(content)
    message = refused("diff", files[0], tmp_path / name)
    assert said in message


def test_results_of_two_kinds_are_refused(files: tuple[Path, Path], tmp_path: Path):
    run("plan", files[0], "--within", "95s", "--solve-for", "bandwidth", "--out", tmp_path / "plan")
    assert "is a run, " in refused("diff", files[0], tmp_path / "plan")
    assert "only one of the two" in refused("diff", "-", "-")
    (tmp_path / "empty").mkdir()
    assert "holds no results" in refused("diff", files[0], tmp_path / "empty")
