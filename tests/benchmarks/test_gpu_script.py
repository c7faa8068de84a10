"""The script for a GPU: what it would run and in which order, what it keeps, and the rows that it makes of profiles."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu
from benchmarks.gpu_rows import rows_of
from parasim_core.calibration.devices.published import PublishedRow, read_rows
from parasim_core.calibration.devices.validation import validate
from parasim_core.calibration.measuring.calibrate import fitted
from parasim_core.sim.workload.architecture import catalogue_names
from parasim_core.sim.workload.methods import Trains
from parasim_core.train.models.building import DEMO
from tests.calibration.synthetic import ARCHITECTURE, CONFIG, measured_file

SCRIPT = Path(gpu.__file__)


def test_a_bare_python_prints_the_plan(tmp_path: Path):
    # Without packages of other people, and the most important first.
    command = [sys.executable, "-I", "-S", str(SCRIPT), "--out", str(tmp_path), "--plan"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    names = [line.split()[2] for line in printed]
    assert names[:3] == ["calibrate-llama-3-8b", "floor", "floor-compiled"]
    assert sorted(name for name in names if name.startswith("calibrate")) == [
        "calibrate-llama-3-8b", "calibrate-llama-3.2-3b", "calibrate-qwen2.5-1.5b", "calibrate-smollm2-135m",
    ]  # fmt: skip
    assert names.index("validate-llama-3-8b") > names.index("calibrate-llama-3-8b")
    assert names.index("validate-smollm2-135m") > names.index("calibrate-smollm2-135m")
    assert "memory" in names
    assert not list(tmp_path.iterdir())


def test_three_calls_of_ten_minutes_take_every_step_to_its_limit():
    calls, left = 0, 0.0
    for step in gpu.plan(gpu.FULL, "cuda"):
        if left < step.limit:
            calls, left = calls + 1, gpu.WITHIN
        left -= step.limit
    assert gpu.WITHIN <= 600
    assert calls <= 3


@pytest.mark.parametrize("measured", [gpu.FULL, gpu.TINY])
def test_models_are_known_and_smaller_steps_use_their_profiles(measured: gpu.Measurements):
    assert set(measured.models) <= {DEMO, *catalogue_names()}
    steps = gpu.plan(measured, "cpu")
    assert len({step.name for step in steps}) == len(steps)
    made = [f"../{s.name}/{s.command[s.command.index('--out') + 1]}" for s in steps if s.name.startswith("calibrate")]
    for step in steps:
        if "--profile" in step.command:
            assert step.command[step.command.index("--profile") + 1] in made


def test_a_step_is_stopped_at_its_limit_with_all_that_it_started(tmp_path: Path):
    # It starts a process that would write a file after a second, and waits.
    later = f"import time; time.sleep(1); open({str(tmp_path / 'alive')!r}, 'w')"
    code = f"import subprocess, sys; print('begun', flush=True); subprocess.run([sys.executable, '-c', {later!r}])"
    ended = gpu.run(gpu.Step("slow", ("-c", code), 0.5), tmp_path / "slow")
    assert ended["status"] == "stopped at its limit"
    assert (tmp_path / "slow" / "output.txt").read_text() == "begun\n"
    gpu.run(gpu.Step("wait", ("-c", "import time; time.sleep(1.5)"), 5), tmp_path / "wait")
    assert not (tmp_path / "alive").exists()


def test_what_is_done_is_not_done_again_and_what_failed_is(tmp_path: Path):
    right, wrong = gpu.Step("right", ("-c", ""), 9), gpu.Step("wrong", ("-c", "raise SystemExit(3)"), 9)
    record = gpu.Record(tmp_path, "cpu")
    for step in (right, wrong):
        record.add(step, gpu.run(step, tmp_path / step.name))
    again = gpu.Record(tmp_path, "cpu")
    assert again.done(right)
    assert not again.done(wrong)
    assert not again.done(gpu.Step("right", ("-c", "another"), 9))
    written = json.loads((tmp_path / "run.json").read_text())
    assert written["steps"]["wrong"]["status"] == "failed with exit status 3"
    assert written["versions"]["torch"]
    written["device"]["name"] = "another"
    (tmp_path / "run.json").write_text(json.dumps(written))
    with pytest.raises(SystemExit, match="its device differs"):
        gpu.Record(tmp_path, "cpu")


def test_missing_packages_are_named_with_their_command(monkeypatch: pytest.MonkeyPatch):
    assert gpu.missing_packages() == []
    known = gpu.version
    monkeypatch.setattr(gpu, "version", lambda name: "0.0.1" if name == "simpy" else known(name))
    assert gpu.missing_packages() == ["simpy>=4.1"]
    assert gpu.download_command(["simpy>=4.1"]).endswith("--dest WHEELS 'simpy>=4.1'")


def rows() -> list[dict[str, Any]]:
    """Rows of a profile of an H100 on which a step of everything took 3 GiB."""
    file = fitted(measured_file(), ARCHITECTURE)
    samples = [
        sample.model_copy(update={"peak_bytes": 3 * 2**30 if sample.point.trains is Trains.EVERYTHING else 2**30})
        for sample in file.samples
    ]
    device = file.device.model_copy(update={"name": "NVIDIA H100 80GB HBM3", "driver": "1.2"})
    return rows_of(file.model_copy(update={"samples": tuple(samples), "device": device}))


def test_rows_of_a_profile_are_read_like_published_ones(tmp_path: Path):
    (tmp_path / "rows.json").write_text(json.dumps(rows()))
    (tmp_path / "models.json").write_text(json.dumps({"tiny": CONFIG}))
    read = read_rows(tmp_path / "rows.json")
    # Blocks, LoRA and everything, the smallest and the largest step of each, time and memory.
    assert len(read) == 12
    assert len({row.name for row in read}) == 12
    for verdict in validate(read):
        assert verdict.predicted, verdict.reason
        assert verdict.comparable
    memory = next(row for row in read if row.metric == "memory" and row.fields["method"] == "full")
    assert memory.reported() == 3 * 2**30
    sizes = [row.fields["batch"] * row.fields["sequence_length"] for row in read if row.fields["method"] == "full"]
    # The plan's least and most: 1 x 8 and 8 x 64.
    assert {min(sizes), max(sizes)} == {8, 512}


def test_a_block_is_where_the_row_says():
    blocks = [row for row in rows() if row["method"] == "block"]
    assert all(
        PublishedRow(row, {"tiny": CONFIG}).step()["block"].first_layer == int(row["block"]["first_layer"])
        for row in blocks
    )
