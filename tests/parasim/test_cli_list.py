from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from parasim_core.calibration.devices.catalogue import known_devices
from parasim_core.sim.workload.architecture import catalogue_names
from parasim_core.sim.workload.methods import METHODS
from parasim_core.train.runs.settings import json_schema
from tests.parasim.command_line import run


def test_models():
    listed = json.loads(run("list", "models", "--format", "json").out)["models"]
    assert [row["name"] for row in listed] == list(catalogue_names())


def test_methods():
    listed = json.loads(run("list", "methods", "--format", "json").out)["methods"]
    assert [row["name"] for row in listed] == list(METHODS)


def test_profiles():
    listed = json.loads(run("list", "profiles", "--format", "json").out)["profiles"]
    assert "paper-a100" in {row["name"] for row in listed}


def test_devices_with_their_figures_and_sources():
    listed = {row["name"]: row for row in json.loads(run("list", "devices", "--format", "json").out)["devices"]}
    assert set(listed) == set(known_devices())
    assert listed["rtx-4090"]["memory_bytes"] == 24_564 * 2**20
    assert listed["h100"]["operations_per_s"] == {"bfloat16": 989.5e12, "float16": 989.5e12, "float32": 67e12}
    printed = run("list", "devices").out
    assert "Snapdragon 8 Gen 3" in printed
    assert all(row["source"][:40] in printed for row in listed.values())


@pytest.mark.parametrize(
    ("what", "name"),
    [("models", "llama-3-8b"), ("methods", "fedcybgd"), ("profiles", "paper-a100"), ("devices", "phone")],
)
def test_tables(what: str, name: str):
    outcome = run("list", what)
    assert outcome.status == 0
    assert name in outcome.out


def test_the_schema():
    assert json.loads(run("list", "schema").out) == json_schema()


def words(node: Any) -> set[str]:
    """Keys at any depth."""
    if isinstance(node, dict):
        return set(node).union(*map(words, node.values()))
    return set().union(*map(words, node)) if isinstance(node, list) else set()


@pytest.mark.parametrize("command", [("schema",), ("profiles", "--schema")])
def test_bounds_are_called_as_json_schema_calls_them(command: tuple[str, ...]):
    used = words(json.loads(run("list", *command).out))
    assert not used & {"ge", "le", "gt", "lt", "multiple_of", "min_length", "max_length"}
    assert used >= {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}


def test_a_reader_that_stops_early_is_no_error():
    process = subprocess.Popen(
        [sys.executable, "-m", "parasim", "list", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    process.wait()
    assert err == b""


@pytest.mark.parametrize("command", ["simulate", "sweep", "reproduce", "list models", "list schema"])
def test_help_has_an_example(command: str):
    outcome = run(*command.split(), "--help")
    assert outcome.status == 0
    assert f"paraSim {command}" in outcome.out.split("Example:")[1]
