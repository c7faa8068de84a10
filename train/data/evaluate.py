"""How good a language model is: held-out loss and right final numbers.

`train.data.text.evaluate_text` calls both; they also stand alone, for any model and any tokenized data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from parasim_core.train.data.answers import final_number
from parasim_core.train.data.task import Batch, DataError

if TYPE_CHECKING:
    from torch.nn import Module

    from parasim_core.train.data.template import Template

IGNORED = -100
"""Label of a position that takes no part in the loss."""

Question: TypeAlias = "tuple[Sequence[int], str]"
"""Token ids up to where the answer begins, and the right final number."""


def model_loss(model: Module, batch: Batch) -> torch.Tensor:
    """Compute the model's own mean loss on a batch.

    Parameters
    ----------
    model : torch.nn.Module
        A transformers model, or one that wraps it.
    batch : Batch
        Its keyword arguments, labels included; moved to the model's device where that is not yet so.

    Returns
    -------
    torch.Tensor
        A scalar on the model's device.
    """
    device = next(model.parameters()).device
    loss: torch.Tensor = model(**{name: tensor.to(device) for name, tensor in batch.items()}).loss
    return loss


def predictions(batch: Batch) -> torch.Tensor:
    """Count what the mean loss of a batch is a mean over.

    Parameters
    ----------
    batch : Batch
        Keyword arguments of a forward pass.

    Returns
    -------
    torch.Tensor
        A scalar: the tokens that a language model predicts, those of the answers, or else the examples.
    """
    labels = batch.get("labels")
    if labels is None or labels.ndim == 1:
        return torch.tensor(len(next(iter(batch.values()))))
    # The first token of a row is never predicted: labels are shifted by one inside the model.
    return (labels[:, 1:] != IGNORED).sum()


def readable_tokens(model: Module) -> int | None:
    """Longest sequence that a language model was made for.

    Parameters
    ----------
    model : torch.nn.Module
        A causal language model of transformers.

    Returns
    -------
    int or None
        Its length [tokens]; None if the model's configuration names no limit.
    """
    config: Any = getattr(model, "config", None)
    # Of a model that also sees, the text decoder's.
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    limit: int | None = getattr(text, "max_position_embeddings", None)
    return limit


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Switch a model to evaluation without gradients, and back to the mode it was in.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    """
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def held_out_loss(model: Module, batches: Iterable[Batch]) -> float:
    """Mean loss over all trained tokens, however they are spread over batches.

    Parameters
    ----------
    model : torch.nn.Module
        A causal language model.
    batches : iterable of Batch
        Held-out data with ``labels``, shape (examples, tokens), `IGNORED` where nothing is predicted.

    Returns
    -------
    float
        Loss [nats/token]: the batches' means, each weighted by the tokens that it predicts.

    Raises
    ------
    DataError
        If no token is predicted.
    """
    total, tokens = 0.0, 0
    with evaluating(model):
        for batch in batches:
            predicted = int(predictions(batch))
            if predicted:
                total += float(model_loss(model, batch)) * predicted
                tokens += predicted
    if not tokens:
        raise DataError("the held-out data has no answer token to measure a loss on")
    return total / tokens


def right_answers(model: Module, template: Template, batches: Iterable[Sequence[Question]], answer_tokens: int) -> int:
    """Count the questions whose greedily generated answer ends on the right number.

    Parameters
    ----------
    model : torch.nn.Module
        A causal language model of transformers.
    template : Template
        The tokenizer and what ends an answer.
    batches : iterable of sequence of Question
        Questions that are asked together.
    answer_tokens : int
        How many tokens an answer may take.

    Returns
    -------
    int
        Numbers compare by value (`train.data.answers.final_number`).
    """
    right = 0
    with evaluating(model):
        for batch in batches:
            texts = generate(model, template, [prompt for prompt, _ in batch], answer_tokens)
            for (_, answer), text in zip(batch, texts, strict=True):
                number = final_number(text)
                right += number is not None and number == final_number(answer)
    return right


def generate(model: Module, template: Template, prompts: Sequence[Sequence[int]], answer_tokens: int) -> list[str]:
    """Continue prompts greedily, all in one batch.

    Parameters
    ----------
    model : torch.nn.Module
        A causal language model of transformers, in eval mode.
    template : Template
        The tokenizer and what ends an answer.
    prompts : sequence of sequence of int
        Token ids up to where the answer begins.
    answer_tokens : int
        How many tokens an answer may take, if the model can read as many.

    Returns
    -------
    list of str
        What was generated behind each prompt, without special tokens.
    """
    from transformers import GenerationConfig

    device = next(model.parameters()).device
    width = max(len(prompt) for prompt in prompts)
    # Padded on the left, every prompt ends where generation starts; positions follow from the attention mask.
    tokens = [[template.pad] * (width - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    limit = readable_tokens(model)
    settings = GenerationConfig(
        max_new_tokens=min(answer_tokens, limit - width) if limit else answer_tokens,
        do_sample=False,
        use_cache=True,
        eos_token_id=list(template.stops) or None,
        pad_token_id=template.pad,
    )
    generating: Any = model
    own = generating.generation_config
    # What a call leaves open, transformers takes from the model, and that may ask for penalties or sampling.
    generating.generation_config = settings
    try:
        output = generating.generate(
            input_ids=torch.tensor(tokens, device=device),
            attention_mask=torch.tensor(mask, device=device),
            generation_config=settings,
        )
    finally:
        generating.generation_config = own
    return template.answers(output[:, width:])
