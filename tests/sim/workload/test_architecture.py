"""Parameter counts by hand, the catalogue's published totals, and files that are no usable configuration.

That the counts equal transformers' own models is tested in tests/train/test_architecture.py.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from parasim_core.sim.errors import ArchitectureError
from parasim_core.sim.workload.architecture import (
    MODEL_TYPES,
    Linear,
    UnknownModelTypeError,
    architecture,
    catalogue_names,
    from_config,
)

TINY = {
    "model_type": "llama",
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 10,
}


def tiny(**fields: Any) -> dict[str, Any]:
    return TINY | fields


def test_a_llama_layer_by_hand():
    # h = 8, heads of 2: q and o are 8 x 8, k and v 8 x 4, the MLP's three 8 x 16, a norm of 8 in each half.
    model = from_config(tiny(), "tiny")
    attention, mlp = model.layers[0].halves
    assert attention.parameters == 64 + 32 + 32 + 64 + 8
    assert mlp.parameters == 3 * 128 + 8
    assert attention.linears == (
        Linear("q_proj", 8, 8),
        Linear("k_proj", 8, 4),
        Linear("v_proj", 8, 4),
        Linear("o_proj", 8, 8),
    )
    assert [linear.name for linear in mlp.linears] == ["gate_proj", "up_proj", "down_proj"]
    # Outside the layers: embedding and head of 10 x 8 each, the final norm of 8.
    assert (model.embedding_parameters, model.head_parameters, model.other_parameters) == (80, 80, 8)
    assert model.parameters == 3 * (200 + 392) + 168


def test_what_a_configuration_changes():
    plain = from_config(tiny(), "tiny").parameters
    # A tied head costs nothing; a bias costs one parameter per output.
    assert from_config(tiny(tie_word_embeddings=True), "tiny").parameters == plain - 80
    assert from_config(tiny(attention_bias=True), "tiny").parameters == plain + 3 * (8 + 4 + 4 + 8)
    assert from_config(tiny(mlp_bias=True), "tiny").parameters == plain + 3 * (16 + 16 + 8)
    # Null key/value heads means as many as query heads: k and v grow from 8 x 4 to 8 x 8.
    assert from_config(tiny(num_key_value_heads=None), "tiny").parameters == plain + 3 * 64
    # Heads of 3 instead of 2: q and o 8 x 12, k and v 8 x 6.
    wide = from_config(tiny(head_dim=3), "tiny").layers[0].attention
    assert wide.parameters == 96 + 48 + 48 + 96 + 8


def test_a_fused_layer_by_hand():
    # As wide as the llama's: one matrix for its query of 8 outputs, its key and its value of 4 each; one for the gate's
    # and the up projection's 16.
    attention, mlp = from_config(tiny(model_type="phi3"), "tiny").layers[0].halves
    assert attention.linears == (Linear("o_proj", 8, 8), Linear("qkv_proj", 8, 8 + 4 + 4))
    assert mlp.linears == (Linear("gate_up_proj", 8, 16 + 16), Linear("down_proj", 16, 8))
    # What is fused has no fewer parameters.
    plain = from_config(tiny(), "tiny").layers[0]
    assert (attention.parameters, mlp.parameters) == (plain.attention.parameters, plain.mlp.parameters)


def test_heads_of_gemma_are_not_as_wide_as_the_model_allows():
    # "Gemma", arXiv:2403.08295, tables 1 and 2: heads of 256, so that 16 of them are wider than the model (3072).
    # 28 (4 * 3072 * 16 * 256 + 3 * 3072 * 24576 + 2 * 3072) + 3072 without the embedding, which the head shares.
    config = {"model_type": "gemma", "hidden_size": 3072, "intermediate_size": 24576, "num_hidden_layers": 28}
    model = from_config(config | {"num_attention_heads": 16, "vocab_size": 256128}, "gemma-7b")
    assert model.parameters - model.embedding_parameters == 7_751_248_896
    assert model.embedding_parameters == 786_825_216


def test_a_layer_of_experts_by_hand():
    # Four experts of 3 x 8 x 16 weights, a router of 8 x 4; a token passes two of them, so that two in each of three
    # layers are idle.
    model = from_config(tiny(model_type="mixtral", num_local_experts=4, num_experts_per_tok=2), "tiny")
    mlp = model.layers[0].mlp
    assert mlp.parameters == 4 * 384 + 32 + 8
    assert [(linear.name, linear.experts, linear.outputs) for linear in mlp.linears] == [
        ("gate.weight", 1, 4), ("gate_up_proj", 4, 32), ("down_proj", 4, 8),
    ]  # fmt: skip
    assert model.active_parameters == model.parameters - 3 * 2 * 384
    assert from_config(tiny(), "tiny").active_parameters == from_config(tiny(), "tiny").parameters


def test_norms_over_all_queries_and_keys_by_hand():
    # OLMo 2: queries of 8 and keys of 4 are normed as a whole, beside the half's own norm of 8.
    attention = from_config(tiny(model_type="olmo2"), "tiny").layers[0].attention
    assert attention.parameters == 64 + 32 + 32 + 64 + 8 + (8 + 4)


def test_active_parameters_are_those_that_publishers_name():
    # "12.9B" (mistral.ai on Mixtral) and "3.3B activated" (the model card of Qwen3-30B-A3B).
    assert architecture("mixtral-8x7b").active_parameters == pytest.approx(12.9e9, rel=0.005)
    assert architecture("qwen3-30b-a3b").active_parameters == pytest.approx(3.3e9, rel=0.02)


@pytest.mark.parametrize(
    ("name", "layers", "per_layer", "total"),
    [
        # Per layer 2 h^2 + 2 h kv + 3 h i + 2 h, with h = 4096, kv = 1024, i = 14336.
        ("llama-3-8b", 32, 218_112_000, 8_030_261_248),
        ("llama-3.2-3b", 28, 100_669_440, 3_212_749_824),
        ("llama-3.1-70b", 80, 855_654_400, 70_553_706_496),
        # With h + 2 kv bias terms: h = 1536, kv = 256, i = 8960.
        ("qwen2.5-1.5b", 28, 46_797_824, 1_543_714_304),
        ("qwen2.5-7b", 28, 233_057_792, 7_615_616_512),
        ("smollm2-135m", 30, 3_540_096, 134_515_008),
        # Totals as the Hugging Face hub shows them for the files of weights; head and embeddings count once.
        ("llama-3.2-1b", 16, 60_821_504, 1_235_814_400),
        ("llama-3.1-8b", 32, 218_112_000, 8_030_261_248),
        ("qwen2.5-0.5b", 24, 14_912_384, 494_032_768),
        ("qwen2.5-3b", 36, 77_076_992, 3_085_938_688),
        ("qwen2.5-14b", 48, 275_268_608, 14_770_033_664),
        ("qwen2.5-32b", 64, 487_605_248, 32_763_876_352),
        ("qwen3-0.6b", 28, 15_730_944, 596_049_920),
        ("qwen3-1.7b", 28, 50_336_000, 1_720_574_976),
        ("qwen3-4b", 36, 100_930_816, 4_022_468_096),
        ("qwen3-8b", 36, 192_946_432, 8_190_735_360),
        ("qwen3-14b", 40, 330_311_936, 14_768_307_200),
        ("qwen3-32b", 64, 487_598_336, 32_762_123_264),
        ("qwen3-30b-a3b", 48, 623_120_640, 30_532_122_624),
        ("mistral-7b", 32, 218_112_000, 7_248_023_552),
        ("mixtral-8x7b", 32, 1_451_270_144, 46_702_792_704),
        ("gemma-2-2b", 26, 77_865_984, 2_614_341_888),
        ("gemma-2-9b", 42, 198_195_200, 9_241_705_984),
        ("gemma-2-27b", 46, 566_249_472, 27_227_128_320),
        ("gemma-3-1b", 26, 26_842_112, 999_885_952),
        ("phi-4", 40, 340_797_440, 14_659_507_200),
        ("olmo-2-1b", 16, 67_117_056, 1_484_916_736),
        ("olmo-2-7b", 32, 202_391_552, 7_298_617_344),
        ("olmo-2-13b", 40, 317_214_720, 13_716_198_400),
        ("smollm2-360m", 32, 9_832_320, 361_821_120),
        ("smollm2-1.7b", 24, 67_112_960, 1_711_376_384),
        ("smollm3-3b", 36, 78_123_008, 3_075_098_624),
        ("gpt2", 12, 7_087_872, 124_439_808),
        ("vit-b16", 12, 7_087_872, 86_567_656),
    ],
)
def test_the_catalogue_has_the_published_sizes(name: str, layers: int, per_layer: int, total: int):
    model = architecture(name)
    assert len(model.layers) == layers
    assert {layer.parameters for layer in model.layers} == {per_layer}
    assert model.parameters == total


def test_catalogue_names_are_found_in_any_capitalisation():
    assert architecture("Llama-3-8B") == architecture("llama-3-8b")
    assert [architecture(name).name for name in catalogue_names()] == list(catalogue_names())


def test_the_summary_is_json_and_counts_bytes():
    summary = architecture("llama-3-8b").summary()
    assert json.loads(json.dumps(summary)) == summary
    assert summary["bytes"] == 2 * 8_030_261_248
    assert summary["bytes_per_layer"] == 436_224_000
    assert architecture("llama-3-8b").summary(bytes_per_parameter=4)["bytes_per_layer"] == 872_448_000


def test_a_config_json_or_its_folder_can_be_given(tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    expected = from_config(TINY, "tiny")
    for path in (tmp_path, tmp_path / "config.json", str(tmp_path)):
        model = architecture(path)
        assert model.name == os.fspath(path)
        assert (model.layers, model.parameters) == (expected.layers, expected.parameters)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("lama-3-8b", "did you mean 'llama-3-8b'"),
        ("meta-llama/Meta-Llama-3-8B", "did you mean 'llama-3-8b'"),
        ("no/such/config.json", "there is no such file"),
        ("", "holds no config.json"),
        ("\0", "there is no such file"),
        ("x" * 10_000, "there is no such file"),
        ("/dev/zero", "/dev/zero: is not a regular file"),
    ],
)
def test_a_model_that_cannot_be_found_is_an_error(given: str, message: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArchitectureError, match=message) as raised:
        architecture(given)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not valid JSON"),
        (b'{"model_type": "llama", "hidden_', "not valid JSON"),
        (b"\xff\xfe\x00garbage\x9c", "not UTF-8 text"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"model_type": "llama", "hidden_size": ' + b"9" * 10_000 + b"}", "not valid JSON"),
        (b"[1, 2]", "no JSON object"),
        (b"\x00" * (8 * 2**20 + 1), "larger than 8 MiB"),
    ],
)
def test_a_file_that_is_no_configuration_is_an_error(content: bytes, message: str, tmp_path: Path):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ArchitectureError, match=message) as raised:
        architecture(path)
    assert str(path) in str(raised.value)


def test_a_folder_without_configuration_is_an_error(tmp_path: Path):
    with pytest.raises(ArchitectureError, match=r"holds no config\.json"):
        architecture(tmp_path)
    (tmp_path / "config.json").mkdir()
    with pytest.raises(ArchitectureError, match=r"config\.json: is a directory"):
        architecture(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_size", 0),
        ("hidden_size", -8),
        ("hidden_size", 8.5),
        ("hidden_size", float("nan")),
        ("hidden_size", "8"),
        ("hidden_size", True),
        ("hidden_size", [8]),
        pytest.param("hidden_size", 10**5000, id="huge"),
        ("intermediate_size", 10**12),
        ("num_hidden_layers", 10**9),
        ("num_attention_heads", {}),
        ("vocab_size", -1),
        ("head_dim", 0),
        ("attention_bias", "yes"),
        ("tie_word_embeddings", 1),
    ],
)
def test_an_absurd_value_is_an_error_that_names_the_field(field: str, value: object):
    with pytest.raises(ArchitectureError, match=f"tiny: '{field}' is .*, expected") as raised:
        from_config(tiny(**{field: value}), "tiny")
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize("field", [key for key in TINY if key not in ("model_type", "num_key_value_heads")])
def test_a_missing_size_is_an_error(field: str):
    config = {key: value for key, value in TINY.items() if key != field}
    with pytest.raises(ArchitectureError, match=f"no '{field}'"):
        from_config(config, "tiny")


def test_heads_that_do_not_fit_are_errors():
    with pytest.raises(ArchitectureError, match=r"hidden size 8 .* 3 attention heads"):
        from_config(tiny(num_attention_heads=3, num_key_value_heads=3), "tiny")
    with pytest.raises(ArchitectureError, match=r"4 attention heads .* 3 key/value heads"):
        from_config(tiny(num_key_value_heads=3), "tiny")


@pytest.mark.parametrize(
    ("sizes", "embedding"),
    [
        # h = 8: a patch of channels x height x width values is embedded with a bias, and there are a class token and a
        # position for it and for each patch. 224 by 224 pixels in patches of 16 by 16 are 14 x 14, of 3 channels.
        ({}, 8 * (3 * 16 * 16 + 1) + 8 + 8 * (1 + 14 * 14)),
        # 14 whole patches of 15 pixels lie beside one another in 224.
        ({"patch_size": 15}, 8 * (3 * 15 * 15 + 1) + 8 + 8 * (1 + 14 * 14)),
        # 2 x 3 patches of 16 in 32 x 48 pixels, 4 x 3 of 8 x 16.
        ({"image_size": [32, 48]}, 8 * (3 * 16 * 16 + 1) + 8 + 8 * (1 + 2 * 3)),
        ({"image_size": [32, 48], "patch_size": [8, 16], "num_channels": 1}, 8 * (8 * 16 + 1) + 8 + 8 * (1 + 4 * 3)),
    ],
)
def test_the_embeddings_of_a_vision_transformer_by_hand(sizes: dict[str, Any], embedding: int):
    assert from_config(tiny(model_type="vit") | sizes, "tiny").embedding_parameters == embedding


def test_a_classifier_shares_no_weights_with_embeddings():
    # 3 labels, each with 8 weights and a bias.
    model = from_config(tiny(model_type="vit", num_labels=3, tie_word_embeddings=True), "tiny")
    assert model.head_parameters == 3 * (8 + 1)


@pytest.mark.parametrize("image", [8, [8], [224, 224, 3], [224, -1], "224"])
def test_an_image_without_room_for_a_patch_is_an_error(image: object):
    vit = tiny(model_type="vit", image_size=image, patch_size=16)
    with pytest.raises(ArchitectureError, match="image_size"):
        from_config(vit, "tiny")


def test_cross_attention_is_not_silently_left_out():
    with pytest.raises(ArchitectureError, match="add_cross_attention"):
        from_config(tiny(model_type="gpt2", add_cross_attention=True), "tiny")


def test_an_unknown_model_type_says_which_are_known():
    with pytest.raises(UnknownModelTypeError, match="did you mean 'mistral'"):
        from_config(tiny(model_type="mistrall"), "tiny")
    with pytest.raises(UnknownModelTypeError) as raised:
        from_config(tiny(model_type="zzz"), "tiny")
    assert all(model_type in str(raised.value) for model_type in MODEL_TYPES)
    with pytest.raises(UnknownModelTypeError, match="no 'model_type'"):
        from_config({}, "tiny")
