"""A step of a deep model from shallow ones: where layers are alike, each adds the same operators and memory.

Layers below a trained block go forward alone, those above it backward as well, those that are trained change: each kind
of layer adds the same again in each of these places, so that a deep model continues what a few shallow ones show.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from parasim_core.calibration.devices.operators import Operator, Operators
from parasim_core.calibration.memory.allocations import Category, Footprint
from parasim_core.calibration.memory.shapes import ShapeModel, TracedStep
from parasim_core.calibration.memory.trace import StepTrace
from parasim_core.sim.errors import ArchitectureError
from parasim_core.sim.workload.blocks import Block
from parasim_core.train.models.architecture import configuration, counted

DEPTHS = "num_hidden_layers", "n_layer"
"""What configurations call the number of layers."""
FURTHER = 2
"""Layers by which shallow models differ: even, as compiled kernels may end in every other layer."""


@dataclass(frozen=True)
class _Shallow:
    """A shallow model: some layers of the deep one, each named by its place there.

    Attributes
    ----------
    layers : tuple of int
        Places in the deep model.
    below : int
        How many of them lie below what is trained.
    further : float
        How many times what it has beyond the shallowest one is in the deep model.
    """

    layers: tuple[int, ...]
    below: int
    further: float

    @classmethod
    def of(cls, below: Counter[int], own: tuple[int, ...], above: Counter[int], further: float = 0.0) -> _Shallow:
        """Those below, those that are trained, and those above them."""
        layers = (*sorted(below.elements()), *own, *sorted(above.elements()))
        return cls(layers, below.total(), further)


def trace_step(
    name: str, config: Mapping[str, Any], precision: str, step: TracedStep, *, granularity: int
) -> StepTrace:
    """Trace a step, by shallow models where a configuration tells how its layers differ.

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


@lru_cache(maxsize=512)
def _traced(name: str, text: str, precision: str, step: TracedStep, granularity: int) -> StepTrace:
    models = _shallow_models(name, text, step.block)
    if not models:
        return _whole(name, text, precision, step, granularity)
    few, *more = (
        _whole(
            name,
            _config_of(name, text, model.layers),
            precision,
            replace(step, block=_moved(step.block, model.below)),
            granularity,
        )
        for model in models
    )
    further = [model.further for model in models[1:]]
    peaks = tuple(
        _continued(*stretch, further=further) for stretch in zip(*(t.peaks for t in (few, *more)), strict=True)
    )
    peak = max(peaks, key=lambda footprint: footprint.total)
    reserved = few.reserved + sum(
        times * (other.reserved - few.reserved) for times, other in zip(further, more, strict=True)
    )
    operators = continued_operators(few.operators, [(own.operators, n) for own, n in zip(more, further, strict=True)])
    return StepTrace(peak, operators, peaks, round(reserved))


def continued_operators(few: Operators, more: Sequence[tuple[Operators, float]]) -> dict[Operator, float]:
    """Continue the calls of shallow models to a deep one.

    Parameters
    ----------
    few : mapping of Operator to int
        Calls of the shallowest one.
    more : sequence of (mapping of Operator to int, float)
        Calls of each deeper one, and how many times the deep model has its difference from the shallowest one.
    """
    found: dict[Operator, float] = {}
    alike: dict[Operator, dict[Operator, float]] = {}
    for operator in dict.fromkeys((*few, *(operator for calls, _ in more for operator in calls))):
        calls = _linear(few.get(operator, 0), [(own.get(operator, 0), times) for own, times in more])
        alike.setdefault(_kind(operator), {})[operator] = calls
    for kind, own in alike.items():
        if min(own.values()) < 0:
            # One call whose traffic grows with the depth, such as AdamW's of all tensors.
            calls, traffic = sum(own.values()), sum(n * each.traffic for each, n in own.items())
            own = {replace(kind, traffic=round(traffic / calls)): calls} if calls > 0 else {}
        found |= {operator: calls for operator, calls in own.items() if calls > 0}
    return found


def _kind(operator: Operator) -> Operator:
    """What operators have in common that differ in their traffic alone."""
    return replace(operator, traffic=0)


def _linear(few: float, more: Sequence[tuple[float, float]]) -> float:
    return few + sum(times * (value - few) for value, times in more)


def _continued(few: Footprint, *more: Footprint, further: Sequence[float]) -> Footprint:
    sizes = {
        kind: _linear(few.by_category[kind], [(one.by_category[kind], n) for one, n in zip(more, further, strict=True)])
        for kind in Category
    }
    return Footprint({kind: round(size) for kind, size in sizes.items()}, few.phase)


def _shallow_models(name: str, text: str, block: Block | None) -> list[_Shallow]:
    """Shallow models to trace, the shallowest first; none where the whole one is as well traced itself."""
    kinds = _kinds(name, text)
    if kinds is None:
        return []
    first, end = (0, 0) if block is None else (block.first_layer, block.last_layer + 1)
    below, own, above = Counter(kinds[:first]), kinds[first:end], Counter(kinds[end:])
    least = Counter[int](), Counter[int]()
    for kind in dict.fromkeys(kinds):
        if block is None:
            least[1][kind] = FURTHER
        elif kind not in own:
            # What a model prepares once for all layers of a kind, such as their mask, is in the shallowest one too.
            least[kind not in below][kind] = 1
    models = [_Shallow.of(least[0], own, least[1])]
    for kind, n in below.items():
        more = least[0] + Counter({kind: FURTHER})
        models.append(_Shallow.of(more, own, least[1], (n - least[0][kind]) / FURTHER))
    for kind, n in above.items():
        more = least[1] + Counter({kind: FURTHER})
        models.append(_Shallow.of(least[0], own, more, (n - least[1][kind]) / FURTHER))
    return models if max(len(model.layers) for model in models) < len(kinds) else []


@lru_cache(maxsize=32)
def _kinds(name: str, text: str) -> tuple[int, ...] | None:
    """For each layer the place of the first one like it; None where a configuration does not say how they differ.

    They differ in what the configuration lists layer by layer, such as ``layer_types``.
    """
    fields = _of_text(json.loads(text))
    architecture = counted(name, json.loads(text))
    depth = len(architecture.layers)
    if not any(fields.get(field) == depth for field in DEPTHS):
        return None
    listed = _lists(name, text, depth)
    first: dict[tuple[str, ...], int] = {}
    kinds = tuple(
        first.setdefault(tuple(repr(values[layer]) for values in listed.values()), layer) for layer in range(depth)
    )
    if any(architecture.layers[layer] != architecture.layers[kind] for layer, kind in enumerate(kinds)):
        return None
    try:
        one_of_each = tuple(dict.fromkeys(kinds))
        found = counted(name, json.loads(_config_of(name, text, one_of_each)))
    except ArchitectureError:
        return None
    return kinds if found.layers == tuple(architecture.layers[kind] for kind in one_of_each) else None


def _lists(name: str, text: str, depth: int) -> dict[str, list[Any]]:
    """What a configuration lists layer by layer, by default too."""
    resolved = configuration(json.loads(text), name).get_text_config().to_dict()
    return {key: value for key, value in resolved.items() if isinstance(value, list) and len(value) == depth}


@lru_cache(maxsize=256)
def _config_of(name: str, text: str, layers: tuple[int, ...]) -> str:
    """Configuration of a model of some layers of another one."""
    config = json.loads(text)
    fields = _of_text(config)
    [(depth, field)] = [(int(fields[field]), field) for field in DEPTHS if field in fields]
    listed = {key: [values[layer] for layer in layers] for key, values in _lists(name, text, depth).items()}
    fields.update({field: len(layers)} | listed)
    return json.dumps(config, sort_keys=True)


def _of_text(config: dict[str, Any]) -> dict[str, Any]:
    """What a configuration says of its text layers: it, or a part of it if the model sees or hears as well."""
    text: dict[str, Any] = config.get("text_config") or config
    return text


def _moved(block: Block | None, below: int) -> Block | None:
    """The same halves in a model with so many layers below them."""
    if block is None:
        return None
    halves = tuple((layer - block.first_layer + below, half) for layer, half in block.halves)
    return Block(0, halves, block.parameters)


# Blocks at several places in a model have shallow models in common.
@lru_cache(maxsize=512)
def _whole(name: str, text: str, precision: str, step: TracedStep, granularity: int) -> StepTrace:
    return _shapes(name, text, precision).trace(step, granularity=granularity)


@lru_cache(maxsize=16)
def _shapes(name: str, config: str, precision: str) -> ShapeModel:
    return ShapeModel(name, precision, config=json.loads(config))
