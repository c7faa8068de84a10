"""Whatever a file or option holds: status 2, one message that names the place, and nothing left behind."""

from __future__ import annotations

import json
import os
import random
import resource
from itertools import pairwise
from pathlib import Path

import pytest

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
    ("name", "content", "message"),
    [
        ("a.yaml", "rounds: 4\nfleet:\n  - {count: 3, uplink: 10M", "not well-formed"),
        ("a.yaml", BOMB, "its aliases expand to more than 500,000 entries"),
        ("a.yaml", "fleet: &a [*a]", "an alias refers to what contains it"),
        ("a.yaml", "[" * 100_000, "nested more than 50 levels deep"),
        ("a.json", "[" * 100_000 + "]" * 100_000, "nested more than 50 levels deep"),
        ("a.toml", "a = " + "[" * 100_000, "nested more than 50 levels deep"),
        ("a.yaml", "rounds: 3\nrounds: 4", "the field 'rounds' stands twice (line 2)"),
        ("a.json", '{"rounds": 3, "rounds": 4}', "the field 'rounds' stands twice"),
        ("a.toml", "rounds = 3\nrounds = 4", "overwrite"),
        ("a.yaml", "", "is empty"),
        ("a.yaml", b"name: caf\xe9", "is not UTF-8 text (line 1)"),
        ("a.yaml", random.Random(0).randbytes(10_000_000), "larger than 8 MiB"),
        ("a.yaml", random.Random(0).randbytes(7_000_000), "is not UTF-8 text"),
        ("a.yaml", "garbage " * 1_250_000, "larger than 8 MiB"),
        ("a.yaml", "garbage " * 1_000_000, "holds 'garbage"),
        ("a.json", "garbage " * 1_000_000, "not well-formed"),
        ("a.toml", "garbage " * 1_000_000, "not well-formed"),
        ("a.json", '{"rounds": NaN}', "NaN is not a number"),
        ("a.json", '{"fleet": [{"speed": 1e999}]}', "fleet.0.speed: must be finite"),
        ("a.toml", "[[fleet]]\nspeed = nan", "fleet.0.speed: must be finite"),
        ("a.toml", "[[fleet]]\nlatency = inf", "fleet.0.latency: inf is not a duration"),
        ("a.yaml", "fleet: [{uplink: .nan}]", "fleet.0.uplink: nan is not a bandwidth"),
        ("a.yaml", "fleet: [{uplink: .inf}]", "fleet.0.uplink: inf is not a bandwidth"),
        ("a.json", json.dumps({"fleet": [1] * 1_000_000}), "fleet.0: must be a mapping of fields"),
        ("a.json", json.dumps({"participation": {"rounds": ["x"] * 200_000}}), "must be a list, not 'x'"),
    ],
    ids=range(25),
)
def test_files(tmp_path: Path, out: Path, name: str, content: str | bytes, message: str):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    assert message in refused_file(path, out)


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


def test_a_bomb_takes_no_memory(tmp_path: Path, out: Path):
    path = tmp_path / "a.yaml"
    path.write_text(BOMB)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused_file(path, out)
    # ru_maxrss is in kB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("fleet.0.uplnk=1MB/s", "fleet.0.uplnk: unknown field; did you mean 'uplink'?"),
        ("fleet.0.uplink=1MB", "fleet.0.uplink: '1MB': unknown unit 'MB' for a bandwidth (did you mean MB/s"),
        ("fleet.0.uplink=20", "fleet.0.uplink: 20 has no unit"),
        ("fleet.0.uplink=-1MB/s", "fleet.0.uplink: '-1MB/s': a bandwidth cannot be negative"),
        ("fleet.0.uplink=0MB/s", "fleet.0.uplink: '0MB/s': a bandwidth must be greater than zero"),
        ("fleet.0.latency=1e308", "fleet.0.latency: 1e+308: too large for a duration"),
        ("fleet.3.uplink=1MB/s", "fleet has no entry '3'"),
        ("fleet=[]", "fleet: must have at least one entry"),
        ("fleet.0.count=0", "fleet.0.count: must be at least 1, not 0"),
        ("rounds=many", "rounds: must be a number, not 'many'"),
        ("rounds=1.5", "rounds: must be a whole number, not 1.5"),
        ("rounds=1e99", "rounds: must be far smaller, not 1e+99"),
        ("rounds", "write an override like rounds=16"),
        ("participation.rounds=[[0, 1, 2, 3], [0], [0]]", "4 participants, but the fleet has 3 clients"),
        ("participation.rounds=[[0]]", "participation.rounds: 1 lists for 3 rounds"),
        ("compute.seconds=[1, 2]", "compute.seconds: 2 numbers for 3 clients"),
        ("compute.seconds=[[1, 2, 3]]", "compute.seconds: 1 rows for 3 rounds"),
        ("blocks.schedule=[0]", "blocks.schedule: 1 blocks for 3 rounds"),
        ("blocks.schedule=[0, 1, 99]", "blocks.schedule.2: there is no block 99"),
        ("method=fedavg", "method.name: unknown method 'fedavg'; allowed are"),
        ("model=llama-3-8", "did you mean 'llama-3-8b'?"),
        ("model=" + "x" * 5000, "is no name of the catalogue"),
    ],
)
def test_overrides(tmp_path: Path, out: Path, override: str, message: str):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(SMALL))
    assert message in refused("simulate", path, "--set", override, "--out", out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["blocks.layers=33"], "blocks.layers is 33, but llama-3-8b has only 32 layers"),
        (["blocks.count=33"], "cannot cut the 32 layers of llama-3-8b into 33 blocks"),
        ([f"blocks.schedule={[16] * 32}"], "blocks.schedule.0: there is no block 16; they are 0 to 15"),
        (["method=fedcybgd", "fleet.0.count=40"], "here 40 blocks, but llama-3-8b has only 32 layers"),
        (["method=fedcybgd", "participation.fraction=0.2"], "participation: clients of fedcybgd take turns"),
        (["method=fedit", "lora.targets=[q]"], "lora.targets names 'q', which llama-3-8b does not have"),
        (["method=fedit", "lora.rank=8"], "does not cover this adapter; it covers rank 32"),
        (["model=qwen2.5-7b"], "does not cover qwen2.5-7b; it covers llama-3-8b and llama-3.2-3b"),
        (["fleet.0.device=h100"], "does not cover device h100; it covers a100"),
        (["compute.dataset=gsm8k"], "does not cover data set 'gsm8k'"),
        (["local.batch_size=64"], "does not cover batch size 64; it covers 2 to 8"),
        (["compute.profile=paper-a10"], "no profile 'paper-a10'; did you mean 'paper-a100'?"),
    ],
)
def test_what_the_model_or_profile_does_not_cover(out: Path, overrides: list[str], message: str):
    settings = [part for override in overrides for part in ("--set", override)]
    text = refused("simulate", PAPER, *settings, "--out", out)
    assert message in text
    if "cover" in message:
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
