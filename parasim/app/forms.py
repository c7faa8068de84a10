"""What the page's forms have to choose from: starting points, models, methods, devices, quantities to solve for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from parasim.api import prepared
from parasim.figures.style import method_colours
from parasim.planning.search.quantities import QUANTITIES
from parasim_core.calibration.devices.catalogue import known_devices
from parasim_core.calibration.paper.cells import PAPER_MODELS, paper_setting
from parasim_core.calibration.profiles.loading import covering_profiles, read_profile
from parasim_core.sim.errors import ParaSimError
from parasim_core.sim.scenario.reading import load, read
from parasim_core.sim.workload.architecture import catalogue_names
from parasim_core.sim.workload.methods import METHODS

_EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def starting_points() -> dict[str, dict[str, Any]]:
    """Scenarios to start from, as plain fields by their names: the paper's settings, and the examples beside paraSim.

    Examples that are about training are left out: their computing is measured, not simulated. An installed package has
    no examples beside it.
    """
    points = {f"The ParaBlock paper's setting, {model}": paper_setting(model) for model in PAPER_MODELS}
    for file in sorted(_EXAMPLES.glob("*.yaml")):
        with suppress(ParaSimError):
            fields = read(file)
            if "train" not in fields and file.name != "paper.yaml":
                points[f"{load(fields).name} ({file.name})"] = fields
    return points


def choices() -> dict[str, Any]:
    """Names that are always the same: models, methods and their colours, devices, and what a deadline can be met by."""
    return {
        "models": catalogue_names(),
        "methods": {method.name: method.summary for method in METHODS.values()},
        "devices": known_devices(),
        "colours": method_colours(METHODS),
        "quantities": {name: "the most" if one.most else "the least" for name, one in QUANTITIES.items()},
    }


def computing(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a scenario's clients can compute on: a name for people, and what then stands under ``compute:``.

    Parameters
    ----------
    asked : mapping
        ``fields``: the scenario, whose own costs need not be known.

    Raises
    ------
    ParaSimError
        If the scenario is wrong.
    """
    scenario = load(asked["fields"])
    kept = scenario.compute.model_dump(mode="json", exclude_unset=True, include={"dataset", "non_overlapping"})
    # Whatever computes now, another choice stands instead of it, for all groups.
    setup = prepared(load(scenario, [("compute", kept), ("fleet.*.device", None)]))
    known = [
        {"name": f"{name}, {read_profile(name)['device']['name']}", "compute": {"profile": name, **kept}}
        for name in covering_profiles(setup)
    ]
    predicted = [] if scenario.model is None else known_devices()
    return {"profiles": known, "predicted": [{"name": name, "compute": {"device": name}} for name in predicted]}
