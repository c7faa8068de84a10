from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parasim_core.sim.errors import ParaSimError
from parasim_core.train.data.answers import final_number
from parasim_core.train.data.encoding import encode
from parasim_core.train.data.formats import Example
from parasim_core.train.data.template import Template
from parasim_demonstration.models import word_tokenizer
from parasim_demonstration.word_problems import LARGEST_NUMBER, SOURCES, general_text, vocabulary, word_problems

TOKENIZER = word_tokenizer(vocabulary())
OPERATIONS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_every_answer_follows_from_its_working(seed):
    # "a op b = c #### d": a op b = c = d = the answer, with a and b taken from the question.
    for problem in word_problems(50, seed=seed):
        match = re.fullmatch(r"(\d+) ([-+*/]) (\d+) = (\d+)\n#### (\d+)", problem["response"])
        a, b, c, d = (int(match[group]) for group in (1, 3, 4, 5))
        assert OPERATIONS[match[2]](a, b) == c == d == int(problem["answer"]) == final_number(problem["response"])
        assert {str(a), str(b)} <= set(re.findall(r"\d+", problem["prompt"]))
        assert max(a, b, c) <= LARGEST_NUMBER


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_every_word_is_in_the_vocabulary(seed):
    problems = [f"{problem['prompt']} {problem['response']}" for problem in word_problems(50, seed=seed)]
    for text in (*problems, *general_text(50, seed=seed)):
        assert TOKENIZER.unk_token_id not in TOKENIZER(text).input_ids, text


def test_the_kinds_are_balanced_and_no_problem_comes_twice():
    problems = word_problems(1000, seed=0)
    labels = [problem["label"] for problem in problems]
    assert len(SOURCES) >= 5
    assert {labels.count(source) for source in SOURCES} <= {1000 // len(SOURCES), 1000 // len(SOURCES) + 1}
    assert len({problem["prompt"] for problem in problems}) == 1000
    # In random order: any stretch of a hundred holds every kind.
    assert set(labels[:100]) == set(SOURCES)


def test_the_seed_decides():
    assert word_problems(20, seed=3) == word_problems(20, seed=3) != word_problems(20, seed=4)
    assert general_text(20, seed=3) == general_text(20, seed=3) != general_text(20, seed=4)


def test_general_text_asks_nothing_and_its_sums_are_right():
    text = " ".join(general_text(500, seed=0))
    assert not {"?", "####", "Question", "Answer"} & set(re.findall(r"\w+|[^\w\s]+", text))
    sums = re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)", text)
    assert len(sums) > 100
    assert all(OPERATIONS[sign](int(a), int(b)) == int(c) for a, sign, b, c in sums)


def test_the_data_stay_small():
    encoding = encode([Example(**problem) for problem in word_problems(500, seed=0)], Template(TOKENIZER), 40)
    assert encoding.truncation.lost_answer_tokens == 0
    assert len(TOKENIZER) < 300


def test_counts_that_cannot_be():
    for generate in (word_problems, general_text):
        with pytest.raises(ParaSimError, match="at least 1"):
            generate(0, seed=0)
