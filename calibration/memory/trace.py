"""Trace a local update without running it: the trainer's own code on tensors that have shapes and no memory.

`train.update.local.train_locally` runs, forward, backward and AdamW, under PyTorch's `FakeTensorMode`. A
dispatch mode sees every operator that would reach the device: it notes what the operator costs, and follows the
storages that it makes until they are gone. Nothing about the step is written down a second time here.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from calibration.devices.operators import Operator, Operators, Phase
from calibration.memory.allocations import Category, Footprint, Holding, Ledger
from calibration.memory.operations import describe, writes
from train.data.task import Batch
from train.models.blocks import Part, activate
from train.update.local import LocalSettings, train_locally

aten = torch.ops.aten


@dataclass(frozen=True)
class StepTrace:
    """What one step of a local update does.

    Attributes
    ----------
    peak : Footprint
        Memory at its highest, as in every step but the first: with AdamW's moments there.
    operators : mapping of Operator to int
        Every kind of call, and how often it happens.
    """

    peak: Footprint
    operators: Operators


def trace_update(
    model: nn.Module,
    part: Part,
    batches: Sequence[Batch],
    loss: Callable[[nn.Module, Batch], Tensor],
    *,
    granularity: int = 1,
) -> StepTrace:
    """Trace `train_locally` over the given batches.

    Parameters
    ----------
    model : torch.nn.Module
        A model of fake tensors, within its `FakeTensorMode`.
    part : mapping of str to torch.nn.Parameter
        What is trained.
    batches : sequence of mapping of str to torch.Tensor
        The batches of a step; more than one are accumulated.
    loss : callable
        Mean loss of the model on a batch.
    granularity : int
        What the allocator rounds every size up to [B].

    Returns
    -------
    StepTrace
        Peak memory by category, and the operators.
    """
    # Only what wants a gradient can be watched for one.
    activate(model, part)
    tracer = _Tracer(Ledger(granularity))
    tracer.adopt((*model.parameters(), *model.buffers()), Category.WEIGHTS)
    tracer.adopt((tensor for batch in batches for tensor in batch.values()), Category.TEMPORARIES)
    settings = LocalSettings(learning_rate=1e-5, steps=1, accumulation=len(batches))
    with tracer, tracer.watching(model, part):
        train_locally(model, part, batches, tracer.forward(loss), settings)
    return StepTrace(tracer.ledger.peak(), dict(tracer.operators))


class _Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every operator, and every storage from the operator that makes it to its end."""

    def __init__(self, ledger: Ledger):
        super().__init__()  # type: ignore[no-untyped-call]
        self.ledger = ledger
        self.operators: Counter[Operator] = Counter()
        self._at_head = False
        self._phase = Phase.PREPARATION
        self._alive: dict[int, tuple[weakref.ref[Any], Holding]] = {}
        self._working: set[int] = set()
        self._of_forward: list[Holding] = []

    def adopt(self, tensors: Any, category: Category) -> None:
        """Note storages that are there already, or label those that are known."""
        for tensor in tensors:
            self._follow(tensor, category).category = category

    def forward(self, loss: Callable[[nn.Module, Batch], Tensor]) -> Callable[[nn.Module, Batch], Tensor]:
        """Wrap the loss, so that the forward pass is known by its call."""

        def traced(model: nn.Module, batch: Batch) -> Tensor:
            self._phase = Phase.FORWARD
            value = loss(model, batch)
            self._phase = Phase.OPTIMIZER
            return value

        return traced

    @contextmanager
    def watching(self, model: nn.Module, part: Part) -> Iterator[None]:
        """Learn from the model, autograd and the optimizer which tensors are what."""

        def enters_head(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self._at_head = True
            if inputs[0].requires_grad:
                inputs[0].register_hook(leaves_head)  # type: ignore[no-untyped-call]

        def leaves_head(_: Tensor) -> None:
            self._at_head = False

        def accumulated(parameter: Tensor) -> None:
            assert parameter.grad is not None
            self.adopt([parameter.grad], Category.GRADIENTS)

        def before(optimizer: Optimizer, *_: Any) -> None:
            masters = [tensor for group in optimizer.param_groups for tensor in group["params"]]
            self.adopt((tensor.grad for tensor in masters if tensor.grad is not None), Category.GRADIENTS)
            working = {id(parameter) for parameter in part.values()}
            self.adopt((tensor for tensor in masters if id(tensor) not in working), Category.MASTER)
            self.adopt(part.values(), Category.WORKING_COPY)
            self._working = {parameter.untyped_storage()._cdata for parameter in part.values()}

        def after(optimizer: Optimizer, *_: Any) -> None:
            for state in optimizer.state.values():
                self.adopt((value for value in state.values() if isinstance(value, Tensor)), Category.MOMENTS)
            self._phase = Phase.DELTA

        parameters: list[Any] = list(part.values())
        hooks: list[Any] = [parameter.register_post_accumulate_grad_hook(accumulated) for parameter in parameters]
        hooks += [register_optimizer_step_pre_hook(before), register_optimizer_step_post_hook(after)]
        head = getattr(model, "get_output_embeddings", lambda: None)()
        if head is not None:
            hooks.append(head.register_forward_pre_hook(enters_head))
        with ExitStack() as removed:
            for hook in hooks:
                removed.enter_context(hook)
            yield

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operator on fake tensors and note it."""
        kwargs = kwargs or {}
        packet = func._overloadpacket
        # What depends on values has none here: every question is answered as a finite loss would.
        if packet is aten._local_scalar_dense:
            return True if args[0].dtype == torch.bool else 0
        if packet is aten.nonzero:
            return args[0].new_empty((0, args[0].ndim), dtype=torch.long)
        if func is aten.add.Tensor and self._accumulates(args):
            func = aten.add_.Tensor
        out = func(*args, **kwargs)
        phase = self._phase_of(func, args)
        operator = describe(func, phase, args, kwargs, out)
        if operator is not None:
            self.operators[operator] += 1
        for result in pytree.tree_leaves(out):
            if isinstance(result, FakeTensor):
                self._follow(result, Category.LOGITS if self._at_head else Category.TEMPORARIES, phase)
        return out

    def _phase_of(self, func: Any, args: tuple[Any, ...]) -> Phase:
        if torch._C._current_graph_task_id() != -1:
            if self._of_forward:
                # The backward pass begins: what the forward pass left is what it keeps.
                for holding in self._of_forward:
                    if not holding.freed and holding.category is Category.TEMPORARIES:
                        holding.category = Category.ACTIVATIONS
                self._of_forward = []
            return Phase.BACKWARD
        if self._phase is Phase.DELTA:
            # Rounding the master back into the model's precision still belongs to the step.
            changed = (tensor.untyped_storage()._cdata for tensor in writes(func, args, {}))
            if any(storage in self._working for storage in changed):
                return Phase.OPTIMIZER
        return self._phase

    @staticmethod
    def _accumulates(args: tuple[Any, ...]) -> bool:
        """Tell whether the engine adds up gradients, which it does in place unless they are views, or fake."""
        if torch._C._current_graph_task_id() == -1 or torch.is_grad_enabled():
            return False
        own, other = args[:2]
        return isinstance(other, Tensor) and own.shape == other.shape and not own._is_view()

    def _follow(self, tensor: Tensor, category: Category, phase: Phase = Phase.PREPARATION) -> Holding:
        """Note a tensor's storage, unless it is known."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._alive:
            return self._alive[key][1]
        holding = self.ledger.allocate(storage.nbytes(), category)

        def ended(_: Any) -> None:
            self.ledger.free(self._alive.pop(key)[1])

        self._alive[key] = (weakref.ref(storage, ended), holding)
        if phase is Phase.FORWARD:
            self._of_forward.append(holding)
        return holding
