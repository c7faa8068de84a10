"""Every published shape, and every family with the sizes that transformers gives it: minutes, so `make validate`."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING

from parasim_core.sim.errors import ArchitectureError
from parasim_core.sim.workload.blocks import lora_parameters
from parasim_core.train.models.architecture import configuration, counted
from parasim_core.train.models.blocks import layer_list
from parasim_core.train.models.building import ModelError, model_class
from tests.train.models.corpus import ENTRIES, RANK, adapter_sizes, check_entry, sizes


@pytest.mark.parametrize("name", ENTRIES)
def test_published_shapes(name: str):
    check_entry(name)


def built(model_type: str) -> Any:
    """The family's model without memory; None where transformers or this project has none to train."""
    config = configuration({"model_type": model_type}, model_type)
    try:
        kind = model_class(config)
    except ModelError:
        return None
    with torch.device("meta"):
        return kind.from_config(config)


@pytest.mark.parametrize("model_type", CONFIG_MAPPING)
def test_every_family_is_counted_right_or_refused_in_a_line(model_type: str):
    refusal = ""
    try:
        architecture = counted(model_type, {"model_type": model_type})
    except ArchitectureError as error:
        refusal = str(error)
    assert "\n" not in refusal
    if refusal or (model := built(model_type)) is None:
        return
    assert architecture.parameters == sizes(model)
    prefix, layers = layer_list(model)
    assert [layer.parameters for layer in architecture.layers] == [sizes(layer) for layer in layers]
    expected = None
    if type(model.config) in MODEL_FOR_CAUSAL_LM_MAPPING:
        # peft refuses the linear modules of Mamba layers.
        with contextlib.suppress(ValueError):
            expected = adapter_sizes(model, prefix)
    if expected is not None:
        assert list(lora_parameters(architecture, RANK, "all-linear")) == expected
