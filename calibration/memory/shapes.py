"""Models of shapes alone: any catalogue model or config.json without its weights, ready to be traced.

A `ShapeModel` weighs a few megabytes whatever the model's size, and is traced as often as one likes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)

from parasim_core.calibration.measuring.configuration import model_config, positions_of
from parasim_core.calibration.measuring.measured_model import trained_for_now
from parasim_core.calibration.memory.recipe import Recipe
from parasim_core.calibration.memory.trace import StepTrace, trace_update
from parasim_core.sim.errors import CostError, shown
from parasim_core.sim.scenario.sections import Lora
from parasim_core.sim.workload.blocks import Block
from parasim_core.sim.workload.methods import Trains
from parasim_core.train.models.architecture import configuration, counted
from parasim_core.train.models.blocks import checkpoint_activations
from parasim_core.train.models.building import classifies_images, keep_no_cache, placed, random_model
from parasim_core.train.update.loss import training_loss


@dataclass(frozen=True)
class TracedStep:
    """One step of one client's local update, as far as its costs depend on it.

    Attributes
    ----------
    trains : Trains
        What is trained.
    block : Block or None
        Which block, where blocks are trained.
    batch_size : int
        Examples in one forward pass.
    sequence_length : int
        Tokens per example; ignored by vision models.
    accumulation : int
        Batches per step.
    lora : Lora
        Adapter, where one is trained.
    checkpointing : bool
        Whether activations are recomputed instead of kept; ``selective`` keeps the results of matrix products and
        attention.
    padded : bool
        Whether some sequences are padded: then attention needs a mask, and with it copies of grouped keys and values.
    recipe : Recipe
        How it is trained.
    """

    trains: Trains = Trains.BLOCK
    block: Block | None = None
    batch_size: int = 4
    sequence_length: int = 512
    accumulation: int = 1
    lora: Lora = field(default_factory=Lora)
    checkpointing: bool | Literal["selective"] = False
    padded: bool = False
    recipe: Recipe = field(default_factory=Recipe)

    def __post_init__(self) -> None:
        for name in ("batch_size", "sequence_length", "accumulation"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise CostError(f"{name} is {shown(value)}, allowed are whole numbers from 1 on")
        if (self.trains is Trains.BLOCK) != (self.block is not None):
            raise CostError(f"training {self.trains} {'needs a block' if self.block is None else 'takes no block'}")


class ShapeModel:
    """A model without memory.

    Parameters
    ----------
    model : str
        Catalogue name, ``demo``, or the path of a ``config.json``.
    precision : str
        Type of the base weights: ``bfloat16`` (GPUs) or ``float32`` (CPUs).
    config : mapping, optional
        Its configuration, where it is known already.

    Raises
    ------
    ArchitectureError
        If there is no such model.
    CostError
        If the precision is another one.
    """

    def __init__(self, model: str, precision: str = "bfloat16", *, config: Mapping[str, Any] | None = None):
        if precision not in ("bfloat16", "float32"):
            raise CostError(f"precision is {precision!r}, allowed are bfloat16 and float32")
        fields = model_config(model) if config is None else config
        self.config = configuration(fields, model)
        self.architecture = counted(model, fields)
        self.precision = precision
        self._dtype: torch.dtype = getattr(torch, precision)
        with torch.device("meta"):
            built: Any = random_model(self.config, seed=0)
        keep_no_cache(built)
        self._model = placed(built, "meta", self._dtype)

    def trace(self, step: TracedStep, *, granularity: int = 1) -> StepTrace:
        """Trace one step.

        Parameters
        ----------
        step : TracedStep
            What is trained, on what.
        granularity : int
            What the allocator rounds every size up to [B].

        Returns
        -------
        StepTrace
            Peak memory by category, and the operators.

        Raises
        ------
        ParaSimError
            If the model has no such block or adapter, does not take such an input, or asks for its values.
        """
        self._check_length(step)
        with ExitStack() as undone:
            with torch.device("meta"):
                names = list(undone.enter_context(trained_for_now(self._model, step.trains, step.block, step.lora)))
            # Where there is memory, peft itself gives an adapter the precision of the weights beside it.
            own = set(names) if "lora" in step.trains and step.recipe.adapters == "float32" else set()
            for name, parameter in self._model.named_parameters():
                parameter.data = parameter.data.to(torch.float32 if name in own else self._dtype)
            undone.enter_context(_recomputing(self._model, step))
            undone.enter_context(_attending(self._model, step.recipe.attention))
            undone.enter_context(FakeTensorMode())
            undone.enter_context(_filled(self._model))
            undone.enter_context(_read_as_eager(padded=step.padded))
            batches = [filled_batch(self.config, step) for _ in range(step.accumulation)]
            part = {name: self._model.get_parameter(name) for name in names}
            quantized = _linear_weights(self._model) if step.recipe.weights == "nf4" else []
            loss = training_loss(chunked=step.recipe.loss == "chunked", mixed=step.recipe.mixed)
            try:
                return trace_update(
                    self._model, part, batches, loss, recipe=step.recipe, quantized=quantized, granularity=granularity
                )
            except (DynamicOutputShapeException, DataDependentOutputException) as error:
                raise CostError(
                    f"{self.architecture.name}: what this model computes depends on its input's values ({error}), "
                    "so its memory cannot be told from shapes"
                ) from None

    def _check_length(self, step: TracedStep) -> None:
        """Refuse more tokens than there are positions: looking them up shows no error where there are no values."""
        longest = positions_of(self._model)
        if longest is not None and step.sequence_length > longest:
            raise CostError(
                f"sequence_length is {step.sequence_length}, {self.architecture.name} has {longest} positions"
            )


def filled_batch(config: Any, step: TracedStep) -> dict[str, Tensor]:
    """Make a batch as the trainer's tasks do, of zeros and without padding.

    Parameters
    ----------
    config : transformers.PretrainedConfig
        Configuration of the model that it is for.
    step : TracedStep
        Its size.

    Returns
    -------
    dict of str to torch.Tensor
        Token ids, attention mask and labels of shape (batch, tokens), or pixels (batch, channels, side, side) and
        labels (batch,).
    """
    if classifies_images(config):
        pixels = (step.batch_size, config.num_channels, config.image_size, config.image_size)
        return {"pixel_values": torch.zeros(pixels), "labels": torch.zeros(step.batch_size, dtype=torch.long)}
    shape = (step.batch_size, step.sequence_length)
    tokens = torch.zeros(shape, dtype=torch.long)
    return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens), "labels": tokens.clone()}


@contextmanager
def _filled(model: nn.Module) -> Iterator[None]:
    """Give a model on the meta device fake tensors on a CPU for a while: what is tied stays tied."""
    fakes: dict[int, Tensor] = {}
    places: list[tuple[dict[str, Any], str, Tensor]] = []
    for module in model.modules():
        tables: list[dict[str, Any]] = [module._parameters, module._buffers]
        for held in tables:
            places += [(held, name, tensor) for name, tensor in held.items() if tensor is not None]
    for held, name, tensor in places:
        if id(tensor) not in fakes:
            fake = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
            fakes[id(tensor)] = nn.Parameter(fake) if isinstance(tensor, nn.Parameter) else fake
        held[name] = fakes[id(tensor)]
    try:
        yield
    finally:
        for held, name, tensor in places:
            held[name] = tensor


@contextmanager
def _read_as_eager(*, padded: bool) -> Iterator[None]:
    """Let transformers treat the attention mask as it does when it runs: look whether anything is padded.

    Faced with a mask without values it takes the general path, with an explicit mask for every layer, which is
    what a padded batch gets. For one without padding the question has to be asked, and the trace answers yes.
    """
    from transformers import masking_utils

    before = masking_utils.is_tracing
    if not padded:
        masking_utils.is_tracing = lambda tensor=None: False
    try:
        yield
    finally:
        masking_utils.is_tracing = before


@contextmanager
def _recomputing(model: Any, step: TracedStep) -> Iterator[None]:
    """Recompute activations for a while, as the step says."""
    if step.checkpointing:
        checkpoint_activations(model, step.checkpointing)
    try:
        yield
    finally:
        if step.checkpointing:
            checkpoint_activations(model, False)


@contextmanager
def _attending(model: Any, attention: str) -> Iterator[None]:
    """Let a model attend as a GPU would: with one kernel, dropout within, or with products, mask and softmax.

    torch's fused kernel for CPUs knows no dropout and would give way to separate operators, which those of GPUs do not.
    """
    before, fused = model.config._attn_implementation, nn.functional.scaled_dot_product_attention

    def without_dropout(*args: Any, dropout_p: float = 0.0, **kwargs: Any) -> Tensor:
        return fused(*args, **kwargs)

    if attention == "eager":
        model.set_attn_implementation("eager")
    nn.functional.scaled_dot_product_attention = without_dropout
    try:
        yield
    finally:
        nn.functional.scaled_dot_product_attention = fused
        if attention == "eager":
            model.set_attn_implementation(before)


def _linear_weights(model: Any) -> list[Tensor]:
    """Weights of a model's linear layers, without its head and adapters: what 4-bit loading quantizes."""
    head = model.get_output_embeddings()
    linear = ((name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear))
    return [module.weight for name, module in linear if module is not head and ".lora_" not in name]
