"""What a measured profile says of itself, worked out from its own samples: when it is fitted, and whenever it is read.

A file whose figures are not what its samples and prices give was changed by hand, or counts work differently.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from parasim_core.calibration.measuring.plan import held_levels
from parasim_core.calibration.profiles.cost_terms import work
from parasim_core.calibration.profiles.measured_file import MeasuredFile, ModelShape, StepFit
from parasim_core.calibration.profiles.merging import merge_errors
from parasim_core.calibration.profiles.points import AXES
from parasim_core.calibration.profiles.quality import HeldOut, summary
from parasim_core.sim.errors import CostError, ParaSimError, install_hint, shown
from parasim_core.sim.workload.architecture import Architecture, UnknownModelTypeError, from_config

_ROUNDING = 0.011
"""Errors are kept in hundredths of a per cent, and on another processor the last of them may turn over."""


def held_out_errors(file: MeasuredFile, prices: StepFit, architecture: Architecture) -> HeldOut:
    """Work out how far prices are from a file's samples, those that they were fitted to and the others.

    Parameters
    ----------
    file : MeasuredFile
        The samples, and the plan that held levels out. Some samples of either role must have visits.
    prices : StepFit
        What predicts.
    architecture : Architecture
        The model.
    """
    measured = [sample for sample in file.samples if sample.visits]
    errors: dict[str, list[float]] = {"fit": [], "held-out": []}
    for sample in measured:
        errors[sample.role].append(prices.step(work(architecture, sample.point)) / sample.times.step - 1)
    (median, p95), (fitted_median, fitted_p95) = (summary(errors[role]) for role in ("held-out", "fit"))
    levels = held_levels(file.plan)
    seen = {sample.point.first_layer for sample in file.samples if sample.role == "fit"}
    new_places = {sample.point.first_layer for sample in file.samples} - seen
    return HeldOut(
        points=len(errors["held-out"]),
        fitted_points=len(errors["fit"]),
        median_error_pct=round(median, 2),
        p95_error_pct=round(p95, 2),
        fitted_median_error_pct=round(fitted_median, 2),
        fitted_p95_error_pct=round(fitted_p95, 2),
        **{axis: levels[axis] for axis in AXES},
        first_layers=tuple(sorted(first for first in new_places if first is not None)),
    )


def checked_file(data: Any, source: str) -> MeasuredFile:
    """Read a measured profile whose figures are what its own samples and prices give.

    Parameters
    ----------
    data : object
        Its JSON; of an unfinished one, nothing but the model is held against anything.
    source : str
        Its name or path, for messages.

    Raises
    ------
    CostError
        Naming the field that is not understood, or says something else than follows from the others.
    """
    file = MeasuredFile.parse(data, source)
    try:
        field, stated, found = next(_disagreements(file), ("", None, None))
    except ParaSimError as error:
        raise CostError(f"profile {source}: {error}") from None
    if field:
        raise CostError(
            f"profile {source}: {field}: is {shown(stated)}, but the rest of the file gives {shown(found)}; it was "
            "changed, or written by a version that counts differently. Measure it again"
        )
    return file


def _disagreements(file: MeasuredFile) -> Iterator[tuple[str, Any, Any]]:
    """Fields that say something else than what follows from others, each with what it says and what follows."""
    model = _architecture(file)
    own = ModelShape.of(model)
    yield from _differing("model.shape", file.model.shape.model_dump(), own.model_dump())
    yield from _differing("model", {"parameters": file.model.parameters}, {"parameters": model.parameters})
    if file.fit is None or file.held_out is None:
        return
    found = held_out_errors(file, file.fit, model)
    yield from _differing("held_out", file.held_out.model_dump(), found.model_dump())
    if file.quality not in (None, file.held_out.quality):
        yield "quality", file.quality, file.held_out.quality
    if file.merging is not None:
        names = "median_error_pct", "largest_error_pct"
        errors = merge_errors(file.merging.samples, file.merging.coefficients, model)
        stated = file.merging.model_dump(include=set(names))
        yield from _differing("merging", stated, dict(zip(names, errors, strict=True)))


def _differing(section: str, stated: dict[str, Any], found: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name, follows in found.items():
        near = name.endswith("_pct") and abs(stated[name] - follows) <= _ROUNDING
        if not near and stated[name] != follows:
            yield f"{section}.{name}", stated[name], follows


def _architecture(file: MeasuredFile) -> Architecture:
    """The model as its configuration says, counted as for measuring."""
    try:
        return from_config(file.model.config, file.model.name)
    except UnknownModelTypeError:
        try:
            from parasim_core.train.models.architecture import counted
        except ImportError:
            raise CostError(install_hint("counting this model", "train")) from None
        return counted(file.model.name, file.model.config)
