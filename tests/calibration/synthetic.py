"""A measured profile without a measurement: times that follow known prices exactly."""

from __future__ import annotations

from typing import Any

from parasim_core.calibration.measuring.calibrate import fitted
from parasim_core.calibration.measuring.plan import MeasuringPlan, planned_points
from parasim_core.calibration.profiles.cost_terms import TERMS, Form, work
from parasim_core.calibration.profiles.measured_file import (
    MeasuredDevice,
    MeasuredFile,
    MeasuredVersions,
    ModelShape,
    ProfileModel,
    StepFit,
    StepSample,
    coefficients,
)
from parasim_core.calibration.profiles.points import StepPoint, Visit
from parasim_core.sim.workload.architecture import Architecture, from_config

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 96,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 8,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
}
ARCHITECTURE: Architecture = from_config(CONFIG, "tiny")
PLAN = MeasuringPlan(
    batch_sizes=(1, 2, 4, 8),
    sequence_lengths=(8, 16, 32, 64),
    layers=(1, 2, 4),
    ranks=(4,),
    targets=("q_proj+v_proj",),
)
# Sized so that every phase of the tiny model takes milliseconds and no term vanishes beside the others.
VALUES = {term.name: 1e-3 if term.amount in ("one", "layers_above", "modules") else 20.0 for term in TERMS}
PRICES = StepFit(form="sum", coefficients=coefficients(VALUES))


def visit(architecture: Architecture, point: StepPoint, prices: StepFit = PRICES, factor: float = 1.0) -> Visit:
    """What a visit of a point would find."""
    amounts = work(architecture, point)
    forward, head, backward = (factor * prices.phase(phase, amounts) for phase in ("forward", "head", "backward"))
    return Visit(forward=forward, head=head, backward=backward, update=factor * prices.phase("update", amounts))


def measured_file(*, form: Form = "sum", plan: MeasuringPlan = PLAN, visits: int = 3) -> MeasuredFile:
    """An unfitted file of times that follow `PRICES` exactly."""
    prices = PRICES.model_copy(update={"form": form})
    samples = tuple(
        StepSample.of(point, role, [visit(ARCHITECTURE, point, prices)] * visits, None)
        for point, role in planned_points(plan, ARCHITECTURE).items()
    )
    return MeasuredFile(
        kind="measured",
        name="synthetic",
        device=MeasuredDevice(name="test chip", kind="cpu", threads=1, clock="cpu-time", driver="", memory_bytes=2**30),
        versions=MeasuredVersions(parasim="0", python="3", torch="2", transformers="5", peft="0", cuda=""),
        date="2026-01-01 00:00 UTC",
        command="paraSim calibrate --model tiny",
        model=ProfileModel(
            name="tiny",
            parameters=ARCHITECTURE.parameters,
            dtype="float32",
            attention="sdpa",
            shape=ModelShape.of(ARCHITECTURE),
            config=CONFIG,
        ),
        plan=plan,
        samples=samples,
        fit=None,
        held_out=None,
    )


def file_that_is_off(error: float, off: int | None = None) -> MeasuredFile:
    """A fitted file whose prices are off by a share at points that they have not seen, or at so many of them."""
    file = fitted(measured_file(), ARCHITECTURE)
    unseen = [sample.point for sample in file.samples if sample.role == "held-out"][:off]
    samples = tuple(
        StepSample.of(one.point, one.role, [visit(ARCHITECTURE, one.point, factor=1 / (1 + error))] * 3, None)
        if one.point in unseen
        else one
        for one in file.samples
    )
    return fitted(file.model_copy(update={"samples": samples}), ARCHITECTURE)
