from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.train.data.encoding import TokenRow, collate, encode, pack
from parasim_core.train.data.formats import Example
from parasim_core.train.data.task import DataError
from parasim_core.train.data.template import Template
from parasim_demonstration.models import word_tokenizer

WORDS = [str(number) for number in range(10)]
TEMPLATE = Template(word_tokenizer(WORDS))
PAD, END = TEMPLATE.pad, TEMPLATE.stops[0]
FRAME = 4  # "Question :" in front of the prompt and "Answer :" behind it


def words(count):
    return " ".join(WORDS[position % 10] for position in range(count))


def test_the_mask_token_by_token():
    # Prompt: Question : 1 2 Answer : (6 tokens, masked). Completion: 3 <eos> (2 tokens, trained).
    row = encode([Example("1 2", "3")], TEMPLATE, 64).rows[0]
    batch = collate([row, TokenRow((END,) * 10, 0)], PAD)
    names = TEMPLATE.tokenizer.convert_ids_to_tokens(batch["input_ids"][0].tolist())
    assert names == ["Question", ":", "1", "2", "Answer", ":", "3", "<eos>", "<pad>", "<pad>"]
    three = TEMPLATE.tokenizer.convert_tokens_to_ids("3")
    assert batch["labels"][0].tolist() == [-100] * 6 + [three, END] + [-100] * 2
    assert batch["attention_mask"][0].tolist() == [1] * 8 + [0] * 2


def test_truncation_by_hand():
    # Rows of 4 + 2 prompt tokens. At length 8 two answer tokens fit: of 1 + 1 none is lost; of 4 + 1 three are;
    # the prompt of 4 + 4 tokens fills the row, so both its answer tokens go with it.
    examples = [Example(words(2), words(1)), Example(words(2), words(4)), Example(words(4), words(1))]
    encoding = encode(examples, TEMPLATE, 8)
    assert encoding.examples == tuple(examples[:2])
    assert [len(row.tokens) for row in encoding.rows] == [8, 8]
    assert encoding.rows[0].tokens[-1] == END != encoding.rows[1].tokens[-1]
    truncation = encoding.truncation
    assert (truncation.examples, truncation.truncated, truncation.dropped) == (3, 1, 1)
    assert (truncation.answer_tokens, truncation.lost_answer_tokens) == (2 + 5 + 2, 3 + 2)
    assert str(truncation) == "1 of 3 examples truncated, 1 dropped; 5 of 9 answer tokens lost"


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 12)), min_size=1, max_size=8), st.integers(5, 40))
def test_every_answer_token_is_trained_lost_or_counted(lengths, sequence_length):
    examples = [Example(words(prompt), words(answer)) for prompt, answer in lengths]
    kept = [index for index, (prompt, _) in enumerate(lengths) if prompt + FRAME < sequence_length]
    if not kept:
        with pytest.raises(DataError, match="no answer token is left"):
            encode(examples, TEMPLATE, sequence_length)
        return
    encoding = encode(examples, TEMPLATE, sequence_length)
    assert encoding.examples == tuple(examples[index] for index in kept)
    batch = collate(encoding.rows, PAD)
    assert batch["input_ids"].shape[1] == max(len(row.tokens) for row in encoding.rows) <= sequence_length
    trained = batch["labels"] != -100
    truncation = encoding.truncation
    assert int(trained.sum()) + truncation.lost_answer_tokens == truncation.answer_tokens
    assert truncation.answer_tokens == sum(answer + 1 for _, answer in lengths)
    assert truncation.dropped == len(lengths) - len(kept)
    # Labels are the input itself, only behind the prompt, and every real token is attended to.
    assert torch.equal(batch["labels"][trained], batch["input_ids"][trained])
    assert torch.equal(
        trained.sum(1) + torch.tensor([lengths[i][0] + FRAME for i in kept]), batch["attention_mask"].sum(1)
    )


def test_packed_text_is_trained_throughout():
    # Documents of 3 + 1 and 2 + 1 tokens are 7: two rows of 3, one token left over.
    rows = pack(["1 2 3", "4 5"], TEMPLATE, 3)
    first = TEMPLATE.documents(["1 2 3"])[0] + TEMPLATE.documents(["4 5"])[0]
    assert rows == (TokenRow(tuple(first[:3]), 0), TokenRow(tuple(first[3:6]), 0))
    assert torch.equal(collate(rows, PAD)["labels"], collate(rows, PAD)["input_ids"])
    with pytest.raises(DataError, match="7 tokens of text do not fill one row of 8"):
        pack(["1 2 3", "4 5"], TEMPLATE, 8)
