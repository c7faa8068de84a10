"""`paraSim memory`: what a local update needs, and where it fits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import parasim
from parasim.footprints import DeviceFit, Footprints
from tests.parasim.command_line import refused, run

# Two layers of width 16, with embeddings, head and the last norm beside them.
CONFIG = {
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 32,
    "tie_word_embeddings": False,
}
LAYER = 4 * 16 * 16 + 3 * 16 * 24 + 2 * 16
PARAMETERS = 2 * 32 * 16 + 2 * LAYER + 16


@pytest.fixture
def fields(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return {
        "model": str(tmp_path / "config.json"),
        "rounds": 4,
        "blocks": {"layers": 1},
        "lora": {"rank": 2},
        "local": {"batch_size": 2, "sequence_length": 8},
        "fleet": [{"name": "desks", "count": 2, "device": "rtx-4090"}, {"name": "handhelds", "device": "phone"}],
    }


@pytest.fixture
def file(fields: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps(fields))
    return path


def test_needs_by_hand(fields: dict[str, Any]):
    found = parasim.memory(fields, method="parablock,fedbcd,full-ft")
    assert [(need.method, need.precision) for need in found.needs] == [
        (method, precision) for precision in ("bfloat16", "float32") for method in ("parablock", "fedbcd", "full-ft")
    ]
    parablock, fedbcd, everything = (need.by_category for need in found.needs[:3])
    # 2 B for each weight, rounded up to 512 B for each of 21 tensors.
    assert 2 * PARAMETERS <= parablock["weights"] <= 2 * PARAMETERS + 21 * 512
    # Of the trained part: 4 B of master and 8 B of moments each, for one layer's 9 tensors or for all.
    assert 12 * LAYER <= parablock["master"] + parablock["moments"] <= 12 * LAYER + 9 * 4 * 512
    assert everything["master"] >= 4 * PARAMETERS
    assert parablock == fedbcd
    # Staleness 1: one update on its way up, one aggregate on its way down, in float32.
    assert [need.in_flight_bytes for need in found.needs[:3]] == [8 * LAYER, 0, 0]
    assert all(need.recomputed_peak_bytes <= need.peak_bytes for need in found.needs)


def test_several_batches_a_step_are_traced_and_said(file: Path):
    one, several = (parasim.memory(file, [f"train.accumulation={batches}"], method="full-ft") for batches in (1, 3))
    assert (one.accumulation, several.accumulation) == (1, 3)
    for before, after in zip(one.needs, several.needs, strict=True):
        assert after.peak_bytes > before.peak_bytes
    printed = run("memory", file, "--method", "full-ft", "--set", "train.accumulation=3").out
    assert printed.splitlines()[0].endswith("tokens, 3 such batches a step")


def test_the_recipe_is_traced_and_said(file: Path):
    qlora = ["train.weights=nf4", "train.adapters=float32", "train.optimizer=paged-adamw-8bit", "train.padded=true"]
    usual, other = (parasim.memory(file, overrides, method="fedit") for overrides in ([], qlora))
    # Of the linear weights of two layers, 2 B become 0.516; each of 14 tensors was rounded up to 512 B before.
    saved = usual.needs[0].by_category["weights"] - other.needs[0].by_category["weights"]
    linear = 2 * (4 * 16 * 16 + 3 * 16 * 24)
    assert 1.48 * linear <= saved <= 1.48 * linear + 14 * 512
    assert other.needs[0].paged_bytes == other.needs[0].by_category["moments"] > usual.needs[0].paged_bytes == 0
    printed = " ".join(run("memory", file, "--method", "fedit", *sets(qlora)).out.split())
    assert "Recipe (train.*): weights in 4 bits (nf4), float32 adapters, paged 8-bit AdamW" in printed
    assert "padded sequences. Trained: " in printed
    assert "what is priced: 4-bit weights (a pass over each before its products) and paged-adamw-8bit" in printed
    told = json.loads(run("memory", file, "--method", "fedit", "--format", "json", *sets(qlora)).out)
    # What is held in 4 bits is so on every device.
    assert set(told["recipe"].values()) == {other.recipe["bfloat16"]}
    assert len(told["priced"]) == 2


def sets(overrides: list[str]) -> list[str]:
    return [word for override in overrides for word in ("--set", override)]


def test_a_method_that_means_nothing_with_a_recipe_is_left_out(file: Path):
    found = parasim.memory(file, ["method=fedit", "train.weights=nf4"], method="all")
    assert {need.method for need in found.needs} == {"fedit", "ffa-lora", "overlapped-lora"}
    assert "allowed with 4-bit weights are fedit, ffa-lora" in found.refused["full-ft"]
    assert "train.weights: is nf4 with method full-ft" in refused(
        "memory", file, "--method", "full-ft", "--set", "train.weights=nf4"
    )


def test_paged_moments_leave_a_device_that_they_would_fill():
    asked = {"model": "smollm2-135m", "rounds": 2, "local": {"batch_size": 1, "sequence_length": 64}}
    (need,) = parasim.memory(asked, ["train.optimizer=paged-adamw-8bit"], method="full-ft").needs
    fit = DeviceFit("small", need.peak_bytes - need.paged_bytes, need.precision, [])
    fit.judge(need)
    replace(fit, memory_bytes=fit.memory_bytes - 1).judge(replace(need, recomputed_peak_bytes=need.peak_bytes))
    assert (fit.fits, fit.does_not_fit) == (["full-ft"], ["full-ft"])


def test_where_it_fits():
    fleet = [{"name": "desks", "device": "rtx-4090"}, {"device": "abacus"}, {"name": "more", "device": "rtx-4090"}]
    found = parasim.memory(
        {"model": "smollm2-135m", "rounds": 2, "fleet": fleet, "local": {"batch_size": 32, "sequence_length": 512}},
        method=("parablock", "full-ft"),
        device=("h200",),
    )
    by_method = {need.method: need for need in found.needs}
    (desks, lent) = found.devices
    assert (desks.groups, lent.groups) == (["desks", "more"], [])
    assert (desks.fits, desks.fits_recomputing, desks.does_not_fit) == places(by_method, 24_564 * 2**20)
    assert lent.fits == ["parablock", "full-ft"]
    assert found.unknown_devices == ["abacus"]


def places(needs: dict[str, Any], memory: float) -> tuple[list[str], ...]:
    """Where each method belongs: it fits, fits when recomputing, or does not."""
    kept = {method for method, need in needs.items() if need.peak_bytes <= memory}
    lean = {method for method, need in needs.items() if need.recomputed_peak_bytes <= memory} - kept
    return tuple([m for m in needs if m in chosen] for chosen in (kept, lean, set(needs) - kept - lean))


def test_the_paper_is_asked_about_if_nothing_else_is():
    # Llama 3-8B, 4 x 512 tokens, LoRA of rank 32 on q and v: 29.1 GB in all, 20.0 GB if activations are recomputed.
    found = parasim.memory(method="fedit", device=("rtx-4090",))
    (need,) = found.needs
    adapters = 32 * 32 * (4096 + 4096 + 4096 + 1024)
    assert need.by_category["weights"] == pytest.approx(2 * (8_030_261_248 + adapters), rel=1e-6)
    assert verdicts(found)["rtx-4090"] == ([], ["fedit"], [])
    assert verdicts(found)["a100-80gb"] == (["fedit"], [], [])


def verdicts(found: Footprints) -> dict[str, tuple[list[str], list[str], list[str]]]:
    return {fit.device: (fit.fits, fit.fits_recomputing, fit.does_not_fit) for fit in found.devices}


def test_the_command_prints_what_the_function_finds(file: Path, fields: dict[str, Any]):
    printed = json.loads(run("memory", file, "--method", "all", "--format", "json").out)
    found = parasim.memory(fields, method="all").summary()
    assert {name: printed[name] for name in found} == found
    assert {need["method"] for need in printed["needs"]} >= {"parablock", "fedit", "full-ft"}
    for need in printed["needs"]:
        assert sum(need["by_category"].values()) == need["peak_bytes"]
    lines = run("memory", file, "--method", "parablock,fedit").out.splitlines()
    assert [line.split()[0] for line in lines if " kB" in line and line[:1] != "B"] == ["parablock", "fedit"] * 2
    assert any(line.split()[:5] == ["rtx-4090", "25.8", "GB", "desks", "parablock,"] for line in lines)


def test_what_allocators_add_is_said_of_cpus_alone(file: Path):
    assert "glibc" in run("memory", file).out
    assert "glibc" not in run("memory", "--method", "fedit").out


def test_this_machine_is_a_device(file: Path):
    [*_, here] = json.loads(run("memory", file, "--device", "cpu", "--format", "json").out)["devices"]
    assert (here["device"], here["precision"], here["fits"]) == ("this machine", "float32", ["parablock"])


def test_mistakes_are_refused(file: Path, fields: dict[str, Any], tmp_path: Path):
    assert "'h200'" in refused("memory", file, "--device", "h20")
    assert "holds no values" in refused("memory", file, "--device", ",")
    assert "'fedbcd'" in refused("memory", file, "--method", "fedbdc")
    bare = tmp_path / "bare.json"
    bare.write_text(json.dumps({"rounds": 1, "payload": {"upload": "1MB"}, "compute": {"seconds": 1}}))
    assert "model: is missing" in refused("memory", bare)


def test_methods_that_cannot_run_the_scenario_are_left_out_with_the_reason(file: Path):
    printed = run("memory", file, "--method", "all", "--set", "lora.targets=[nothing]").out
    assert "fedit is left out: " in printed
    assert "parablock is left out" not in printed
    assert [line for line in printed.splitlines() if line.startswith("full-ft ")]
