"""What an architecture is: layers of two halves, each made of linear modules and a norm.

These are counts only; there is no tensor here. The halves are the smallest blocks that block coordinate
descent trains (`sim.workload.blocks`), the linear modules are what LoRA adapts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal


@dataclass(frozen=True)
class Linear:
    """A linear module of a layer, or the matrices of all its experts, under the name that transformers gives it.

    Attributes
    ----------
    name : str
        Last part of the module's name, such as ``q_proj`` or ``c_attn``; of a tensor that is no module the tensor's,
        such as ``gate_up_proj``.
    inputs, outputs : int
        Width of what goes in and of what comes out.
    bias : bool
        Whether `outputs` bias terms are added.
    formerly : str or None
        The module's name before transformers 5, where it had another one. It does not take part in
        comparisons.
    experts : int
        Matrices of this shape that are stacked in one tensor, one for each expert; each gets an adapter of its own.
    fuses : tuple of str
        Former names of the matrices that lie side by side in this one. LoRA that targets all of them gives it the
        ranks of all of them.
    targets : str
        How LoRA may target it: by its name and ``all-linear``, by its name alone, or never.
    """

    name: str
    inputs: int
    outputs: int
    bias: bool = False
    formerly: str | None = field(default=None, compare=False)
    experts: int = 1
    fuses: tuple[str, ...] = ()
    targets: Literal["all-linear", "name", "never"] = "all-linear"

    @property
    def weights(self) -> int:
        """Weights of all its experts, without bias terms."""
        return self.experts * self.inputs * self.outputs

    @property
    def parameters(self) -> int:
        """Weights and bias terms."""
        return self.weights + self.experts * self.outputs * self.bias

    @property
    def names(self) -> tuple[str, ...]:
        """Every name under which LoRA may target it by itself."""
        if self.targets == "never":
            return ()
        return (self.name,) if self.formerly is None else (self.name, self.formerly)


@dataclass(frozen=True)
class Half:
    """The attention or the MLP of one layer, with the norms that belong to it.

    Attributes
    ----------
    name : str
        ``attention`` or ``mlp``.
    parameters : int
        All parameters of the half, norms included.
    linears : tuple of Linear
        Its linear modules, in the order in which the model defines them.
    """

    name: str
    parameters: int
    linears: tuple[Linear, ...]

    @classmethod
    def of(cls, name: str, linears: tuple[Linear, ...], norms: int) -> Half:
        """Make a half of its linear modules and the parameters of its norms."""
        return cls(name, norms + sum(linear.parameters for linear in linears), linears)


@dataclass(frozen=True)
class Layer:
    """One layer of the repeated stack: attention, then MLP.

    Attributes
    ----------
    attention, mlp : Half
        The input norm counts with the attention, the post-attention norm with the MLP.
    """

    attention: Half
    mlp: Half

    @property
    def halves(self) -> tuple[Half, Half]:
        """Both halves in the order in which they compute."""
        return (self.attention, self.mlp)

    @property
    def linears(self) -> tuple[Linear, ...]:
        """Linear modules of both halves."""
        return self.attention.linears + self.mlp.linears

    @property
    def parameters(self) -> int:
        """Parameters of both halves."""
        return self.attention.parameters + self.mlp.parameters


@dataclass(frozen=True)
class Architecture:
    """Parameter counts of a model.

    Attributes
    ----------
    name : str
        Catalogue name, or the path that was read.
    model_type : str
        The family, as `model_type` in a ``config.json``.
    hidden_size : int
        Width of the residual stream.
    vocabulary_size : int
        Tokens in the vocabulary; 0 for a vision model.
    attention_heads : int
        Query heads of a layer.
    head_dimension : int
        Width of one head.
    layers : tuple of Layer
        The repeated stack, from the input to the output.
    embedding_parameters : int
        Token, position and patch embeddings.
    head_parameters : int
        Output head; 0 when it shares its weights with the embeddings.
    other_parameters : int
        What is left outside the layers, such as the final norm.
    experts_per_token : int or None
        Experts of a layer that a token passes; None without any.
    """

    name: str
    model_type: str
    hidden_size: int
    vocabulary_size: int
    attention_heads: int
    head_dimension: int
    layers: tuple[Layer, ...]
    embedding_parameters: int
    head_parameters: int
    other_parameters: int
    experts_per_token: int | None = None

    @cached_property
    def layer_parameters(self) -> int:
        """Parameters of all layers together."""
        return sum(layer.parameters for layer in self.layers)

    @cached_property
    def parameters(self) -> int:
        """All parameters of the model, shared ones counted once."""
        outside = self.embedding_parameters + self.head_parameters + self.other_parameters
        return self.layer_parameters + outside

    @cached_property
    def active_parameters(self) -> int:
        """Parameters that take part in computing one token: all but the experts that it does not pass."""
        if self.experts_per_token is None:
            return self.parameters
        passed = self.experts_per_token
        idle = (one.parameters // one.experts * (one.experts - passed) for one in self.linears() if one.experts > 1)
        return self.parameters - sum(idle)

    def linears(self) -> Iterator[Linear]:
        """Go through the linear modules of all layers, from the input to the output."""
        for layer in self.layers:
            yield from layer.linears

    def summary(self, bytes_per_parameter: float = 2) -> dict[str, str | int | float]:
        """Describe the model in one flat, JSON-ready record.

        Parameters
        ----------
        bytes_per_parameter : float
            Width of a stored weight [B]; 2 for bf16.

        Returns
        -------
        dict
            `name`, `model_type`, `parameters`, `active_parameters`, `layers`, `parameters_per_layer` (mean over
            the layers), `embedding_parameters`, `head_parameters`, `other_parameters`, and `bytes` and
            `bytes_per_layer` [B].
        """
        per_layer = self.layer_parameters / len(self.layers)
        return {
            "name": self.name,
            "model_type": self.model_type,
            "parameters": self.parameters,
            "active_parameters": self.active_parameters,
            "layers": len(self.layers),
            "parameters_per_layer": round(per_layer),
            "embedding_parameters": self.embedding_parameters,
            "head_parameters": self.head_parameters,
            "other_parameters": self.other_parameters,
            "bytes": round(self.parameters * bytes_per_parameter),
            "bytes_per_layer": round(per_layer * bytes_per_parameter),
        }
