"""Models that also see: what is simulated of them, told of their memory, and trained is one model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import CONFIG_MAPPING

import parasim
from parasim_core.calibration.memory.shapes import ShapeModel, TracedStep
from parasim_core.sim.workload.architecture import read_config
from parasim_core.sim.workload.blocks import lora_parameters, partition
from parasim_core.sim.workload.methods import Trains
from parasim_core.train.models.architecture import architecture_from_transformers
from parasim_core.train.models.blocks import layer_list
from parasim_core.train.models.building import random_model
from parasim_core.train.models.files import load_model, save_model
from parasim_demonstration.models import demonstration_tokenizer

# Two layers of text, and towers of four, so that the longest list is the wrong one.
TEXT = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "pad_token_id": 0,
    "max_position_embeddings": 512,
}
TOWER = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
}
ROTARY = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}}
QWEN_TOWER = {
    "depth": 4,
    "hidden_size": 16,
    "intermediate_size": 24,
    "out_hidden_size": 16,
    "num_heads": 2,
    "patch_size": 8,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "qwen2_5_vl": {"text_config": TEXT | ROTARY, "vision_config": QWEN_TOWER},
    "paligemma": {
        "text_config": TEXT | {"model_type": "gemma"},
        "vision_config": TOWER | {"model_type": "siglip_vision_model"},
        "hidden_size": 16,
        "projection_dim": 16,
    },
    "llava": {
        "text_config": TEXT | {"model_type": "llama"},
        "vision_config": TOWER | {"model_type": "clip_vision_model", "projection_dim": 16},
    },
    "idefics3": {"text_config": TEXT | {"model_type": "llama"}, "vision_config": TOWER},
    "gemma3": {"text_config": TEXT, "vision_config": TOWER, "mm_tokens_per_image": 4},
}


@pytest.fixture(params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A small model of every family, saved with the demonstration's tokenizer."""
    fields, tokenizer = FAMILIES[request.param], demonstration_tokenizer()
    text = fields["text_config"] | {"vocab_size": len(tokenizer)}
    model = random_model(CONFIG_MAPPING[request.param](**(fields | {"text_config": text})), seed=0)
    save_model(model, tokenizer, tmp_path / "base")
    return tmp_path / "base"


def scenario(folder: Path, method: str) -> dict[str, Any]:
    return {
        "model": str(folder),
        "method": method,
        "rounds": 2,
        "blocks": {"layers": 1, "schedule": "sequential"},
        "lora": {"rank": 2, "targets": "all-linear"},
        "local": {"steps": 1, "batch_size": 2, "sequence_length": 256},
        "compute": {"seconds": 1},
        "fleet": [{"count": 2, "uplink": "1MB/s", "downlink": "1MB/s"}],
    }


def sizes(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_simulated_remembered_and_trained_are_one_model(folder: Path):
    architecture = architecture_from_transformers(folder)
    model = load_model(folder)
    layers = layer_list(model)[1]
    assert [layer.parameters for layer in architecture.layers] == [sizes(layer) for layer in layers]
    assert len(layers) == 2
    assert architecture.parameters == sizes(model)
    shapes = ShapeModel(str(folder), "float32", config=read_config(folder))
    assert shapes.architecture.layers == architecture.layers
    # Two clients in two rounds upload 2 bytes a parameter.
    block, rank = partition(architecture, 1)[0].parameters, sum(lora_parameters(architecture, 2, "all-linear"))
    for method, uploaded in (("fedbcd", block), ("fedit", rank), ("full-ft", architecture.parameters)):
        assert parasim.simulate(scenario(folder, method)).summary()["uploaded_bytes"] == 2 * 2 * 2 * uploaded
    step = TracedStep(trains=Trains.BLOCK, block=partition(architecture, 1)[1], batch_size=1, sequence_length=8)
    # Weights of 4 bytes are there in any case.
    assert shapes.trace(step).peak.total > 4 * architecture.parameters


def test_blocks_of_text_layers_are_trained_and_nothing_else(folder: Path, tmp_path: Path):
    fields = scenario(folder, "fedbcd") | {"train": {"data": {"examples": 20, "held_out_examples": 2}}}
    parasim.train(fields, out=tmp_path / "out")
    before, after = load_model(folder), load_model(tmp_path / "out" / "fedbcd" / "model")
    prefix, layers = layer_list(before)
    trained = {f"{prefix}.{name}" for name, _ in layers.named_parameters()}
    old = dict(before.named_parameters())
    changed = {name for name, value in after.named_parameters() if not torch.equal(old[name], value)}
    assert changed == trained
