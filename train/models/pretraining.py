"""A moment of central training on general text, so that what is fine-tuned is a pretrained base.

The base is kept on disk: a resumed run goes on from the very weights that the interrupted one began with. While it is
trained, what there is of it is kept beside it ten times, so that an interrupted pretraining goes on, too.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.support.streams import stream
from parasim_core.train.data.encoding import collate, pack
from parasim_core.train.data.task import Batch
from parasim_core.train.data.text import TextTask
from parasim_core.train.models.blocks import Values, install
from parasim_core.train.models.building import DEMO, quiet
from parasim_core.train.models.files import save_model
from parasim_core.train.models.packing import apart, save_tensors
from parasim_core.train.runs.checkpoint import vouch, vouched, whole_folder
from parasim_core.train.runs.settings import PretrainingSettings, TrainSettings
from parasim_core.train.runs.workbench import Workbench
from parasim_core.train.update.local import LocalSettings, TrainingError, train_locally
from parasim_core.train.update.pauses import Pauses
from parasim_demonstration.word_problems import general_text

DEMONSTRATION = PretrainingSettings(steps=800, batch_size=16, learning_rate=3e-3)
"""What the demonstration's model gets unless something else is asked for."""

StepProgress = Callable[[str, int, int], None]
_RECORD, _STATE = "pretraining.json", "state.safetensors"
_KEPT = 10
"""How often an unfinished base is kept."""
_DOCUMENTS = 20_000
_PACKED_LENGTH = 40


def pretrain(
    bench: Workbench,
    scenario: Scenario,
    settings: TrainSettings,
    folder: Path,
    progress: StepProgress = lambda what, done, total: None,
) -> bool:
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
        Where the base is kept, as an ordinary Hugging Face folder.
    progress : callable
        Told what is being done, the steps done and in total.

    Returns
    -------
    bool
        Whether there is a pretrained base, which then is in the folder.

    Raises
    ------
    ParaSimError
        If training diverges, the base cannot be written, or what is in the folder is another base or damaged.
    """
    how = settings.pretraining or (DEMONSTRATION if scenario.model in (None, DEMO) else PretrainingSettings())
    task = bench.task
    if not how.steps or not isinstance(task, TextTask):
        return False
    part = dict(bench.model.named_parameters())
    described = [scenario.model, scenario.seed, how.model_dump(), {n: list(p.shape) for n, p in part.items()}]
    fingerprint = hashlib.sha256(json.dumps(described).encode()).hexdigest()
    if folder.exists():
        model: Any = bench.model
        another = "is a base of another run (other model, seed or train.pretraining)"
        with vouched(folder / _RECORD, fingerprint, another), quiet():
            # In the precision that it was trained in, whatever the device would choose.
            base = type(model).from_pretrained(str(folder), dtype=model.dtype, use_safetensors=True)
        install(part, dict(base.named_parameters()))
        return True
    unfinished = folder.with_name(f"{folder.name}-unfinished")
    try:
        _train(bench, task, how, scenario.seed, _pauses(unfinished, fingerprint, how.steps), progress)
    except TrainingError as error:
        raise type(error)(f"pretraining the base: {error}") from None
    with whole_folder(folder, f"{folder}: the base") as temporary:
        save_model(bench.model, bench.tokenizer, temporary)
        vouch(temporary / _RECORD, fingerprint, {})
    shutil.rmtree(unfinished, ignore_errors=True)
    return True


def _pauses(folder: Path, fingerprint: str, steps: int) -> Pauses:
    """Keep an unfinished base in a folder, and go on from what there is in it."""
    from safetensors.torch import load_file

    def keep(step: int, state: Values) -> None:
        with whole_folder(folder, f"{folder}: the unfinished base") as temporary:
            save_tensors(apart(state)[0], temporary / _STATE)
            vouch(temporary / _RECORD, fingerprint, {"step": step})

    every, step, found = -(-steps // _KEPT), 0, {}
    if folder.exists():
        with vouched(folder / _RECORD, fingerprint, "is an unfinished base of another run") as record:
            step, found = record["step"], load_file(folder / _STATE)
    return Pauses(every, keep, step, found)


def _train(
    bench: Workbench, task: TextTask, how: PretrainingSettings, seed: int, pauses: Pauses, progress: StepProgress
) -> None:
    template = task.training.template
    rows = pack(general_text(_DOCUMENTS, seed=seed), template, _PACKED_LENGTH)
    # No client has this number: its stream is the base's alone.
    order = stream(seed, "batches", 2**31).integers(len(rows), size=(how.steps, how.batch_size))
    done = itertools.count(pauses.step + 1)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        progress("pretraining the base", next(done), how.steps)
        return task.loss(model, batch)

    part = dict(bench.model.named_parameters())
    update = train_locally(
        bench.model,
        part,
        (collate([rows[index] for index in chosen], template.pad) for chosen in order),
        loss,
        LocalSettings(learning_rate=how.learning_rate, steps=how.steps, schedule="cosine"),
        pauses=pauses,
        seed=seed,
    )
    install(part, {name: parameter.detach().float() + update.delta[name] for name, parameter in part.items()})
