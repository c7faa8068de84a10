"""`parasim.validation`: hold what a profile predicts against what training takes.

Three steps: calibrate, or take a profile; predict a training run that was no part of it; and train that run with
`paraSim train`'s own code and its measured clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from parasim.contracts import stamped
from parasim_core.calibration.measuring.agreement import (
    Agreement,
    RoundTimes,
    settings_of,
    train_and_predict,
    unseen_run,
    workbench,
)
from parasim_core.calibration.measuring.calibrate import Request, calibrate
from parasim_core.calibration.measuring.configuration import longest_sequence
from parasim_core.calibration.measuring.defaults import default_levels
from parasim_core.calibration.measuring.measure import MeasuringProgress, silent
from parasim_core.calibration.measuring.measured_model import MeasuredModel
from parasim_core.calibration.measuring.plan import MeasuringPlan
from parasim_core.calibration.measuring.this_machine import DeviceKind, this_device, threads
from parasim_core.calibration.profiles.loading import load_profile
from parasim_core.calibration.profiles.measured import MeasuredProfile
from parasim_core.calibration.profiles.quality import Quality
from parasim_core.sim.engine.simulate import prepare
from parasim_core.sim.errors import CostError, ScenarioError
from parasim_core.sim.scenario.reading import load, parse_override, plain_fields
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.support.atomic_files import write_json, write_rows
from parasim_core.train.runs.lock import locked

Report = Callable[[str, int, int], None]

DEFAULT_MODEL = "demo"
VALIDATED_METHODS = ("parablock", "fedbcd", "fedit", "full-ft")
GOAL_PCT = {"cpu": 10.0, "cuda": 5.0}
"""How far predicted and measured compute time per round may be apart [%]."""
_RANK = 8


@dataclass(frozen=True)
class ComputeValidation:
    """How far predicted and measured compute times are apart.

    Attributes
    ----------
    profile, device, clock : str
        The profile, its device, and what was read as time.
    held_out_pct : (float, float)
        Median and 95th percentile of the profile's own error on points that it was not fitted to [%].
    quality : {"good", "poor"}
        Whether these are small enough to rely on it.
    run : dict
        The scenario's fields.
    goal_pct : float
        How far apart they may be [%].
    methods : tuple of Agreement
        One per method.
    rounds : tuple of RoundTimes
        One per method and round.
    """

    profile: str
    device: str
    clock: str
    held_out_pct: tuple[float, float]
    quality: Quality
    run: dict[str, Any]
    goal_pct: float
    methods: tuple[Agreement, ...]
    rounds: tuple[RoundTimes, ...]

    @property
    def met(self) -> bool:
        """Whether every method is predicted within the goal."""
        return all(method.met for method in self.methods)

    def summary(self) -> dict[str, Any]:
        """Everything but the single rounds, as plain data."""
        return {name: value for name, value in asdict(self).items() if name != "rounds"} | {"met": self.met}


def validate_compute(
    model: str | None = None,
    *,
    device: DeviceKind = "cpu",
    profile: str | Path | None = None,
    seconds: float = 120.0,
    methods: Sequence[str] = VALIDATED_METHODS,
    overrides: Iterable[str] = (),
    directory: str | Path,
    measuring: MeasuringProgress = silent,
    report: Report = lambda what, done, total: None,
) -> ComputeValidation:
    """Predict the compute time of a training run from a profile, and train it.

    Parameters
    ----------
    model : str, optional
        What to calibrate, as in `paraSim calibrate`; that of the profile if left out, or ``demo``.
    device : {"cpu", "cuda"}
        Where to calibrate; a profile names its own.
    profile : str or path, optional
        A profile measured on this device; one is measured into ``profile.json`` if left out.
    seconds : float
        Time budget of measuring [s].
    methods : sequence of str
        What is trained.
    overrides : iterable of str
        Fields of the run, such as ``local.batch_size=3``.
    directory : path
        Where everything goes: ``profile.json``, ``rounds.csv`` and ``validation.json``.
    measuring, report : callable
        Told how far measuring and training have come.

    Returns
    -------
    ComputeValidation

    Raises
    ------
    ParaSimError
        If the model or the profile cannot be used here, the run is wrong, or the profile covers no method of it.

    Notes
    -----
    Interrupted, measuring goes on where it stopped; training starts again.
    """
    known = None if profile is None else _given(str(profile))
    if known is not None:
        device = known.file.device.kind
    model = _model(model, known)
    subject = MeasuredModel(model, torch.device(device), None if known is None else known.file.model.config)
    if known is None:
        levels = default_levels(device, subject.architecture, longest_sequence(subject.config), rank=_RANK)
        plan = MeasuringPlan.model_validate(levels)
    else:
        plan = known.file.plan
    run = _overridden(unseen_run(model, plan, len(subject.architecture.layers)), overrides)
    # What is wrong with the run is said before minutes of measuring.
    scenarios = [load(run, [("method.name", method)]) for method in methods]
    for scenario in scenarios:
        prepare(scenario, subject.architecture)
        settings_of(scenario, device)
    directory = Path(directory)
    with locked(directory), threads(0 if known is None else known.file.device.threads):
        request = Request(model, device, plan, directory / "profile.json", "validation", seconds)
        found = known or MeasuredProfile(calibrate(request, progress=measuring))
        agreements, rounds = _compare(found, scenarios, subject, report)
        file, held_out = found.file, found.held_out
        errors = (held_out.median_error_pct, held_out.p95_error_pct)
        named = file.name, file.device.name, file.device.clock, errors, held_out.quality
        validation = ComputeValidation(*named, run, GOAL_PCT[device], agreements, rounds)
        _save(validation, directory)
    return validation


def _given(path: str) -> MeasuredProfile:
    """Read a profile, which must be of this device."""
    found = load_profile(path)
    if not isinstance(found, MeasuredProfile):
        raise CostError(f"--profile {path}: was not measured here; give one that paraSim calibrate wrote")
    own, its = found.file.device.name, this_device(found.file.device.kind, found.file.device.threads).name
    if its != own:
        raise CostError(f"--profile {path}: was measured on {own}; this is {its}")
    return found


def _model(model: str | None, known: MeasuredProfile | None) -> str:
    """What is measured and trained: a profile is of one model."""
    if known is None:
        return model or DEFAULT_MODEL
    own = known.file.model.name
    if model not in (None, own):
        raise ScenarioError(f"--model {model}: the profile {known.name} is of {own}; leave it out")
    return own


def _overridden(run: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Set fields of the run; its model is chosen before there is one."""
    overrides = list(overrides)
    for override in overrides:
        if parse_override(override)[0] == "model":
            raise ScenarioError(
                f"--set {override}: give the model that is measured and trained with --model, here it is {run['model']}"
            )
    return plain_fields(run, overrides)


def _compare(
    profile: MeasuredProfile, scenarios: Sequence[Scenario], subject: MeasuredModel, report: Report
) -> tuple[tuple[Agreement, ...], tuple[RoundTimes, ...]]:
    """Train every method that the profile covers."""
    goal = GOAL_PCT[profile.file.device.kind]
    bench = workbench(subject, scenarios[0])
    agreements: list[Agreement] = []
    rounds: list[RoundTimes] = []
    for scenario in scenarios:
        try:
            times = train_and_predict(profile, scenario, bench, report)
        except CostError as error:
            agreements.append(Agreement(scenario.method.name, scenario.rounds, reason=str(error)))
            continue
        agreements.append(Agreement.of(times, goal))
        rounds += times
    if not rounds:
        raise CostError(agreements[0].reason)
    return tuple(agreements), tuple(rounds)


def _save(validation: ComputeValidation, directory: Path) -> None:
    columns = [*(field.name for field in fields(RoundTimes)), "error_pct"]
    rows = [[getattr(times, column) for column in columns] for times in validation.rounds]
    write_rows(directory / "rounds.csv", columns, rows)
    write_json(directory / "validation.json", stamped("validate-compute", validation.summary(), validation.run))
