"""What of a recipe is trained where: refused in a line, before anything is loaded."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from parasim_core.sim.errors import ScenarioError
from parasim_core.train.runs import trainable
from parasim_core.train.runs.settings import TrainSettings
from parasim_core.train.runs.trainable import check_recipe

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def refusal(train: dict[str, Any], method: str, device: torch.device) -> str:
    with pytest.raises(ScenarioError) as error:
        check_recipe(TrainSettings.parse(train), [method], device)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("field", "value", "usual"), [("optimizer", "adamw-8bit", "adamw"), ("weights", "nf4", "auto")]
)
def test_what_bitsandbytes_does_needs_a_gpu_and_the_package(
    monkeypatch: pytest.MonkeyPatch, field: str, value: str, usual: str
):
    assert f"train.{field}: is {value}" in refusal({field: value}, "fedit", CPU)
    assert refusal({field: value}, "fedit", CPU).endswith(f"allowed on a CPU is {usual}")
    monkeypatch.setattr(trainable, "find_spec", lambda name: None)
    assert "needs the extra 'quantized'" in refusal({field: value}, "fedit", GPU)
    monkeypatch.setattr(trainable, "find_spec", lambda name: name == "bitsandbytes")
    check_recipe(TrainSettings.parse({field: value}), ["fedit"], GPU)


def test_what_is_priced_only_says_so():
    assert "priced (`paraSim memory`) and not trained" in refusal({"kernels": "fused"}, "fedit", GPU)


def test_clients_that_keep_their_optimizer_keep_it_in_full():
    said = refusal({"optimizer": "adamw-8bit"}, "fedcybgd", GPU)
    assert "allowed with fedcybgd is adamw" in said
    # Of those that begin afresh, nothing is kept: then it is the device that is asked for.
    afresh = {"optimizer": "adamw-8bit", "cyclic": {"optimizer": "fresh"}}
    assert "on a CPU" in refusal(afresh, "fedcybgd", CPU)


def test_everything_else_is_trained_anywhere():
    trained = {"weights": "bfloat16", "master_weights": False, "adapters": "float32", "kernels": "compiled"}
    check_recipe(TrainSettings.parse(trained | {"packing": True}), ["parablock", "fedit"], CPU)
