"""Memory against devices, the lower bound, and the buffers of ParaBlock's second thread."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from parasim_core.calibration.devices.catalogue import device
from parasim_core.calibration.memory.allocations import Category
from parasim_core.calibration.memory.fits import fits, least_memory, memory_sentences, second_thread
from parasim_core.calibration.memory.peaks import paged_bytes, traced_peak
from parasim_core.calibration.profiles.loading import load_profile
from parasim_core.sim.engine.learner import Update
from parasim_core.sim.engine.simulate import Setup, prepare
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.workload.architecture import architecture
from parasim_core.sim.workload.methods import METHODS, Trains
from parasim_core.train.federated.learner import TorchLearner
from tests.calibration.synthetic import measured_file
from tests.train.tiny import ARCHITECTURE, CONFIG, federate


def setup(model: str = "llama-3-8b", **fields: Any) -> Setup:
    return prepare(Scenario.parse({"model": model} | fields), architecture(model))


def test_the_bound_by_hand() -> None:
    # Llama 3-8B in bfloat16: 2 x 8,030,261,248 B of weights. A 2-layer block of 436,224,000: copy 2, master 4,
    # gradient 4, moments 8. Of few tokens next to nothing is kept.
    few = {"local": {"batch_size": 1, "sequence_length": 8}}
    assert least_memory(setup(**few), "bfloat16") == 2 * 8_030_261_248 + 18 * 436_224_000
    # In float32 the part is its own master.
    assert least_memory(setup(**few), "float32") == 4 * 8_030_261_248 + 16 * 436_224_000
    # FedIT: A and B of q and v, 13.63 M, are part of the model and trained.
    adapter = 32 * 32 * (4096 + 4096 + 4096 + 1024)
    assert least_memory(setup(method="fedit", **few), "bfloat16") == 2 * (8_030_261_248 + adapter) + 18 * adapter
    assert least_memory(setup(method="full-ft", **few), "bfloat16") == 20 * 8_030_261_248


def test_what_the_backward_pass_begins_with_by_hand() -> None:
    # Into and out of a layer of Llama 3-8B go 8192 numbers at q and o, 5120 at k and v, 18,432 at each of the MLP's
    # three; of those 81,920, in 31 layers above the lowest, 0.7 in 2 B; and 12 B for each of 128,256 logits. All that
    # for 4 x 512 tokens.
    passed = 2 * 8192 + 2 * 5120 + 3 * 18_432
    kept = 2048 * (int(0.7 * 2 * 31 * passed) + 12 * 128_256)
    assert least_memory(setup(), "bfloat16") == 2 * 8_030_261_248 + 14 * 436_224_000 + kept
    # Where activations are recomputed, the 4096 numbers that go into each of the 31 layers are kept.
    recomputed = setup(train={"activation_checkpointing": True})
    kept = 2048 * (2 * 31 * 4096 + 12 * 128_256)
    assert least_memory(recomputed, "bfloat16") == 2 * 8_030_261_248 + 14 * 436_224_000 + kept


def test_several_batches_a_step_hold_the_gradient_beside_what_is_kept() -> None:
    # 4 B of gradient for each of a block's 436,224,000 parameters, beside what `kept` counts above.
    one, several = setup(), setup(train={"accumulation": 2})
    assert least_memory(several, "bfloat16") == least_memory(one, "bfloat16") + 4 * 436_224_000
    assert least_memory(setup(train={"accumulation": 9}), "bfloat16") == least_memory(several, "bfloat16")


def test_several_batches_a_step_are_traced(tiny_config: Path) -> None:
    local = {"batch_size": 2, "sequence_length": 8}
    peaks = [
        traced_peak(
            setup(str(tiny_config), blocks={"layers": 1}, local=local, train={"accumulation": batches}),
            "float32",
            recomputing=False,
        )
        for batches in (1, 2, 5)
    ]
    # The gradient of the first batch is there while the second one's activations are. Beside further batches, too.
    assert peaks[0].total < peaks[1].total == peaks[2].total
    assert peaks[1].by_category[Category.GRADIENTS] >= 4 * ARCHITECTURE.layers[0].parameters


@pytest.mark.parametrize("field", ["accumulation", "activation_checkpointing"])
def test_settings_of_training_that_cost_memory_are_checked(field: str) -> None:
    with pytest.raises(ScenarioError, match=f"train:.*{field}"):
        fits(setup(train={field: "several"}, fleet=[{"device": "h200"}]))


def test_groups_that_do_not_fit_are_named() -> None:
    # 16.1 + 7.9 = 23.9 GB fit an RTX 4090's 25.8 GB (24,564 MiB) by counting, with few tokens; 4 layers, 31.8 GB, do
    # not. A device that the catalogue does not know, or none, is not judged.
    few = {"batch_size": 1, "sequence_length": 8}
    fleet = [
        {"name": "desk", "device": "rtx-4090"},
        {"device": "RTX-4090"},
        {"device": "abacus"},
        {"device": "h200"},
        {},
    ]
    assert fits(setup(fleet=fleet, local=few)) == []
    desk, second = fits(setup(fleet=fleet, local=few, blocks={"layers": 4}))
    assert (desk.group, second.group) == ("desk", "group1")
    assert str(desk) == "clients of desk need at least 31.8 GB for a local update, but rtx-4090 has 25.8 GB"


def test_recomputing_is_named_where_it_may_be_enough() -> None:
    # 1 x 1024 tokens: 27.4 GB with activations, 24.0 GB without. An RTX 4090 has 25.8; four layers take 31.8 GB.
    desk = [{"name": "desk", "device": "rtx-4090"}]
    few = {"batch_size": 1, "sequence_length": 1024}
    (kept,) = fits(setup(fleet=desk, local=few))
    assert str(kept).endswith("25.8 GB; recomputing activations takes less (train.activation_checkpointing)")
    assert fits(setup(fleet=desk, local=few, train={"activation_checkpointing": True})) == []
    # 8 x 2048 tokens: the logits alone, 12 B x 128,256 each, are 25.2 GB beside 16 GB of weights.
    many = {"batch_size": 8, "sequence_length": 2048}
    (alike,) = fits(setup(fleet=desk, local=many, train={"activation_checkpointing": True}))
    assert alike.needed > 16.06e9 + 12 * 128_256 * 8 * 2048
    assert not fits(setup(fleet=desk, local=many))[0].recomputable
    (wide,) = fits(setup(fleet=desk, blocks={"layers": 4}))
    assert not wide.recomputable
    # Once they are recomputed, nothing more is to be gained.
    (recomputed,) = fits(setup(fleet=[{"name": "desk", "device": "phone"}], train={"activation_checkpointing": True}))
    assert not recomputed.recomputable


def test_what_fits_in_the_bytes_that_a_device_has_is_not_refused() -> None:
    # 2 x 8,030,261,248 + 14 x 436,224,000 B, and for each of 650 tokens 5.1 MB of activations and logits: 25.5 GB, more
    # than 24e9 B and less than an RTX 4090's 24,564 MiB = 25,757,220,864 B.
    own = setup(fleet=[{"device": "rtx-4090"}], local={"batch_size": 1, "sequence_length": 650})
    assert 24e9 < least_memory(own, "bfloat16") <= 24_564 * 2**20
    assert fits(own) == []


def test_groups_are_told_of_in_one_sentence_and_strangers_once() -> None:
    phones = [{"name": f"p{number}", "device": "phone"} for number in range(5)]
    strangers = [{"device": "NVIDIA A100-SXM4-80GB"}, {"device": "NVIDIA A100-SXM4-80GB"}]
    few = {"batch_size": 1, "sequence_length": 8}
    # In float32, 4 x 8,030,261,248 + 16 x 436,224,000 B.
    assert memory_sentences(setup(fleet=[*phones, *strangers], local=few)) == [
        "Does not fit: clients of p0, p1, p2 and 2 more groups need at least 39.1 GB for a local update, but phone has "
        "12.9 GB.",
        "Memory is not judged on 'NVIDIA A100-SXM4-80GB': the catalogue does not know it; did you mean 'a100-80gb'? "
        "(`paraSim list devices`).",
    ]
    (said,) = memory_sentences(setup(fleet=[{"device": "H 100"}, {}], local=few))
    assert "'H 100': the catalogue does not know it; did you mean 'h100'?" in said


def test_a_family_is_its_largest_member() -> None:
    # 43.0 GB at batch size 8: too much for an A100 of 40 GB, and "a100" may be one of 80 GB.
    eight = {"batch_size": 8, "sequence_length": 512}
    assert fits(setup(fleet=[{"device": "a100"}], local=eight)) == []
    assert [found.device for found in fits(setup(fleet=[{"device": "A100 40GB"}], local=eight))] == ["a100-40gb"]
    everything = setup(method="full-ft", fleet=[{"device": "a100"}], local=eight)
    assert [found.device for found in fits(everything)] == ["a100-80gb"]


def test_clients_of_a_measured_profile_are_held_against_its_device() -> None:
    file = measured_file()
    small = file.model_copy(update={"device": file.device.model_copy(update={"memory_bytes": 16_000_000_000})})
    own = setup(fleet=[{"name": "unnamed"}, {"name": "named", "device": "Test Chip"}, {"device": "h200"}])
    assert fits(own) == []
    assert [(found.group, found.device) for found in fits(own, measured=small)] == [
        ("unnamed", "test chip"),
        ("named", "test chip"),
    ]
    assert len(memory_sentences(own, small)) == 1
    # Where nobody's profile is meant, the device is a stranger; those of profiles that come along are none.
    assert "'Test Chip'" in memory_sentences(own)[0]
    (known,) = {load_profile("demo-cpu").file.device.name}  # type: ignore[attr-defined]
    assert fits(setup(fleet=[{"device": known}]))[0].available == 25_276_502_016


def test_a_trace_finds_what_the_bound_cannot() -> None:
    # Of the lowest layer, and of attention's own, the bound knows nothing.
    fleet = [{"name": "desk", "device": "rtx-4090"}, {"name": "silo", "device": "a100"}]
    short = {"steps": 1, "batch_size": 4, "sequence_length": 512}
    only_top = {"layers": 2, "schedule": [15]}
    (warning,) = fits(setup(fleet=fleet, local=short, blocks=only_top, rounds=1), traced=True)
    assert (warning.group, warning.traced) == ("desk", True)
    assert warning.needed > 26e9
    assert "at least" not in str(warning)


def test_a_trace_recomputes_where_the_trainer_does() -> None:
    # Traced, 34.7 GB with activations and less than an A100 of 40 GB has; 25.9 GB without are still too much for 24.
    fleet = [{"name": "desk", "device": "rtx-4090"}]
    (kept,) = fits(setup(fleet=fleet), traced=True)
    (recomputed,) = fits(setup(fleet=fleet, train={"activation_checkpointing": True}), traced=True)
    assert recomputed.needed < 0.8 * kept.needed


def test_a_run_without_a_model_is_not_judged() -> None:
    given_all = {"compute": {"seconds": 1}, "payload": {"upload": "1MB"}, "fleet": [{"device": "phone"}]}
    assert fits(prepare(Scenario.parse(given_all), None)) == []


RECIPES: list[dict[str, Any]] = [
    {},
    {"weights": "bfloat16", "master_weights": False},
    {"weights": "float32-autocast", "loss": "chunked"},
    {"optimizer": "adamw-8bit", "attention": "eager"},
    {"optimizer": "paged-adamw-8bit", "kernels": "compiled"},
    {"weights": "nf4", "adapters": "float32", "padded": True},
    {"weights": "nf4", "kernels": "fused"},
    {"adapters": "float32", "packing": True},
]


@settings(max_examples=6, deadline=None)
@given(
    st.sampled_from(sorted(METHODS)),
    st.sampled_from([0.5, 1, 2, 4]),
    st.sampled_from(["rtx-4090", "phone"]),
    st.integers(1, 3),
    st.integers(1, 8),
    st.integers(1, 3),
    st.sampled_from(RECIPES),
)
def test_no_trace_stays_below_the_bound(
    tiny_config: Path,
    method: str,
    layers: float,
    on: str,
    batch_size: int,
    tokens: int,
    accumulation: int,
    recipe: dict[str, Any],
) -> None:
    assume(recipe.get("weights") != "nf4" or METHODS[method].trains in (Trains.LORA, Trains.LORA_B))
    fields: dict[str, Any] = {
        "method": method,
        "blocks": {"layers": layers},
        "lora": {"rank": 2},
        "local": {"batch_size": batch_size, "sequence_length": tokens},
        "fleet": [{"count": 4}],
        "train": recipe | {"accumulation": accumulation},
    }
    own = setup(str(tiny_config), **fields)
    precision = device(on).precision
    for recomputing in (False, True):
        peak = traced_peak(own, precision, recomputing=recomputing)
        least = least_memory(own, precision, recomputing=recomputing)
        assert peak.total - paged_bytes(own.scenario, peak) >= least


@pytest.fixture(scope="module")
def tiny_config(tmp_path_factory: Any) -> Path:
    path: Path = tmp_path_factory.mktemp("model") / "config.json"
    path.write_text(json.dumps(CONFIG))
    return path


@pytest.mark.parametrize("staleness", [1, 2, 3])
def test_the_second_thread_holds_what_the_learner_has_pending(monkeypatch: pytest.MonkeyPatch, staleness: int) -> None:
    # A client of ParaBlock that starts round t still needs its own updates of rounds t - s to t - 1; FedBCD's needs
    # none. The formula adds the aggregate that comes in.
    parablock = pending_bytes(monkeypatch, method={"name": "parablock", "staleness": staleness})
    blocks = max(parablock)
    own = prepare(
        Scenario.parse(
            {"model": "tiny", "method": {"name": "parablock", "staleness": staleness}, "blocks": {"layers": 1}}
        ),
        ARCHITECTURE,
    )
    layer = ARCHITECTURE.layers[0].parameters
    assert blocks == staleness * 4 * layer
    assert second_thread(own) == blocks + 4 * layer
    assert set(pending_bytes(monkeypatch, method="fedbcd")) == {0}


def pending_bytes(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> list[int]:
    """Bytes of a client's own updates under way, whenever it begins to train."""
    found: list[int] = []
    train = TorchLearner.train

    def noting(self: TorchLearner, client: int, round: int, block: int | None) -> Update:
        own = self.clients[client].pending if client in self.clients else {}
        found.append(sum(value.nbytes for values in own.values() for value in values.values()))
        return train(self, client, round, block)

    with monkeypatch.context() as patch:
        patch.setattr(TorchLearner, "train", noting)
        federate(**fields)
    return found


def test_other_methods_have_no_second_thread() -> None:
    assert second_thread(setup(method="fedbcd")) == 0
    adapter = 32 * 32 * (4096 + 4096 + 4096 + 1024)
    assert second_thread(setup(method="overlapped-lora")) == 2 * 4 * adapter


def test_an_asynchronous_client_may_take_in_everything_at_once() -> None:
    # Llama 3-8B's 32 layers of 218,112,000 parameters, two a block: its own block, and all that are in the schedule.
    layer = 218_112_000
    own = second_thread(setup(method="parablock-async", blocks={"schedule": "sequential"}, rounds=32))
    assert own == 4 * 2 * layer * (1 + 16)


def test_counting_and_the_catalogue_need_no_torch() -> None:
    code = "import sys, calibration.memory.fits, calibration.devices.catalogue; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
