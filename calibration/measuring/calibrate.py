"""Calibrate: plan, measure, fit, and write a profile; an interrupted run goes on where it stopped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from parasim_core.calibration.measuring.configuration import longest_sequence
from parasim_core.calibration.measuring.measure import Limits, Measurer, MeasuringProgress, measure_all, silent
from parasim_core.calibration.measuring.measure_merging import measure_merging
from parasim_core.calibration.measuring.measured_model import MeasuredModel
from parasim_core.calibration.measuring.plan import OPTIONS, MeasuringPlan, Planned, check_enough, planned_points
from parasim_core.calibration.measuring.this_machine import DeviceKind, software_versions, this_device, usable
from parasim_core.calibration.profiles.cost_terms import work
from parasim_core.calibration.profiles.fit import fit
from parasim_core.calibration.profiles.loading import read_profile
from parasim_core.calibration.profiles.measured_file import DATE_FORMAT, MeasuredFile, ModelShape
from parasim_core.calibration.profiles.measuring_command import calibrate_command
from parasim_core.calibration.profiles.merging import fit_merging
from parasim_core.calibration.profiles.self_check import held_out_errors
from parasim_core.sim.errors import CostError, OutputError
from parasim_core.sim.support.atomic_files import check_directory, write_json
from parasim_core.sim.workload.architecture import Architecture
from parasim_core.train.models.building import base_dtype
from parasim_core.train.runs.lock import locked


@dataclass(frozen=True)
class Request:
    """What is to be calibrated.

    Attributes
    ----------
    model : str
        As in `calibration.measuring.configuration.model_config`.
    device : {"cpu", "cuda"}
        Where.
    plan : MeasuringPlan
        What.
    out : Path
        The profile.
    name : str
        Its name.
    seconds : float
        Time budget [s].
    """

    model: str
    device: DeviceKind
    plan: MeasuringPlan
    out: Path
    name: str
    seconds: float

    @property
    def command(self) -> str:
        """Command line that does it."""
        # A list that was given as empty has to be given so again: without it, the default counts.
        levels = {field: getattr(self.plan, field) for field in OPTIONS}
        threads = torch.get_num_threads() if self.device == "cpu" else None
        last = ("--seed", str(self.plan.seed), "--name", self.name, "--out", str(self.out))
        return calibrate_command(self.model, self.device, levels, threads, *last)


def calibrate(request: Request, *, progress: MeasuringProgress = silent, limits: Limits | None = None) -> MeasuredFile:
    """Measure what is planned, or what is left of it, and fit.

    Parameters
    ----------
    request : Request
        What is to be calibrated.
    progress : MeasuringProgress
        Told before each visit.
    limits : Limits, optional
        When measuring ends; by the request's budget if left out.

    Returns
    -------
    MeasuredFile
        As written to the file, which is renewed after every visit.

    Raises
    ------
    ParaSimError
        If the model or device cannot be used, the file holds something else, or another process writes it.
    """
    if request.out.is_dir():
        raise OutputError(f"--out {request.out}: is a folder; give a file, such as {request.out / 'profile.json'}")
    if request.out.exists() and not request.out.is_file():
        raise OutputError(f"--out {request.out}: is no regular file; give one, such as profile.json")
    check_directory(request.out.parent)
    device = usable(request.device)
    subject = MeasuredModel(request.model, device)
    planned = planned_points(request.plan, subject.architecture, longest=longest_sequence(subject.config))
    check_enough(planned.values(), "are planned")
    # A file that is refused gets no lock beside it; what it holds once it is locked counts.
    _begun(request, subject)
    with locked(request.out.parent, request.out.name):
        return _measured(request, subject, planned, progress, limits or Limits(request.seconds))


def _measured(
    request: Request, subject: MeasuredModel, planned: Planned, progress: MeasuringProgress, limits: Limits
) -> MeasuredFile:
    """Measure what is left of the points, and fit."""
    file = _begun(request, subject)
    samples = {sample.point: sample for sample in file.samples}

    def current() -> MeasuredFile:
        known = tuple(sample for point in planned if (sample := samples[point]).visits or not sample.fits)
        return file.model_copy(update={"samples": known})

    measure_all(
        planned,
        samples,
        Measurer(subject, file.device.clock).visit,
        limits,
        finished=lambda: save(current(), request.out),
        progress=progress,
    )
    if file.merging is None and request.plan.targets:
        merges = measure_merging(subject, request.plan, file.device.clock, lambda label: progress(0, 0.0, label))
        file = file.model_copy(update={"merging": fit_merging(merges, subject.architecture)})
    done = fitted(current(), subject.architecture)
    save(done, request.out)
    return done


def fitted(file: MeasuredFile, architecture: Architecture) -> MeasuredFile:
    """Fit a file's samples, and say how far the fit is from those that it has not seen.

    Raises
    ------
    ScenarioError
        If too little was measured.
    """
    seen = [sample for sample in file.samples if sample.visits and sample.role == "fit"]
    unseen = [sample for sample in file.samples if sample.visits and sample.role == "held-out"]
    check_enough([sample.role for sample in (*seen, *unseen)], "could be measured")
    amounts = [work(architecture, sample.point) for sample in seen]
    prices = fit(amounts, [sample.times for sample in seen], "maximum" if file.device.kind == "cuda" else "sum")
    held_out = held_out_errors(file, prices, architecture)
    return file.model_copy(update={"fit": prices, "held_out": held_out, "quality": held_out.quality})


def save(file: MeasuredFile, path: Path) -> None:
    """Write a profile, whole or not at all."""
    write_json(path, file.model_dump(mode="json"))


def _begun(request: Request, subject: MeasuredModel) -> MeasuredFile:
    """A new file, or the one that an interrupted run left."""
    new = MeasuredFile.parse(
        {
            "kind": "measured",
            "name": request.name,
            "device": this_device(request.device, torch.get_num_threads()),
            "versions": software_versions(),
            "date": datetime.now(UTC).strftime(DATE_FORMAT),
            "command": request.command,
            "model": {
                "name": request.model,
                "parameters": subject.architecture.parameters,
                "dtype": str(base_dtype(subject.device)).removeprefix("torch."),
                "attention": str(getattr(subject.model.config, "_attn_implementation", "eager")),
                "shape": ModelShape.of(subject.architecture),
                "config": subject.config,
            },
            "plan": request.plan,
            "samples": (),
            "fit": None,
            "held_out": None,
        },
        "of this calibration",
    )
    if not request.out.exists():
        return new
    try:
        old = MeasuredFile.parse(read_profile(str(request.out)), str(request.out))
    except CostError as error:
        raise OutputError(f"--out {request.out}: exists and cannot be continued; give another file: {error}") from None
    for part in ("name", "device", "versions", "model", "plan"):
        if getattr(old, part) != getattr(new, part):
            raise OutputError(
                f"--out {request.out}: holds another calibration: its {part} differs. Continue it with "
                f"`{old.command}`, or give another file"
            )
    return old.model_copy(update={"fit": None, "held_out": None, "quality": None})
