"""The model that is measured: too large a one is refused before it is built, and a GPU's lack of memory gets round."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from parasim_core.calibration.measuring import measured_model
from parasim_core.calibration.measuring.measured_model import build_model, check_fit
from parasim_core.calibration.memory import shapes
from parasim_core.calibration.memory.shapes import ShapeModel
from parasim_core.sim.errors import CostError
from parasim_core.train.models.building import random_model
from tests.calibration.synthetic import ARCHITECTURE, CONFIG

GB = 10**9


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Configurations of the models that were built."""
    found: list[Any] = []

    def build(config: Any, *, seed: int) -> nn.Module:
        found.append(config)
        return random_model(config, seed=seed)

    monkeypatch.setattr(measured_model, "random_model", build)
    return found


def test_on_a_cpu_a_parameter_takes_four_bytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(measured_model, "available_bytes", lambda: 23 * GB)
    check_fit("big", 23 * GB // 4, torch.device("cpu"))
    with pytest.raises(CostError, match=r"--model big: 8\.00 billion parameters take 32\.0 GB in float32, more than"):
        check_fit("big", 8 * GB, torch.device("cpu"))


def test_on_a_gpu_two_bytes_of_all_that_it_has(monkeypatch: pytest.MonkeyPatch):
    gpu = SimpleNamespace(total_memory=15 * GB)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: gpu)
    check_fit("big", 15 * GB // 2, torch.device("cuda"))
    with pytest.raises(CostError, match=r"16\.0 GB .* 15\.0 GB"):
        check_fit("big", 8 * GB, torch.device("cuda"))


def test_what_has_no_room_is_not_built(built: list[Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(measured_model, "available_bytes", lambda: 4 * ARCHITECTURE.parameters - 1)
    with pytest.raises(CostError):
        build_model("tiny", CONFIG, torch.device("cpu"))
    assert not built
    monkeypatch.setattr(measured_model, "available_bytes", lambda: 4 * ARCHITECTURE.parameters)
    model = build_model("tiny", CONFIG, torch.device("cpu"))
    assert sum(parameter.numel() for parameter in model.parameters()) == ARCHITECTURE.parameters
    assert built


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("CUDA error: out of memory")]
)
def test_without_room_for_float32_it_is_drawn_on_the_cpu(error: Exception, monkeypatch: pytest.MonkeyPatch):
    # The device is "meta", in whose place a GPU would stand: what is built there fails.
    devices: list[str] = []

    def build(config: Any, *, seed: int) -> nn.Module:
        devices.append(torch.get_default_device().type)
        if len(devices) == 1:
            raise error
        return random_model(config, seed=seed)

    monkeypatch.setattr(measured_model, "random_model", build)
    model = build_model("tiny", CONFIG, torch.device("meta"))
    assert devices == ["meta", "cpu"]
    assert next(model.parameters()).device.type == "meta"


def test_a_trace_sees_the_precisions_of_the_trainers_model():
    # As a GPU would hold it: weights in bfloat16, the rotary embedding's frequencies in float32.
    model = ShapeModel("tiny", "bfloat16", config=CONFIG)
    with FakeTensorMode(), shapes._filled(model._model):
        assert {parameter.dtype for parameter in model._model.parameters()} == {torch.bfloat16}
        assert {buffer.dtype for buffer in model._model.buffers()} == {torch.float32}
