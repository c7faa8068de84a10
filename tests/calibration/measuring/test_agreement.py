"""Predicted against measured rounds, by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from parasim_core.calibration.measuring.agreement import (
    Agreement,
    RoundTimes,
    settings_of,
    train_and_predict,
    workbench,
)
from parasim_core.calibration.measuring.calibrate import fitted
from parasim_core.calibration.measuring.measured_model import MeasuredModel
from parasim_core.calibration.profiles.cost_terms import TERMS
from parasim_core.calibration.profiles.measured import MeasuredProfile
from parasim_core.calibration.profiles.measured_file import StepFit, coefficients
from parasim_core.sim.engine.simulate import prepare
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.train.data.evaluate import model_loss
from tests.calibration.synthetic import ARCHITECTURE, CONFIG, measured_file


def rounds(*pairs: tuple[float, float]) -> list[RoundTimes]:
    return [RoundTimes("fedbcd", number, 0.0, *pair) for number, pair in enumerate(pairs)]


def test_by_hand():
    # Predicted 2, 3, 4 (mean 3), measured 2, 2, 5 (mean 3): no error on the whole, 0, 50 and 20 % in single rounds.
    found = Agreement.of(rounds((2, 2), (3, 2), (4, 5)), goal_pct=5)
    assert (found.method, found.rounds, found.met) == ("fedbcd", 3, True)
    assert (found.predicted_s, found.measured_s) == (3, 3)
    assert found.error_pct == pytest.approx(0)
    assert found.median_round_pct == pytest.approx(20)
    assert found.largest_round_pct == pytest.approx(50)


@pytest.mark.parametrize(("predicted", "error", "met"), [(1.1, 10, True), (1.11, 11, False), (0.89, -11, False)])
def test_the_goal_counts_in_both_directions(predicted: float, error: float, met: bool):
    found = Agreement.of(rounds((predicted, 1)), goal_pct=10.001)
    assert found.error_pct == pytest.approx(error)
    assert found.met is met


@pytest.mark.parametrize("batches", [1, 2, 3])
@pytest.mark.parametrize("method", ["fedbcd", "full-ft"])
def test_a_step_over_several_batches_is_as_many_passes_and_one_optimizer_step(
    method: str, batches: int, monkeypatch: pytest.MonkeyPatch
):
    # A real run under a clock that only its passes and optimizer steps advance, against prices of the same: a forward
    # pass 1 s, a backward pass 10 s, AdamW 100 s. Two updates of three steps each: 3 (n 11 + 100) s.
    time, calls = [0.0], {"forward": 0, "optimizer": 0}

    def passed(*_: Any) -> None:
        # A loss is followed by its backward pass.
        calls["forward"] += 1
        time[0] += 1 + 10

    def stepped(*_: Any) -> None:
        calls["optimizer"] += 1
        time[0] += 100

    subject = MeasuredModel("tiny", torch.device("cpu"), CONFIG)
    fields = {
        "model": "tiny",
        "method": method,
        "rounds": 1,
        "blocks": {"layers": 2},
        "local": {"steps": 3, "batch_size": 2, "sequence_length": 8},
        "fleet": [{"count": 2, "uplink": "1GB/s"}],
        "train": {"accumulation": batches},
    }
    scenario = Scenario.parse(fields)
    setup = prepare(scenario, subject.architecture)
    trained = setup.blocks[setup.schedule[0]].parameters if method == "fedbcd" else subject.architecture.parameters
    values = {"forward_constant": 1.0, "backward_constant": 10.0, "optimizer": 100 / (trained * 1e-9)}
    prices = dict.fromkeys((term.name for term in TERMS), 0.0) | values
    file = fitted(measured_file(), ARCHITECTURE)
    known = StepFit(form="sum", coefficients=coefficients(prices))
    profile = MeasuredProfile(file.model_copy(update={"fit": known}))
    monkeypatch.setattr("parasim_core.train.update.local.now", lambda device: time[0])
    bench = workbench(subject, scenario)
    monkeypatch.setattr(bench.task, "loss", lambda model, batch: (passed(), model_loss(model, batch))[1])
    optimizers = register_optimizer_step_post_hook(stepped)
    try:
        (found,) = train_and_predict(profile, scenario, bench, lambda what, done, total: None)
    finally:
        optimizers.remove()
    # Two clients' updates, and one untimed step to warm up.
    assert calls == {"forward": (2 * 3 + 1) * batches, "optimizer": 2 * 3 + 1}
    assert found.measured_s == pytest.approx(3 * (batches * 11 + 100))
    assert found.predicted_s == pytest.approx(found.measured_s)


def test_a_wrong_train_section_is_refused():
    with pytest.raises(ScenarioError, match="accumulation"):
        settings_of(Scenario.parse({"model": "llama-3-8b", "train": {"accumulation": 0}}), "cpu")
