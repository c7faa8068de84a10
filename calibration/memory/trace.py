"""Trace a local update without running it: the trainer's own code on tensors that have shapes and no memory.

`train.update.local.train_locally` runs, forward, backward and AdamW, under PyTorch's `FakeTensorMode`; or, where a
recipe says so, the step that most scripts write (`calibration.memory.plain_step`). A dispatch mode sees every operator
that would reach the device: it notes what the operator costs, and follows the storages that it makes until they are
gone. Nothing about the step is written down a second time here.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from parasim_core.calibration.devices.operators import Operator, Operators, Phase
from parasim_core.calibration.memory.allocations import Category, Footprint, Holding, Ledger
from parasim_core.calibration.memory.caching_allocator import reserved
from parasim_core.calibration.memory.fusion import Fusion
from parasim_core.calibration.memory.operations import describe, tensors, writes
from parasim_core.calibration.memory.plain_step import train_plainly
from parasim_core.calibration.memory.recipe import NF4_BYTES, Recipe, moment_bytes
from parasim_core.train.data.task import Batch
from parasim_core.train.models.blocks import Part, activate
from parasim_core.train.update.local import LocalSettings, train_locally

aten = torch.ops.aten
UNFUSED = {"aten.embedding_dense_backward", "aten.index_put", "aten.index_add"}
"""Operators that compute nothing to speak of, and are kernels of their own in compiled code too."""


@dataclass(frozen=True)
class StepTrace:
    """What one step of a local update does.

    Attributes
    ----------
    peak : Footprint
        Memory at its highest, as in every step but the first: with AdamW's moments there.
    operators : mapping of Operator to int
        Every kind of call, and how often it happens.
    peaks : tuple of Footprint
        Memory at its highest in each stretch of the step, in order (`Ledger.peaks`).
    reserved : int
        What the caching allocator of CUDA reserves for it [B].
    """

    peak: Footprint
    operators: Operators
    peaks: tuple[Footprint, ...] = ()
    reserved: int = 0


def trace_update(
    model: nn.Module,
    part: Part,
    batches: Sequence[Batch],
    loss: Callable[[nn.Module, Batch], Tensor],
    *,
    recipe: Recipe | None = None,
    quantized: Sequence[Tensor] = (),
    granularity: int = 1,
) -> StepTrace:
    """Trace a step over the given batches.

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
    recipe : Recipe, optional
        How it is trained; as paraSim's trainer does by default.
    quantized : sequence of torch.Tensor
        Weights that are held in 4 bits.
    granularity : int
        What the allocator rounds every size up to [B].

    Returns
    -------
    StepTrace
        Peak memory by category, and the operators.
    """
    recipe = recipe or Recipe()
    # Only what wants a gradient can be watched for one.
    activate(model, part)
    tracer = _Tracer(Ledger(granularity), recipe)
    tracer.adopt((*model.parameters(), *model.buffers()), Category.WEIGHTS)
    tracer.adopt((tensor for batch in batches for tensor in batch.values()), Category.TEMPORARIES)
    tracer.quantize(quantized)
    with tracer, tracer.watching(model, part):
        if recipe.delta:
            settings = LocalSettings(1e-5, steps=1, accumulation=len(batches), master=recipe.master)
            train_locally(model, part, batches, tracer.forward(loss), settings)
        else:
            train_plainly(model, part, batches, tracer.forward(loss), recipe)
    ledger = tracer.ledger
    return StepTrace(ledger.peak(), dict(tracer.operators), ledger.peaks(), reserved(ledger.events))


class _Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every operator, and every storage from the operator that makes it to its end."""

    def __init__(self, ledger: Ledger, recipe: Recipe):
        super().__init__()  # type: ignore[no-untyped-call]
        self.ledger = ledger
        self._recipe = recipe
        self._fusion = Fusion() if recipe.kernels != "eager" else None
        self._quantized: set[int] = set()
        self.operators: Counter[Operator] = Counter()
        self._at_head = False
        self._phase = Phase.PREPARATION
        self._alive: dict[int, tuple[weakref.ref[Any], Holding]] = {}
        self._working: set[int] = set()
        self._fills_moments = False
        self._of_forward: list[Holding] = []

    def adopt(self, tensors: Any, category: Category) -> None:
        """Note storages that are there already, or label those that are known."""
        for tensor in tensors:
            self._follow(tensor, category).category = category

    def quantize(self, weights: Sequence[Tensor]) -> None:
        """Hold weights, which are known already, in 4 bits."""
        for weight in weights:
            self._follow(weight, Category.WEIGHTS).size = int(weight.numel() * NF4_BYTES)
            self._quantized.add(weight.untyped_storage()._cdata)

    def forward(self, loss: Callable[[nn.Module, Batch], Tensor]) -> Callable[[nn.Module, Batch], Tensor]:
        """Wrap the loss, so that the forward pass is known by its call."""

        def traced(model: nn.Module, batch: Batch) -> Tensor:
            self._phase = Phase.FORWARD
            self.ledger.begin(Phase.FORWARD)
            value = loss(model, batch)
            self._close(Phase.FORWARD)
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
            self._close(Phase.BACKWARD)
            self.ledger.begin(Phase.OPTIMIZER)
            self._fills_moments = True
            masters = [tensor for group in optimizer.param_groups for tensor in group["params"]]
            self.adopt((tensor.grad for tensor in masters if tensor.grad is not None), Category.GRADIENTS)
            working = {id(parameter) for parameter in part.values()}
            self.adopt((tensor for tensor in masters if id(tensor) not in working), Category.MASTER)
            if self._recipe.delta:
                self.adopt(part.values(), Category.WORKING_COPY)
            self._working = {parameter.untyped_storage()._cdata for parameter in part.values()}

        def after(optimizer: Optimizer, *_: Any) -> None:
            for state in optimizer.state.values():
                held = [value for value in state.values() if isinstance(value, Tensor)]
                self.adopt(held, Category.MOMENTS)
                for moment in held if "8bit" in self._recipe.optimizer else ():
                    self._follow(moment, Category.MOMENTS).size = moment_bytes(moment.numel())
            self._fills_moments = False
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
        if operator is not None and operator.shape:
            self._dequantize(args, phase)
        for result in pytree.tree_leaves(out):
            if isinstance(result, FakeTensor):
                self._follow(result, Category.LOGITS if self._at_head else Category.TEMPORARIES, phase)
        if operator is not None:
            self._note(operator, (args, dict(kwargs)), out)
        return out

    def _note(self, operator: Operator, operands: Any, out: Any) -> None:
        """Count an operator, or take it into the kernel that a compiler would make of it and its neighbours."""
        if operator.name == "aten._fused_adamw_" and "8bit" in self._recipe.optimizer:
            operator = replace(operator, traffic=self._with_short_moments(operands[0]))
        if self._fusion is None or operator.phase not in (Phase.FORWARD, Phase.BACKWARD):
            self.operators[operator] += 1
            return
        read, made = ([self._alive[key][1] for key in self._known(tree)] for tree in (operands, out))
        if operator.flops or operator.name in UNFUSED:
            ended = self._fusion.needs(read, operator.phase)
            self.operators.update([operator] if ended is None else [ended, operator])
        else:
            self._fusion.fuses(read, made, operator.phase)

    def _known(self, tree: Any) -> dict[int, None]:
        """Keys of the storages behind tensors, each once."""
        return dict.fromkeys(
            tensor.untyped_storage()._cdata for tensor in tensors(tree) if isinstance(tensor, FakeTensor)
        )

    @staticmethod
    def _with_short_moments(args: tuple[Any, ...]) -> int:
        """Traffic of AdamW whose moments have 8 bits: weights and gradients as they are [B]."""
        weights, gradients = args[:2]
        # Both moments are read and written.
        moved = sum(2 * own.nbytes + 4 * moment_bytes(own.numel()) for own in weights)
        return int(moved + sum(gradient.nbytes for gradient in gradients))

    def _dequantize(self, args: tuple[Any, ...], phase: Phase) -> None:
        """Bring a 4-bit weight back to the precision of the product that needs it, for as long as that runs."""
        for weight in tensors(args):
            if weight.untyped_storage()._cdata in self._quantized:
                moved = int(weight.numel() * NF4_BYTES) + weight.nbytes
                self.operators[Operator("dequantize", phase, str(weight.dtype).removeprefix("torch."), 0, moved)] += 1
                self.ledger.free(self.ledger.allocate(weight.nbytes))

    def _close(self, phase: Phase) -> None:
        """End the kernel that a compiler has open at the end of a phase."""
        ended = None if self._fusion is None else self._fusion.ends(phase)
        if ended is not None:
            self.operators[ended] += 1

    def _phase_of(self, func: Any, args: tuple[Any, ...]) -> Phase:
        if torch._C._current_graph_task_id() != -1:
            if self._of_forward:
                # The backward pass begins: what the forward pass left is what it keeps.
                for holding in self._of_forward:
                    if not holding.freed and holding.category is Category.TEMPORARIES:
                        holding.category = Category.ACTIVATIONS
                self._of_forward = []
                self.ledger.begin(Phase.BACKWARD)
            return Phase.BACKWARD
        if self._fills_moments and func._overloadpacket is not aten._fused_adamw_:
            # The first step makes them; every later one finds them.
            return Phase.PREPARATION
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
