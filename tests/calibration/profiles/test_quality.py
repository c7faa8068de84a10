"""A profile says whether it is good enough to rely on, and what it says follows from its own samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from parasim_core.calibration.measuring.calibrate import save
from parasim_core.calibration.profiles.loading import load_profile
from parasim_core.calibration.profiles.measured import MeasuredProfile
from parasim_core.calibration.profiles.measured_file import MergeSample
from parasim_core.calibration.profiles.merging import fit_merging
from parasim_core.calibration.profiles.quality import doubt
from parasim_core.sim.errors import CostError
from tests.calibration.synthetic import ARCHITECTURE, file_that_is_off
from tests.parasim.command_line import refused, run


@pytest.mark.parametrize(
    ("median", "p95", "doubted"), [(5, 12, False), (10, 30, False), (10.1, 12, True), (27, 60, True), (3, 31, True)]
)
def test_what_is_doubted(median: float, p95: float, doubted: bool):
    assert bool(doubt(median, p95)) is doubted


# Of 17 points that are held out a quarter is more than one in twenty and less than half: the median stays 0.
@pytest.mark.parametrize(
    ("error", "off", "quality"), [(0.05, None, "good"), (0.27, None, "poor"), (0.29, 4, "good"), (0.31, 4, "poor")]
)
def test_the_verdict_stands_in_the_file(error: float, off: int | None, quality: str, tmp_path: Path):
    file = file_that_is_off(error, off)
    assert file.held_out is not None
    assert file.held_out.median_error_pct == pytest.approx(0 if off else 100 * error, abs=0.011)
    assert file.held_out.p95_error_pct == pytest.approx(100 * error, abs=0.011)
    save(file, tmp_path / "p.json")
    assert json.loads((tmp_path / "p.json").read_text())["quality"] == quality
    found = load_profile(str(tmp_path / "p.json"))
    assert isinstance(found, MeasuredProfile)
    assert found.file == file


@pytest.mark.parametrize(("error", "said"), [(0.01, "Verdict: good."), (0.5, "Verdict: poor. Do not rely on it")])
def test_the_verdict_is_the_last_that_is_said_of_a_profile(error: float, said: str, tmp_path: Path):
    save(file_that_is_off(error), tmp_path / "p.json")
    printed = " ".join(run("list", "profiles", "--explain", tmp_path / "p.json").out.split())
    assert said in printed
    assert printed.index("Verdict") > printed.index("FLoRA is not covered")


def test_poor_merging_is_said_beside_a_good_verdict(tmp_path: Path):
    # Two points make the line 1 s a unit of rank; at rank 2 it is 2 s against 1, which is 100 % off.
    (tmp_path / "p.json").write_text(json.dumps(spoilt(["name"], "spoilt", merge=1.0)))
    printed = " ".join(run("list", "profiles", "--explain", tmp_path / "p.json").out.split())
    assert "Do not rely on it for FLoRA: a median error of 100 %" in printed
    assert "Verdict: good." in printed


def spoilt(path: list[Any], value: Any, merge: float = 2.0) -> dict[str, Any]:
    """A profile, off by 5 % with a price for merging (of rank 2, so many seconds), one of whose fields is another."""
    merges = [
        MergeSample(targets="q_proj+v_proj", rank=rank, role=role, seconds=(seconds,))
        for rank, role, seconds in [(1, "fit", 1.0), (2, "held-out", merge), (12, "fit", 12.0)]
    ]
    file = file_that_is_off(0.05).model_copy(update={"merging": fit_merging(merges, ARCHITECTURE)})
    data: dict[str, Any] = json.loads(json.dumps(file.model_dump(mode="json")))
    place: Any = data
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["held_out", "median_error_pct"], 2.0, "held_out.median_error_pct: is 2.0, but the rest .* gives 5.0"),
        (["held_out", "p95_error_pct"], 2.0, "held_out.p95_error_pct"),
        (["held_out", "fitted_p95_error_pct"], 2.0, "held_out.fitted_p95_error_pct"),
        (["held_out", "points"], 400, "held_out.points"),
        (["held_out", "batch_size"], 1, "held_out.batch_size"),
        (["held_out", "first_layers"], [], "held_out.first_layers"),
        (["quality"], "poor", "quality: is 'poor', but the rest .* gives 'good'"),
        (["merging", "median_error_pct"], 3.0, "merging.median_error_pct"),
        # A price that somebody changed: its held-out errors are others then.
        (["fit", "coefficients", "forward_constant", "value"], 5.0, "held_out.median_error_pct"),
        (["model", "parameters"], 7, "model.parameters"),
        (["model", "config", "hidden_size"], 32, "model.shape"),
        (["model", "shape", "hidden_size"], 32, "model.shape.hidden_size"),
        (["samples", 0, "step_s"], 5.0, "samples.0: step_s: 5, but the median of its visits is"),
        (["samples", 0, "visits"], [{"forward": 0, "head": 0, "backward": 0, "update": 0}] * 3, "a step takes some"),
        (["merging", "samples", 1, "role"], "fit", "merging: samples: must hold what the fit has not seen"),
        (["merging", "samples", 1, "seconds"], [0.0], "merging: samples: merging takes some time"),
        (["merging", "samples", 1, "targets"], "z_proj", "z_proj"),
    ],
    ids=lambda case: str(case)[:50],
)
def test_a_file_that_contradicts_itself_is_refused(path: list[Any], value: Any, message: str, tmp_path: Path):
    (tmp_path / "p.json").write_text(json.dumps(spoilt(path, value)))
    with pytest.raises(CostError, match=message) as error:
        load_profile(str(tmp_path / "p.json"))
    assert "\n" not in str(error.value)
    assert "p.json" in refused("list", "profiles", "--explain", tmp_path / "p.json")


def test_a_file_from_before_verdicts_is_judged_by_its_errors(tmp_path: Path):
    data = spoilt(["quality"], None)
    del data["quality"]
    (tmp_path / "p.json").write_text(json.dumps(data))
    assert isinstance(load_profile(str(tmp_path / "p.json")), MeasuredProfile)
