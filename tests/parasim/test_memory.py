"""What is said of memory, merged over the runs of a table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import parasim
from parasim.explanation import sentences
from parasim.memory_notes import merged
from parasim_core.calibration.measuring.calibrate import fitted, save
from parasim_core.sim.errors import CostError
from tests.calibration.synthetic import ARCHITECTURE, CONFIG, measured_file


@pytest.fixture
def measured(tmp_path: Path) -> dict[str, object]:
    """A scenario on a device that was measured and has a single byte."""
    file = fitted(measured_file(), ARCHITECTURE)
    tiny = file.device.model_copy(update={"memory_bytes": 1})
    save(file.model_copy(update={"device": tiny}), tmp_path / "profile.json")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return {
        "model": str(tmp_path / "config.json"),
        "method": "fedbcd",
        "local": {"batch_size": 4, "sequence_length": 32},
        "compute": {"profile": str(tmp_path / "profile.json")},
        "fleet": [{"name": "everyone", "count": 2}],
    }


def test_clients_are_held_against_the_device_that_their_profile_was_measured_on(measured: dict[str, object]):
    (said,) = parasim.simulate(measured).provenance["memory"]  # type: ignore[misc]
    assert said.startswith("Does not fit: clients of everyone need at least ")
    assert said.endswith("but test chip has 0.0 GB.")
    assert sentences(parasim.explain(measured))[-1] == said


def test_a_budget_does_not_buy_what_does_not_fit(measured: dict[str, object]):
    with pytest.raises(CostError, match=r"left out on the fleet's own devices: fedbcd.*, because a local"):
        parasim.plan(measured, budget="5USD", method="fedbcd")


def runs(*said: tuple[str, str, list[str]]) -> list[tuple[dict[str, str], list[str]]]:
    return [({"method": method, "batch_size": size}, sentences) for method, size, sentences in said]


def test_what_is_said_of_all_runs_stands_alone_and_first():
    table = runs(("a", "1", ["small", "strange"]), ("b", "1", ["strange"]))
    assert merged(table) == ["strange", "method a: small"]


def test_runs_that_are_told_the_same_are_named_by_their_values():
    table = runs(("a", "1", []), ("a", "2", ["x"]), ("b", "1", []), ("b", "2", ["x"]), ("c", "1", []), ("c", "2", []))
    assert merged(table) == ["method a, b; batch size 2: x"]


def test_runs_that_are_no_product_are_named_one_by_one():
    table = runs(("a", "1", ["x"]), ("a", "2", []), ("b", "1", []), ("b", "2", ["x"]))
    assert merged(table) == ["a/1, b/2: x"]


def test_there_is_an_end_to_it():
    table = runs(*(("a", str(size), [f"needs {size} GB"]) for size in range(9)))
    assert len(merged(table)) == 7
    assert merged(table)[-1] == "Of memory, 3 more such lines are left out here."


@given(st.lists(st.lists(st.sampled_from("xyz"), unique=True), min_size=1, max_size=12))
def test_every_sentence_is_said_exactly_once(said: list[list[str]]):
    table = [({"run": str(number)}, sentences) for number, sentences in enumerate(said)]
    lines = merged(table)
    assert sorted(line.rpartition(": ")[2] for line in lines) == sorted({one for found in said for one in found})
