"""Profiles that predict badly and jitter that is not drawn are said wherever a run's numbers are used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

import parasim
from parasim.ignored import ignored_jitter
from parasim_core.calibration.measuring.calibrate import save
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.train.models.building import random_model
from parasim_core.train.models.files import save_model
from parasim_demonstration.models import demonstration_tokenizer
from tests.calibration.synthetic import CONFIG, file_that_is_off
from tests.parasim.command_line import run

SAID = "do not rely on profile synthetic: a median error of 27 % on points that it has not seen"


def scenario_with(folder: Path, error: float) -> Path:
    """A scenario whose profile is off by a share at every point that it has not seen."""
    (folder / "config.json").write_text(json.dumps(CONFIG))
    save(file_that_is_off(error), folder / "profile.json")
    fields = {
        "model": "config.json",
        "method": "fedbcd",
        "rounds": 2,
        "blocks": {"layers": 2},
        "local": {"steps": 10, "batch_size": 4, "sequence_length": 32},
        "lora": {"rank": 4, "targets": ["q_proj", "v_proj"]},
        "compute": {"profile": str(folder / "profile.json")},
        "fleet": [{"name": "site", "count": 2}],
    }
    (folder / "scenario.json").write_text(json.dumps(fields))
    return folder / "scenario.json"


@pytest.fixture
def hopeless(tmp_path: Path) -> Path:
    return scenario_with(tmp_path, 0.27)


@pytest.mark.parametrize(
    "command",
    [
        ("simulate",),
        ("explain",),
        ("plan", "--within", "1h", "--solve-for", "bandwidth"),
        ("plan", "--hide-communication"),
        ("plan", "--sensitivity"),
        ("plan", "--break-even", "fedbcd,parablock"),
        ("plan", "--budget", "500USD", "--method", "fedbcd"),
        ("sweep", "--bandwidth", "1MB/s,10MB/s", "--plot", "line"),
    ],
)
def test_a_hopeless_profile_is_named_by_every_command(command: tuple[str, ...], hopeless: Path, tmp_path: Path):
    out = ("--out", tmp_path / "out") if command[0] == "sweep" else ()
    said = " ".join(run(command[0], hopeless, *command[1:], *out).out.split())
    assert SAID in said
    assert said.count(SAID) == 1


def test_a_hopeless_profile_is_not_called_fitted(hopeless: Path):
    compute: Any = parasim.simulate(hopeless).provenance["compute"]
    assert compute["origin"] == "badly fitted"
    rows = parasim.sweep(hopeless, batch_size=[2, 4]).rows
    assert {row["compute_origin"] for row in rows} == {"badly fitted"}


def test_a_profile_that_predicts_well_is_not_doubted(tmp_path: Path):
    good = scenario_with(tmp_path, 0.05)
    compute: Any = parasim.simulate(good).provenance["compute"]
    assert compute["origin"] == "fitted"
    assert "warning" not in compute
    assert parasim.sweep(good, batch_size=[2, 4]).notes == []


JITTERY = {
    "model": "llama-3-8b",
    "rounds": 2,
    "compute": {"seconds": 3},
    "fleet": [
        {"name": "desks", "count": 2, "speed_jitter": {"sigma": 0.2}},
        {"name": "steady"},
        {"uplink_jitter": {"sigma": 0.2}, "speed_jitter": {"sigma": 0.1, "per": "round"}},
    ],
}
UNDRAWN = "Not looked at: speed_jitter of desks; speed_jitter and uplink_jitter of group2."


def test_jitter_is_said_of_the_groups_that_have_some():
    (sentence,) = ignored_jitter(Scenario.parse(JITTERY))
    assert sentence.startswith(UNDRAWN)
    assert ignored_jitter(Scenario.parse(JITTERY | {"fleet": [{"count": 3}]})) == []
    (many,) = ignored_jitter(Scenario.parse(JITTERY | {"fleet": JITTERY["fleet"][:1] * 5000}))  # type: ignore[index]
    assert "and 4,997 more groups" in many


@pytest.mark.parametrize(
    "command",
    [
        ("simulate",),
        ("explain",),
        ("plan", "--within", "1h", "--solve-for", "bandwidth"),
        ("plan", "--sensitivity"),
        ("sweep", "--bandwidth", "1MB/s,10MB/s", "--plot", "line"),
    ],
)
def test_jitter_that_a_command_does_not_draw_is_said(command: tuple[str, ...], tmp_path: Path):
    (tmp_path / "jittery.json").write_text(json.dumps(JITTERY))
    out = ("--out", tmp_path / "out") if command[0] == "sweep" else ()
    said = " ".join(run(command[0], tmp_path / "jittery.json", *command[1:], *out).out.split())
    assert said.count(UNDRAWN) == 1


@pytest.mark.parametrize("form", ["json", "csv"])
def test_sweeps_that_a_program_reads_say_it_beside_what_it_reads(form: str, hopeless: Path, tmp_path: Path):
    jitter = "fleet.0.speed_jitter={sigma: 0.2}"
    outcome = run("sweep", hopeless, "--set", jitter, "--format", form, "--out", tmp_path / "out")
    said = outcome.err.splitlines()
    assert len(said) == 2
    assert said[0].startswith(SAID)
    assert said[1].startswith("Not looked at: speed_jitter of site.")
    # Rows of CSV have no place for sentences; in JSON some are among the notes.
    assert any(sentence in outcome.out for sentence in said) == (form == "json")


def test_the_provenance_keeps_it_and_what_draws_does_not_say_so():
    assert parasim.simulate(JITTERY).provenance["ignored"] == ignored_jitter(Scenario.parse(JITTERY))
    drawn = parasim.plan(JITTERY, confidence=0.5)
    assert not any("Not looked at" in note for note in drawn.notes)


def test_training_says_so_too(small_training: Path, tmp_path: Path):
    arguments = ("--method", "fedbcd", "--set", "fleet.0.speed_jitter={sigma: 0.2}", "--out", tmp_path / "out")
    said = " ".join(run("train", small_training, *arguments).out.split())
    assert "Not looked at: speed_jitter of group0." in said


EXPERTS = {
    "model_type": "gpt_oss",
    "vocab_size": 8300,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "num_local_experts": 4,
}
LEFT_OUT = (
    "lora.targets: all-linear leaves out router.weight, gate_up_proj and down_proj, as peft does: 81% of the layers' "
    "weights get no adapters unless they are named."
)
"""A layer has 4 x 16 x 48 + 4 x 24 x 16 weights of experts and 16 x 4 of the router, 4,672 of 5,782 parameters in all.

The others are the experts' 4 x (48 + 16) bias terms and the router's 4, q, k, v and o with 768 weights and 48 bias
terms, 2 sinks and 2 norms of 16.
"""


@pytest.fixture
def experts(tmp_path: Path) -> Path:
    """A scenario of a model with experts that peft adapts by name alone."""
    (tmp_path / "config.json").write_text(json.dumps(EXPERTS))
    fields = {
        "model": "config.json",
        "method": "fedit",
        "rounds": 2,
        "local": {"batch_size": 1, "sequence_length": 8},
        "fleet": [{"name": "site", "count": 2}],
        "lora": {"rank": 4, "targets": "all-linear"},
        "compute": {"seconds": 1},
    }
    (tmp_path / "scenario.json").write_text(json.dumps(fields))
    return tmp_path / "scenario.json"


@pytest.mark.parametrize(
    "command",
    [
        ("simulate",),
        ("explain",),
        ("memory", "--method", "fedit,flora,fedbcd"),
        ("plan", "--break-even", "fedit,flora"),
        ("sweep", "--bandwidth", "1MB/s,10MB/s"),
    ],
)
def test_experts_that_get_no_adapters_are_named_by_every_command(
    command: tuple[str, ...], experts: Path, tmp_path: Path
):
    out = () if command[0] in ("memory", "explain") else ("--out", tmp_path / "out")
    outcome = run(command[0], experts, *command[1:], *out)
    assert outcome.status == 0, outcome.err
    assert " ".join(outcome.out.split()).count(LEFT_OUT) == 1


def test_programs_read_which_experts_get_no_adapters(experts: Path):
    assert json.loads(run("simulate", experts, "--format", "json").out)["provenance"]["ignored"] == [LEFT_OUT]
    assert json.loads(run("memory", experts, "--format", "json").out)["notes"] == [LEFT_OUT]


@pytest.mark.parametrize(
    "setting", ["lora.targets=[q_proj, gate_up_proj, down_proj]", "method.name=fedbcd", "model=llama-3.2-3b"]
)
def test_nothing_is_said_of_adapters_where_nothing_is_left_out(setting: str, experts: Path):
    assert "lora.targets" not in run("simulate", experts, "--set", setting).out


def test_modules_beside_the_experts_that_peft_cannot_adapt(experts: Path, tmp_path: Path):
    # Of the GLM-4.5 family: gate, up and down of a dense first layer and of a shared expert, 3 x 16 x 24 each, 2,304 in
    # all. Both layers have 768 weights of attention and 2 norms of 16, the second one 4 experts of 3 x 16 x 24 and a
    # router of 64: 2 x (768 + 32 + 1,152) + 4,608 + 64 = 8,576.
    sizes = {"n_routed_experts": 4, "n_shared_experts": 1, "moe_intermediate_size": 24, "first_k_dense_replace": 1}
    (tmp_path / "config.json").write_text(json.dumps(EXPERTS | sizes | {"model_type": "glm4_moe"}))
    [said] = parasim.simulate(experts).provenance["ignored"]
    assert "gate_proj, up_proj and down_proj outside of routed experts, as peft does: 27% of the layers'" in said


def test_training_says_which_experts_get_no_adapters(small_training: Path, tmp_path: Path):
    model = random_model(AutoConfig.for_model(**EXPERTS), seed=0)
    save_model(model, demonstration_tokenizer(), tmp_path / "base")
    settings = ("--method", "fedit", "--set", "lora.targets=all-linear", "--model", tmp_path / "base")
    outcome = run("train", small_training, *settings, "--out", tmp_path / "out")
    assert outcome.status == 0, outcome.err
    assert " ".join(outcome.out.split()).count(LEFT_OUT) == 1


def test_blocks_that_a_simulation_draws_where_training_chooses_them_are_said(small_training: Path, tmp_path: Path):
    chosen = {"rounds": 4, "compute": {"seconds": 1}, "payload": {"upload": "1MB"}, "blocks": {"schedule": "bandit"}}
    (sentence,) = parasim.simulate(chosen).provenance["ignored"]
    assert "blocks.schedule bandit" in sentence
    assert "ignored" not in parasim.simulate(chosen | {"method": "fedit"}).provenance
    arguments = ("--method", "fedbcd", "--set", "blocks.schedule=bandit", "--out", tmp_path / "out")
    assert "Not looked at" not in run("train", small_training, *arguments).out
