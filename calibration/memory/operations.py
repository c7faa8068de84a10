"""What an operator asks of a device: floating-point operations, bytes of memory traffic, and one launch.

Operations are PyTorch's own counts (the formulas of `torch.utils.flop_counter.FlopCounterMode`), with the CPU's
fused attention counted as CUDA's is, and half of it where a causal mask spares the kernel the other half. Traffic is
what an operator must read and write at least, every operand once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.flop_counter import flop_registry

from parasim_core.calibration.devices.operators import Operator, Phase

aten = torch.ops.aten


def describe(func: Any, phase: Phase, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Any) -> Operator | None:
    """Work out what a call costs.

    Parameters
    ----------
    func : torch._ops.OpOverload
        The operator.
    phase : Phase
        When it runs.
    args, kwargs, out
        Its operands and its result.

    Returns
    -------
    Operator or None
        None for a call that computes nothing: a view, or an allocation without a value.
    """
    packet = func._overloadpacket
    if func.namespace != "aten" or func.is_view or packet in _FREE:
        return None
    operands = tensors((args, dict(kwargs)))
    results = tensors(out)
    # `reshape` and `contiguous` hand their operand back where there is nothing to do; so does `detach`.
    written = writes(func, args, kwargs)
    if results and not written and all(_aliases(result, operands) for result in results):
        return None
    formula = _FORMULAS.get(packet)
    flops = 0 if formula is None else int(formula(*args, **kwargs, out_val=out) * _computed(func, args, kwargs))
    floating = [t.dtype for t in (*operands, *results) if t.is_floating_point()]
    precision = max(floating, key=lambda dtype: dtype.itemsize) if floating else torch.int64
    if packet in _FORMULAS and operands:
        precision = operands[0].dtype
    traffic = _traffic(packet, operands, results, written)
    return Operator(str(packet), phase, str(precision).removeprefix("torch."), flops, traffic, _shape(packet, operands))


def _computed(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Fraction:
    """Share of an attention that fused kernels compute: under a causal mask, the scores up to each query's own."""
    at = {argument.name: place for place, argument in enumerate(func._schema.arguments)}
    if "is_causal" not in at:
        return Fraction(1)
    place = at["is_causal"]
    if not (args[place] if place < len(args) else kwargs.get("is_causal", False)):
        return Fraction(1)
    queries = int(args[at["query"]].shape[-2])
    return Fraction(queries + 1, 2 * queries)


def _shape(packet: Any, operands: list[Tensor]) -> tuple[int, ...]:
    """Batch, rows, columns and inner dimension of a matrix product or an attention; empty for anything else."""
    if packet in (aten.addmm, aten.baddbmm):
        operands = operands[1:]
    if packet in (aten.mm, aten.addmm, aten.bmm, aten.baddbmm):
        left, right = operands[:2]
        return (left.shape[0] if left.ndim == 3 else 1, left.shape[-2], right.shape[-1], left.shape[-1])
    if "scaled_dot_product" in str(packet):
        query, key = operands[1:3] if "backward" in str(packet) else operands[:2]
        return (math.prod(query.shape[:-2]), query.shape[-2], key.shape[-2], query.shape[-1])
    return ()


def writes(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor]:
    """Operands that a call changes in place.

    Parameters
    ----------
    func : torch._ops.OpOverload
        The operator.
    args, kwargs
        Its operands.
    """
    return tensors([args[at] if at < len(args) else kwargs.get(name) for at, name in _written_arguments(func)])


@cache
def _written_arguments(func: Any) -> list[tuple[int, str]]:
    """Places and names of the arguments that an operator changes in place."""
    arguments = enumerate(func._schema.arguments)
    return [(at, argument.name) for at, argument in arguments if argument.is_write]


def _traffic(packet: Any, operands: list[Tensor], results: list[Tensor], written: list[Tensor]) -> int:
    """Bytes that a call reads and writes, every operand and result once."""
    if packet in _GATHERS:
        # Only the rows that are looked up are read.
        return 2 * sum(map(_bytes, results))
    overwritten = {id(written[0])} if packet in _OVERWRITES and written else set()
    read = sum(_bytes(operand) for operand in operands if id(operand) not in overwritten)
    known = {id(tensor) for tensor in written}
    return read + sum(map(_bytes, written)) + sum(_bytes(result) for result in results if id(result) not in known)


def _bytes(tensor: Tensor) -> int:
    """Bytes behind a tensor; a dimension that was expanded is stored once."""
    sizes = zip(tensor.shape, tensor.stride(), strict=True)
    return math.prod(size for size, stride in sizes if stride != 0) * tensor.element_size()


def tensors(tree: Any) -> list[Tensor]:
    """Tensors anywhere in nested lists, tuples and dictionaries."""
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]


def _aliases(result: Tensor, operands: list[Tensor]) -> bool:
    own = result.untyped_storage()._cdata
    return any(operand.untyped_storage()._cdata == own for operand in operands)


_FORMULAS: dict[Any, Callable[..., int]] = {
    **flop_registry,
    # torch counts CUDA's fused attention only.
    aten._scaled_dot_product_flash_attention_for_cpu: flop_registry[aten._scaled_dot_product_flash_attention],
    aten._scaled_dot_product_flash_attention_for_cpu_backward: flop_registry[
        aten._scaled_dot_product_flash_attention_backward
    ],
}
_FREE = {aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty, aten.new_empty_strided, aten.detach}
_GATHERS = {aten.embedding, aten.gather, aten.index_select}
_OVERWRITES = {aten.copy_, aten.zero_, aten.fill_}
