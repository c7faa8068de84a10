"""`paraSim calibrate` on a model of a few thousand parameters, and what `paraSim list profiles` says of it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch

from parasim_core.calibration.measuring import calibrate as calibration
from parasim_core.calibration.measuring import measure, measured_model
from parasim_core.calibration.measuring.measure import Measurer
from parasim_core.sim.errors import CostError
from parasim_core.sim.workload.architecture import from_config
from parasim_core.train.models.out_of_memory import DeviceMemoryError
from parasim_core.train.runs.lock import locked
from tests.calibration.synthetic import ARCHITECTURE, CONFIG, visit
from tests.parasim.command_line import refused, run

PLAN = ("--batch-size", "1,2,4", "--sequence-length", "4,8,16", "--layers", "1,2,4", "--rank", "2")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    torch.set_num_threads(1)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path / "config.json"


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Visits take what known prices say, and no time; returns the points visited."""
    visited: list[Any] = []

    def pretend(self: Measurer, point: Any, known: Any) -> Any:
        visited.append(point)
        return visit(ARCHITECTURE, point), None

    monkeypatch.setattr(Measurer, "visit", pretend)
    return visited


def test_a_real_calibration_gives_a_profile_that_simulates(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "tiny.json"
    small = ("--batch-size", "1,2,4", "--sequence-length", "8", "--layers", "2", "--rank", "2")
    # A budget of nothing visits every point once, here for the fewest steps.
    monkeypatch.setattr(measure, "_VISIT_SECONDS", 0.0)
    outcome = run("calibrate", "--model", config, *small, "--threads", "1", "--budget", "1ms", "--out", out)
    assert outcome.status == 0, outcome.err
    assert "held out: error" in outcome.out
    data = json.loads(out.read_text())
    assert {sample["repeats"] for sample in data["samples"]} == {1}
    assert data["device"]["clock"] == "cpu-time"
    assert data["fit"] is not None
    scenario = {
        "model": str(config),
        "blocks": {"layers": 2},
        "rounds": 3,
        "local": {"steps": 2, "batch_size": 3, "sequence_length": 8},
        "compute": {"profile": str(out)},
    }
    (tmp_path / "run.json").write_text(json.dumps(scenario))
    simulated = run("simulate", tmp_path / "run.json")
    assert simulated.status == 0, simulated.err
    assert "profile tiny (measured" in simulated.out


def test_an_interrupted_calibration_goes_on(
    config: Path, tmp_path: Path, pretended: list[Any], monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "tiny.json"
    arguments = ("calibrate", "--model", config, *PLAN, "--threads", "1", "--out", out)
    pretend = Measurer.visit

    def interrupted(self: Measurer, point: Any, known: Any) -> Any:
        if len(pretended) == 10:
            raise KeyboardInterrupt
        return pretend(self, point, known)

    monkeypatch.setattr(Measurer, "visit", interrupted)
    first = run(*arguments)
    assert first.status == 130
    assert "the same command goes on" in first.err
    left = json.loads(out.read_text())
    assert len(left["samples"]) == 10
    assert left["fit"] is None
    assert "measuring was interrupted; continue with `paraSim calibrate" in _refused_simulation(config, out, tmp_path)

    monkeypatch.setattr(Measurer, "visit", pretend)
    again = run(*arguments)
    assert again.status == 0, again.err
    whole = json.loads(out.read_text())
    assert whole["date"] == left["date"]
    # Three visits each: those made before the interruption are not made again.
    assert {sample["repeats"] for sample in whole["samples"]} == {3}
    assert len(pretended) == 3 * len(whole["samples"])


def _refused_simulation(config: Path, profile: Path, folder: Path) -> str:
    scenario = {"model": str(config), "blocks": {"layers": 2}, "compute": {"profile": str(profile)}}
    (folder / "run.json").write_text(json.dumps(scenario))
    return refused("simulate", folder / "run.json")


def test_a_file_of_another_calibration_is_left_alone(config: Path, tmp_path: Path, pretended: list[Any]):
    out = tmp_path / "tiny.json"
    run("calibrate", "--model", config, *PLAN, "--out", out)
    before = out.read_bytes()
    message = refused("calibrate", "--model", config, *PLAN, "--seed", "5", "--out", out)
    assert "holds another calibration: its plan differs" in message
    assert out.read_bytes() == before


def test_the_recorded_command_goes_on_whatever_was_given(config: Path, tmp_path: Path, pretended: list[Any]):
    # Without adapters, which the command has by default.
    for number, empty in enumerate((("--rank", ""), ("--targets", ""))):
        out = tmp_path / f"{number}.json"
        small = ("--batch-size", "1,2,4", "--sequence-length", "4,8,16", "--layers", "1,2", *empty)
        first = run("calibrate", "--model", config, *small, "--threads", "1", "--out", out)
        assert first.status == 0, first.err
        data = json.loads(out.read_text())
        assert data["plan"]["ranks"] == []
        again = run(*shlex.split(data["command"])[1:])
        assert again.status == 0, again.err
        assert json.loads(out.read_text())["command"] == data["command"]


def test_two_at_once_do_not_write_one_file(config: Path, tmp_path: Path, pretended: list[Any]):
    out = tmp_path / "tiny.json"
    arguments = ("calibrate", "--model", config, *PLAN, "--threads", "1", "--out")
    with locked(tmp_path, "tiny.json"):
        assert "tiny.json: another paraSim" in refused(*arguments, out)
        assert not pretended
        # What else is written to that folder is another matter.
        assert run(*arguments, tmp_path / "other.json").status == 0
    assert run(*arguments, out).status == 0


def test_what_no_profile_can_be_written_to_is_refused_without_a_lock(
    config: Path, tmp_path: Path, pretended: list[Any]
):
    message = refused("calibrate", "--model", config, *PLAN, "--out", "/dev/null")
    assert message == "--out /dev/null: is no regular file; give one, such as profile.json"
    before = config.read_text()
    message = refused("calibrate", "--model", config, *PLAN, "--out", config)
    assert message.startswith(f"--out {config}: exists and cannot be continued; give another file: ")
    assert config.read_text() == before
    assert not pretended
    assert [file.name for file in tmp_path.iterdir()] == ["config.json"]


def test_a_plan_too_small_for_a_fit_is_refused_before_it_is_measured(
    config: Path, tmp_path: Path, pretended: list[Any]
):
    config.write_text(json.dumps(CONFIG | {"num_hidden_layers": 1}))
    small = ("--batch-size", "1", "--sequence-length", "8", "--layers", "1", "--rank", "")
    message = refused("calibrate", "--model", config, *small, "--out", tmp_path / "p.json")
    assert message.startswith("too few points are planned: ")
    assert not pretended


def test_the_defaults_fit_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    torch.set_num_threads(1)
    small = {"n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 64, "vocab_size": 96, "eos_token_id": 0}
    gpt2 = {"model_type": "gpt2", "bos_token_id": 0} | small
    (tmp_path / "config.json").write_text(json.dumps(gpt2))
    model = from_config(gpt2, "gpt2")
    monkeypatch.setattr(Measurer, "visit", lambda self, point, known: (visit(model, point), None))
    arguments = ("calibrate", "--model", tmp_path / "config.json", "--budget", "1ns", "--out", tmp_path / "p.json")
    outcome = run(*arguments)
    assert outcome.status == 0, outcome.err
    plan = json.loads((tmp_path / "p.json").read_text())["plan"]
    assert (plan["layers"], plan["ranks"], plan["targets"]) == ([1, 2], [16], ["c_attn"])
    assert max(plan["sequence_lengths"]) == 64
    message = refused(*arguments, "--sequence-length", "32,65")
    assert message.startswith("--sequence-length 65: ")
    assert message.endswith(" has positions for 64 tokens")


def test_a_shipped_profile_may_be_measured_again(config: Path, tmp_path: Path, pretended: list[Any]):
    out = tmp_path / "demo-cpu.json"
    assert run("calibrate", "--model", config, *PLAN, "--name", "demo-cpu", "--out", out).status == 0
    assert json.loads(out.read_text())["name"] == "demo-cpu"


def test_names_of_coefficients_are_whole_at_80_columns(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("parasim.text.PIPE_WIDTH", 80)
    words = run("list", "profiles", "--explain", "demo-cpu").out.split()
    prices = json.loads(run("list", "profiles", "--explain", "demo-cpu", "--format", "json").out)["fit"]
    assert {name for name, price in prices["coefficients"].items() if price["value"]} <= set(words)


def test_a_folder_is_no_file(config: Path, tmp_path: Path, pretended: list[Any]):
    message = refused("calibrate", "--model", config, *PLAN, "--out", tmp_path)
    assert message == f"--out {tmp_path}: is a folder; give a file, such as {tmp_path / 'profile.json'}"


def test_too_few_points_are_counted(
    config: Path, tmp_path: Path, pretended: list[Any], monkeypatch: pytest.MonkeyPatch
):
    def lacking(self: Measurer, point: Any, known: Any) -> Any:
        raise DeviceMemoryError("too large")

    monkeypatch.setattr(Measurer, "visit", lacking)
    message = refused("calibrate", "--model", config, *PLAN, "--rank", "", "--out", tmp_path / "p.json")
    assert "0 for the fit and 0 held out from it; at least 4 and 1 are needed" in message


def test_points_that_were_visited_once_are_remarked_on(config: Path, tmp_path: Path, pretended: list[Any]):
    out = tmp_path / "tiny.json"
    hasty = run("calibrate", "--model", config, *PLAN, "--budget", "1ns", "--out", out)
    points = len(json.loads(out.read_text())["samples"])
    assert f"{points} of {points} points were visited once: their spread is unknown" in " ".join(hasty.out.split())
    thorough = run("calibrate", "--model", config, *PLAN, "--out", out)
    assert "visited once" not in thorough.out


def test_json(config: Path, tmp_path: Path, pretended: list[Any]):
    outcome = run("calibrate", "--model", config, *PLAN, "--out", tmp_path / "p.json", "--format", "json")
    printed = json.loads(outcome.out)
    assert printed["held_out"]["median_error_pct"] < 0.1
    assert "samples" not in printed


def test_a_profile_is_explained(config: Path, tmp_path: Path, pretended: list[Any]):
    out = tmp_path / "tiny.json"
    run("calibrate", "--model", config, *PLAN, "--out", out)
    outcome = run("list", "profiles", "--explain", out)
    assert outcome.status == 0, outcome.err
    for words in ("gradients of the trained weights", "AdamW's step", "s per 1e12 operations", "held out: error"):
        assert words in outcome.out
    printed = json.loads(run("list", "profiles", "--explain", out, "--format", "json").out)
    assert printed["fit"]["coefficients"]["optimizer"]["unit"] == "s per 1e9 weights"


def test_a_profile_without_a_fit_of_its_own_is_not_explained():
    assert "only measured profiles" in refused("list", "profiles", "--explain", "paper-a100")


def test_the_schema_is_a_schema():
    schema = json.loads(run("list", "profiles", "--schema").out)
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--batch-size", "one"), "--batch-size: must be a number, not 'one'"),
        (("--batch-size", "0"), "--batch-size: must be at least 1, not 0"),
        (("--batch-size", ","), "--batch-size"),
        (("--batch-size", ""), "--batch-size"),
        (("--sequence-length", " "), "--sequence-length"),
        (("--layers", ""), "--layers"),
        (("--layers", "1,1.0,2"), "--layers: a value stands twice"),
        (("--rank", "4,[4"), "'[4'"),
        (("--rank", "17"), "--rank 17: must be at most 16, the width of"),
        (("--targets", "q_proj+"), "has no module ''"),
        (("--targets", "q_proj+v_proj,v_proj+q_proj"), "--targets"),
        (("--threads", "1000000"), "--threads 1000000"),
        (("--layers", "1.5"), "--layers: must be 0.5 or a whole number, not 1.5"),
        (("--layers", "16"), "has only 8 layers"),
        (("--layers", "0"), "--layers"),
        (("--sequence-length", "100000000"), "--sequence-length"),
        (("--rank", "0"), "--rank"),
        (("--seed", str(2**63)), "--seed"),
        (("--targets", "c_attn"), "--targets c_attn: "),
        (("--name", "demo-cpu"), "--name demo-cpu"),
        (("--name", "a\x1b[2J"), "name: must be one line of printable text"),
        (("--rank", "2", "--targets", "no_proj"), "no_proj"),
        (("--budget", "soon"), "--budget 'soon'"),
        (("--budget", "0s"), "--budget 0s"),
    ],
)
def test_bad_options(config: Path, tmp_path: Path, arguments: tuple[str, ...], message: str):
    out = tmp_path / "p.json"
    assert message in refused("calibrate", "--model", config, "--out", out, *arguments)
    # No lock either.
    assert {file.name for file in tmp_path.iterdir()} == {"config.json"}


def test_models_that_are_not_there(tmp_path: Path):
    assert "'smollm2-135m'" in refused("calibrate", "--model", "smolm2-135m", "--out", tmp_path / "p.json")
    vision = refused("calibrate", "--model", "vit-b16", "--out", tmp_path / "p.json")
    assert "only language models are measured" in vision


@pytest.mark.parametrize(
    ("device", "given", "seconds"), [("cpu", (), 540), ("cuda", (), 150), ("cuda", ("--budget", "1h"), 3600)]
)
def test_a_gpu_gets_less_time(
    config: Path, tmp_path: Path, device: str, given: tuple[str, ...], seconds: int, monkeypatch: pytest.MonkeyPatch
):
    def asked(request: calibration.Request, **options: Any) -> Any:
        raise CostError(f"{request.device}: {request.seconds:g} s")

    monkeypatch.setattr(calibration, "calibrate", asked)
    message = refused("calibrate", "--model", config, "--device", device, *given, "--out", tmp_path / "p.json")
    assert f"{device}: {seconds} s" in message


def test_a_model_beyond_the_memory_is_refused_before_it_is_built(
    config: Path, tmp_path: Path, pretended: list[Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(measured_model, "available_bytes", lambda: 1000)
    monkeypatch.setattr(measured_model, "random_model", lambda *given, **options: pytest.fail("it was built"))
    outcome = run("calibrate", "--model", config, *PLAN, "--out", tmp_path / "p.json")
    assert outcome.status == 2
    assert len(outcome.err.strip().splitlines()) == 1
    assert f"--model {config}: " in outcome.err
    assert not (tmp_path / "p.json").exists()


def test_no_gpu(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(calibration.torch.cuda, "is_available", lambda: False)
    message = refused("calibrate", "--model", config, "--device", "cuda", "--out", tmp_path / "p.json")
    assert "PyTorch finds no CUDA device" in message


def test_an_unwritable_place_is_found_before_anything_is_measured(config: Path, tmp_path: Path, pretended: list[Any]):
    (tmp_path / "file").write_text("")
    refused("calibrate", "--model", config, "--out", tmp_path / "file" / "p.json")
    assert not pretended
