"""The demonstration's models and tokenizer: what `--model demo` means, to training and to calibration alike.

The tokenizer is an ordinary fast one of transformers (a WordLevel model), one token a word, so that a tiny model reads
short sequences. It needs no download, and is saved and loaded with a model like any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from parasim_demonstration.word_problems import TEMPLATE_WORDS, vocabulary

_PAD, _UNKNOWN, _END = "<pad>", "<unk>", "<eos>"


def word_tokenizer(words: Iterable[str]) -> Any:
    """Build a tokenizer whose tokens are whole words and signs.

    Parameters
    ----------
    words : iterable of str
        The vocabulary. Letters and digits run together form a word, and so do signs (``####``); white space
        separates. The words of the trainer's plain template are added. Anything else reads as unknown.

    Returns
    -------
    transformers.PreTrainedTokenizerFast
        With padding, unknown and end token and no chat template; the same vocabulary gives the same numbers,
        in whatever order the words come.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    ordinary = sorted({*words, *TEMPLATE_WORDS})
    numbers = {word: number for number, word in enumerate([_PAD, _UNKNOWN, _END, *ordinary])}
    tokenizer = Tokenizer(WordLevel(numbers, unk_token=_UNKNOWN))
    tokenizer.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=_PAD, unk_token=_UNKNOWN, eos_token=_END)


def demonstration_tokenizer() -> Any:
    """Tokenizer (`transformers.PreTrainedTokenizerFast`) of the words that the generated problems are made of."""
    return word_tokenizer(vocabulary())


def demonstration_config() -> Any:
    """Configuration (`transformers.LlamaConfig`) of what the demonstration trains: 4 layers that know its words."""
    return demo_config(len(demonstration_tokenizer()), layers=4, hidden_size=128)


def demo_config(vocabulary_size: int = 512, layers: int = 8, hidden_size: int = 192) -> Any:
    """Configuration of a small Llama, by default with 3.6 M parameters.

    Parameters
    ----------
    vocabulary_size : int
        Tokens that its tokenizer knows.
    layers : int
        Decoder layers; 0.44 M parameters each at the default width.
    hidden_size : int
        Width, a multiple of 64; heads of 32, and an MLP 8/3 as wide.

    Returns
    -------
    transformers.LlamaConfig
        By default hidden size 192, 6 heads, MLP of 512; tied embeddings.
    """
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=hidden_size,
        intermediate_size=hidden_size * 8 // 3,
        num_hidden_layers=layers,
        num_attention_heads=hidden_size // 32,
        num_key_value_heads=hidden_size // 32,
        max_position_embeddings=512,
        tie_word_embeddings=True,
    )


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
        With 10 classes.
    """
    from transformers import ViTConfig

    return ViTConfig(
        image_size=8,
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
