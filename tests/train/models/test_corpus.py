"""Published models with experts, and those that also see or hear, are what transformers and `peft` make of them."""

from __future__ import annotations

import pytest

from parasim_core.sim.workload.blocks import lora_parameters, partition
from parasim_core.train.models.architecture import counted
from tests.train.models.corpus import ENTRIES, check_entry

SAMPLE = (
    "mixtral-8x7b",  # experts that peft adapts, under names of their own
    "qwen1.5-moe-a2.7b",  # experts that it leaves alone
    "qwen3-30b-a3b",
    "deepseek-v2-lite",  # a dense layer and shared experts, whose own names peft takes for the experts'
    "gpt-oss-20b",  # stacks with outputs last
    "llama-4-scout-17b-16e",  # experts and images
    "qwen2.5-vl-7b",  # the vision tower has more layers than the decoder, and no tied head
    "paligemma-3b-224",
    "gemma-3-4b",
    "smolvlm-256m",
    "llama-3.2-11b-vision",  # layers of two kinds
    "qwen2-audio-7b",
    "deit-small",
)


@pytest.mark.parametrize("name", SAMPLE)
def test_published_models_are_counted_as_transformers_and_peft_count_them(name: str):
    check_entry(name)


@pytest.mark.parametrize(
    ("name", "block", "everything"),
    [
        # Qwen2 with h = 3584, kv = 512, i = 18944: 2 h^2 + 2 h kv + (h + 2 kv) + 3 h i + 2 h per layer, 2 bytes each.
        ("qwen2.5-vl-7b", 466_115_584, 16_584_333_312),
        # Gemma with h = 2048, kv = 256, i = 16384: 2 h^2 + 2 h kv + 3 h i + 2 h.
        ("paligemma-3b-224", 220_209_152, 5_846_932_960),
    ],
)
def test_blocks_of_models_that_also_see_are_text_layers(name: str, block: int, everything: int):
    architecture = counted(name, ENTRIES[name]["config"])
    assert {2 * one.parameters for one in partition(architecture, 1)} == {block}
    assert 2 * architecture.parameters == everything


@pytest.mark.parametrize(
    ("name", "megabytes"),
    [
        # r [4 h + 2 (h + kv) per layer of attention, (h + E) of the router, E (2 (h + 2 i) + (i + h)) of the experts],
        # with h = 4096, kv = 1024, i = 14336, E = 8, 32 layers: 22,479,104 x 16 parameters of 2 bytes.
        ("mixtral-8x7b", 719.331328),
        # Heads of 128, hence q = 4096 wide and kv = 512; h = 2048, i = 768, E = 128, 48 layers.
        ("qwen3-30b-a3b", 1993.015296),
    ],
)
def test_adapters_of_all_experts_by_hand(name: str, megabytes: float):
    # Gate and up lie in one matrix of width 2 i, and get the ranks of both: hence the factor 2.
    architecture = counted(name, ENTRIES[name]["config"])
    assert 2 * sum(lora_parameters(architecture, 16, "all-linear")) / 1e6 == megabytes
