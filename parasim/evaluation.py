"""`parasim.evaluate`: how good a trained model, or any other, is on held-out examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from parasim.reporting.files import read_record
from parasim.reporting.record import Record
from parasim_core.sim.errors import ParaSimError
from parasim_core.sim.scenario.reading import load
from parasim_core.sim.support.atomic_files import is_file, is_folder
from parasim_core.train.data.batching import Batching
from parasim_core.train.data.encoding import Encoding, Truncation, encode
from parasim_core.train.data.formats import Example, read_examples
from parasim_core.train.data.partition import split_evenly
from parasim_core.train.data.template import Template
from parasim_core.train.data.text import check_sequence_length, embeddings_of, evaluate_text
from parasim_core.train.data.vision import Images, ImageTask
from parasim_core.train.models.building import classifies_images
from parasim_core.train.models.files import load_model, load_tokenizer
from parasim_core.train.runs.settings import TrainSettings
from parasim_core.train.runs.workbench import DIGITS, WORD_PROBLEMS
from parasim_demonstration.digits import read_digits

Report = Callable[[str, int, int], None]
_CLASSES = 10  # different digits


@dataclass(frozen=True)
class Score:
    """How good one model is.

    Attributes
    ----------
    model : str
        Its method, or what it was asked for by.
    examples : int
        Held-out examples that were taken.
    loss : float
        Mean loss [nats] per answer token, of images per image.
    perplexity : float
        exp(loss).
    exact_match : float or None
        Fraction of the examples whose generated answer ends on the right number; None if no answer can be checked.
        One whose question alone fills the sequence cannot be asked: it counts as wrong, and has no part in the loss.
        Of images the fraction told apart rightly.
    sequence_length : int or None
        Where questions with their answers were cut [tokens]; None for images.
    truncation : Truncation or None
        What that cost; None for images.
    """

    model: str
    examples: int
    loss: float
    perplexity: float
    exact_match: float | None
    sequence_length: int | None = None
    truncation: Truncation | None = None


def evaluate(
    model: str | Path,
    data: str | Path,
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    examples: int | None = None,
    sequence_length: int | None = None,
    answer_tokens: int | None = None,
    batch_size: int = 32,
    seed: int | None = None,
    report: Report = lambda what, done, total: None,
) -> list[Score]:
    """Measure language models on a file of questions and answers, or image classifiers on the digits.

    Parameters
    ----------
    model : str or path
        What `paraSim train` wrote (every method's model in it is measured), a model's folder, a hub id, or a
        packaged model's name.
    data : str or path
        A file in any format that training reads, such as the ``held-out.jsonl`` of a training, or a hub name;
        ``digits`` for the images that a training on them held out.
    format : str, optional
        The file's format, where its keys do not tell.
    columns : mapping, optional
        Names of the columns of a file of another kind: of its ``prompt``, ``response`` and ``answer``. Without either,
        those of the training that left the model, if the file has them.
    examples : int, optional
        Only the first so many examples, or all if there are fewer.
    sequence_length : int, optional
        Where a prompt with its answer is cut [tokens], at most what the model can read; 512, or less for a model that
        reads less, if left out.
    answer_tokens : int, optional
        Longest generated answer; as long as the longest given one, as far as that was not cut, if left out.
    batch_size : int
        Examples at a time.
    seed : int, optional
        Of the training, for ``digits``: it decides which images were held out. Read from what the training recorded
        if left out.
    report : callable
        Told which model is measured, the batches done and in total.

    Returns
    -------
    list of Score
        One per model.

    Raises
    ------
    ParaSimError
        If a model or the data cannot be read or used.
    """
    if min(number for number in (sequence_length, answer_tokens, batch_size, examples, 1) if number is not None) < 1:
        raise ParaSimError("sequence length, answer tokens, batch size and number of examples must be at least 1")
    if str(data) == WORD_PROBLEMS:
        raise ParaSimError(f"{data}: these are generated; evaluate on the held-out.jsonl that the training left")
    held_out = [] if str(data) == DIGITS else _read(data, Path(model), format, columns)[:examples]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    scores = []
    for name, source in _models(model).items():
        network, progress = load_model(source, device=device), partial(report, f"evaluating {name}")
        if held_out:
            encoded, length = _encoded(held_out, name, source, network, sequence_length)
            found = evaluate_text(
                network, encoded, batch_size=batch_size, answer_tokens=answer_tokens, progress=progress
            )
            cut: tuple[Any, ...] = (length, encoded.truncation)
        else:
            task, cut = _digits(source, network.config, examples, batch_size, Path(model), seed), ()
            found = task.evaluate(network, progress=progress)
        count = len(held_out) or found.examples
        scores.append(Score(name, count, found.loss, found.perplexity, found.accuracy, *cut))
    return scores


def _read(data: str | Path, model: Path, format: str | None, columns: Mapping[str, str] | None) -> list[Example]:
    """Read questions as they are said to be, or as those were that the model was trained on."""
    if format is not None or columns is not None:
        return read_examples(data, format=format, columns=columns)
    directory, record = _training_of(model)
    # What a training holds out is written in paraSim's own words, whatever it was read from.
    if record is None or Path(data).resolve() == directory / "held-out.jsonl":
        return read_examples(data)
    told = TrainSettings.parse(load(record.scenario).train).data
    named: Any = told.columns
    return read_examples(data, format=told.format, columns=named, only_if_there=True)


def _encoded(
    held_out: Sequence[Example], name: str, source: str, network: Any, sequence_length: int | None
) -> tuple[Encoding, int]:
    """Encode questions for a model, and say where they were cut [tokens]."""
    if classifies_images(network.config):
        raise ParaSimError(f"{source}: this model looks at images; evaluate it on digits")
    length = check_sequence_length(network, name, sequence_length, "sequence length")
    return encode(held_out, Template(load_tokenizer(source), embeddings_of(network)), length), length


def _digits(
    source: str, config: Any, examples: int | None, batch_size: int, model: Path, seed: int | None
) -> ImageTask:
    """The images that a training held out, as one of the models that it left wants them."""
    if not classifies_images(config):
        raise ParaSimError(f"{source}: the data are digits, but this model does not look at images")
    if config.num_labels < _CLASSES:
        raise ParaSimError(f"{source}: this model tells {config.num_labels} classes apart, not {_CLASSES}")
    seed = _recorded_seed(model) if seed is None else seed
    read = read_digits(side=config.image_size, channels=config.num_channels, seed=seed)
    training, (pixels, classes) = Images(*read[0]), read[1]
    # Whose the training images are does not matter to what was held out; a task has to say it.
    nobodys = split_evenly(training.labels, 1, seed=0)
    held_out = Images(pixels[:examples], classes[:examples])
    return ImageTask(training, held_out, nobodys, Batching(1, 1), evaluation_batch_size=batch_size)


def _recorded_seed(model: Path) -> int:
    """Seed of the training that left a model."""
    _, record = _training_of(model)
    if record is None:
        raise ParaSimError(f"{model}: no record of its training says which digits it held out; give its seed (--seed)")
    return load(record.scenario).seed


def _training_of(model: Path) -> tuple[Path, Record | None]:
    """Find what a training recorded of itself: in its directory, or above one of the models in it."""
    folder = model.resolve()
    for directory in (folder, *folder.parents[:3]) if is_folder(folder) else ():
        record = read_record(directory)
        if record.kind == "train":
            return directory, record
    return folder, None


def _models(model: str | Path) -> dict[str, str]:
    """Find every method's model in a training's folder, or take what is named as the one model."""
    folder = Path(model)
    trained = sorted(folder.glob("*/model/config.json")) if is_folder(folder) else []
    if trained:
        return {path.parts[-3]: str(path.parent) for path in trained}
    if is_file(folder / "model" / "config.json"):
        return {folder.name: str(folder / "model")}
    return {str(model): str(model)}
