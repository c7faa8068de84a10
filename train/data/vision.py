"""Image classification as a task: the protocol of `train.data.text`, so that methods and clock work unchanged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from parasim_core.train.data.batching import Batching, PartitionedTask
from parasim_core.train.data.evaluate import evaluating, model_loss
from parasim_core.train.data.partition import Partition
from parasim_core.train.data.task import Batch, Evaluation, Progress, silent

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


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


class ImageTask(PartitionedTask):
    """Image classification: the `train.data.task.Task` of images.

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
    loss : callable
        Mean loss of a model on a batch.

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
        loss: Callable[[Module, Batch], Tensor] = model_loss,
    ) -> None:
        super().__init__(partition, batching, len(training.classes), loss)
        self.training, self.held_out = training, held_out
        self._evaluation_batch_size = evaluation_batch_size

    def batch(self, chosen: Sequence[tuple[int, ...]]) -> Batch:
        """Put training images into one batch."""
        return _batch(self.training, np.array(chosen).ravel())

    def evaluate(self, model: Module, *, accuracy: bool = True, progress: Progress = silent) -> Evaluation:
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
                progress(done, len(starts))
        return Evaluation(loss / images, right / images if accuracy else None, images)


def _batch(images: Images, chosen: NDArray[np.int64]) -> dict[str, Tensor]:
    from torch import from_numpy

    return {
        "pixel_values": from_numpy(images.pixels[chosen]),
        "labels": from_numpy(images.classes[chosen]),
    }
