"""`paraSim train`, from the command line to the files."""

from __future__ import annotations

import csv
import errno
import json
from pathlib import Path

import pytest
import safetensors.torch

import parasim
from parasim.training import train
from tests.parasim.command_line import refused, run
from tests.parasim.conftest import SMALL_TRAINING
from tests.train.runs.test_lock import held

EXAMPLES = Path(__file__).parents[2] / "examples"
DIGITS = ("--data", "digits", "--set", "train.partition.kind=iid")


def test_training_that_diverges_ends_with_a_status_of_its_own(small_training: Path, tmp_path: Path):
    rate = ("--set", "train.learning_rate=1e30", "--set", "train.pretraining.steps=0")
    outcome = run("train", small_training, *rate, "--out", tmp_path / "out")
    assert (outcome.status, outcome.out) == (4, "")
    assert "diverged" in outcome.err


def test_the_result_is_that_of_the_last_round(trained: tuple[Path, str]):
    out, _ = trained
    result = json.loads((out / "training.json").read_text())
    with (out / "metrics.csv").open() as file:
        last = {row["method"]: row for row in csv.DictReader(file)}
    assert [one["method"] for one in result["methods"]] == ["parablock", "fedit"]
    for one in result["methods"]:
        row = last[one["method"]]
        assert one["eval_loss"] == float(row["eval_loss"])
        assert one["uploaded_bytes"] == float(row["uploaded_bytes"])
        assert one["wall_clock_s"] >= float(row["simulated_s"])
    assert result["base"]["eval_loss"] == json.loads((out / "base.json").read_text())["eval_loss"]


def test_what_is_left(trained: tuple[Path, str]):
    out, printed = trained
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert {
        "metrics.csv", "partition.json", "held-out.jsonl", "training.png", "training.svg", "partition.png",
        "parablock/timeline.csv", "parablock/model/config.json", "parablock/model/model.safetensors",
        "parablock/model/tokenizer.json", "fedit/adapter/adapter_model.safetensors",
        "parablock/deltas/round-0001-client-0002.safetensors",
    } <= names  # fmt: skip
    assert not [name for name in names if "part" in name.rpartition(".")[2] or name.endswith((".pt", ".pkl", ".bin"))]
    record = json.loads((out / "reproduce.json").read_text())
    assert {"metrics.csv", "training.svg", "partition.svg"} <= set(record["files"]) <= names
    assert "held-out loss" in printed
    with (out / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["round"]) for row in rows] == [
        ("parablock", "0"), ("parablock", "1"), ("fedit", "0"), ("fedit", "1"),
    ]  # fmt: skip


def test_what_is_priced_and_not_applied_is_said(small_training: Path, tmp_path: Path):
    arguments = ("train", small_training, "--method", "fedit", "--clock", "profile", "--set", "rounds=1")
    printed = {}
    for size in (4, 1):
        outcome = run(*arguments, "--set", f"wire.bytes_per_parameter={size}", "--out", tmp_path / str(size))
        assert outcome.status == 0, outcome.err
        printed[size] = " ".join(outcome.out.split())
    assert "wire.bytes_per_parameter=1 is priced and not applied" in printed[1]
    assert "priced and not applied" not in printed[4]
    again = [
        "--set", "fleet=[{count: 2}]", "--set", "rounds=3", "--set", "participation.rounds=[[0], [0], [0, 1]]",
        "--set", "wire.bytes_per_parameter=2",
    ]  # fmt: skip
    outcome = run(*arguments, *again, "--out", tmp_path / "again")
    assert outcome.status == 0, outcome.err
    assert "wire.bytes_per_parameter=2 is priced and not applied where" in " ".join(outcome.out.split())


def test_what_failures_cost_is_said_and_listed(small_training: Path, tmp_path: Path):
    told = ("--set", "fleet.*.dropout={rate: 60%}", "--set", "participation.short=wait", "--set", "rounds=3")
    outcome = run("train", small_training, "--method", "fedit", *told, "--out", tmp_path)
    assert outcome.status == 0, outcome.err
    with (tmp_path / "fedit" / "failures.csv").open() as file:
        vanished = [row for row in csv.DictReader(file) if row["what"] == "vanished"]
    assert vanished
    said = " ".join(outcome.out.split())
    assert f"{len(vanished)} updates lost" in said
    assert "of 3 rounds with fewer updates than were wanted" in said


def test_the_same_command_again_changes_nothing(trained: tuple[Path, str], small_training: Path):
    out, printed = trained
    watched = ["metrics.csv", "parablock/timeline.csv", "parablock/model/model.safetensors", "training.svg"]
    before = {name: (out / name).read_bytes() for name in watched}
    again = run("train", small_training, "--method", "parablock,fedit", "--clock", "profile", "--deltas", "--out", out)
    assert again.out == printed
    assert {name: (out / name).read_bytes() for name in watched} == before


def test_both_clocks_side_by_side(small_training: Path, tmp_path: Path):
    # By the given seconds, one FedBCD round of 2 s and an upload of V bytes at 1 MB/s ends at 2 + V / 1e6.
    arguments = ("--method", "fedbcd", "--clock", "both", "--out", tmp_path, "--set", "rounds=1")
    assert run("train", small_training, *arguments).status == 0
    with (tmp_path / "fedbcd" / "clocks.csv").open() as file:
        (row,) = csv.DictReader(file)
    with (tmp_path / "metrics.csv").open() as file:
        (metric,) = csv.DictReader(file)
    size = float(metric["uploaded_bytes"]) / 3
    assert row["measured_s"] == metric["simulated_s"]
    assert float(row["profile_s"]) == pytest.approx(2 + size / 1e6, rel=1e-12)
    assert (tmp_path / "fedbcd" / "timeline-profile.csv").is_file()


def test_both_clocks_time_the_blocks_that_were_chosen(small_training: Path, tmp_path: Path):
    chosen = ("--set", "rounds=8", "--set", "blocks.schedule=change")
    arguments = ("--method", "fedbcd", "--clock", "both", "--out", tmp_path, *chosen)
    assert run("train", small_training, *arguments).status == 0
    blocks = {}
    for name in ("timeline", "timeline-profile"):
        with (tmp_path / "fedbcd" / f"{name}.csv").open() as file:
            blocks[name] = {row["round"]: row["block"] for row in csv.DictReader(file) if row["kind"] == "aggregate"}
    assert len(blocks["timeline"]) == 8
    assert blocks["timeline-profile"] == blocks["timeline"]


@pytest.mark.parametrize("clock", ["profile", "both"])
def test_a_profile_that_does_not_cover_the_run_is_refused_before_training(clock: str, tmp_path: Path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL_TRAINING.replace("compute: {seconds: 2}\n", ""))
    message = refused("train", path, "--clock", clock, "--out", tmp_path / "out")
    assert "paper-a100" in message
    assert not list((tmp_path / "out").rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--method", "parablok"), "'parablock'"),
        (("--set", "train.learning_rat=1"), "'learning_rate'"),
        (("--set", "train.data.sorce=x"), "'source'"),
        (("--data", "missing.jsonl"), "missing.jsonl"),
        (("--set", "train.learning_rate.parablok=1e-3"), "'parablock'"),
        (("--model", "./nowhere"), "there is no such file or folder"),
        (("--set", "fleet.0.count=70"), "70 clients"),
        (("--set", "local.sequence_length=3"), "no answer token is left"),
        (("--set", "lora.targets=[nothing]", "--method", "fedit"), "nothing"),
        (("--set", "blocks.schedule=[9, 9]"), "9"),
        (("--set", "wire.precision=bfloat16"), "wire: precision: bfloat16 takes 2 bytes per value"),
        (("--set", "wire.upload.bits=1"), "wire.upload.bits"),
    ],
)
def test_what_is_refused(arguments: tuple[str, ...], message: str, small_training: Path, tmp_path: Path):
    given = refused(
        "train", small_training, "--set", "train.pretraining.steps=0", "--out", tmp_path / "out", *arguments
    )
    assert message in given
    assert "\n" not in given


def test_a_full_disk(small_training: Path, tmp_path: Path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    message = refused("train", small_training, *DIGITS, "--out", tmp_path)
    assert message.endswith("round 0 cannot be written: No space left on device")


def test_a_checkpoint_of_other_settings(small_training: Path, tmp_path: Path):
    assert run("train", small_training, *DIGITS, "--out", tmp_path).status == 0
    assert "belongs to another run" in refused("train", small_training, *DIGITS, "--set", "seed=1", "--out", tmp_path)


def test_a_file_where_results_should_go(small_training: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    assert "file" in refused("train", small_training, "--out", tmp_path / "file")


def test_a_training_by_profile_is_timed_with_its_accumulation(small_training: Path, tmp_path: Path):
    # The clock is a simulation's, so it must say what a simulation of the same scenario says: a step over three batches
    # is three passes and one optimizer step, which is less than three steps and more than two.
    sized = ["model=demo", "compute={profile: demo-cpu}", "local={steps: 1, batch_size: 4, sequence_length: 64}"]
    times = {}
    for batches in (1, 3):
        overrides = [*sized, "rounds=1", f"train.accumulation={batches}"]
        training = train(
            small_training, method=["full-ft"], set=overrides, out=tmp_path / str(batches), clock="profile"
        )
        times[batches] = training.results["full-ft"].mean("compute")
        simulated = parasim.simulate(small_training, [*overrides, "method.name=full-ft"])
        assert times[batches] == pytest.approx(simulated.mean("compute"))
    assert 2 < times[3] / times[1] < 3


def test_digits_are_read(tmp_path: Path):
    # A fifth of the example's rounds. Guessing reads one digit in ten; on average over these seeds, ParaBlock reads
    # 59 % of those that it has never seen and FedBCD 77 %.
    accuracies: dict[str, list[float]] = {}
    for seed in range(3):
        overrides = ["rounds=4", f"seed={seed}", "train.evaluation={every: 4}"]
        training = train(
            EXAMPLES / "digits.yaml",
            method=["parablock", "fedbcd"],
            set=overrides,
            out=tmp_path / str(seed),
            clock="profile",
        )
        for row in training.metrics:
            if row["accuracy"] is not None:
                accuracies.setdefault(str(row["method"]), []).append(float(str(row["accuracy"])))
    assert {method: len(found) for method, found in accuracies.items()} == {"parablock": 3, "fedbcd": 3}
    assert all(sum(found) / len(found) > 0.35 for found in accuracies.values())


def test_a_method_that_does_not_fit_is_refused_before_any_is_trained(tmp_path: Path):
    # The demonstration's model has four layers: not one for each of ten clients.
    outcome = run("train", "--set", "blocks={layers: 1}", "--method", "fedbcd,fedcybgd", "--out", tmp_path / "out")
    assert outcome.status == 2
    assert "let clients share: blocks.count" in outcome.err
    assert not (tmp_path / "out" / "metrics.csv").exists()
    assert not (tmp_path / "out" / "base").exists()


def test_the_demonstration_fits_its_methods():
    from parasim.sweeping import PAPER_METHODS
    from parasim.training import DEMONSTRATION
    from parasim_core.sim.engine.simulate import prepare
    from parasim_core.sim.scenario import reading as scenario_file
    from parasim_core.sim.scenario.scenario import Scenario
    from parasim_core.train.runs.settings import TrainSettings
    from parasim_core.train.runs.workbench import build

    scenarios = [Scenario.parse(scenario_file.read(DEMONSTRATION) | {"method": method}) for method in PAPER_METHODS]
    bench = build(scenarios[0], TrainSettings.parse(scenarios[0].train))
    assert [len(prepare(scenario, bench.architecture).blocks or ()) for scenario in scenarios] == [4, 4, 0, 4]


def test_adapters_of_every_method_are_checked_before_any_is_trained(small_training: Path, tmp_path: Path):
    # Sizes on the wire are given, so that nothing else asks for the modules.
    given = ("--set", "payload={upload: 1MB}", "--set", "lora.targets=[q_porj]")
    message = refused("train", small_training, *given, "--method", "fedbcd,fedit", "--out", tmp_path / "out")
    assert "'q_proj'" in message
    assert not (tmp_path / "out" / "metrics.csv").exists()


def test_two_trainings_in_one_directory(small_training: Path, tmp_path: Path):
    with held(tmp_path) as other:
        message = refused("train", small_training, "--out", tmp_path)
        assert f"another paraSim (process {other.pid}) is writing there" in message
    assert not (tmp_path / "metrics.csv").exists()
