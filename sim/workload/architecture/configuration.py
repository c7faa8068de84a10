"""Reading the fields of a model's configuration, each checked before it is counted with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from parasim_core.sim.errors import ArchitectureError, shown
from parasim_core.sim.workload.architecture.model import Architecture, Half, Layer, Linear

LARGEST_SIZE = 2**28
LARGEST_LAYER_COUNT = 10_000

_OWN_NAMES = {
    "gpt2": {
        "hidden_size": "n_embd",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
        "max_position_embeddings": "n_positions",
    },
    # What transformers 5 writes.
    "qwen3_moe": {"num_experts": "num_local_experts"},
}
"""Fields that a family calls otherwise; transformers accepts both names."""


class UnknownModelTypeError(ArchitectureError):
    """The configuration is of a family whose parameters `sim` cannot count."""


class Configuration:
    """A ``config.json``, as a checked source of sizes and switches.

    Parameters
    ----------
    fields : mapping
        The parsed configuration.
    name : str
        What to call the model in messages.

    Attributes
    ----------
    hidden, heads : int
        Hidden size, and query heads of a layer.
    """

    def __init__(self, fields: Mapping[str, Any], name: str):
        self._fields = fields
        self.name = name
        self.model_type = str(fields["model_type"])
        self.hidden = self.size("hidden_size")
        self.heads = self.size("num_attention_heads")

    def size(self, key: str, default: int | None = None, largest: int = LARGEST_SIZE) -> int:
        """Read a positive whole number.

        Parameters
        ----------
        key : str
            The field's name; that which the family itself gives it comes first.
        default : int, optional
            What an absent or null field means; without it the field is required.
        largest : int
            Largest value that makes sense.

        Returns
        -------
        int
            The number, between 1 and `largest`.

        Raises
        ------
        ArchitectureError
            If the field is missing and has no default, or is no whole number in range.
        """
        keys = dict.fromkeys((_OWN_NAMES.get(self.model_type, {}).get(key, key), key))
        for name in keys:
            if self._fields.get(name) is not None:
                return self._checked(self._fields[name], name, 1, largest)
        if default is None:
            names = " or ".join(map(repr, keys))
            raise ArchitectureError(f"{self.name}: the configuration has no {names}")
        return default

    def pair(self, key: str, default: int) -> tuple[int, int]:
        """Read a height and width, given as one number for both or as a list of two.

        Raises
        ------
        ArchitectureError
            If the field is neither.
        """
        value = self._fields.get(key)
        if not isinstance(value, Sequence) or isinstance(value, str):
            side = self.size(key, default=default)
            return (side, side)
        if len(value) != 2:
            raise ArchitectureError(f"{self.name}: {key!r} is {shown(value)}, expected one number or two")
        height, width = (self._checked(side, key, 1, LARGEST_SIZE) for side in value)
        return (height, width)

    def switch(self, key: str, default: bool) -> bool:
        """Read true or false.

        Raises
        ------
        ArchitectureError
            If the field is anything else.
        """
        value = self._fields.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise ArchitectureError(f"{self.name}: {key!r} is {shown(value)}, expected true or false")
        return value

    def named(self, key: str) -> bool:
        """Whether a field is there and not empty."""
        return bool(self._fields.get(key))

    def label_count(self) -> int:
        """Read the number of classes of a classifier, which a ``config.json`` gives as a list of labels.

        Returns
        -------
        int
            Length of `id2label`, else `num_labels`, else 2 (transformers' default).

        Raises
        ------
        ArchitectureError
            If `num_labels` is no whole number from 0 on.
        """
        labels = self._fields.get("id2label")
        if isinstance(labels, Mapping):
            return len(labels)
        value = self._fields.get("num_labels")
        return 2 if value is None else self._checked(value, "num_labels", 0, LARGEST_SIZE)

    def key_value_heads(self, default: int | None) -> int:
        """Read the number of key/value heads that the query heads share.

        Parameters
        ----------
        default : int or None
            What an absent field means; None for as many as query heads, which is also what a null field means.

        Raises
        ------
        ArchitectureError
            If the field is no whole number in range, or does not divide the query heads evenly.
        """
        absent = "num_key_value_heads" not in self._fields
        shared = self.size("num_key_value_heads", default=default if absent and default else self.heads)
        if self.heads % shared:
            raise ArchitectureError(
                f"{self.name}: its {self.heads} attention heads cannot share {shared} key/value heads evenly"
            )
        return shared

    def head_dimension(self, default: int | None = None) -> int:
        """Read `head_dim`, or take the family's default, or divide the hidden size among the heads.

        Raises
        ------
        ArchitectureError
            If there is neither and the hidden size is not a multiple of the heads.
        """
        if default is None and self._fields.get("head_dim") is None:
            return self.divided()
        return self.size("head_dim", default=default)

    def divided(self) -> int:
        """Divide the hidden size among the heads.

        Raises
        ------
        ArchitectureError
            If it is not a multiple of them.
        """
        if self.hidden % self.heads:
            raise ArchitectureError(
                f"{self.name}: hidden size {self.hidden} is not a multiple of its {self.heads} attention heads"
            )
        return self.hidden // self.heads

    def _checked(self, value: object, key: str, smallest: int, largest: int) -> int:
        # JSON's true is an int to Python, yet no size.
        if isinstance(value, int) and not isinstance(value, bool) and smallest <= value <= largest:
            return value
        allowed = f"a whole number from {smallest} to {largest}"
        raise ArchitectureError(f"{self.name}: {key!r} is {shown(value)}, expected {allowed}")


def repeated(
    config: Configuration,
    *,
    attention: Iterable[Linear],
    mlp: Iterable[Linear],
    norms: tuple[int, int],
    vocabulary: int,
    embeddings: int | None = None,
    head: int | None = None,
    tied: bool | None = False,
    other: int,
    head_dimension: int | None = None,
    experts_per_token: int | None = None,
) -> Architecture:
    """Make an architecture whose layers are all alike.

    Parameters
    ----------
    config : Configuration
        Says how many layers there are, and whether the head shares the embeddings' weights.
    attention, mlp : iterable of Linear
        Linear modules of every layer's halves.
    norms : tuple of int
        Parameters of the norms that belong to them.
    vocabulary : int
        Tokens; 0 for a vision model.
    embeddings, head : int or None
        Parameters outside the layers, of the head where it has weights of its own; a row for each token if None.
    tied : bool or None
        Whether it has none where the configuration does not say; None if it always has, as a classifier's.
    other : int
        Further parameters outside the layers.
    head_dimension : int or None
        Width of one head; the hidden size divided among the heads if None.
    experts_per_token : int or None
        As in `Architecture`.

    Raises
    ------
    ArchitectureError
        If the number of layers is missing or out of range, or the hidden size is not a multiple of the heads.
    """
    layer = Layer(Half.of("attention", tuple(attention), norms[0]), Half.of("mlp", tuple(mlp), norms[1]))
    is_tied = tied is not None and config.switch("tie_word_embeddings", default=tied)
    matrix = vocabulary * config.hidden
    return Architecture(
        name=config.name,
        model_type=config.model_type,
        hidden_size=config.hidden,
        vocabulary_size=vocabulary,
        attention_heads=config.heads,
        head_dimension=head_dimension or config.divided(),
        layers=(layer,) * config.size("num_hidden_layers", largest=LARGEST_LAYER_COUNT),
        embedding_parameters=matrix if embeddings is None else embeddings,
        head_parameters=0 if is_tied else matrix if head is None else head,
        other_parameters=other,
        experts_per_token=experts_per_token,
    )
