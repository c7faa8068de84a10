from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

import pytest

import parasim
from tests.parasim.command_line import refused, run
from tests.parasim.conftest import TIGHT

LARGE = """
rounds: 20
fleet: [{count: 10}]
participation: {fraction: 0.5}
payload: {upload: 1MB}
compute: {seconds: 3}
"""
SEEDS = "seed=" + ",".join(map(str, range(120)))


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.yaml"
    path.write_text(LARGE)
    return path


@pytest.fixture(autouse=True)
def _no_charts(monkeypatch: pytest.MonkeyPatch):
    # Charts have tests of their own, and drawing costs a second each time.
    monkeypatch.setattr("parasim.outputs.sweeps.draw_sweep", lambda table, directory, look, kind: [])


# The real command, whose 61st run takes as long as nobody waits.
HANGING = """
import sys, time
import parasim.cli.main, parasim.sweeping

simulated = parasim.sweeping.figures

def figures(data, **said):
    if data["seed"] == 60:
        time.sleep(600)
    return simulated(data, **said)

parasim.sweeping.figures = figures
parasim.cli.main.main()
"""


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start a sweep that hangs, in a process group of its own, as a terminal does."""

    def heed_interrupts() -> None:
        # A suite that itself runs in the background has inherited that they are ignored.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, "-c", HANGING, *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed_interrupts,
    )


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_sweep_continues_to_the_same_bytes(large: Path, tmp_path: Path, jobs: int, blow: signal.Signals):
    command = ("sweep", large, "--vary", SEEDS, "--jobs", jobs, "--format", "csv", "--out")
    out = tmp_path / "out"
    process = start(*command, out)
    while lines_of(out / "results.csv") < 61 and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, blow)
    err = process.communicate()[1]
    done = lines_of(out / "results.csv") - 1
    assert done == 60
    if blow is signal.SIGINT:
        assert process.returncode == 130
        assert err == (f"paraSim: interrupted: what was done is in {out}/results.csv; the same command goes on there\n")
    assert run(*command, out).status == 0
    run(*command[:5], 1, *command[6:], tmp_path / "reference")
    assert (out / "results.csv").read_bytes() == (tmp_path / "reference" / "results.csv").read_bytes()


def test_the_bytes_do_not_depend_on_the_number_of_jobs(large: Path, tmp_path: Path):
    for jobs in (1, 2, 5):
        outcome = run(
            "sweep", large, "--set", "rounds=3", "--vary", SEEDS, "--jobs", jobs, "--out", tmp_path / str(jobs)
        )
        assert outcome.status == 0
    contents = {(tmp_path / str(jobs) / "results.csv").read_bytes() for jobs in (1, 2, 5)}
    assert len(contents) == 1


def test_a_row_holds_what_simulate_says(large: Path, tmp_path: Path):
    out = run(
        "sweep",
        large,
        "--method",
        "fedbcd,parablock",
        "--bandwidth",
        "1MB/s,8Mbit/s",
        "--format",
        "csv",
        "--out",
        tmp_path,
    ).out
    rows = list(csv.DictReader(io.StringIO(out)))
    assert out == (tmp_path / "results.csv").read_text()
    assert [(row["bandwidth"], row["method"]) for row in rows] == [
        (bandwidth, method) for bandwidth in ("1MB/s", "8Mbit/s") for method in ("fedbcd", "parablock")
    ]
    overrides = ["method=parablock", "fleet.*.uplink=1MB/s", "fleet.*.downlink=1MB/s"]
    assert float(rows[1]["wall_clock_s"]) == parasim.simulate(large, overrides).wall_clock
    # 8 Mbit/s is 1 MB/s.
    assert rows[1]["wall_clock_s"] == rows[3]["wall_clock_s"]


def test_columns_never_claim_what_was_varied(large: Path, tmp_path: Path):
    # The links are varied, so the scenario's own bandwidth would be wrong.
    arguments = ("sweep", large, "--vary", "fleet.0.uplink=1MB/s,2MB/s", "--format", "json", "--out", tmp_path)
    rows = json.loads(run(*arguments).out)["rows"]
    assert [row["bandwidth"] for row in rows] == ["", ""]
    assert [row["fleet.0.uplink"] for row in rows] == ["1MB/s", "2MB/s"]
    assert [row["method"] for row in rows] == ["parablock", "parablock"]


def test_lists_can_be_swept_and_are_shown(large: Path, tmp_path: Path):
    lists = "lora.targets=[q_proj],[q_proj, v_proj]"
    out = run(
        "sweep", large, "--set", "model=gpt2", "--set", "payload.upload=1MB", "--vary", lists, "--out", tmp_path
    ).out
    assert "[q_proj]" in out
    assert "[q_proj, v_proj]" in out


def test_another_sweeps_directory_is_refused(large: Path, tmp_path: Path):
    run("sweep", large, "--vary", "seed=1,2", "--out", tmp_path / "out")
    before = (tmp_path / "out" / "results.csv").read_bytes()
    message = refused("sweep", large, "--vary", "seed=1,3", "--out", tmp_path / "out")
    assert str(tmp_path / "out") in message
    assert (tmp_path / "out" / "results.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["--vary", "blocks.layers"], "--vary blocks.layers"),
        (["--vary", "blocks.layers="], "--vary blocks.layers="),
        (["--vary", "=1,2"], "--vary =1,2"),
        (["--vary", "seed=1", "--vary", "seed=2"], "given twice"),
        (["--vary", "seed=1,1"], "seed: "),
        (["--vary", "seed=1,x"], "seed x: seed: "),
        (["--vary", "blocks.layrs=1"], "'layers'"),
        (["--vary", "lora.targets=[q_proj"], "'[q_proj'"),
        (["--vary", "method=fedit"], "--method"),
        (["--vary", "local.batch_size=2,4"], "--batch-size"),
        (["--vary", "bandwidth=1MB/s,2MB/s"], "bandwidth: "),
        (["--method", "fedbcd,parablok"], "method parablok: method.name: "),
        (["--method", ","], "--method ',': holds no values"),
        (["--bandwidth", "5"], "fleet.0.uplink: "),
        (["--batch-size", "2,four"], "local.batch_size: "),
        (["--model", "gpt2,gpt3"], "'gpt3'"),
        (["--set", "roundz=1"], "'rounds'"),
        (["--method", "fedbcd,fedit", "--set", "method.buffer=2"], "it is one of fedbuff"),
        (["--method", "fedbuff", "--set", "method.bufer=2"], "'buffer'"),
        (["--method", "fedbcd,fedbuff", "--set", "method.buffer=0"], "method.buffer"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(
    large: Path, tmp_path: Path, arguments: list[str], place: str
):
    assert place in refused("sweep", large, *arguments, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_sweep_goes_on_only_with_the_files_that_it_began_with(large: Path, tmp_path: Path):
    trace, profile, out = tmp_path / "trace.csv", tmp_path / "profile.json", tmp_path / "out"
    trace.write_text("seconds,rate_mbit_s\n0,10\n1,20\n")
    link = ("--set", f"fleet.0.uplink={{trace: {trace}}}", "--vary", "seed=1,2", "--out", out)
    assert run("sweep", large, *link).status == 0
    before = (out / "results.csv").read_bytes()
    assert run("sweep", large, *link).status == 0
    trace.write_text("seconds,rate_mbit_s\n0,10\n1,30\n")
    assert str(out) in refused("sweep", large, *link)
    assert (out / "results.csv").read_bytes() == before
    # And likewise with a profile of one's own.
    measured = json.loads(resources.files("parasim_core.calibration").joinpath("profiles/paper-a100.json").read_text())
    profile.write_text(json.dumps(measured))
    costs = ("--set", f"compute.profile={profile}", "--vary", "rounds=1,2", "--out", tmp_path / "other")
    large.write_text("model: llama-3-8b\n")
    assert run("sweep", large, *costs).status == 0
    profile.write_text(json.dumps({**measured, "device": {"name": "another"}}))
    assert "changed" in refused("sweep", large, *costs)


def test_parameters_are_those_of_the_methods_that_are_swept(large: Path, tmp_path: Path):
    # ParaBlock, the scenario's own method, has no buffer; FedBCD has none either, and is swept beside FedBuff.
    arguments = ("--method", "fedbcd,fedbuff", "--set", "participation={}", "--set", "method.buffer=2")
    outcome = run("sweep", large, *arguments, "--format", "json", "--out", tmp_path / "out")
    assert outcome.status == 0, outcome.err
    [_, fedbuff] = json.loads(outcome.out)["rows"]
    overrides = ["participation={}", "method={name: fedbuff, buffer: 2}"]
    assert fedbuff["wall_clock_s"] == parasim.simulate(large, overrides).wall_clock


def test_one_run_that_is_not_covered_refuses_the_whole_sweep(tmp_path: Path):
    message = refused("sweep", "--batch-size", "2,64", "--out", tmp_path / "out")
    assert "batch size 64" in message
    assert "paraSim calibrate" in message
    assert not (tmp_path / "out").exists()


def test_the_default_sweep_is_the_papers_figure(tmp_path: Path):
    out = run("sweep", "--set", "rounds=1", "--format", "csv", "--out", tmp_path).out
    rows = list(csv.DictReader(io.StringIO(out)))
    # 2 models x 3 bandwidths x 3 batch sizes x 4 methods
    assert len(rows) == 72
    assert len({(row["model"], row["bandwidth"], row["batch_size"], row["method"]) for row in rows}) == 72


DESKS = "Does not fit: clients of desks need at least"


def test_what_does_not_fit_is_said_once_and_in_every_row(tmp_path: Path):
    (tmp_path / "tight.yaml").write_text(TIGHT)
    arguments = ("sweep", tmp_path / "tight.yaml", "--method", "parablock,fedbcd,fedit", "--bandwidth", "1MB/s,1GB/s")
    printed = " ".join(run(*arguments, "--out", tmp_path / "out").out.split())
    assert printed.count(DESKS) == 2
    assert f"method parablock, fedbcd: {DESKS} 32.6 GB for a local update, but rtx-4090 has 25.8 GB." in printed
    assert f"method fedit: {DESKS} 26.7 GB" in printed
    rows = json.loads(run(*arguments, "--out", tmp_path / "out", "--format", "json").out)["rows"]
    assert [DESKS in row["memory"] for row in rows] == [True] * 6
    # The same sentence as of a single run.
    alone = json.loads(run("simulate", tmp_path / "tight.yaml", "--format", "json").out)
    assert alone["provenance"]["memory"] == [rows[0]["memory"]]
    with (tmp_path / "out" / "results.csv").open() as file:
        assert [row["memory"] for row in csv.DictReader(file)] == [row["memory"] for row in rows]


def test_a_sweep_that_fits_says_nothing_of_memory(large: Path, tmp_path: Path):
    outcome = run("sweep", large, "--vary", "seed=1,2", "--out", tmp_path / "out")
    assert "Does not fit" not in outcome.out
    assert "Memory" not in outcome.out
    with (tmp_path / "out" / "results.csv").open() as file:
        assert [row["memory"] for row in csv.DictReader(file)] == ["", ""]


def test_an_older_table_has_no_such_column(large: Path, tmp_path: Path):
    arguments = ("sweep", large, "--vary", "seed=1,2", "--out", tmp_path / "out")
    run(*arguments)
    results = tmp_path / "out" / "results.csv"
    lines = [line.rpartition(",")[0] for line in results.read_text().splitlines()]
    results.write_text("\n".join(lines) + "\n")
    assert run(*arguments).status == 0


def test_what_failures_cost_has_columns_in_every_row(large: Path, tmp_path: Path):
    # Of three values, one is no failure at all: its row has the same columns, with nothing in them.
    vary = "fleet.0.dropout={rate: 0},{rate: 30%},{rate: 60%}"
    wait = "--set", "participation.short=wait"
    out = run("sweep", large, "--method", "fedbcd", "--vary", vary, *wait, "--out", tmp_path).out
    with (tmp_path / "results.csv").open() as file:
        none, some, more = csv.DictReader(file)
    assert [float(none[column]) for column in ("wasted_compute_s", "wasted_bytes", "lost_updates")] == [0, 0, 0]
    assert 0 < int(some["lost_updates"]) < int(more["lost_updates"])
    assert int(more["short_rounds"]) > 0
    assert "short rounds" in out
    # What cannot fail has none of these columns.
    assert "wasted" not in run("sweep", large, "--vary", "seed=1,2", "--format", "csv", "--out", tmp_path / "no").out
