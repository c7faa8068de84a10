"""What a local update asks an allocator for, held against the same update when it really runs."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.profiler import ProfilerActivity, profile

from calibration.heap import NODE, SAVED, Heap
from calibration.shapes import ShapeModel, Step
from calibration.trace import trace_update
from parasim_demonstration.models import demo_config
from sim.blocks import partition
from train.local import LocalSettings, train_locally

WIDTH = 64
LARGE = 4 * WIDTH * WIDTH
FLAT = (8 * WIDTH, WIDTH)
NODES = range(NODE, NODE + 4 * SAVED)


def events(heap_events: array[int]) -> list[tuple[int, int, int]]:
    return list(zip(heap_events[::3], heap_events[1::3], heap_events[2::3], strict=True))


class Branches(nn.Module):
    """Two branches that meet: what they begin with gets two gradients, which autograd adds up."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.left, self.right = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        begun = self.first(x).tanh()
        return (self.left(begun) * self.right(begun)).sum()


def loss(model: nn.Module, batch: Any) -> Tensor:
    return model(batch["x"])  # type: ignore[no-any-return]


def traced(
    steps: int, shape: tuple[int, ...] = FLAT, trained: tuple[str, ...] | None = None
) -> list[tuple[int, int, int]]:
    with FakeTensorMode():
        model = Branches()
        part = {name: value for name, value in model.named_parameters() if trained is None or name in trained}
        trace = trace_update(model, part, [batch(shape)], loss, steps=steps)
    return events(trace.allocations)


def batch(shape: tuple[int, ...] = FLAT) -> dict[str, Tensor]:
    return {"x": torch.ones(shape)}


def graph_nodes(root: Any) -> int:
    seen, open_ones = set(), [root]
    while open_ones:
        node = open_ones.pop()
        if node is None or node in seen or type(node).__name__ == "AccumulateGrad":
            continue
        seen.add(node)
        open_ones += [following for following, _ in node.next_functions]
    return len(seen)


# Gradients of matrices are added up in place; those of anything else are views of matrices, and their sum is new.
@pytest.mark.parametrize("shape", [FLAT, (8, WIDTH, WIDTH)])
def test_the_tensors_of_a_step_are_those_that_pytorch_allocates(shape: tuple[int, ...]) -> None:
    def real(steps: int) -> Counter[int]:
        model = Branches()
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
            settings = LocalSettings(learning_rate=1e-5, steps=steps)
            train_locally(model, dict(model.named_parameters()), [batch(shape)] * steps, loss, settings)
        sizes: list[int] = [event.nbytes() for event in recorded.profiler.kineto_results.events() if _is_memory(event)]
        return Counter(size for size in sizes if size >= LARGE)

    def followed(steps: int) -> Counter[int]:
        return Counter(size for _, size, aligned in traced(steps, shape) if aligned and size >= LARGE)

    # What a step adds.
    assert real(3) - real(2) == followed(3) - followed(2) != Counter()


def _is_memory(event: Any) -> bool:
    return event.name() == "[memory]" and event.nbytes() > 0


# Where only a part is trained, the trainer lets the loss go at once; else the next loss takes its name.
@pytest.mark.parametrize(("trained", "graphs"), [(("left.weight", "first.weight"), 1), (None, 2)])
def test_a_graph_is_there_as_long_as_its_loss(trained: tuple[str, ...] | None, graphs: int) -> None:
    model = Branches()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trained is None or name in trained)
    # The trainer divides the loss by the number of batches that it accumulates: one node more.
    nodes = graph_nodes(loss(model, batch()).grad_fn) + 1
    alive, most, made = 0, 0, set()
    for piece, size, aligned in traced(steps=3, trained=trained):
        if size in NODES and not aligned and (size - NODE) % SAVED == 0:
            made.add(piece)
            alive += 1
        elif size < 0 and piece in made:
            alive -= 1
        most = max(most, alive)
    assert len(made) == 3 * nodes
    assert nodes * (graphs - 1) < most <= nodes * graphs
    assert alive == 0


@pytest.mark.parametrize("checkpointing", [False, True])
def test_every_piece_is_freed_once(checkpointing: bool) -> None:
    model = ShapeModel("small Llama", "float32", config=demo_config().to_dict())
    step = Step(
        block=partition(model.architecture, 1)[0], batch_size=2, sequence_length=16, checkpointing=checkpointing
    )
    alive: dict[int, int] = {}
    seen = set()
    for piece, size, _ in events(model.trace(step, steps=2).allocations):
        if size < 0:
            assert alive.pop(piece) >= 0
        else:
            assert piece not in seen
            seen.add(piece)
            alive[piece] = size
    assert seen
    assert not alive


def test_pieces_are_numbered_in_order() -> None:
    heap = Heap()
    first = heap.allocate(10, 20)
    heap.free(first)
    assert heap.allocate(30, alignment=64) == [2]
    assert events(heap.events) == [(0, 10, 0), (1, 20, 0), (0, -1, 0), (1, -1, 0), (2, 30, 64)]
