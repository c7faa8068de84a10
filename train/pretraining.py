"""A moment of central training on general text, so that what is fine-tuned is a pretrained base.

The base is kept on disk: a resumed run goes on from the very weights that the interrupted one began with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from sim.scenario import Scenario
from sim.streams import stream
from train.blocks import install
from train.checkpoint import Checkpoint, load, save
from train.data import collate, pack
from train.local import LocalSettings, train_locally
from train.models import DEMO
from train.settings import Pretraining, TrainSettings
from train.task import Batch
from train.text import TextTask
from train.word_problems import general_text
from train.workbench import Workbench

DEMONSTRATION = Pretraining(steps=800, batch_size=16, learning_rate=3e-3)
"""What the demonstration's model gets unless something else is asked for."""

_DOCUMENTS = 20_000
_PACKED_LENGTH = 40


def pretrain(
    bench: Workbench,
    scenario: Scenario,
    settings: TrainSettings,
    folder: Path,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> None:
    """Train the whole base centrally, or take it from disk if that has been done.

    Parameters
    ----------
    bench : Workbench
        Its model is trained in place; nothing happens to one that is not for text.
    scenario : Scenario
        Its `model` and `seed`.
    settings : TrainSettings
        Its `pretraining`.
    folder : Path
        Where the base is kept.
    progress : callable
        Told what is being done, the steps done and in total.

    Raises
    ------
    ParaSimError
        If training diverges, the base cannot be written, or what is in the folder is another base.
    """
    how = settings.pretraining or (DEMONSTRATION if scenario.model in (None, DEMO) else Pretraining())
    task = bench.task
    if not how.steps or not isinstance(task, TextTask):
        return
    part = dict(bench.model.named_parameters())
    described = [scenario.model, scenario.seed, how.model_dump(), {n: list(p.shape) for n, p in part.items()}]
    fingerprint = hashlib.sha256(json.dumps(described).encode()).hexdigest()
    found = load(folder, fingerprint)
    if found is not None:
        install(part, found.tensors)
        return
    _train(bench.model, part, task, how, scenario.seed, progress)
    save(folder, Checkpoint(how.steps, {}, {name: p.detach() for name, p in part.items()}), fingerprint)


def _train(
    model: nn.Module,
    part: dict[str, nn.Parameter],
    task: TextTask,
    how: Pretraining,
    seed: int,
    progress: Callable[[str, int, int], None],
) -> None:
    template = task.training.template
    rows = pack(general_text(_DOCUMENTS, seed=seed), template, _PACKED_LENGTH)
    # No client has this number: its stream is the base's alone.
    order = stream(seed, "batches", 2**31).integers(len(rows), size=(how.steps, how.batch_size))
    done = 0

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        nonlocal done
        done += 1
        progress("pretraining the base", done, how.steps)
        return task.loss(model, batch)

    train_locally(
        model,
        part,
        (collate([rows[index] for index in chosen], template.pad) for chosen in order),
        loss,
        LocalSettings(learning_rate=how.learning_rate, steps=how.steps, schedule="cosine"),
        keep=True,
        seed=seed,
    )
