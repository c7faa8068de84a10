"""`paraSim validate compute` on a model of a few thousand parameters, timed by pretended clocks."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parasim.figures.devices import draw_devices
from parasim.figures.style import FigureError
from parasim_core.calibration.devices.published import read_rows
from parasim_core.calibration.devices.validation import validate
from parasim_core.calibration.measuring.calibrate import fitted, save
from parasim_core.calibration.measuring.measure import Measurer
from parasim_core.calibration.measuring.this_machine import this_device
from parasim_core.calibration.profiles.cost_terms import work
from parasim_core.calibration.profiles.points import StepPoint
from parasim_core.sim.workload.methods import Trains
from tests.calibration.synthetic import ARCHITECTURE, CONFIG, PRICES, measured_file, visit
from tests.parasim.command_line import refused, run

SMALL = (
    "--set",
    "rounds=2",
    "--set",
    "local.steps=1",
    "--set",
    "local.batch_size=3",
    "--set",
    "local.sequence_length=48",
)
FULL = StepPoint(trains=Trains.EVERYTHING, batch_size=3, sequence_length=48)
SECONDS = PRICES.step(work(ARCHITECTURE, FULL)) + PRICES.phase("update", work(ARCHITECTURE, FULL))
"""What the pretended measurement predicts for an update of full fine-tuning."""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path / "config.json"


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Measured points take what known prices say; returns the points visited."""
    visited: list[Any] = []

    def pretend(self: Measurer, point: Any, known: Any) -> Any:
        visited.append(point)
        return visit(ARCHITECTURE, point), None

    monkeypatch.setattr(Measurer, "visit", pretend)
    return visited


@pytest.fixture
def updates_take(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Choose what every local update takes [s]."""

    def take(seconds: float) -> None:
        readings = itertools.count()
        monkeypatch.setattr("parasim_core.train.update.local.now", lambda device: seconds * next(readings))

    return take


@pytest.fixture
def profile(config: Path, tmp_path: Path) -> Path:
    """A finished profile of this device whose prices are known."""
    file = fitted(measured_file(), ARCHITECTURE)
    model = file.model.model_copy(update={"name": str(config)})
    save(file.model_copy(update={"device": this_device("cpu", 1), "model": model}), tmp_path / "known.json")
    return tmp_path / "known.json"


def test_calibrates_predicts_trains_and_compares(
    config: Path, tmp_path: Path, pretended: list[Any], updates_take: Callable[[float], None]
):
    # Everything takes a tenth longer than full fine-tuning is predicted to: predicted over measured is 1 / 1.1, -9.1 %.
    updates_take(1.1 * SECONDS)
    out = tmp_path / "out"
    outcome = run("validate", "compute", "--model", config, *SMALL, "--method", "fedbcd,full-ft", "--out", out)
    assert outcome.status == 0, outcome.err
    assert pretended
    assert "the goal, an error of 10 % at most" in outcome.out
    line = next(line for line in outcome.out.splitlines() if line.startswith("full-ft"))
    assert line.split()[:2] == ["full-ft", "2"]
    assert "-9.1 %" in line
    assert line.split()[-1] == "yes"
    assert json.loads((out / "profile.json").read_text())["fit"] is not None
    with (out / "rounds.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["round"]) for row in rows] == [
        ("fedbcd", "0"), ("fedbcd", "1"), ("full-ft", "0"), ("full-ft", "1"),
    ]  # fmt: skip
    assert [row["first_layer"] for row in rows] == ["0.0", "3.0", "", ""]
    assert float(rows[2]["measured_s"]) == pytest.approx(1.1 * SECONDS)


def test_a_missed_goal_is_said_and_is_no_failure(profile: Path, tmp_path: Path, updates_take: Callable[[float], None]):
    updates_take(2 * SECONDS)
    arguments = ("--profile", profile, *SMALL, "--method", "full-ft", "--out", tmp_path / "out")
    outcome = run("validate", "compute", *arguments)
    assert outcome.status == 0, outcome.err
    assert "NOT met: 0 of 1 methods are within 10 %" in outcome.out
    assert "busier" in outcome.out


def test_json_and_the_four_methods(profile: Path, tmp_path: Path, updates_take: Callable[[float], None]):
    updates_take(SECONDS)
    lora = ("--set", "lora={rank: 4, targets: [q_proj, v_proj]}")
    outcome = run(
        "validate", "compute", "--profile", profile, *SMALL, *lora, "--out", tmp_path / "o", "--format", "json"
    )
    assert outcome.status == 0, outcome.err
    found = json.loads(outcome.out)
    assert found == json.loads((tmp_path / "o" / "validation.json").read_text())
    assert found["goal_pct"] == 10
    methods = {method["method"]: method for method in found["methods"]}
    assert list(methods) == ["parablock", "fedbcd", "fedit", "full-ft"]
    assert methods["full-ft"]["error_pct"] == pytest.approx(0, abs=0.1)
    assert methods["parablock"]["predicted_s"] == methods["fedbcd"]["predicted_s"]
    assert found["met"] == all(method["met"] for method in methods.values())


def test_what_the_profile_does_not_cover_is_named_beside_the_others(
    profile: Path, tmp_path: Path, updates_take: Callable[[float], None]
):
    updates_take(SECONDS)
    arguments = ("--profile", profile, *SMALL, "--method", "full-ft,flora", "--out", tmp_path / "out")
    outcome = run("validate", "compute", *arguments)
    assert outcome.status == 0, outcome.err
    assert "not covered" in outcome.out
    assert "merging was not measured" in outcome.out


def test_an_interrupted_measurement_goes_on(
    config: Path,
    tmp_path: Path,
    pretended: list[Any],
    updates_take: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
):
    updates_take(SECONDS)
    pretend = Measurer.visit

    def interrupted(self: Measurer, point: Any, known: Any) -> Any:
        if len(pretended) == 10:
            raise KeyboardInterrupt
        return pretend(self, point, known)

    arguments = ("validate", "compute", "--model", config, *SMALL, "--method", "full-ft", "--out", tmp_path / "out")
    monkeypatch.setattr(Measurer, "visit", interrupted)
    first = run(*arguments)
    assert first.status == 130
    assert "the same command goes on there" in first.err
    monkeypatch.setattr(Measurer, "visit", pretend)
    assert run(*arguments).status == 0
    whole = json.loads((tmp_path / "out" / "profile.json").read_text())
    assert len(pretended) == 3 * len(whole["samples"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--method", "parablok"), "'parablock'"),
        (("--method", ","), "--method"),
        (("--set", "local.stepz=1"), "'steps'"),
        (("--set", "blocks.layers=9"), "9"),
        (("--budget", "0s"), "must be longer than nothing"),
        (("--model", "smolm2-135m"), "'smollm2-135m'"),
        (("--profile", "paper-a100"), "was not measured here"),
        (("--profile", "nowhere.json"), "no profile 'nowhere.json'"),
        (("--profile", "nowhere.json", "--threads", "2"), "--threads 2"),
    ],
)
def test_what_is_refused_before_anything_is_measured(
    arguments: tuple[str, ...], message: str, config: Path, tmp_path: Path, pretended: list[Any]
):
    given = refused("validate", "compute", "--model", config, "--out", tmp_path / "out", *arguments)
    assert message in given
    assert not pretended


def test_a_profile_of_another_device(profile: Path, tmp_path: Path):
    data = json.loads(profile.read_text())
    data["device"]["name"] = "another chip"
    profile.write_text(json.dumps(data))
    message = refused("validate", "compute", "--profile", profile, "--out", tmp_path / "out")
    assert "was measured on another chip; this is" in message


def test_a_run_that_no_method_is_covered_for(profile: Path, tmp_path: Path):
    arguments = ("--profile", profile, "--set", "local.batch_size=64", "--out", tmp_path / "out")
    assert "batch sizes 1 to 8" in refused("validate", "compute", *arguments)


@pytest.mark.parametrize("options", [(), ("--profile", "PROFILE")])
def test_the_model_is_not_a_field_of_the_run(profile: Path, tmp_path: Path, options: tuple[str, ...]):
    given = [profile if option == "PROFILE" else option for option in options]
    message = refused("validate", "compute", *given, "--set", "model=llama-3-8b", "--out", tmp_path / "out")
    assert message.startswith("--set model=llama-3-8b: give the model that is measured and trained with --model")
    assert not (tmp_path / "out").exists()


def test_another_model_than_the_profiles_is_refused(profile: Path, tmp_path: Path):
    message = refused("validate", "compute", "--profile", profile, "--model", "gpt2", "--out", tmp_path / "out")
    assert message.startswith("--model gpt2: the profile synthetic is of ")


def test_more_threads_than_processors_are_refused(tmp_path: Path):
    assert "must be at most" in refused("validate", "compute", "--threads", "1000000", "--out", tmp_path / "out")


ROW = {
    "id": "one",
    "metric": "time",
    "model": "tiny",
    "gpu": "h100",
    "method": "full",
    "optimizer": "AdamW",
    "precision": "bfloat16",
    "batch": 2,
    "sequence_length": 64,
    "step_seconds": 1.0,
    "source": "made up",
}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Two rows, one of them of no known GPU, with their model beside them."""
    (tmp_path / "rows.json").write_text(json.dumps([ROW, ROW | {"id": "two", "gpu": "Radeon VII"}]))
    (tmp_path / "models.json").write_text(json.dumps({"tiny": CONFIG}))
    return tmp_path / "rows.json"


def test_published_rows_of_a_file_beside_their_predictions(rows: Path):
    found = json.loads(run("validate", "devices", "--rows", rows, "--format", "json").out)
    one, two = found["rows"]
    assert (one["id"], one["metric"], one["reported"], one["comparable"]) == ("one", "time", 1.0, True)
    assert one["error_pct"] == pytest.approx(100 * (one["predicted"] - 1))
    assert (two["predicted"], two["error_pct"], two["comparable"]) == (None, None, False)
    assert "Radeon VII" in two["reason"]
    assert found["summary"]["time"]["expressed"]["rows"] == 1
    table = run("validate", "devices", "--rows", rows).out
    assert f"{one['error_pct']:+.1f} %" in table
    assert "two: no device" in table


def test_files_that_hold_no_published_rows_are_refused(rows: Path):
    assert "missing.json" in refused("validate", "devices", "--rows", rows.parent / "missing.json")
    rows.write_text("[]")
    assert "rows.json" in refused("validate", "devices", "--rows", rows)


def test_the_picture_of_published_rows_is_the_same_every_time(rows: Path, tmp_path: Path):
    verdicts = validate(read_rows(rows))
    first, second = (draw_devices(verdicts, tmp_path / name) for name in ("one", "two"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    with pytest.raises(FigureError, match="0 families"):
        draw_devices(verdicts[1:], tmp_path / "none")
