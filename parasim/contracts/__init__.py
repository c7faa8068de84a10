"""What programs may rely on: every JSON that a command prints or leaves, by name, with its version and its shape.

Each begins with its contract's name and version, the version of paraSim, and the scenario, if it is about one, as it
was given: defaults left out, overrides applied. `paraSim list schema --of NAME` prints its JSON Schema, which is made
of the shapes in this package; tests hold what commands really print against it. A version is raised when a field goes
or changes its meaning; a new one leaves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from parasim import __version__
from parasim_core.sim.scenario.scenario import Scenario


class Contract(NamedTuple):
    """One kind of result.

    Attributes
    ----------
    version : int
        Of its shape.
    module, shape : str
        Where in this package its shape is, and its name there; loaded when it is asked for.
    """

    version: int
    module: str
    shape: str


CONTRACTS = {
    "simulate": Contract(1, "runs", "SimulateResult"),
    "explain": Contract(1, "runs", "ExplainResult"),
    "sweep": Contract(1, "questions", "SweepResult"),
    "plan": Contract(1, "questions", "PlanResult"),
    "memory": Contract(1, "questions", "MemoryResult"),
    "diff": Contract(1, "differences", "DiffResult"),
    "train": Contract(1, "trainings", "TrainResult"),
    "evaluate": Contract(1, "trainings", "EvaluateResult"),
    "reproduce": Contract(1, "evidence", "ReproduceResult"),
    "validate-compute": Contract(1, "evidence", "ComputeResult"),
    "validate-transport": Contract(1, "evidence", "TransportResult"),
    "validate-devices": Contract(1, "evidence", "DevicesResult"),
    "validate-live": Contract(1, "evidence", "LiveResult"),
    "calibrate": Contract(1, "profiles", "CalibrateResult"),
    "profile-fit": Contract(1, "profiles", "ProfileFitResult"),
    "import-links": Contract(1, "catalogues", "ImportLinksResult"),
    "list-models": Contract(1, "catalogues", "ModelsResult"),
    "list-methods": Contract(1, "catalogues", "MethodsResult"),
    "list-profiles": Contract(1, "catalogues", "ProfilesResult"),
    "list-devices": Contract(1, "catalogues", "DevicesListResult"),
    "record": Contract(1, "runs", "RecordResult"),
}
"""By name: the command that prints it, with a hyphen for a space; ``profile-fit`` is what `paraSim list profiles
--explain` prints, ``record`` the ``reproduce.json`` beside all results."""


STAMP = ("contract", "contract_version", "parasim_version")
"""What each begins with."""


def stamped(
    name: str, result: Mapping[str, Any], scenario: Scenario | Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Put a contract's name and version, paraSim's, and the scenario before a result.

    Parameters
    ----------
    name : str
        A key of `CONTRACTS`.
    result : mapping
        The result.
    scenario : Scenario or mapping, optional
        What it is about.
    """
    head: dict[str, Any] = dict(zip(STAMP, (name, CONTRACTS[name].version, __version__), strict=True))
    if scenario is not None:
        head["scenario"] = as_given(scenario)
    return {**head, **result}


def as_given(scenario: Scenario | Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a scenario as plain data, as they were given: what was left out is left out."""
    if isinstance(scenario, Scenario):
        return scenario.model_dump(mode="json", exclude_unset=True)
    return dict(scenario)
