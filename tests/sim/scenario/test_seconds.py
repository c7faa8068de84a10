"""Seconds of a local update, plain or told apart by method, model and batch size."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

import parasim
from parasim_core.sim.errors import CostError, ScenarioError
from parasim_core.sim.scenario.reading import load, plain_fields
from parasim_core.sim.scenario.scenario import Scenario, json_schema
from parasim_core.sim.scenario.seconds import given_batch_sizes

SCHEMA = jsonschema.Draft202012Validator(json_schema())


def fields(seconds: Any, **more: Any) -> dict[str, Any]:
    return {"model": "llama-3-8b", "rounds": 2, "fleet": [{"count": 2}], "compute": {"seconds": seconds}} | more


def computed(seconds: Any, **more: Any) -> float:
    """Seconds of computing of one update, which a run of two rounds has twice."""
    return parasim.simulate(fields(seconds, **more)).mean("compute") / 2


TOLD_APART = {"parablock": {"2": 1, 4: "3s"}, "fedbcd": 5, "default": {"llama-3-8b": {4: 7, "default": 9}}}


@pytest.mark.parametrize(
    ("method", "batch_size", "seconds"),
    [("parablock", 2, 1), ("parablock", 4, 3), ("fedbcd", 2, 5), ("fedbcd", 64, 5), ("fedit", 4, 7), ("flora", 3, 9)],
)
def test_seconds_by_method_model_and_batch_size(method: str, batch_size: int, seconds: float):
    assert computed(TOLD_APART, method=method, local={"batch_size": batch_size}) == pytest.approx(seconds)


def test_below_a_key_stand_all_kinds_of_plain_seconds():
    assert computed({"parablock": [1, 3], "fedbcd": 9}) == pytest.approx(2)
    assert computed({"parablock": [[1, 1], [2, 4]]}) == pytest.approx(2)
    assert computed({"LLaMA-3-8B": "500ms"}) == pytest.approx(0.5)


def test_the_provenance_names_the_keys():
    provenance = parasim.simulate(fields(TOLD_APART, method="fedbcd")).provenance["compute"]
    assert provenance == {"origin": "given", "source": "compute.seconds.fedbcd of the scenario"}


def test_a_scenario_keeps_them_for_other_methods():
    own = load(fields(TOLD_APART))
    assert load(own, ["method.name=fedbcd"]).given_seconds == (("fedbcd",), 5.0)
    assert Scenario.parse(plain_fields(own)) == own
    SCHEMA.validate(plain_fields(own))


@pytest.mark.parametrize(
    ("seconds", "more", "said"),
    [
        ({"fedbcd": 3}, {}, "compute.seconds: nothing for method parablock"),
        ({"parablock": {2: 1}}, {}, r"compute.seconds.parablock: nothing for batch size 4"),
        ({"qwen2.5-7b": 1}, {}, "nothing for model llama-3-8b"),
    ],
)
def test_a_run_that_none_are_given_for_is_refused(seconds: Any, more: dict[str, Any], said: str):
    with pytest.raises(CostError, match=said):
        parasim.simulate(fields(seconds, **more))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        ({}, "empty mapping"),
        ({"default": 3}, "tells nothing apart"),
        ({"parablock": {"fedbcd": 3}}, "told apart by method twice"),
        ({"2": {"llama-3-8b": {"4": 1}}}, "told apart by batch size twice"),
        # A key of a YAML file may be a number or text, and models are found in any capitalisation.
        ({4: 1, "4": 2}, "stands there twice"),
        ({"GPT2": 1, "gpt2": 2}, "stands there twice"),
        ({"parablock": {2: 1, "2": 2}}, "parablock: .*stands there twice"),
        ({"parablok": 3, "fedbcd": 2}, "did you mean 'parablock'"),
        ({"2": 3, "parablock": 4}, "'2'"),
        ({True: 3}, "keys are methods, models or batch sizes, not True"),
        ({2.5: 3}, "keys are methods, models or batch sizes, not 2.5"),
        ({"parablock": -1}, "parablock: "),
        ({"parablock": "3MB"}, "parablock: "),
        ({"parablock": []}, "parablock: must not be an empty list"),
        ({"parablock": [1, 2, 3]}, "compute.seconds.parablock: 3 numbers for 2 clients"),
        ({"parablock": {"4": [[1, 2]]}}, r"compute.seconds.parablock.4: 1 rows for 2 rounds"),
    ],
)
def test_what_is_no_such_mapping_is_refused(seconds: Any, said: str):
    with pytest.raises(ScenarioError, match=said) as raised:
        load(fields(seconds))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "seconds", [3, "3s", [1, 2], [[1, 2], ["3s", 4]], {"parablock": 3}, {"4": {"default": [1, 2], "fedbcd": 1}}]
)
def test_the_schema_knows_them(seconds: Any):
    SCHEMA.validate(fields(seconds))
    load(fields(seconds))


@pytest.mark.parametrize("seconds", [{}, {"parablock": {}}, {"parablock": "3MB/s s"}, {"parablock": True}])
def test_the_schema_refuses_what_is_refused(seconds: Any):
    assert not SCHEMA.is_valid(fields(seconds))
    with pytest.raises(ScenarioError):
        load(fields(seconds))


def test_batch_sizes_that_seconds_are_given_for():
    assert given_batch_sizes({"parablock": {"8": 1.0, "2": 1.0}, "fedbcd": 1.0}, "parablock", None) == [2, 8]
    assert given_batch_sizes({"parablock": {"8": 1.0}, "fedbcd": 1.0}, "fedbcd", None) == []
    assert given_batch_sizes(3.0, "fedbcd", None) == []


def test_the_largest_batch_size_in_time_is_one_that_seconds_are_given_for():
    # Computing alone: 2 rounds of 1, 3 and 9 s.
    fleet = [{"count": 2, "uplink": "1000TB/s"}]
    given = fields({2: 1, 4: 3, 8: 9}, method="fedbcd", fleet=fleet)
    (answer,) = parasim.plan(given, solve_for="batch-size", within="7s").answers
    assert answer.value == 4
    with pytest.raises(ScenarioError, match="no batch size changes"):
        parasim.plan(fields({"fedbcd": 3}, method="fedbcd"), solve_for="batch-size", within="7s")
