"""The train section: its defaults, what it refuses, and its JSON Schema."""

from __future__ import annotations

import subprocess
import sys

import jsonschema
import pytest

from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.scenario.scenario import json_schema as simulator_schema
from parasim_core.train.runs.settings import TrainSettings, json_schema


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


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"optimizer": "adamw8"}, "optimizer: must be 'adamw', 'adamw-8bit' or 'paged-adamw-8bit', not 'adamw8'"),
        ({"activation_checkpointing": "all"}, "must be true, false or 'selective', not 'all'"),
        ({"activation_checkpointing": 1}, "activation_checkpointing: must be true, false or 'selective', not 1"),
        ({"optimizer": "adamw-8bit", "master_weights": True}, "allowed with optimizer adamw-8bit is false"),
        ({"weights": "nf4", "master_weights": True}, "allowed with weights nf4 is false"),
        ({"weights": "float32", "master_weights": True}, "master_weights: is true, with weights float32"),
        ({"packing": True, "padded": True}, "padded: is true, allowed with packing is false"),
    ],
)
def test_recipes_that_mean_nothing_are_refused_in_a_line(section: object, message: str):
    with pytest.raises(ScenarioError) as error:
        TrainSettings.parse(section)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("section", "master"),
    [
        ({}, True),
        ({"master_weights": False}, False),
        ({"optimizer": "paged-adamw-8bit"}, False),
        ({"weights": "nf4"}, False),
        ({"weights": "bfloat16", "master_weights": True}, True),
    ],
)
def test_a_master_is_there_unless_something_else_is_said(section: dict[str, object], master: bool):
    assert TrainSettings.parse(section).master is master


def test_4_bit_weights_are_neither_trained_nor_changed():
    settings = TrainSettings.parse({"weights": "nf4"})
    settings.check_method("fedit")
    for method in ("parablock", "full-ft", "flora"):
        with pytest.raises(ScenarioError, match=f"nf4 with method {method}, allowed .* are fedit, ffa-lora"):
            settings.check_method(method)
