"""The train section: its defaults, what it refuses, and its JSON Schema."""

from __future__ import annotations

import subprocess
import sys

import jsonschema
import pytest

from sim.errors import ScenarioError
from sim.scenario.scenario import json_schema as simulator_schema
from train.runs.settings import TrainSettings, json_schema


def test_everything_has_a_default():
    assert TrainSettings.parse(None) == TrainSettings()


def test_rates_by_method():
    settings = TrainSettings.parse({"learning_rate": {"default": 1e-3, "fedit": 1e-2}})
    assert (settings.rate("fedit"), settings.rate("parablock")) == (1e-2, 1e-3)
    with pytest.raises(ScenarioError, match="none for parablock, and no default"):
        TrainSettings.parse({"learning_rate": {"fedit": 1e-2}}).rate("parablock")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"learning_rat": 1}, "train: learning_rat: unknown field; did you mean 'learning_rate'?"),
        ({"data": {"sorce": "x"}}, "did you mean 'source'?"),
        ({"partition": {"alpha": 0}}, "partition.alpha: must be at least"),
        ({"partition": {"alpha": 1e10}}, "partition.alpha"),
        ({"mean": "median"}, "mean: must be 'uniform' or 'weighted'"),
        ({"checkpoint_every": 0}, "checkpoint_every: must be at least 1"),
        ({"accumulation": 0}, "accumulation"),
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"schedule": "cosinus"}, "schedule"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"learning_rate": {}}, "learning_rate"),
        ({"learning_rate": -1e-3}, "learning_rate"),
        ({"learning_rate": {"fedit": 0}}, "learning_rate"),
        ({"learning_rate": {"parablok": 1e-3}}, "learning_rate: no method 'parablok'; did you mean 'parablock'?"),
        ({"learning_rate": {"defualt": 1e-3}}, "did you mean 'default'?"),
        ([1], "must be a mapping of fields"),
    ],
)
def test_what_is_refused(section: object, message: str):
    with pytest.raises(ScenarioError) as error:
        TrainSettings.parse(section)
    assert message in str(error.value)
    assert str(error.value).startswith("train:")


@pytest.mark.parametrize("given", ["4", "x", True, b"4", [4]])
@pytest.mark.parametrize("field", ["accumulation", "checkpoint_every", "learning_rate", "clip_norm"])
def test_what_is_no_number_is_none_to_the_reader_and_to_the_schema(field: str, given: object):
    with pytest.raises(ScenarioError, match=rf"train: {field}: must be a (whole )?number.*, not "):
        TrainSettings.parse({field: given})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"train": {field: given}}, json_schema())


def test_the_schema_holds_both():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate({"model": "demo", "train": {"data": {"source": "digits"}}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"model": "demo", "train": {"data": {"sorce": "digits"}}}, schema)
    # No definition of the simulator's is replaced by one of the trainer's of the same name.
    for name, definition in simulator_schema()["$defs"].items():
        assert schema["$defs"][name] == definition


def test_the_section_is_checked_without_torch():
    code = "import sys, train.runs.settings; assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
