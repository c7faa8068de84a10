"""Reading the fields of a model's configuration, each checked before it is counted with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sim.architecture.model import Architecture, Half, Layer, Linear
from sim.errors import ArchitectureError, shown

LARGEST_SIZE = 2**28
LARGEST_LAYER_COUNT = 10_000


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
    """

    def __init__(self, fields: Mapping[str, Any], name: str):
        self._fields = fields
        self.name = name
        self.model_type = str(fields["model_type"])

    def size(self, *keys: str, default: int | None = None, largest: int = LARGEST_SIZE) -> int:
        """Read a positive whole number.

        Parameters
        ----------
        *keys : str
            The field's name, then other names that transformers accepts for it.
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
        for key in keys:
            if self._fields.get(key) is not None:
                return self._checked(self._fields[key], key, 1, largest)
        if default is None:
            names = " or ".join(repr(key) for key in keys)
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

    def key_value_heads(self, heads: int, default: int | None) -> int:
        """Read the number of key/value heads that the query heads share.

        Parameters
        ----------
        heads : int
            Query heads; also what a null field means.
        default : int or None
            What an absent field means; None for as many as query heads.

        Raises
        ------
        ArchitectureError
            If the field is no whole number in range, or does not divide the query heads evenly.
        """
        absent = "num_key_value_heads" not in self._fields
        shared = self.size("num_key_value_heads", default=default if absent and default else heads)
        if heads % shared:
            raise ArchitectureError(
                f"{self.name}: its {heads} attention heads cannot share {shared} key/value heads evenly"
            )
        return shared

    def head_dimension(self, hidden_size: int, heads: int, default: int | None = None) -> int:
        """Read `head_dim`, or take the family's default, or divide the hidden size among the heads.

        Raises
        ------
        ArchitectureError
            If there is neither and the hidden size is not a multiple of the heads.
        """
        if default is None and self._fields.get("head_dim") is None:
            return divided(self.name, hidden_size, heads)
        return self.size("head_dim", default=default)

    def _checked(self, value: object, key: str, smallest: int, largest: int) -> int:
        # JSON's true is an int to Python, yet no size.
        if isinstance(value, int) and not isinstance(value, bool) and smallest <= value <= largest:
            return value
        allowed = f"a whole number from {smallest} to {largest}"
        raise ArchitectureError(f"{self.name}: {key!r} is {shown(value)}, expected {allowed}")


def repeated(
    config: Configuration,
    *,
    hidden: int,
    heads: int,
    attention: Iterable[Linear],
    mlp: Iterable[Linear],
    norms: tuple[int, int],
    embeddings: int,
    vocabulary: int = 0,
    head: int = 0,
    tied: bool | None = False,
    other: int,
    head_dimension: int | None = None,
    layers: Sequence[str] = ("num_hidden_layers",),
) -> Architecture:
    """Make an architecture whose layers are all alike.

    Parameters
    ----------
    config : Configuration
        Says how many layers there are, and whether the head shares the embeddings' weights.
    hidden, heads, vocabulary : int
        Hidden size, query heads and tokens.
    attention, mlp : iterable of Linear
        Linear modules of every layer's halves.
    norms : tuple of int
        Parameters of the norms that belong to them.
    embeddings, head, other : int
        Parameters outside the layers; `head` where it has weights of its own.
    tied : bool or None
        Whether it has none where the configuration does not say; None if it always has, as a classifier's.
    head_dimension : int or None
        Width of one head; the hidden size divided among the heads if None.
    layers : sequence of str
        Names of the field that holds the number of layers.

    Raises
    ------
    ArchitectureError
        If the number of layers is missing or out of range, or the hidden size is not a multiple of the heads.
    """
    layer = Layer(Half.of("attention", tuple(attention), norms[0]), Half.of("mlp", tuple(mlp), norms[1]))
    return Architecture(
        name=config.name,
        model_type=config.model_type,
        hidden_size=hidden,
        vocabulary_size=vocabulary,
        attention_heads=heads,
        head_dimension=head_dimension or divided(config.name, hidden, heads),
        layers=(layer,) * config.size(*layers, largest=LARGEST_LAYER_COUNT),
        embedding_parameters=embeddings,
        head_parameters=0 if tied is not None and config.switch("tie_word_embeddings", default=tied) else head,
        other_parameters=other,
    )


def divided(model: str, hidden_size: int, heads: int) -> int:
    """Divide the hidden size of a model among its heads.

    Raises
    ------
    ArchitectureError
        If it is not a multiple of the heads.
    """
    if hidden_size % heads:
        raise ArchitectureError(f"{model}: hidden size {hidden_size} is not a multiple of its {heads} attention heads")
    return hidden_size // heads
