"""Real images as a task: scikit-learn's 8 x 8 handwritten digits for a vision transformer.

The same protocol as text (`train.text`), so that blocks, methods and clock work on images unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from train.batching import Batching
from train.evaluate import evaluating, model_loss
from train.partition import Partition
from train.task import Batch, DataError, Evaluation, Progress

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

_SIDE = 8


@dataclass(frozen=True)
class Images:
    """Images with their classes.

    Parameters
    ----------
    pixels : numpy.ndarray
        float32 from -1 to 1, shape (images, channels, side, side).
    classes : numpy.ndarray
        int64, shape (images,).
    """

    pixels: NDArray[np.float32]
    classes: NDArray[np.int64]

    @property
    def labels(self) -> tuple[str, ...]:
        """The class of each image as a label to split by."""
        return tuple(map(str, self.classes.tolist()))


def read_digits(*, held_out: float = 0.2, side: int = _SIDE, channels: int = 1, seed: int = 0) -> tuple[Images, Images]:
    """Load scikit-learn's 1,797 digits.

    Parameters
    ----------
    held_out : float
        Fraction of the images to test on, with the same share of every digit.
    side : int
        Width and height [pixels] that a model expects, a multiple of 8; every pixel is repeated.
    channels : int
        Colour channels that a model expects, all alike.
    seed : int
        Seed of the choice of the held-out images.

    Returns
    -------
    tuple of Images
        Training and held-out images.

    Raises
    ------
    DataError
        If the size cannot be made, or the fraction leaves one of the two sides without every digit.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    if side < _SIDE or side % _SIDE or channels < 1:
        raise DataError(f"digits of {channels} x {side} x {side}: the side must be a multiple of {_SIDE}")
    gray, classes = load_digits(return_X_y=True)
    pixels = (gray / 8.0 - 1.0).astype(np.float32).reshape(-1, 1, _SIDE, _SIDE)
    for axis in (2, 3):
        pixels = pixels.repeat(side // _SIDE, axis=axis)
    pixels = pixels.repeat(channels, axis=1)
    try:
        parts = train_test_split(
            pixels, classes.astype(np.int64), test_size=held_out, stratify=classes, random_state=seed
        )
    except ValueError:
        raise DataError(f"held_out is {held_out}, but must leave every digit on both sides, as 0.2 does") from None
    training_pixels, test_pixels, training_classes, test_classes = parts
    return Images(training_pixels, training_classes), Images(test_pixels, test_classes)


def digits_config(*, hidden_size: int = 64, layers: int = 4) -> Any:
    """Configure a vision transformer for the digits as they are: one channel, 16 patches of 2 x 2 pixels.

    Parameters
    ----------
    hidden_size : int
        Width, a multiple of 4 heads; the MLP is twice as wide.
    layers : int
        Transformer layers.

    Returns
    -------
    transformers.ViTConfig
        With 10 classes; `train.models.random_model` builds it.
    """
    from transformers import ViTConfig

    return ViTConfig(
        image_size=_SIDE,
        patch_size=2,
        num_channels=1,
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_labels=10,
        # Blocks of layers leave embeddings and head as they are drawn: those must be large enough to work with.
        initializer_range=hidden_size**-0.5,
    )


class ImageTask:
    """Image classification: the `train.task.Task` of images.

    Parameters
    ----------
    training, held_out : Images
        What is trained on and what is measured on.
    partition : Partition
        Which training image belongs to which client.
    batching : Batching
        Batch size, batches per local update, and the seed of their order.
    evaluation_batch_size : int
        Held-out images evaluated at a time.

    Raises
    ------
    DataError
        If the partition was made for another number of images.
    """

    def __init__(
        self,
        training: Images,
        held_out: Images,
        partition: Partition,
        batching: Batching,
        *,
        evaluation_batch_size: int = 256,
    ) -> None:
        if len(partition.labels) != len(training.classes):
            raise DataError(
                f"the partition is one of {len(partition.labels)} images, but there are {len(training.classes)}"
            )
        self.training, self.held_out, self.partition = training, held_out, partition
        self._batching = batching
        self._evaluation_batch_size = evaluation_batch_size

    @property
    def examples(self) -> Sequence[int]:
        """Training images n_i of every client."""
        return self.partition.sizes

    def batches(self, client: int, round: int) -> Iterator[Batch]:
        """Draw the batches of one client's local update (`Task.batches`)."""
        own = np.array(self.partition.client(client))
        for positions in self._batching.order(client, round, len(own)):
            yield _batch(self.training, own[positions])

    loss = staticmethod(model_loss)
    """Mean loss over the batch's images, the model's own (`Task.loss`)."""

    def evaluate(self, model: Module, *, accuracy: bool = True, progress: Progress | None = None) -> Evaluation:
        """Measure held-out loss and accuracy; both come from the same forward pass."""
        images = len(self.held_out.classes)
        starts = range(0, images, self._evaluation_batch_size)
        device = next(model.parameters()).device
        loss, right = 0.0, 0
        with evaluating(model):
            for done, start in enumerate(starts, start=1):
                chosen = np.arange(start, min(start + self._evaluation_batch_size, images))
                batch = {name: value.to(device) for name, value in _batch(self.held_out, chosen).items()}
                output = model(**batch)
                loss += float(output.loss) * len(chosen)
                right += int((output.logits.argmax(-1) == batch["labels"]).sum())
                if progress:
                    progress(done, len(starts))
        return Evaluation(loss / images, right / images if accuracy else None, images)


def _batch(images: Images, chosen: NDArray[np.int64]) -> dict[str, Tensor]:
    from torch import from_numpy

    return {
        "pixel_values": from_numpy(images.pixels[chosen]),
        "labels": from_numpy(images.classes[chosen]),
    }
