from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from parasim import Scenario, simulate
from tests.parasim.command_line import Outcome, refused, run

EXAMPLES = [
    # Scenarios with a train section name models that only the trainer builds.
    path
    for path in sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
    if "\ntrain:" not in path.read_text(encoding="utf-8")
]
PAPER = Path(__file__).parents[2] / "examples" / "paper.yaml"

# Two clients, 1 MB each way at 1 MB/s = 1 s, 3 s of computation, FedBCD over 2 rounds:
# train 3, upload 1, download 1, train 3, upload 1 = 9 s.
SMALL = """
name: "[bold]small[/x] :smile:"
method: fedbcd
rounds: 2
fleet: [{name: "[red]", count: 2, uplink: 1MB/s}]
payload: {upload: 1MB}
compute: {seconds: 3}
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def test_the_figures_as_json(small: Path):
    figures = json.loads(run("simulate", small, "--format", "json").out)
    expected = {
        "wall_clock_s": 9.0,
        "compute_s": 6.0,
        "exposed_communication_s": 3.0,
        "hidden_communication_s": 0.0,
        "waiting_s": 0.0,
        "offline_s": 0.0,
        "uploaded_bytes": 4_000_000,
        "downloaded_bytes": 2_000_000,
        "rounds": 2,
        "clients": 2,
    }
    assert {name: figures[name] for name in expected} == expected
    assert figures["provenance"]["compute"]["origin"] == "given"


def test_the_table_shows_names_as_they_are(small: Path):
    outcome = run("simulate", small)
    assert outcome.status == 0
    assert outcome.out.startswith("[bold]small[/x] :smile:: fedbcd, 2 rounds, 2 clients, wall-clock 9 s")
    assert "Uploaded 4 MB, downloaded 2 MB" in outcome.out


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a directory that holds no files, whoever asks")
def test_a_place_that_holds_no_files_is_refused_before_anything_is_simulated(
    small: Path, monkeypatch: pytest.MonkeyPatch
):
    simulated: list[object] = []
    monkeypatch.setattr("parasim.api.simulate", simulated.append)
    for option, place in (("--out", "/proc/none"), ("--out", "/proc/none/deep"), ("--trace", "/proc/none/run.json")):
        assert "/proc may not be written to" in refused("simulate", small, option, place)
    assert simulated == []


def test_results_on_disk(small: Path, tmp_path: Path):
    out = tmp_path / "deep" / "er"
    printed = run("simulate", small, "--out", out, "--format", "json").out
    assert sorted(path.name for path in out.iterdir()) == [
        "breakdown.png",
        "breakdown.svg",
        "gantt.png",
        "gantt.svg",
        "reproduce.json",
        "result.json",
        "timeline.csv",
    ]
    assert (out / "result.json").read_text() == printed
    assert json.loads((out / "reproduce.json").read_text())["files"][:2] == ["timeline.csv", "result.json"]
    with (out / "timeline.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["client", "round", "kind", "start_s", "end_s", "bytes", "block"]
    assert {row["client"] for row in rows} == {"0", "1", "server"}
    assert {row["kind"] for row in rows} == {"compute", "upload", "download", "aggregate"}
    assert max(float(row["end_s"]) for row in rows) == 9.0


def test_the_same_bytes_every_time(small: Path, tmp_path: Path):
    for name in ("a", "b"):
        run("simulate", small, "--set", "participation.fraction=0.5", "--out", tmp_path / name)
    for file in ("timeline.csv", "result.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_collapsed_rows_have_a_count(small: Path, tmp_path: Path):
    run("simulate", small, "--out", tmp_path / "out", "--collapse")
    with (tmp_path / "out" / "timeline.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["client"], row["count"]) for row in rows} == {("0", "2"), ("server", "1")}


@pytest.mark.parametrize(
    "override",
    [
        "fleet.0.uplink=20MB/s",
        "fleet.client.uplink=20MB/s",
        "fleet.*.uplink=20MB/s",
        "method.staleness=2",
        "compute.seconds=30",
        "participation.fraction=0.2",
        "lora.targets=[q_proj]",
        "payload={upload: 1MB}",
        f"blocks.schedule={list(range(16)) * 2}",
    ],
)
def test_overrides_change_what_they_name(override: str):
    outcome = run("simulate", PAPER, "--set", override, "--format", "json")
    assert outcome.status == 0, outcome.err
    assert json.loads(outcome.out)["wall_clock_s"] == simulate(PAPER, [override]).wall_clock


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_run(path: Path):
    figures = json.loads(run("simulate", path, "--format", "json").out)
    assert figures["wall_clock_s"] > 0
    scenario = simulate(path).scenario
    assert Scenario.parse(scenario.model_dump(mode="json", exclude_unset=True)) == scenario


def test_an_interruption_is_one_line(small: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupt(source: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("parasim.api.simulate", interrupt)
    assert run("simulate", small) == Outcome(130, "", "paraSim: interrupted\n")


def test_what_is_lost_wasted_and_repaired_is_said(small: Path):
    # A device that fails every 4 s or so, for a second, and clients half of which vanish.
    told = "--set", "fleet.0.failures={every: 4s, repair: 1s}", "--set", "fleet.0.dropout={rate: 50%}"
    wait = "--set", "participation.short=wait"
    out = run("simulate", small, *told, *wait).out
    figures = json.loads(run("simulate", small, *told, *wait, "--format", "json").out)
    lost = figures["provenance"]["updates"]["lost"]
    assert lost >= 1
    assert f"{lost} updates were lost with clients that vanished" in out
    assert figures["wasted_compute_s"] > 0
    assert "Wasted: " in out
    assert ("failed" in out) == (figures["failed_s"] > 0)
    # Without any of it, nothing is said.
    assert not {"failed_s", "wasted_bytes"} & json.loads(run("simulate", small, "--format", "json").out).keys()


def test_without_a_timeline_there_are_figures_and_where_time_goes(small: Path, tmp_path: Path):
    whole, figures = tmp_path / "whole", tmp_path / "figures"
    run("simulate", str(small), "--out", str(whole))
    run("simulate", str(small), "--out", str(figures), "--no-timeline")
    assert not (figures / "timeline.csv").exists()
    assert (figures / "result.json").read_bytes() == (whole / "result.json").read_bytes()
    assert json.loads((figures / "reproduce.json").read_text())["files"] == [
        "result.json",
        "breakdown.png",
        "breakdown.svg",
    ]
