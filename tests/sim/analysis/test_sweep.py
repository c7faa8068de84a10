from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.sim.analysis.sweep import Axis, SweepPoint, grid, run_sweep, split_values
from parasim_core.sim.errors import OutputError, ScenarioError

CALLS: list[float] = []


def square(data: dict[str, Any]) -> dict[str, object]:
    """Stand in for a simulation: instant, and its figures are known."""
    CALLS.append(data["seed"])
    return {"wall_clock_s": data["seed"] ** 2 / 10, "note": 'a "b", c'}


def die(data: dict[str, Any]) -> dict[str, object]:
    """Stand in for a worker that runs out of memory."""
    os._exit(9)


def points(count: int) -> list[SweepPoint]:
    return grid(lambda labels: {}, [Axis("seed", tuple(map(str, range(count))), ("seed",))])


def test_the_last_axis_changes_fastest():
    axes = [Axis("rounds", ("1", "2"), ("rounds",)), Axis("model", ("m",), ()), Axis("seed", ("3", "4"), ("seed",))]
    listed = grid(lambda labels: {"name": labels["rounds"]}, axes)
    assert [point.labels for point in listed] == [
        {"rounds": rounds, "model": "m", "seed": seed} for rounds in "12" for seed in "34"
    ]
    assert listed[1].data == {"name": "1", "rounds": 1, "seed": 4}


def test_an_axis_may_set_several_fields():
    base = {"fleet": [{"name": "a"}, {"name": "b"}]}
    axis = Axis("bandwidth", ("1MB/s",), ("fleet.*.uplink", "fleet.*.downlink"))
    assert grid(lambda labels: base, [axis])[0].data["fleet"][1] == {
        "name": "b",
        "uplink": "1MB/s",
        "downlink": "1MB/s",
    }


def test_a_field_that_is_not_there_is_refused():
    with pytest.raises(ScenarioError, match="did you mean 'seed'"):
        grid(lambda labels: {}, [Axis("sead", ("1",), ("sead",))])


def test_rows_are_labels_and_figures_without_rounding(tmp_path: Path):
    rows = run_sweep(points(4), square, tmp_path)
    # 3 squared over 10 is 0.9.
    assert rows[3] == {"seed": "3", "wall_clock_s": "0.9", "note": 'a "b", c'}
    assert (tmp_path / "results.csv").read_text().splitlines()[4] == '3,0.9,"a ""b"", c"'


@pytest.mark.parametrize("jobs", [2, 5])
def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path: Path, jobs: int):
    run_sweep(points(40), square, tmp_path / "one", jobs=1)
    run_sweep(points(40), square, tmp_path / "many", jobs=jobs)
    assert (tmp_path / "one" / "results.csv").read_bytes() == (tmp_path / "many" / "results.csv").read_bytes()


@given(cut=st.integers(0, 10_000))
def test_a_results_file_cut_off_anywhere_is_continued(tmp_path_factory: pytest.TempPathFactory, cut: int):
    directory = tmp_path_factory.mktemp("sweep")
    rows = run_sweep(points(20), square, directory, jobs=1)
    results = directory / "results.csv"
    whole = results.read_bytes()
    results.write_bytes(whole[: cut % (len(whole) + 1)])
    CALLS.clear()
    assert run_sweep(points(20), square, directory, jobs=1) == rows
    assert results.read_bytes() == whole
    # Only what is missing runs again: a whole line is a run that is done.
    done = max(0, whole[: cut % (len(whole) + 1)].count(b"\n") - 1)
    assert list(range(done, 20)) == CALLS


def test_a_finished_sweep_is_not_run_again(tmp_path: Path):
    rows = run_sweep(points(3), square, tmp_path)
    CALLS.clear()
    assert run_sweep(points(3), square, tmp_path) == rows
    assert CALLS == []


def test_the_directory_of_another_sweep_is_refused_and_left_alone(tmp_path: Path):
    run_sweep(points(3), square, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OutputError, match="another sweep"):
        run_sweep(points(4), square, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("note", ["", "{", "[]", "{}", '{"points": 3}'])
def test_a_foreign_note_is_refused(tmp_path: Path, note: str):
    (tmp_path / "sweep.json").write_text(note)
    with pytest.raises(OutputError, match=str(tmp_path)):
        run_sweep(points(3), square, tmp_path)


def test_foreign_results_are_refused(tmp_path: Path):
    (tmp_path / "results.csv").write_text("my,own\n1,2\n")
    with pytest.raises(OutputError):
        run_sweep(points(3), square, tmp_path)


@pytest.mark.parametrize("below", ["", "/deeper"])
def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path, below: str):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="is not a directory"):
        run_sweep(points(3), square, Path(f"{tmp_path}/file{below}"))
    assert (tmp_path / "file").read_text() == "mine"


def test_nothing_is_written_without_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert len(run_sweep(points(3), square, None)) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_dies_is_an_error_and_no_traceback(tmp_path: Path):
    with pytest.raises(OutputError, match="--jobs 1"):
        run_sweep(points(20), die, tmp_path, jobs=2)


def test_progress_counts_what_is_done(tmp_path: Path):
    seen: list[tuple[int, int]] = []
    run_sweep(points(3), square, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,2", ("1", "2")),
        (" a , b ", ("a", "b")),
        ("[q_proj],[q_proj, v_proj]", ("[q_proj]", "[q_proj, v_proj]")),
        ("{upload: 1MB, download: 2MB},3", ("{upload: 1MB, download: 2MB}", "3")),
        ("", ()),
        (",", ()),
        ("1,", ("1",)),
    ],
)
def test_values_are_split_outside_brackets(text: str, values: tuple[str, ...]):
    assert split_values(text) == values
