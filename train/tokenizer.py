"""The demonstration's tokenizer: one token a word, so that a tiny model reads short sequences.

It is an ordinary fast tokenizer of transformers (a WordLevel model), needs no download, and is saved and
loaded with a model like any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_PAD, _UNKNOWN, _END = "<pad>", "<unk>", "<eos>"
TEMPLATE_WORDS = ("Question", "Answer", ":")


def word_tokenizer(words: Iterable[str]) -> Any:
    """Build a tokenizer whose tokens are whole words and signs.

    Parameters
    ----------
    words : iterable of str
        The vocabulary. Letters and digits run together form a word, and so do signs (``####``); white space
        separates. The words of the plain template are added. Anything else reads as unknown.

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
