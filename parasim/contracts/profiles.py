"""Shapes of what `paraSim calibrate` and `paraSim list profiles --explain` say of a measured profile."""

from __future__ import annotations

from parasim.contracts.shapes import Stamped
from parasim_core.calibration.measuring.plan import MeasuringPlan
from parasim_core.calibration.profiles.measured_file import (
    MeasuredDevice,
    MeasuredVersions,
    Merging,
    ProfileModel,
    StepFit,
)
from parasim_core.calibration.profiles.quality import HeldOut, Quality


class CalibrateResult(Stamped):
    """What `paraSim calibrate --format json` prints: the profile without its samples."""

    name: str
    kind: str
    device: MeasuredDevice
    versions: MeasuredVersions
    date: str
    """When measuring began (UTC)."""
    command: str
    """What measures it, or goes on measuring."""
    model: ProfileModel
    plan: MeasuringPlan
    quality: Quality | None
    """Whether predictions are to be relied on: `good` or `poor`; null until everything planned was measured."""
    fit: StepFit | None
    """Null until everything planned was measured."""
    held_out: HeldOut | None
    merging: Merging | None
    """Null where merging was not measured."""


class ProfileFitResult(Stamped):
    """What `paraSim list profiles --explain NAME --format json` prints."""

    name: str
    device: MeasuredDevice
    quality: Quality | None
    fit: StepFit | None
    held_out: HeldOut | None
