"""What is measured of a model where the command line does not say: no more than the model and its modules allow."""

from __future__ import annotations

from typing import Any

from parasim_core.calibration.profiles.points import join_targets
from parasim_core.sim.workload.architecture import Architecture
from parasim_core.sim.workload.blocks import ALL_LINEAR

_BATCH_SIZES = {"cpu": (1, 2, 4), "cuda": (1, 2, 4, 8)}
_SEQUENCE_LENGTHS = {"cpu": (32, 64, 128), "cuda": (256, 512, 1024, 2048)}
_WIDTHS = (1, 2, 4)
_RANK = 32
_USUAL_TARGETS = ("q_proj", "v_proj")
_LEVELS_WITH_A_MIDDLE = 3


def default_levels(kind: str, architecture: Architecture, longest: int | None, *, rank: int = _RANK) -> dict[str, Any]:
    """Choose what is measured.

    Parameters
    ----------
    kind : {"cpu", "cuda"}
        Where.
    architecture : Architecture
        The model: wider blocks than it and larger ranks than its width are left out, and targets are modules it has.
    longest : int or None
        As in `calibration.measuring.configuration.longest_sequence`: longer sequences are left out.
    rank : int
        Rank of the adapters, if the model is as wide.

    Returns
    -------
    dict of str to tuple
        By field of `calibration.measuring.plan.MeasuringPlan`.
    """
    return {
        "batch_sizes": _BATCH_SIZES[kind],
        "sequence_lengths": _lengths(_SEQUENCE_LENGTHS[kind], longest),
        "layers": tuple(width for width in _WIDTHS if width <= len(architecture.layers)),
        "ranks": (min(rank, architecture.hidden_size),),
        "targets": (join_targets(default_targets(architecture)),),
    }


def default_targets(architecture: Architecture) -> tuple[str, ...] | str:
    """Modules that an adapter of this model usually is on: queries and values, or where the model has them as one."""
    known = {name for linear in architecture.linears() for name in linear.names}
    if known.issuperset(_USUAL_TARGETS):
        return _USUAL_TARGETS
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as USUAL_BY_TYPE

    usual = tuple(USUAL_BY_TYPE.get(architecture.model_type, ()))
    return usual if usual and known.issuperset(usual) else ALL_LINEAR


def _lengths(usual: tuple[int, ...], longest: int | None) -> tuple[int, ...]:
    """Leave out what is too long; of what leaves no length in the middle to hold out, take the range's quarters."""
    if longest is None:
        return usual
    fitting = tuple(length for length in usual if length <= longest)
    if len(fitting) >= _LEVELS_WITH_A_MIDDLE:
        return fitting
    return tuple(sorted({max(1, longest // part) for part in (4, 2, 1)}))
