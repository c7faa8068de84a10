"""A step of a deep model from two shallow ones: where all layers are alike, each adds the same operators and memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from calibration.devices.operators import Operator, Operators
from calibration.memory.allocations import Category, Footprint
from calibration.memory.shapes import ShapeModel, TracedStep
from calibration.memory.trace import StepTrace
from sim.workload.methods import Trains

DEPTHS = "num_hidden_layers", "n_layer"
"""What configurations call the number of layers."""
SHALLOW = 2, 4
"""Layers of the two models that are traced: even, as compiled kernels may end in every other layer."""


def trace_step(
    name: str, config: Mapping[str, Any], precision: str, step: TracedStep, *, granularity: int
) -> StepTrace:
    """Trace a step, by two shallow models where the layers are alike and everything or adapters are trained.

    Parameters
    ----------
    name : str
        What the model is called.
    config : mapping
        Its configuration.
    precision : str
        Type of the base weights, as `ShapeModel` takes it.
    step : TracedStep
        What is trained.
    granularity : int
        What the allocator rounds every size up to [B].

    Returns
    -------
    StepTrace
        As of the whole model; numbers of calls may be no whole ones.
    """
    return _traced(name, json.dumps(dict(config), sort_keys=True), precision, step, granularity)


@lru_cache(maxsize=128)
def _traced(name: str, text: str, precision: str, step: TracedStep, granularity: int) -> StepTrace:
    config = json.loads(text)
    field = next((known for known in DEPTHS if known in config), None)
    depth = int(config[field]) if field else 0
    whole = _shapes(name, text, precision)
    if field is None or depth <= SHALLOW[1] or step.trains is Trains.BLOCK or not _alike(whole, config):
        return whole.trace(step, granularity=granularity)
    any_depth = {key: value for key, value in config.items() if key != "layer_types"}
    shallow = [json.dumps({**any_depth, field: layers}, sort_keys=True) for layers in SHALLOW]
    few, more = (_shapes(name, own, precision).trace(step, granularity=granularity) for own in shallow)
    further = (depth - SHALLOW[0]) / (SHALLOW[1] - SHALLOW[0])
    peaks = tuple(_continued(one, other, further) for one, other in zip(few.peaks, more.peaks, strict=True))
    peak = max(peaks, key=lambda footprint: footprint.total)
    reserved = round(few.reserved + further * (more.reserved - few.reserved))
    return StepTrace(peak, continued_operators(few.operators, more.operators, further), peaks, reserved)


def continued_operators(few: Operators, more: Operators, further: float) -> dict[Operator, float]:
    """Continue the calls of two shallow models to a deep one.

    Parameters
    ----------
    few, more : mapping of Operator to int
        Calls of the shallower and the deeper one.
    further : float
        How many times their difference in layers the deep model has beyond the shallower one.
    """
    kinds = {_kind(operator) for operator in (*few, *more)}
    found = {}
    for kind in kinds:
        (calls, traffic), (later, heavier) = _totals(few, kind), _totals(more, kind)
        calls, traffic = calls + further * (later - calls), traffic + further * (heavier - traffic)
        if calls > 0:
            found[replace(kind, traffic=round(traffic / calls))] = calls
    return found


def _kind(operator: Operator) -> Operator:
    """What is alike in operators: of those that multiply nothing, calls and traffic count together only."""
    return replace(operator, traffic=0)


def _totals(operators: Operators, kind: Operator) -> tuple[float, float]:
    alike = [(operator, calls) for operator, calls in operators.items() if _kind(operator) == kind]
    return sum(calls for _, calls in alike), sum(calls * operator.traffic for operator, calls in alike)


def _continued(few: Footprint, more: Footprint, further: float) -> Footprint:
    sizes = {
        kind: few.by_category[kind] + further * (more.by_category[kind] - few.by_category[kind]) for kind in Category
    }
    return Footprint({kind: round(size) for kind, size in sizes.items()})


def _alike(shapes: ShapeModel, config: Mapping[str, Any]) -> bool:
    """Tell whether all layers are of one shape, and attend to equally much."""
    layers = shapes.architecture.layers
    return all(layer == layers[0] for layer in layers) and len(set(config.get("layer_types") or ["all"])) == 1


@lru_cache(maxsize=6)
def _shapes(name: str, config: str, precision: str) -> ShapeModel:
    return ShapeModel(name, precision, config=json.loads(config))
