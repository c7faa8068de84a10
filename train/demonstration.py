"""The demonstration's model and tokenizer: what `--model demo` means, to training and to calibration alike."""

from __future__ import annotations

from typing import Any

from train.models import demo_config
from train.tokenizer import word_tokenizer
from train.word_problems import vocabulary

_LAYERS, _HIDDEN_SIZE = 4, 128


def demonstration_tokenizer() -> Any:
    """Tokenizer of the words that the generated problems are made of.

    Returns
    -------
    transformers.PreTrainedTokenizerBase
        One token a word.
    """
    return word_tokenizer(vocabulary())


def demonstration_config() -> Any:
    """Configuration of the model that `paraSim train` demonstrates with.

    Returns
    -------
    transformers.LlamaConfig
        A Llama of 4 layers that knows the tokenizer's words.
    """
    return demo_config(len(demonstration_tokenizer()), layers=_LAYERS, hidden_size=_HIDDEN_SIZE)
