"""`parasim.evaluate`: how good a trained model, or any other, is on held-out examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import ParaSimError

if TYPE_CHECKING:
    from train.template import Template

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Score:
    """How good one model is.

    Attributes
    ----------
    model : str
        Its method, or what it was asked for by.
    examples : int
        Held-out examples behind the figures.
    loss : float
        Mean loss [nats] per answer token.
    perplexity : float
        exp(loss).
    exact_match : float or None
        Fraction of generated answers that end on the right number; None if no answer can be checked.
    """

    model: str
    examples: int
    loss: float
    perplexity: float
    exact_match: float | None


def evaluate(
    model: str | Path,
    data: str | Path,
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    examples: int | None = None,
    sequence_length: int = 512,
    answer_tokens: int | None = None,
    batch_size: int = 32,
    report: Report = lambda what, done, total: None,
) -> list[Score]:
    """Measure language models on a file of questions and answers.

    Parameters
    ----------
    model : str or path
        What `paraSim train` wrote (every method's model in it is measured), a model's folder, a hub id, or a
        packaged model's name.
    data : str or path
        A file in any format that training reads, such as the ``held-out.jsonl`` of a training, or a hub name.
    format : str, optional
        The file's format, where its keys do not tell.
    columns : mapping, optional
        Names of the columns of a file of another kind.
    examples : int, optional
        Only the first so many examples.
    sequence_length : int
        Where a prompt with its answer is cut [tokens]; at most what the model can read.
    answer_tokens : int, optional
        Longest generated answer; as long as the longest given one if left out.
    batch_size : int
        Examples at a time.
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
    from train.data import encode
    from train.formats import read_examples
    from train.text import evaluate_text

    if min(sequence_length, batch_size, 1 if examples is None else examples) < 1:
        raise ParaSimError("sequence length, batch size and number of examples must be at least 1")
    held_out = read_examples(data, format=format, columns=columns)[:examples]
    scores = []
    for name, source in _models(model).items():
        network, template = _load(source)
        readable = getattr(network.config, "max_position_embeddings", None) or sequence_length

        def progress(done: int, total: int, name: str = name) -> None:
            report(f"evaluating {name}", done, total)

        measured = evaluate_text(
            network,
            encode(held_out, template, min(sequence_length, readable)),
            batch_size=batch_size,
            answer_tokens=answer_tokens,
            progress=progress,
        )
        scores.append(Score(name, measured.examples, measured.loss, measured.perplexity, measured.accuracy))
    return scores


def _models(model: str | Path) -> dict[str, str]:
    """Find every method's model in a training's folder, or take what is named as the one model."""
    folder = Path(model)
    trained = sorted(folder.glob("*/model/config.json")) if folder.is_dir() else []
    if trained:
        return {path.parts[-3]: str(path.parent) for path in trained}
    if (folder / "model" / "config.json").is_file():
        return {folder.name: str(folder / "model")}
    return {str(model): str(model)}


def _load(source: str) -> tuple[Any, Template]:
    import torch

    from train.models import load_model, load_tokenizer
    from train.template import Template

    tokenizer = load_tokenizer(source)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return load_model(source, device=device), Template(tokenizer)
