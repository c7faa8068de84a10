"""Steps that PyTorch's profiler recorded, as a profile: what it covers, and that nothing else is priced by it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile, schedule

import parasim
from parasim_core.sim.errors import CostError
from tests.parasim.command_line import refused, run

SCENARIO = """
model: llama-3-8b
method: fedbcd
rounds: 2
local: {steps: 10, batch_size: 4}
fleet: [{count: 2, uplink: 1GB/s}]
"""


def trace(*milliseconds: float, **more: Any) -> str:
    """A trace of steps of so many milliseconds, with what else is in such traces."""
    steps = [
        {"ph": "X", "cat": category, "name": f"ProfilerStep#{number}", "ts": 1e6 * number, "dur": 1000 * step}
        for number, step in enumerate(milliseconds, start=2)
        for category in ("user_annotation", "gpu_user_annotation")
    ]
    others = [
        {"ph": "X", "cat": "cpu_op", "name": "aten::mm", "ts": 1.0, "dur": 5.0},
        {"ph": "M", "name": "process_name"},
    ]
    return json.dumps({"schemaVersion": 1, "traceEvents": [*others, *steps], **more})


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO)
    return path


def test_a_run_takes_its_steps_times_their_median(scenario: Path, tmp_path: Path):
    # Steps of 400, 500 and 900 ms: 10 of 500 ms each round, two rounds.
    recorded = tmp_path / "step.json.gz"
    recorded.write_bytes(gzip.compress(trace(400, 900, 500, deviceProperties=[{"name": "NVIDIA H200"}]).encode()))
    outcome = run("import", "trace", recorded, "--of", scenario, "--out", tmp_path / "made" / "profile.json")
    assert outcome.status == 0, outcome.err
    assert "3 steps on NVIDIA H200: 0.5 s in the median, 0.4 s to 0.9 s" in outcome.out
    assert "It covers llama-3-8b, training block, batch size 4, sequence length 512." in outcome.out
    used = f"compute.profile={tmp_path / 'made' / 'profile.json'}"
    result = parasim.simulate(scenario, [used])
    assert result.mean("compute") == pytest.approx(2 * 10 * 0.5)
    compute = result.provenance["compute"]
    assert (compute["origin"], compute["device"]) == ("measured", "NVIDIA H200")
    assert compute["notes"] == ["median of 3 steps of 0.4 to 0.9 s", "one block's step stands for every block's"]
    slower = parasim.simulate(scenario, [used, "local.steps=20", "fleet.0.speed=0.5"])
    assert slower.mean("compute") == pytest.approx(2 * 20 * 0.5 / 0.5)


@pytest.mark.parametrize(
    ("override", "different"),
    [
        ("local.batch_size=8", "batch size 8 (its is 4)"),
        ("local.sequence_length=1024", "sequence length 1024 (its is 512)"),
        ("model=llama-3.2-3b", "model llama-3.2-3b (its is llama-3-8b)"),
        ("method=fedit", "trains lora (its is block); adapter rank 32 on q_proj, v_proj (its is none)"),
        ("train.accumulation=2", "accumulation 2 (its is 1)"),
    ],
)
def test_it_prices_nothing_else(override: str, different: str, scenario: Path, tmp_path: Path):
    (tmp_path / "step.json").write_text(trace(400))
    assert run("import", "trace", tmp_path / "step.json", "--of", scenario, "--out", tmp_path / "p.json").status == 0
    with pytest.raises(CostError) as raised:
        parasim.simulate(scenario, [f"compute.profile={tmp_path / 'p.json'}", override])
    assert f"profile p does not cover {different}. Record such steps," in str(raised.value)


def test_no_full_pass_was_recorded(scenario: Path, tmp_path: Path):
    (tmp_path / "step.json").write_text(trace(400))
    assert run("import", "trace", tmp_path / "step.json", "--of", scenario, "--out", tmp_path / "p.json").status == 0
    told = [f"compute.profile={tmp_path / 'p.json'}", "blocks.schedule=gradient"]
    with pytest.raises(CostError, match=r"no full pass was recorded; give blocks\.gradient_pass"):
        parasim.simulate(scenario, told)
    assert parasim.simulate(scenario, [*told, "blocks.gradient_pass=3s"]).wall_clock > 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no trace of PyTorch's profiler: "),
        ("[]", "it holds no object"),
        ("{}", "is no trace of PyTorch's profiler (KeyError)"),
        ('{"traceEvents": 3}', "is no trace of PyTorch's profiler (TypeError)"),
        (trace(), "holds no steps; record several steps with torch.profiler.profile"),
        (trace(-1), "step_seconds"),
    ],
)
def test_what_is_no_such_trace(text: str, message: str, scenario: Path, tmp_path: Path):
    (tmp_path / "step.json").write_text(text)
    said = refused("import", "trace", tmp_path / "step.json", "--of", scenario, "--out", tmp_path / "p.json")
    assert message in said
    assert not (tmp_path / "p.json").exists()


def test_one_that_was_really_recorded(scenario: Path, tmp_path: Path):
    model = torch.nn.Linear(64, 64)
    optimizer = torch.optim.AdamW(model.parameters())
    with profile(
        activities=[ProfilerActivity.CPU], schedule=schedule(wait=0, warmup=1, active=3, repeat=1)
    ) as recorder:
        for _ in range(4):
            model(torch.ones(8, 64)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            recorder.step()
    recorder.export_chrome_trace(str(tmp_path / "step.json"))
    outcome = run("import", "trace", tmp_path / "step.json", "--of", scenario, "--out", tmp_path / "p.json")
    assert outcome.status == 0, outcome.err
    made = json.loads((tmp_path / "p.json").read_text())
    assert len(made["step_seconds"]) == 3
    assert all(0 < seconds < 60 for seconds in made["step_seconds"])
    assert made["device"] == {"name": "cpu", "kind": "cpu"}
