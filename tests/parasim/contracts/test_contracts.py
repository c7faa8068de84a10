"""What every JSON begins with, and its schema; `tests.parasim.command_line.run` validates all that commands print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import parasim
from parasim.cli.listing import PROFILE
from parasim.contracts import CONTRACTS
from parasim_core.sim.scenario.reading import load
from tests.parasim.command_line import refused, run, schema_of

SMALL = {
    "name": "small",
    "rounds": 3,
    "fleet": [{"name": "city", "count": 2, "uplink": "9MB/s"}, {"name": "town", "uplink": "3MB/s"}],
    "payload": {"upload": "9MB"},
    "compute": {"seconds": 30},
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.json"
    path.write_text(json.dumps(SMALL))
    return path


def printed(*arguments: object) -> Any:
    outcome = run(*arguments, "--format", "json")
    assert outcome.status == 0, outcome.err
    return json.loads(outcome.out)


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_schema_of_every_result_is_one_and_names_its_contract(name: str):
    schema = json.loads(run("list", "schema", "--of", name).out)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    properties = schema["properties"]
    assert (properties["contract"]["const"], properties["contract_version"]["const"]) == (name, CONTRACTS[name].version)
    # All results about a scenario hold it.
    assert ("scenario" in schema["required"]) == ("scenario" in properties)


def units_said(schema: dict[str, Any]) -> list[str]:
    """Fields with a unit in their names that neither they nor the described field before them tell."""
    wrong = []
    for place in (schema, *schema.get("$defs", {}).values()):
        told = ""
        for name, field in place.get("properties", {}).items():
            told = field.get("description", told)
            for ending, unit in (("_per_s", "/s]"), ("_s", "[s]"), ("_bytes", "[B]"), ("_pct", "[%]")):
                if name.endswith(ending):
                    wrong += [] if unit in told else [f"{place.get('title')}.{name}"]
                    break
    return wrong


@pytest.mark.parametrize("name", sorted(CONTRACTS.keys() - {"calibrate", "profile-fit"}))
def test_quantities_are_described_with_their_units(name: str):
    assert units_said(json.loads(run("list", "schema", "--of", name).out)) == []


def test_a_profile_has_a_schema_too():
    assert run("list", "schema", "--of", PROFILE).out == run("list", "profiles", "--schema").out


def test_a_misspelt_result_is_answered_with_the_nearest():
    assert "did you mean 'simulate'?" in refused("list", "schema", "--of", "simulated")


def test_what_is_no_result_breaks_the_contract(small: Path):
    result = printed("simulate", small)
    for broken in (
        {name: result[name] for name in result if name != "wall_clock_s"},
        result | {"speed": 1},
        result | {"wall_clock_s": "90 s"},
        result | {"contract_version": 2},
    ):
        with pytest.raises(jsonschema.ValidationError):
            schema_of("simulate").validate(broken)


@pytest.mark.parametrize("command", ["simulate", "explain", "plan --sensitivity", "sweep --method parablock,fedbcd"])
def test_a_result_can_be_run_again(command: str, small: Path, tmp_path: Path):
    name, *options = command.split()
    out = ("--out", tmp_path / "first")
    result = printed(name, small, *options, "--set", "rounds=4", *out)
    assert (result["contract"], result["parasim_version"]) == (name, parasim.__version__)
    # As it was given: nothing of the defaults, and what was set.
    assert result["scenario"].keys() == SMALL.keys() | ({"method"} if name == "sweep" else set())
    assert result["scenario"]["rounds"] == 4
    again = tmp_path / "again.json"
    again.write_text(json.dumps(result["scenario"]))
    assert printed(name, again, *options, "--out", tmp_path / "second") == result


def test_rows_of_a_sweep_tell_their_scenarios(small: Path, tmp_path: Path):
    axes = ("--method", "parablock,fedbuff", "--vary", "fleet.town.uplink=1MB/s,2MB/s", "--set", "method.buffer=2")
    result = printed("sweep", small, *axes, "--out", tmp_path / "out")
    assert [axis["column"] for axis in result["swept"]][-2:] == ["fleet.town.uplink", "method"]
    assert result["sets"][0] == {}
    assert result["sets"][2] == {"fleet.town.uplink": "2MB/s"}
    for row, changes in zip(result["rows"], result["sets"], strict=True):
        overrides = [(field, value) for field, value in changes.items() if value is not None]
        scenario = load(result["scenario"], overrides)
        assert parasim.simulate(scenario).wall_clock == row["wall_clock_s"]
        assert scenario.method.name == row["method"]
