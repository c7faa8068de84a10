"""What a training step consists of: amounts of work, each of which a fit gives a price.

One multiply-add counts as two operations. Autograd stops below the lowest trained layer, so the backward pass
only goes through the layers from there on.
"""

from __future__ import annotations

from dataclasses import dataclass

from calibration.points import ADAPTERS, Point, block_at, split_targets
from sim.architecture import Architecture
from sim.blocks import lora_parameters
from sim.methods import Trains

_TERA = 1e-12
_GIGA = 1e-9


@dataclass(frozen=True)
class Work:
    """Amounts of work in one step, and in one local update.

    Attributes
    ----------
    one : float
        1: what every step has once.
    layers_above : float
        Layers from the lowest trained one on.
    forward, attention : float
        Operations of all layers' matrices, and of attention's products over all pairs of tokens [1e12].
    above, attention_above : float
        The same, from the lowest trained layer on [1e12].
    head : float
        Operations of the output head [1e12].
    gradients : float
        Operations of the trained matrices' gradients [1e12].
    weights : float
        Trained weights [1e9].
    modules : float
        Linear modules that have an adapter.
    adapter : float
        Operations of the adapters' matrices [1e12].
    adapter_values : float
        Values that go into and out of the adapters [1e9].
    """

    one: float
    layers_above: float
    forward: float
    attention: float
    above: float
    attention_above: float
    head: float
    gradients: float
    weights: float
    modules: float
    adapter: float
    adapter_values: float


def work(architecture: Architecture, point: Point) -> Work:
    """Amounts of work in a step.

    Parameters
    ----------
    architecture : Architecture
        The model.
    point : Point
        What is trained, and on how many tokens.
    """
    tokens = point.tokens
    layers = architecture.layers
    pairs = point.batch_size * point.sequence_length**2
    attention = 4 * pairs * architecture.attention_heads * architecture.head_dimension * len(layers) * _TERA
    head = architecture.vocabulary_size * architecture.hidden_size
    above = _parameters_above(architecture, point)
    depth = above / architecture.layer_parameters
    trained, multiplied = _trained(architecture, point, head)
    modules, values, adapter = _adapter(architecture, point)
    return Work(
        one=1.0,
        layers_above=len(layers) * depth,
        forward=2 * architecture.layer_parameters * tokens * _TERA,
        attention=attention,
        above=2 * above * tokens * _TERA,
        attention_above=attention * depth,
        head=2 * head * tokens * _TERA,
        gradients=2 * multiplied * tokens * _TERA,
        weights=trained * _GIGA,
        modules=modules,
        adapter=2 * adapter * tokens * _TERA,
        adapter_values=values * tokens * _GIGA,
    )


def full_pass_work(architecture: Architecture, batch_size: int, sequence_length: int) -> Work:
    """Amounts of work in one forward and backward pass with all layers' gradients and no optimizer."""
    whole = Point(
        trains=Trains.BLOCK,
        batch_size=batch_size,
        sequence_length=sequence_length,
        first_layer=0,
        layers=len(architecture.layers),
    )
    return work(architecture, whole)


def _parameters_above(architecture: Architecture, point: Point) -> int:
    """Parameters of the layers from the lowest trained one on."""
    if point.trains is not Trains.BLOCK:
        return architecture.layer_parameters
    assert point.first_layer is not None
    return block_at(architecture, point.first_layer, len(architecture.layers)).parameters


def _trained(architecture: Architecture, point: Point, head: int) -> tuple[int, int]:
    """Weights that are trained, and those of them whose gradient is a product of matrices."""
    if point.trains is Trains.BLOCK:
        assert point.first_layer is not None
        assert point.layers is not None
        size = block_at(architecture, point.first_layer, point.layers).parameters
        return size, size
    if point.trains is Trains.EVERYTHING:
        return architecture.parameters, architecture.layer_parameters + head
    a, b = _adapter_sizes(architecture, point)
    return (b if point.trains is Trains.LORA_B else a + b), 0


def _adapter(architecture: Architecture, point: Point) -> tuple[int, int, int]:
    """Adapted modules, values in and out of them per token, and weights of the adapters."""
    if point.trains not in ADAPTERS:
        return 0, 0, 0
    assert point.targets is not None
    assert point.rank is not None
    targets = split_targets(point.targets)
    wanted = {targets} if isinstance(targets, str) else set(targets)
    everything = targets == "all-linear"
    adapted = [m for m in architecture.linears() if everything or not wanted.isdisjoint(m.names)]
    return len(adapted), sum(m.inputs + m.outputs for m in adapted), sum(_adapter_sizes(architecture, point))


def _adapter_sizes(architecture: Architecture, point: Point) -> tuple[int, int]:
    assert point.targets is not None
    assert point.rank is not None
    return lora_parameters(architecture, point.rank, split_targets(point.targets))
