"""Blocks are disjoint, cover all layers and add up; LoRA counts are the ones of the paper."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.workload.architecture import Architecture, Half, Layer, Linear, architecture
from parasim_core.sim.workload.blocks import Block, lora_parameters, partition, partition_evenly


def model(sizes: list[tuple[int, int]]) -> Architecture:
    """Make a model whose layers have attention and MLP halves of the given sizes and no linear modules."""
    return Architecture(
        name="toy",
        model_type="toy",
        hidden_size=1,
        vocabulary_size=1,
        attention_heads=1,
        head_dimension=1,
        layers=tuple(Layer(Half("attention", a, ()), Half("mlp", m, ())) for a, m in sizes),
        embedding_parameters=1000,
        head_parameters=2000,
        other_parameters=3000,
    )


models = st.lists(st.tuples(st.integers(1, 99), st.integers(1, 99)), min_size=1, max_size=40).map(model)


def check_partition(blocks: tuple[Block, ...], architecture: Architecture) -> None:
    """Every half of every layer is in exactly one block, in order, and the parameters add up."""
    expected = [(index, name) for index in range(len(architecture.layers)) for name in ("attention", "mlp")]
    assert [half for block in blocks for half in block.halves] == expected
    assert [block.index for block in blocks] == list(range(len(blocks)))
    assert sum(block.parameters for block in blocks) == architecture.layer_parameters
    assert sum(block.layers for block in blocks) == len(architecture.layers)
    for block in blocks:
        halves = [getattr(architecture.layers[index], name) for index, name in block.halves]
        assert block.parameters == sum(half.parameters for half in halves)
        assert (block.first_layer, block.last_layer) == (block.halves[0][0], block.halves[-1][0])


def test_two_layers_per_block_leave_a_smaller_last_block():
    # Layers of 1+2, 3+4, 5+6 parameters: blocks {0, 1} with 10 and {2} with 11.
    blocks = partition(model([(1, 2), (3, 4), (5, 6)]), 2)
    assert blocks == (
        Block(0, ((0, "attention"), (0, "mlp"), (1, "attention"), (1, "mlp")), 10),
        Block(1, ((2, "attention"), (2, "mlp")), 11),
    )
    assert [block.layers for block in blocks] == [2, 1]
    assert [(block.first_layer, block.last_layer) for block in blocks] == [(0, 1), (2, 2)]


def test_half_a_layer_per_block_separates_attention_from_mlp():
    blocks = partition(model([(1, 2), (3, 4)]), 0.5)
    assert [block.parameters for block in blocks] == [1, 2, 3, 4]
    assert [block.halves for block in blocks] == [
        ((0, "attention"),),
        ((0, "mlp"),),
        ((1, "attention"),),
        ((1, "mlp"),),
    ]
    assert {block.layers for block in blocks} == {0.5}


@given(models, st.data())
def test_any_width_partitions_the_model(architecture: Architecture, data: st.DataObject):
    layers = data.draw(st.one_of(st.just(0.5), st.integers(1, len(architecture.layers))))
    blocks = partition(architecture, layers)
    check_partition(blocks, architecture)
    assert len(blocks) == math.ceil(len(architecture.layers) / layers)
    assert {block.layers for block in blocks[:-1]} <= {layers}
    assert blocks[-1].layers <= layers


@given(models, st.data())
def test_any_count_partitions_the_model_evenly(architecture: Architecture, data: st.DataObject):
    count = data.draw(st.integers(1, len(architecture.layers)))
    blocks = partition_evenly(architecture, count)
    check_partition(blocks, architecture)
    widths = [block.layers for block in blocks]
    assert len(blocks) == count
    assert max(widths) - min(widths) <= 1
    assert all(width.is_integer() for width in widths)


def test_fedcybgd_cuts_32_layers_into_10_blocks():
    # 32 = 2 x 4 + 8 x 3.
    blocks = partition_evenly(architecture("llama-3-8b"), 10)
    assert [block.layers for block in blocks] == [4, 4, 3, 3, 3, 3, 3, 3, 3, 3]


def test_the_papers_blocks_of_two_layers():
    # 16 blocks of 2 x 218.112 M for Llama 3-8B (872 MB in bf16), 14 for Llama 3.2-3B.
    blocks = partition(architecture("llama-3-8b"), 2)
    assert len(blocks) == 16
    assert {block.parameters * 2 for block in blocks} == {872_448_000}
    assert len(partition(architecture("llama-3.2-3b"), 2)) == 14


@pytest.mark.parametrize("layers", [0, -1, 0.25, 1.5, 2.5, math.nan, math.inf, True])
def test_a_width_that_is_neither_half_nor_whole_is_an_error(layers: float):
    with pytest.raises(ScenarioError, match=r"blocks\.layers"):
        partition(model([(1, 1)] * 4), layers)


def test_a_block_wider_than_the_model_is_an_error():
    assert len(partition(model([(1, 1)] * 4), 4)) == 1
    with pytest.raises(ScenarioError, match=r"toy has only 4 layers"):
        partition(model([(1, 1)] * 4), 5)


@pytest.mark.parametrize("count", [0, -1, 5, 1.5, True])
def test_a_count_of_blocks_that_the_layers_do_not_allow_is_an_error(count: int):
    with pytest.raises(ScenarioError, match="1 to 4 blocks"):
        partition_evenly(model([(1, 1)] * 4), count)


def test_lora_adds_rank_times_inputs_and_outputs_of_every_target():
    # Two layers of one 3 -> 5 module at rank 2: A has 2 x 2 x 3, B 2 x 2 x 5.
    layer = Layer(Half.of("attention", (Linear("q_proj", 3, 5),), 0), Half.of("mlp", (Linear("fc", 7, 11),), 0))
    toy = Architecture("toy", "toy", 1, 1, 1, 1, (layer, layer), 0, 0, 0)
    assert lora_parameters(toy, 2, ["q_proj"]) == (12, 20)
    assert lora_parameters(toy, 2, "q_proj") == (12, 20)
    assert lora_parameters(toy, 2, ["q_proj", "q_proj", "fc"]) == (12 + 28, 20 + 44)
    assert lora_parameters(toy, 2, "all-linear") == (12 + 28, 20 + 44)


def mixture() -> Architecture:
    """One layer with a projection, two experts whose gate (5 -> 7) and up (5 -> 7) are one, and a shared expert."""
    experts = Linear("gate_up", 5, 14, experts=2, fuses=("gate", "up"))
    down = Linear("down", 7, 5, formerly="w2", experts=2)
    own = Linear("latent", 5, 4, experts=2, targets="name")
    shared = Linear("gate", 5, 7, targets="never")
    layer = Layer(Half.of("attention", (Linear("q_proj", 5, 3),), 0), Half.of("mlp", (experts, down, own, shared), 0))
    return Architecture("toy", "toy", 1, 1, 1, 1, (layer,), 0, 0, 0)


@pytest.mark.parametrize(
    ("targets", "a", "b"),
    [
        # Rank 3. The fused matrix has the ranks of both its parts: A is 2 experts x 2 x 3 x 5, B is 2 x 2 x 3 x 14.
        (["gate", "up"], 60, 168),
        # By its own name, one.
        (["gate_up"], 30, 84),
        (["gate_up", "gate", "up"], 60, 168),
        # 2 experts x 3 x 7 and 2 x 3 x 5, by either name.
        (["down"], 42, 30),
        (["w2"], 42, 30),
        (["latent"], 30, 24),
        # All but what is adapted by name alone or never: q_proj (15 and 9), gate and up, down.
        ("all-linear", 15 + 60 + 42, 9 + 168 + 30),
    ],
)
def test_every_expert_gets_an_adapter_of_its_own(targets: list[str] | str, a: int, b: int):
    assert lora_parameters(mixture(), 3, targets) == (a, b)


@pytest.mark.parametrize("named", ["gate", "up"])
def test_half_of_a_fused_matrix_is_an_error(named: str):
    other = {"gate": "up", "up": "gate"}[named]
    with pytest.raises(ScenarioError, match=f"'{named}' without '{other}'"):
        lora_parameters(mixture(), 3, [named])


def test_weights_of_all_experts_count():
    # 2 experts of 5 x 14 with a bias of 14 each.
    linear = Linear("gate_up", 5, 14, bias=True, experts=2)
    assert (linear.weights, linear.parameters) == (140, 168)


@pytest.mark.parametrize(
    ("name", "targets", "expected"),
    [
        # A: 32 x 32 layers x 2 x 4096; B: 32 x 32 x (4096 + 1024).
        ("llama-3-8b", ["q_proj", "v_proj"], (8_388_608, 5_242_880)),
        # A: 32 x 28 x 2 x 3072; B: 32 x 28 x (3072 + 1024).
        ("llama-3.2-3b", ["q_proj", "v_proj"], (5_505_024, 3_670_016)),
        # GPT-2's Conv1D: c_attn is 768 -> 2304 in 12 layers.
        ("gpt2", ["c_attn"], (32 * 12 * 768, 32 * 12 * 2304)),
        # ... and c_proj names two modules, 768 -> 768 and 3072 -> 768.
        ("gpt2", ["c_proj"], (32 * 12 * (768 + 3072), 32 * 12 * (768 + 768))),
        ("vit-b16", ["q_proj", "v_proj"], (32 * 12 * 1536, 32 * 12 * 1536)),
        # The names before transformers 5; "dense" is the attention's output and both matrices of the MLP.
        ("vit-b16", ["query", "value"], (32 * 12 * 1536, 32 * 12 * 1536)),
        ("vit-b16", ["dense"], (32 * 12 * (768 + 768 + 3072), 32 * 12 * (768 + 3072 + 768))),
    ],
)
def test_lora_parameters_of_real_models(name: str, targets: list[str], expected: tuple[int, int]):
    assert lora_parameters(architecture(name), 32, targets) == expected


@pytest.mark.parametrize(("name", "total"), [("llama-3-8b", 83_886_080), ("llama-3.2-3b", 48_627_712)])
def test_lora_on_every_linear_module_is_as_large_as_in_the_paper(name: str, total: int):
    # Per layer: sum over the 7 modules of rank x (inputs + outputs); 83.9 M and 48.6 M.
    assert sum(lora_parameters(architecture(name), 32, "all-linear")) == total


@pytest.mark.parametrize(
    ("rank", "targets", "message"),
    [
        (0, ["q_proj"], r"lora\.rank is 0"),
        (1.5, ["q_proj"], r"lora\.rank is 1\.5"),
        (True, ["q_proj"], r"lora\.rank is True"),
        (8, [], r"lora\.targets is empty"),
        (8, ["q_porj"], r"'q_porj', which llama-3-8b does not have: did you mean 'q_proj'\?"),
        (8, "all-linaer", r"did you mean 'all-linear'\?"),
        (8, ["q_proj", "c_attn"], "'c_attn', which llama-3-8b does not have"),
    ],
)
def test_lora_that_the_model_cannot_have_is_an_error(rank: int, targets: list[str], message: str):
    with pytest.raises(ScenarioError, match=message):
        lora_parameters(architecture("llama-3-8b"), rank, targets)


def test_blocks_are_counted_without_heavy_imports():
    heavy = "{'torch', 'transformers', 'pydantic', 'numpy'}"
    code = f"import sim.workload.blocks, sys; sys.exit(bool({heavy} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
