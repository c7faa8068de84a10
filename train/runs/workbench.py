"""From settings to what is trained: the base model, its tokenizer, the split data, the task."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.support.streams import stream
from parasim_core.sim.workload.architecture import Architecture
from parasim_core.train.data.batching import Batching
from parasim_core.train.data.clusters import cluster_texts
from parasim_core.train.data.encoding import encode
from parasim_core.train.data.formats import Example, read_examples
from parasim_core.train.data.packing import check_packing
from parasim_core.train.data.partition import Partition, split_by_label, split_evenly
from parasim_core.train.data.task import DataError, Task
from parasim_core.train.data.template import Template
from parasim_core.train.data.text import TextTask, check_sequence_length, embeddings_of
from parasim_core.train.data.vision import Images, ImageTask
from parasim_core.train.models.architecture import counted
from parasim_core.train.models.blocks import checkpoint_activations
from parasim_core.train.models.building import DEMO, classifies_images, keep_no_cache, placed, random_model
from parasim_core.train.models.files import load_model, load_tokenizer
from parasim_core.train.runs.settings import TrainSettings
from parasim_core.train.update.loss import Loss, check_chunked, training_loss
from parasim_demonstration.digits import read_digits
from parasim_demonstration.models import demonstration_config, demonstration_tokenizer, digits_config
from parasim_demonstration.word_problems import word_problems

WORD_PROBLEMS, DIGITS = "word-problems", "digits"
_DEMO_EXAMPLES = 4000
_PRECISIONS = {
    "auto": None,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float32-autocast": torch.float32,
    # Until pretraining is over: 4-bit weights are not trained.
    "nf4": torch.bfloat16,
}


@dataclass(frozen=True)
class Workbench:
    """What all methods of a comparison start from.

    Attributes
    ----------
    model : torch.nn.Module
        The base model, on the CPU or where it is trained.
    architecture : Architecture
        Its parameters by layer.
    tokenizer : object or None
        Its tokenizer; None for images.
    task : Task
        Data, loss and evaluation.
    partition : Partition
        Who has which examples.
    data_digest : str
        Digest of all examples, held-out ones included.
    notes : sequence of str
        What the user should know about the data, a sentence each: what was cut off, where there is less than was asked
        for.
    held_out : sequence of Example
        What is measured on, as text; empty for images.
    """

    model: nn.Module
    architecture: Architecture
    tokenizer: Any
    task: Task
    partition: Partition
    data_digest: str
    notes: Sequence[str] = ()
    held_out: Sequence[Example] = ()


def device_of(settings: TrainSettings) -> torch.device:
    """Where is trained: as the settings say, or on a GPU if there is one."""
    if settings.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(settings.device)


def build(scenario: Scenario, settings: TrainSettings) -> Workbench:
    """Load the model and split the data.

    Parameters
    ----------
    scenario : Scenario
        Its `model`, `local`, `fleet` and `seed`.
    settings : TrainSettings
        Data and partition.

    Raises
    ------
    ParaSimError
        If the model or the data cannot be had, or do not fit each other or the fleet.
    """
    steps = scenario.local.steps * settings.accumulation
    batching = Batching(scenario.local.batch_size, steps, scenario.seed)
    # What becomes small on a GPU need not fit it before.
    device = torch.device("cpu") if settings.weights == "nf4" else device_of(settings)
    bench = (_vision if settings.data.source == DIGITS else _text)(scenario, settings, batching, device)
    model: Any = bench.model
    if settings.attention == "eager":
        model.set_attn_implementation("eager")
    if settings.loss == "chunked":
        check_chunked(model)
    if settings.activation_checkpointing:
        checkpoint_activations(model, settings.activation_checkpointing)
    return bench


def _built_in(config: Any, scenario: Scenario, settings: TrainSettings, device: torch.device) -> Any:
    """A model with random weights, in the precision that is asked for."""
    model, precision = random_model(config, seed=scenario.seed), _PRECISIONS[settings.weights]
    return model.to(device) if precision is None else placed(model, device, precision)


def _vision(scenario: Scenario, settings: TrainSettings, batching: Batching, device: torch.device) -> Workbench:
    model: Any
    # The demonstration's language model cannot look at images; its place is taken by a small transformer that can.
    if scenario.model in (None, DEMO):
        model = _built_in(digits_config(), scenario, settings, device)
    else:
        precision = _PRECISIONS[settings.weights]
        model = load_model(str(scenario.model), seed=scenario.seed, device=device, precision=precision)
    if not classifies_images(model.config):
        raise DataError(f"{scenario.model}: train.data.source is {DIGITS}, but this model does not look at images")
    if settings.packing:
        raise DataError(f"train.packing: is true, allowed with train.data.source={DIGITS} is false: images are no text")
    # Otherwise the first forward pass would note it, and a resumed run that has none would save another config.
    model.config.problem_type = "single_label_classification"
    read = read_digits(side=model.config.image_size, channels=model.config.num_channels, seed=scenario.seed)
    training, held_out = (Images(*part) for part in read)
    partition = _split(training.labels, scenario, settings)
    task = ImageTask(training, held_out, partition, batching, loss=_loss(settings))
    digest = hashlib.sha256(b"".join(array.tobytes() for part in read for array in part)).hexdigest()
    return Workbench(model, counted(scenario.model or DEMO, model.config.to_dict()), None, task, partition, digest)


def _text(scenario: Scenario, settings: TrainSettings, batching: Batching, device: torch.device) -> Workbench:
    name, length, evaluation = scenario.model or DEMO, scenario.local.sequence_length, settings.evaluation
    # Data are read first: what is wrong with them should not have to wait for a large model.
    training, held_out, notes = _examples(scenario, settings)
    model: Any
    if name == DEMO:
        tokenizer = demonstration_tokenizer()
        model = _built_in(demonstration_config(), scenario, settings, device)
    else:
        precision = _PRECISIONS[settings.weights]
        model = load_model(name, seed=scenario.seed, device=device, precision=precision)
        tokenizer = load_tokenizer(name)
    if settings.packing:
        # With a cache, transformers takes positions for those of one text that goes on.
        keep_no_cache(model)
        check_packing(model)
    check_sequence_length(model, name, length, "local.sequence_length")
    template = Template(tokenizer, embeddings_of(model))
    encoded, measured_on = (encode(examples, template, length) for examples in (training, held_out))
    labels = _labels(encoded.examples, scenario, settings, notes)
    partition = _split(labels, scenario, settings)
    task = TextTask(
        encoded,
        measured_on,
        partition,
        batching,
        evaluation_batch_size=evaluation.batch_size,
        answer_tokens=evaluation.answer_tokens,
        packed_length=length if settings.packing else None,
        loss=_loss(settings),
    )
    # What was chosen, and its tokens: the clock of templates stands still, so neither changes overnight.
    chosen = [(part.examples, part.dropped, part.rows) for part in (encoded, measured_on)]
    digest = hashlib.sha256(repr(chosen).encode()).hexdigest()
    cut = [f"Training data: {encoded.truncation}."]
    if measured_on.truncation.truncated or measured_on.dropped:
        cut.append(f"Held-out data: {measured_on.truncation}.")
    if task.packs:
        sequences, tokens = sum(map(len, task.packs)), sum(len(row.tokens) for row in encoded.rows)
        cut.append(
            f"Packed: {len(encoded.rows)} examples into {sequences} sequences, of whose {length} tokens "
            f"{tokens / (sequences * length):.0%} are filled on average."
        )
    architecture = counted(name, model.config.to_dict())
    return Workbench(model, architecture, tokenizer, task, partition, digest, [*cut, *notes], held_out)


def _loss(settings: TrainSettings) -> Loss:
    return training_loss(chunked=settings.loss == "chunked", mixed=settings.weights == "float32-autocast")


def _examples(scenario: Scenario, settings: TrainSettings) -> tuple[list[Example], list[Example], list[str]]:
    """Training and held-out examples, and a sentence for each of the two of which there are fewer than asked for."""
    data = settings.data
    if data.source == WORD_PROBLEMS:
        count = (data.examples or _DEMO_EXAMPLES) + data.held_out_examples
        generated = word_problems(count, seed=scenario.seed)
        problems = [Example(one["prompt"], one["response"], one["label"], one["answer"]) for one in generated]
        return problems[: -data.held_out_examples], problems[-data.held_out_examples :], []
    columns: Any = data.columns
    every = read_examples(data.source, format=data.format, columns=columns)
    order = stream(scenario.seed, "partition").permutation(len(every))
    if data.held_out is not None:
        held_out = read_examples(data.held_out, format=data.format, columns=columns)
    elif len(every) <= data.held_out_examples:
        raise DataError(
            f"{data.source}: has {len(every)} examples, of which {data.held_out_examples} are to be held out "
            "(train.data.held_out_examples)"
        )
    else:
        held_out = [every[index] for index in order[-data.held_out_examples :]]
        order = order[: -data.held_out_examples]
    training = [every[index] for index in np.sort(order[: data.examples])]
    held_out = held_out[: data.held_out_examples]
    notes = [
        f"train.data.{field} asks for {getattr(data, field)}, but there are only {len(found)}."
        for field, found in (("examples", training), ("held_out_examples", held_out))
        # A default is a limit that nobody asked for.
        if field in data.model_fields_set and len(found) < (getattr(data, field) or 0)
    ]
    return training, held_out, notes


def _labels(
    examples: Sequence[Example], scenario: Scenario, settings: TrainSettings, notes: list[str]
) -> Sequence[str]:
    """What the examples are split by: their labels, or clusters of what they ask; note where those are too few."""
    how = settings.partition
    labels = [example.label or "" for example in examples]
    if how.kind == "iid":
        return labels
    if how.labels == "clusters":
        labels = cluster_texts([example.prompt for example in examples], how.clusters, seed=scenario.seed)
        if (found := len(set(labels))) != how.clusters:
            notes.append(
                f"train.partition.clusters asks for {how.clusters}, but the texts are so alike that they form {found}."
            )
    elif len(set(labels)) == 1:
        what = f"all have the one label {labels[0]!r}" if labels[0] else "have no labels"
        raise DataError(
            f"{settings.data.source}: the {len(labels)} training examples {what}, so there is nothing to skew the "
            "clients' shares by (train.partition.kind=dirichlet); take clusters of their texts as labels, "
            "train.partition.labels=clusters, or split at random, train.partition.kind=iid"
        )
    return labels


def _split(labels: Sequence[str], scenario: Scenario, settings: TrainSettings) -> Partition:
    how = settings.partition
    if how.kind == "iid":
        return split_evenly(labels, scenario.clients, seed=scenario.seed)
    return split_by_label(labels, scenario.clients, alpha=how.alpha, seed=scenario.seed, minimum=how.minimum)
