from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from transformers import GPT2Config

from parasim_core.train.data.encoding import collate, encode
from parasim_core.train.data.evaluate import (
    evaluating,
    generate,
    held_out_loss,
    model_loss,
    readable_tokens,
    right_answers,
)
from parasim_core.train.data.formats import Example
from parasim_core.train.data.task import DataError
from parasim_core.train.data.template import Template
from parasim_core.train.models.building import random_model
from parasim_demonstration.models import demo_config, word_tokenizer

WORDS = ["What", "is", "?", "+", "####", *map(str, range(20))]
TEMPLATE = Template(word_tokenizer(WORDS))
EXAMPLES = [Example(f"What is {a} + {a + 1}?" + " ?" * a, f"#### {2 * a + 1}") for a in range(6)]


@pytest.fixture(scope="module")
def model():
    return random_model(demo_config(len(TEMPLATE.tokenizer), layers=2), seed=0)


class Fixed(nn.Module):
    """Its loss is the number that the batch says, and its generated answers are those it is given."""

    def __init__(self, answers=()):
        super().__init__()
        self.parameter = nn.Parameter(torch.zeros(1))
        self.answers = list(answers)
        self.generation_config = None

    def forward(self, labels, value):
        return SimpleNamespace(loss=value + 0 * self.parameter.sum())

    def generate(self, input_ids, attention_mask, generation_config):
        texts = [self.answers.pop(0) for _ in input_ids]
        rows = [row.tokens for row in encode([Example("?", text) for text in texts], TEMPLATE, 99).rows]
        prompt = len(TEMPLATE.prompts(["?"])[0])
        new = [list(row[prompt:]) + [TEMPLATE.pad] * (20 - len(row)) for row in rows]
        return torch.cat([input_ids, torch.tensor(new)], dim=1)


def test_loss_is_weighted_by_predicted_tokens():
    # Two batches: mean loss 1 over 3 predicted tokens, mean loss 5 over 1: (3 * 1 + 1 * 5) / 4 = 2. The label at
    # position 0 is never predicted, so it does not count.
    batches = [
        {"labels": torch.tensor([[7, 1, 1, -100], [-100, 1, -100, -100]]), "value": torch.tensor(1.0)},
        {"labels": torch.tensor([[-100, -100, 1]]), "value": torch.tensor(5.0)},
    ]
    assert held_out_loss(Fixed(), batches) == 2.0


def test_loss_does_not_depend_on_batches_or_padding(model):
    rows = encode(EXAMPLES, TEMPLATE, 64).rows
    apart = held_out_loss(model, [collate([row], TEMPLATE.pad) for row in rows])
    together = held_out_loss(model, [collate(rows, TEMPLATE.pad)])
    assert apart == pytest.approx(together, rel=1e-5)


def test_the_loss_is_cross_entropy_over_the_answer(model):
    # Equation: mean over answer tokens of -log p(token | everything before it).
    row = encode(EXAMPLES[:1], TEMPLATE, 64).rows[0]
    batch = collate([row], TEMPLATE.pad)
    with torch.no_grad():
        logits = model(input_ids=batch["input_ids"]).logits[0].double().log_softmax(-1)
        expected = -sum(
            logits[position - 1, row.tokens[position]] for position in range(row.prompt_length, len(row.tokens))
        ) / (len(row.tokens) - row.prompt_length)
        assert float(model_loss(model, batch)) == pytest.approx(float(expected), rel=1e-5)


def test_no_token_to_predict():
    with pytest.raises(DataError, match="no answer token"):
        held_out_loss(Fixed(), [{"labels": torch.tensor([[1, -100]]), "value": torch.tensor(1.0)}])


def test_right_answers_by_hand():
    # 2 and 3 are right (by value), 5 is not, and an answer without a number is not: 2 of 4.
    questions = list(zip(TEMPLATE.prompts(["1", "2", "3", "4"]), ["2", "3.0", "5", "6"], strict=True))
    model = Fixed(["1 + 1 #### 2", "#### 3", "#### 4", "What is ?"])
    assert right_answers(model, TEMPLATE, [questions[:3], questions[3:]], 8) == 2
    assert right_answers(Fixed(), TEMPLATE, [], 8) == 0


def test_answers_end_where_the_model_can_read_no_further():
    # GPT-2 has a vector for each of its positions and none beyond: 9 tokens of prompt leave room for 3 of 12.
    size = len(TEMPLATE.tokenizer)
    config = GPT2Config(vocab_size=size, n_embd=16, n_layer=1, n_head=2, n_positions=12, bos_token_id=0, eos_token_id=0)
    model = random_model(config, seed=0)
    (prompt,) = TEMPLATE.prompts(["What is 3 + ?"])
    assert (len(prompt), readable_tokens(model)) == (9, 12)
    with evaluating(model):
        assert generate(model, TEMPLATE, [prompt], 20) == generate(model, TEMPLATE, [prompt], 3)
    assert readable_tokens(Fixed()) is None


def test_left_padding_changes_no_answer(model):
    prompts = TEMPLATE.prompts([example.prompt for example in EXAMPLES])
    assert len({len(prompt) for prompt in prompts}) > 1
    together = generate(model, TEMPLATE, prompts, 6)
    assert together == [generate(model, TEMPLATE, [prompt], 6)[0] for prompt in prompts]


def test_generation_is_greedy_whatever_the_model_asks_for(model):
    # Greedy: each token is the argmax of a full forward pass over everything before it.
    prompt = TEMPLATE.prompts(["What is 3 + 4?"])[0]
    tokens = list(prompt)
    with torch.no_grad():
        for _ in range(5):
            tokens.append(int(model(input_ids=torch.tensor([tokens])).logits[0, -1].argmax()))
            if tokens[-1] in TEMPLATE.stops:
                break
    expected = TEMPLATE.tokenizer.decode(tokens[len(prompt) :], skip_special_tokens=True)
    own = model.generation_config
    try:
        model.generation_config = type(own)(
            do_sample=True, top_k=3, repetition_penalty=5.0, no_repeat_ngram_size=1, min_new_tokens=3
        )
        asked = model.generation_config
        assert generate(model, TEMPLATE, [prompt], 5) == [expected]
        assert model.generation_config is asked
    finally:
        model.generation_config = own


def test_the_mode_is_left_as_it_was():
    model = Fixed()
    for training in (True, False):
        model.train(training)
        with evaluating(model):
            assert not model.training
            assert not torch.is_grad_enabled()
        assert model.training is training
    with pytest.raises(ZeroDivisionError), evaluating(model.train()):
        raise ZeroDivisionError
    assert model.training


def test_an_infinite_perplexity():
    from parasim_core.train.data.task import Evaluation

    assert Evaluation(math.log(8), None, 1).perplexity == pytest.approx(8)
    assert Evaluation(1e6, None, 1).perplexity == math.inf
