"""Whatever a file or option holds: status 2, one message that names the place, and nothing left behind."""

from __future__ import annotations

import json
import os
import random
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest

from parasim_core.sim.scenario.safe_parsing import parse_yaml
from tests.parasim.command_line import refused

PAPER = Path(__file__).parents[2] / "examples" / "paper.yaml"
SMALL = {"rounds": 3, "fleet": [{"count": 3}], "payload": {"upload": "1MB"}, "compute": {"seconds": 1}}

BOMB = "a: &a [x]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 9)}]\n" for old, new in pairwise("abcdefghijklmnopqrstuvwxyz")
)
"""Expanded, it would hold 9^25 entries."""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def refused_file(path: Path, out: Path) -> str:
    """Simulate a file that cannot be; the message must begin with its name."""
    message = refused("simulate", path, "--out", out)
    assert message.startswith(f"{path}:")
    assert len(message) < 500
    assert not out.exists()
    return message


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("a.yaml", "rounds: 4\nfleet:\n  - {count: 3, uplink: 10M", "line 3"),
        ("a.yaml", BOMB, "line 6"),
        ("a.yaml", "fleet: &a [*a]", "line 1"),
        ("a.yaml", "fleet: !!int [1]", "line 1"),
        ("a.yaml", "[" * 100_000, ""),
        ("a.json", "[" * 100_000 + "]" * 100_000, ""),
        ("a.toml", "a = " + "[" * 100_000, ""),
        ("a.yaml", "rounds: 3\nrounds: 4", "line 2"),
        ("a.json", '{"rounds": 3, "rounds": 4}', "'rounds'"),
        ("a.toml", "rounds = 3\nrounds = 4", ""),
        ("a.yaml", "", ""),
        ("a.yaml", b"name: caf\xe9", "line 1"),
        ("a.yaml", random.Random(0).randbytes(10_000_000), "8 MiB"),
        ("a.yaml", random.Random(0).randbytes(7_000_000), ""),
        ("a.yaml", "garbage " * 1_250_000, "8 MiB"),
        ("a.yaml", "garbage " * 200_000, "'garbage"),
        ("a.yaml", "garbage " * 1_000_000, "characters of YAML"),
        ("a.json", "garbage " * 1_000_000, "line 1"),
        ("a.toml", "garbage " * 1_000_000, "1 MiB"),
        ("a.toml", "garbage " * 100_000, "line 1"),
        ("a.json", '{"rounds": NaN}', "NaN"),
        ("a.json", '{"fleet": [{"speed": 1e999}]}', "fleet.0.speed"),
        ("a.toml", "[[fleet]]\nspeed = nan", "fleet.0.speed"),
        ("a.toml", "[[fleet]]\nlatency = inf", "fleet.0.latency"),
        ("a.yaml", "fleet: [{uplink: .nan}]", "fleet.0.uplink"),
        ("a.yaml", "fleet: [{uplink: .inf}]", "fleet.0.uplink"),
        ("a.yaml", "[1, 2]: 3", ""),
        ("a.json", json.dumps({"fleet": [1] * 1_000_000}), "fleet.0"),
        ("a.json", json.dumps({"participation": {"rounds": ["x"] * 200_000}}), "participation.rounds.0"),
    ],
    ids=range(29),
)
def test_files(tmp_path: Path, out: Path, name: str, content: str | bytes, place: str):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    assert place in refused_file(path, out)


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        ("0,1\n1,\n", "row 3: up_mbit_s is empty"),
        ("0,1\n1,-2\n", "row 3: up_mbit_s is negative"),
        ("0,1\n1,inf\n", "row 3: up_mbit_s is not finite"),
        ("0,1\n5,1\n4,1\n", "row 4: seconds go back"),
        ("0,0\n1,0\n", "nothing"),
    ],
)
def test_traces(tmp_path: Path, out: Path, rows: str, place: str):
    (tmp_path / "t.csv").write_text(f"seconds,up_mbit_s\n{rows}")
    path = tmp_path / "a.yaml"
    path.write_text(
        "{rounds: 2, method: fedbcd, payload: {upload: 1MB}, compute: {seconds: 1}, fleet: [{uplink: {trace: t.csv}}]}"
    )
    message = refused("simulate", path, "--out", out)
    assert message.startswith(f"{tmp_path / 't.csv'}:")
    assert place in message
    assert not out.exists()


def test_places_that_hold_no_file(tmp_path: Path, out: Path):
    assert "no such file" in refused_file(tmp_path / "none.yaml", out)
    assert "is a directory" in refused_file(tmp_path, out)
    os.mkfifo(tmp_path / "pipe.yaml")
    assert "is not a regular file" in refused_file(tmp_path / "pipe.yaml", out)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path, out: Path):
    path = tmp_path / "a.yaml"
    path.write_text("rounds: 3")
    path.chmod(0)
    assert "Permission denied" in refused_file(path, out)


def test_a_bomb_takes_no_memory():
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="entries"):
            parse_yaml(BOMB)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("override", "place"),
    [
        ("fleet.0.uplnk=1MB/s", "'uplink'"),
        ("fleet.0.uplink=1MB", "MB/s"),
        ("fleet.0.uplink=20", "fleet.0.uplink"),
        ("fleet.0.uplink=-1MB/s", "fleet.0.uplink"),
        ("fleet.0.uplink=0MB/s", "fleet.0.uplink"),
        ("fleet.0.latency=1e308", "fleet.0.latency"),
        ("fleet.3.uplink=1MB/s", "'3'"),
        ("fleet=[]", "fleet"),
        ("fleet.0.count=0", "fleet.0.count"),
        ("rounds=many", "'many'"),
        ("rounds=1.5", "1.5"),
        ("rounds=1e99", "1e+99"),
        ("rounds", "rounds=16"),
        ("participation.rounds=[[0, 1, 2, 3], [0], [0]]", "participation.rounds.0"),
        ("participation.rounds=[[0]]", "participation.rounds"),
        ("compute.seconds=[1, 2]", "compute.seconds"),
        ("compute.seconds=[[1, 2, 3]]", "compute.seconds"),
        ("blocks.schedule=[0]", "blocks.schedule"),
        ("blocks.schedule=[0, 1, 99]", "blocks.schedule.2"),
        ("method=fedavg", "'fedavg'"),
        ("model=llama-3-8", "'llama-3-8b'"),
        ("model=" + "x" * 5000, "4096 characters"),
        ("model=" + "x" * 4000, "catalogue"),
    ],
)
def test_overrides(tmp_path: Path, out: Path, override: str, place: str):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(SMALL))
    assert place in refused("simulate", path, "--set", override, "--out", out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("overrides", "given", "allowed"),
    [
        (["blocks.layers=33"], "blocks.layers is 33", "32"),
        (["blocks.count=33"], "33 blocks", "32"),
        ([f"blocks.schedule={[16] * 32}"], "blocks.schedule.0", "0 to 15"),
        (["method=fedcybgd", "fleet.0.count=40"], "40 blocks", "32"),
        (["method=fedcybgd", "participation.fraction=0.2"], "participation", "take turns"),
        (["method=fedit", "lora.targets=[q]"], "lora.targets names 'q'", "q_proj"),
        (["method=fedit", "lora.rank=8"], "this adapter", "covers rank 32"),
        (["model=qwen2.5-7b"], "qwen2.5-7b", "covers llama-3-8b and llama-3.2-3b"),
        (["fleet.0.device=h101"], "fleet.0.device: no device 'h101'", "did you mean 'h100'"),
        (["compute.dataset=gsm8k"], "data set 'gsm8k'", "alpaca-gpt4"),
        (["local.batch_size=64"], "batch size 64", "covers 2 to 8"),
        (["compute.profile=paper-a10"], "'paper-a10'", "'paper-a100'"),
    ],
)
def test_what_the_model_or_profile_does_not_cover(out: Path, overrides: list[str], given: str, allowed: str):
    settings = [part for override in overrides for part in ("--set", override)]
    text = refused("simulate", PAPER, *settings, "--out", out)
    assert given in text
    assert allowed in text
    if "does not cover" in text:
        assert "paraSim calibrate" in text
    assert not out.exists()


@pytest.mark.parametrize("command", ["simulate", "sweep"])
@pytest.mark.parametrize("below", ["", "/deeper"])
def test_a_file_where_results_should_go(tmp_path: Path, command: str, below: str):
    (tmp_path / "file").write_text("mine")
    assert "is not a directory" in refused(command, PAPER, "--out", f"{tmp_path}/file{below}")
    assert (tmp_path / "file").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_shipped_profile_that_covers_a_scenario_is_named():
    assert "demo-cpu covers it: compute.profile=demo-cpu" in refused("simulate", PAPER.parent / "train.yaml")
