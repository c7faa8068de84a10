"""What of a recipe is trained here, and what is priced only: refused before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

import torch

from parasim_core.sim.errors import ScenarioError, install_hint
from parasim_core.sim.workload.methods import METHODS
from parasim_core.train.runs.settings import TrainSettings


def check_recipe(settings: TrainSettings, methods: Iterable[str], device: torch.device) -> None:
    """Refuse a recipe that is not trained, or not here.

    Parameters
    ----------
    settings : TrainSettings
        The recipe.
    methods : iterable of str
        Names of the methods that are to be trained.
    device : torch.device
        Where they are.

    Raises
    ------
    ScenarioError
        Naming the field and what is allowed.
    """
    for method in methods:
        settings.check_method(method)
        if METHODS[method].sends is not None:
            raise ScenarioError(
                f"method: {method} sends an object that only says its bytes, which is simulated and not trained; "
                "allowed are methods that send what they train"
            )
        keeps = METHODS[method].shape.traits.takes_turns and settings.cyclic.optimizer == "kept"
        if keeps and settings.optimizer != "adamw":
            raise ScenarioError(
                f"train.optimizer: is {settings.optimizer}, allowed with {method} is adamw, as its clients keep what "
                "it knows, or train.cyclic.optimizer=fresh"
            )
    if settings.kernels == "fused":
        raise ScenarioError(
            "train.kernels: is fused, which is priced (`paraSim memory`) and not trained; allowed are eager and "
            "compiled"
        )
    for field, usual in (("optimizer", "adamw"), ("weights", "auto")):
        value = getattr(settings, field)
        if "8bit" not in value and value != "nf4":
            continue
        if device.type != "cuda":
            raise ScenarioError(
                f"train.{field}: is {value}, which is trained on a GPU and priced (`paraSim memory`) anywhere; allowed "
                f"on a CPU is {usual}"
            )
        if find_spec("bitsandbytes") is None:
            raise ScenarioError(install_hint(f"train.{field}: {value}", "quantized"))
