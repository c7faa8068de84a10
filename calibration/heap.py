"""What a process asks its allocator for during a local update: the tensors, and the small objects that belong to them.

Next to the tensors the objects weigh nothing, but they settle between them: whether a hole that a tensor leaves
behind takes the next one depends on what stays there. PyTorch keeps an object for every storage, tensor, view and node
of the autograd graph, and for every node two more while the graph is run backwards; when each comes and goes, a trace
can tell. What lives for one operator alone is left out, as it uses the same few places again and again.

Sizes and orders were read off the allocations of torch 2.13 with Python 3.11 on x86-64, 2026-11-22.
"""

from __future__ import annotations

import weakref
from array import array
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

aten = torch.ops.aten

DATA_ALIGNMENT = 64
"""Of tensors' data on a CPU [B]."""
STORAGE, TENSOR, VERSION, GRADIENT, VIEW = 96, 176, 24, 184, 312
"""A storage; a tensor, its version counter, and what autograd knows of it, or of it as a view [B]."""
NODE, SAVED, EDGE, EXTENT = 480, 88, 16, 8
"""A node of the graph, and for each input what it saves, where it leads, and the length of a dimension [B]."""
SCHEDULED = (24, 16)
"""What the engine keeps for every node while it runs the graph backwards [B]."""

_SAVE_SHAPES = (aten.view, aten._unsafe_view, aten.expand, aten.slice)
_SAVE_NOTHING = (*_SAVE_SHAPES, aten.t, aten.transpose, aten.add, aten.neg, aten.cat)

Pieces = list[int]


class Heap:
    """Allocations and frees in order, told by the operators of a trace.

    Attributes
    ----------
    events : array of int
        Three numbers for each: that of the piece, its size [B] or -1 when it is freed, its alignment or 0 for any.
    """

    def __init__(self) -> None:
        self.events = array("q")
        self._pieces = 0
        self._known: dict[int, weakref.ref[Tensor]] = {}
        self._sequence = _next_node()
        self._made = 0
        self._graph: list[Pieces] = []
        self._roots: set[int] = set()
        self._done: list[tuple[list[Pieces], set[int]]] = []
        self._recomputed: list[Pieces] = []
        self._scheduled: Pieces = []

    def allocate(self, *sizes: int, alignment: int = 0) -> Pieces:
        """Ask for pieces, one after the other [B]."""
        pieces = list(range(self._pieces, self._pieces + len(sizes)))
        self._pieces += len(sizes)
        for piece, size in zip(pieces, sizes, strict=True):
            self.events.extend((piece, size, alignment))
        return pieces

    def free(self, pieces: Pieces) -> None:
        """Give pieces back."""
        for piece in pieces:
            self.events.extend((piece, -1, 0))

    def storage(self, size: int) -> Pieces:
        """Ask for a storage and its data [B]."""
        own = self.allocate(STORAGE)
        return self.allocate(size, alignment=DATA_ALIGNMENT) + own

    def before(self, func: Any, args: tuple[Any, ...]) -> None:
        """Note what is there before an operator runs: the nodes that autograd made for it."""
        self._turn()
        following = _next_node()
        self._made, self._sequence = following - self._sequence, following
        nodes = self._recomputed if _in_backward() else self._graph
        nodes += [self._node(func._overloadpacket, args) for _ in range(self._made)]

    def after(self, func: Any, args: tuple[Any, ...], out: Any) -> None:
        """Note the tensors that an operator made, until they are gone."""
        operands = {id(tensor) for tensor in _tensors(args)}
        for tensor in _tensors(out):
            if id(tensor) not in operands and id(tensor) not in self._known:
                roots = self._roots if self._made and tensor.ndim == 0 else None
                self._watch(tensor, self._tensor(func), roots)

    def _turn(self) -> None:
        """Follow autograd from the forward pass to the backward pass and on."""
        if not _in_backward():
            if self._scheduled:
                self.free(self._scheduled)
                self._done.append((self._graph, self._roots))
                self._graph, self._roots, self._scheduled = [], set(), []
            self._free_graphs()
        elif not self._scheduled:
            self._scheduled = self.allocate(*SCHEDULED * len(self._graph))
        elif not torch.is_grad_enabled():
            # What was recomputed for the backward pass has been handed over.
            for node in self._recomputed:
                self.free(node)
            self._recomputed = []

    def _free_graphs(self) -> None:
        """Free the graphs that were run backwards, when the loss is gone that they hung on."""
        for nodes, roots in self._done:
            for node in nodes if not roots else ():
                self.free(node)
        self._done = [graph for graph in self._done if graph[1]]

    def _node(self, packet: Any, args: tuple[Any, ...]) -> Pieces:
        inputs = list(_tensors(args))
        saved = 0 if packet in _SAVE_NOTHING else len(inputs)
        node = self.allocate(NODE + SAVED * saved, EDGE * max(len(inputs), 1))
        if packet in _SAVE_SHAPES:
            node += self.allocate(EXTENT * inputs[0].ndim)
        elif packet is aten.mm:
            # Sizes and strides of two matrices.
            node += self.allocate(*4 * (2 * EXTENT,))
        return node

    def _tensor(self, func: Any) -> Pieces:
        pieces, version = self.allocate(TENSOR), self.allocate(VERSION)
        if func._overloadpacket is aten.detach:
            # A trace detaches where PyTorch makes a bare copy for autograd.
            self.free(version)
        elif func.is_view:
            pieces += self.allocate(VIEW)
            self.free(version)
        else:
            pieces += version + (self.allocate(GRADIENT) if self._made else [])
        return pieces

    def _watch(self, tensor: Tensor, pieces: Pieces, roots: set[int] | None) -> None:
        known = id(tensor)
        if roots is not None:
            roots.add(known)

        def ended(_: Any) -> None:
            del self._known[known]
            self.free(pieces)
            if roots is not None:
                roots.discard(known)

        self._known[known] = weakref.ref(tensor, ended)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]


def _in_backward() -> bool:
    return bool(torch._C._current_graph_task_id() != -1)


def _next_node() -> int:
    """Give the number that autograd's next node on this thread gets."""
    return int(torch.autograd._get_sequence_nr())  # type: ignore[attr-defined]
