"""The demonstration's data: arithmetic word problems to fine-tune on, and plain text to pretrain a tiny base on.

Both speak the same words. The text counts, states sums and says who has what, but asks nothing and solves
nothing: what fine-tuning has to teach is to read a question, choose the operation and answer in the form
``7 + 5 = 12 #### 12``. Every problem carries its kind as a label, as data from several sources would, and a
final number that can be checked. All numbers lie between 0 and `LARGEST_NUMBER`, so that each is one token.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from parasim_core.sim.errors import ParaSimError

_T = TypeVar("_T")
Problem = dict[str, str]

LARGEST_NUMBER = 30
TEMPLATE_WORDS = ("Question", "Answer", ":")
"""Words that the trainer's plain template puts around a problem."""
# fmt: off
_NAMES = (
    "Ada", "Anna", "Ben", "Carla", "Chen", "David", "Elif", "Emma", "Hana", "Kim", "Leo", "Maya", "Omar", "Paul",
    "Sara", "Tom",
)
_THINGS = (
    "apples", "books", "boxes", "cards", "coins", "cups", "eggs", "flowers", "hats", "marbles", "pens", "plates",
    "shells", "stamps", "stones", "toys",
)
_PLACES = ("bag", "box", "drawer", "garden", "jar", "room", "shop", "yard")
# fmt: on


@dataclass(frozen=True)
class _Operands:
    """The numbers of one problem, the line that solves it, and the result."""

    a: int
    b: int
    working: str = ""
    result: int = 0


def _integer(generator: np.random.Generator, low: int, high: int) -> int:
    return int(generator.integers(low, high + 1))


def _sum(generator: np.random.Generator) -> _Operands:
    a, b = _integer(generator, 1, 9), _integer(generator, 1, 9)
    return _Operands(a, b, f"{a} + {b} = {a + b}", a + b)


def _difference(generator: np.random.Generator) -> _Operands:
    b, rest = _integer(generator, 1, 9), _integer(generator, 1, 9)
    return _Operands(b + rest, b, f"{b + rest} - {b} = {rest}", rest)


def _product(generator: np.random.Generator) -> _Operands:
    a, b = _integer(generator, 2, 5), _integer(generator, 2, 6)
    return _Operands(a, b, f"{a} * {b} = {a * b}", a * b)


def _quotient(generator: np.random.Generator) -> _Operands:
    b, each = _integer(generator, 2, 5), _integer(generator, 2, 6)
    return _Operands(b * each, b, f"{b * each} / {b} = {each}", each)


@dataclass(frozen=True)
class _Kind:
    operands: Callable[[np.random.Generator], _Operands]
    wordings: tuple[str, ...]


_KINDS = {
    "addition": _Kind(
        _sum,
        (
            "{name} has {a} {things}. {other} gives {name} {b} more. How many {things} does {name} have now?",
            "There are {a} {things} in the {place}. {name} puts in {b} more. How many {things} are there now?",
            "{name} finds {a} {things} and {other} finds {b}. How many {things} do they have together?",
        ),
    ),
    "subtraction": _Kind(
        _difference,
        (
            "{name} had {a} {things} and lost {b}. How many {things} are left?",
            "{name} has {a} {things}. {name} gives {b} to {other}. How many {things} does {name} still have?",
            "There were {a} {things} in the {place}. {name} took {b} away. How many are left?",
        ),
    ),
    "comparison": _Kind(
        _difference,
        (
            "{name} has {a} {things} and {other} has {b}. How many more does {name} have than {other}?",
            "{other} owns {b} {things}. {name} owns {a}. How many fewer does {other} own?",
            "{name} counts {a} {things} and {other} counts {b}. What is the difference?",
        ),
    ),
    "sharing": _Kind(
        _quotient,
        (
            "{name} shares {a} {things} equally among {b} friends. How many does each friend get?",
            "{a} {things} are packed into {b} equal groups. How many {things} are in each group?",
            "{name} wants to fill {b} bags with {a} {things}. How many go into each bag?",
        ),
    ),
    "prices": _Kind(
        _product,
        (
            "{name} buys {a} {things}. Each costs {b} dollars. How much does {name} pay?",
            "{things} cost {b} dollars each. How much do {a} of them cost?",
            "{name} sells {a} {things} for {b} dollars each. How many dollars does {name} earn?",
        ),
    ),
    "ages": _Kind(
        _sum,
        (
            "{name} is {a} years old. {other} is {b} years older. How old is {other}?",
            "{name} is {a} today. How old will {name} be in {b} years?",
            "{name} was {a} when {other} was born. {other} is {b}. How old is {name}?",
        ),
    ),
    "counting": _Kind(
        _sum,
        (
            "{name} counts in steps of {b} and is at {a}. What number is next?",
            "What number comes {b} after {a}?",
            "{name} is on page {a} and reads {b} pages. On what page is {name} then?",
        ),
    ),
}
SOURCES = tuple(_KINDS)
"""The kinds of problem, which are their labels."""

_RETELLINGS = (
    "{name} has {a} {things} and {other} has {b}. {other} has {b} {things}. {name} has {a} {things}.",
    "There are {a} {things} in the {place} and {b} in the shop. The {place} has {a} {things}. The shop has {b}.",
    "{name} is {a} years old and {other} is {b}. {other} is {b} years old. {name} is {a} years old.",
    "{things} cost {a} dollars each. {name} gives {other} {a} dollars. {name} buys {things} in the shop.",
    "{name} sells {a} {things}. {other} buys {a} {things}. {name} and {other} are friends.",
    "{name} puts {a} {things} in the {place}. {other} took {b} {things} away.",
)
_SUMS = (
    (
        _sum,
        (
            "{name} adds {a} and {b}: {working}.",
            "{a} {things} and {b} {things} are {working}.",
            "{name} has {a} {things} and takes {b} more from the {place}: {working}.",
        ),
    ),
    (
        _difference,
        (
            "{name} takes {b} from {a}: {working}.",
            "Of {a} {things}, {name} sells {b}: {working}.",
            "From {b} to {a} it is {working}.",
        ),
    ),
    (
        _product,
        (
            "{name} counts {a} groups of {b}: {working}.",
            "In each of {a} bags there are {b} {things}: {working}.",
            "{name} pays {b} dollars {a} times: {working}.",
        ),
    ),
    (
        _quotient,
        (
            "{name} puts {a} into {b} groups: {working}.",
            "{b} friends get {a} {things}: {working}.",
            "{name} shares {a} dollars among {b}: {working}.",
        ),
    ),
)


def word_problems(count: int, *, seed: int) -> list[Problem]:
    """Generate arithmetic word problems.

    Parameters
    ----------
    count : int
        How many; every one of `SOURCES` gets an equal share (to within one).
    seed : int
        Seed of the data, not negative.

    Returns
    -------
    list of dict of str to str
        Each with `prompt`, `response`, `label` (its kind) and `answer`, in random order, no prompt twice: any part
        can be held out from the rest.

    Raises
    ------
    ParaSimError
        If `count` is not positive or so large that new problems are no longer found.
    """
    if count < 1:
        raise ParaSimError(f"{count} word problems: at least 1 must be asked for")
    generator = np.random.default_rng([seed, 0])
    found: dict[str, Problem] = {}
    attempts = 0
    while len(found) < count:
        attempts += 1
        if attempts > 20 * count + 100:
            raise ParaSimError(f"{count} different word problems: there are not so many")
        problem = _problem(SOURCES[len(found) % len(SOURCES)], generator)
        found.setdefault(problem["prompt"], problem)
    problems = list(found.values())
    return [problems[index] for index in generator.permutation(count)]


def general_text(count: int, *, seed: int) -> list[str]:
    """Generate plain text in the words of the problems: counting, sums, and who has what.

    Parameters
    ----------
    count : int
        How many documents of one to two dozen words.
    seed : int
        Seed of the data, not negative.

    Returns
    -------
    list of str
        The documents, none of them a problem.

    Raises
    ------
    ParaSimError
        If `count` is not positive.
    """
    if count < 1:
        raise ParaSimError(f"{count} documents: at least 1 must be asked for")
    generator = np.random.default_rng([seed, 1])
    writers = (_counting, _schoolwork, _retelling, _schoolwork, _schoolwork)
    return [writers[index % len(writers)](generator) for index in range(count)]


def vocabulary() -> set[str]:
    """List every word and sign that problems, their answers and the general text are made of.

    Returns
    -------
    set of str
        For `parasim_demonstration.models.word_tokenizer`, the plain template's words included.
    """
    wordings = [wording for kind in _KINDS.values() for wording in kind.wordings]
    sums = [sentence for _, sentences in _SUMS for sentence in sentences]
    texts = [re.sub(r"\{\w+\}", " ", text) for text in (*wordings, *_RETELLINGS, *sums)]
    numbers = map(str, range(LARGEST_NUMBER + 1))
    signs = ("+", "-", "*", "/", "=", "####", ",")
    return {*TEMPLATE_WORDS, *signs, *numbers, *_NAMES, *_THINGS, *_PLACES, *_words(texts)}


def _problem(kind: str, generator: np.random.Generator) -> Problem:
    operands = _KINDS[kind].operands(generator)
    wording = _choice(_KINDS[kind].wordings, generator)
    return Problem(
        prompt=_fill(wording, operands, generator),
        response=f"{operands.working}\n#### {operands.result}",
        label=kind,
        answer=str(operands.result),
    )


def _counting(generator: np.random.Generator) -> str:
    step = _integer(generator, 1, 4) * (1 if generator.random() < 0.7 else -1)
    length = _integer(generator, 4, 7)
    span = abs(step) * (length - 1)
    start = _integer(generator, 0, LARGEST_NUMBER - span) + (span if step < 0 else 0)
    return ", ".join(str(start + step * position) for position in range(length)) + "."


def _retelling(generator: np.random.Generator) -> str:
    a, b = (_integer(generator, 1, LARGEST_NUMBER) for _ in range(2))
    return _fill(_choice(_RETELLINGS, generator), _Operands(a, b), generator)


def _schoolwork(generator: np.random.Generator) -> str:
    sentences = []
    for _ in range(2):
        operands_of, wordings = _choice(_SUMS, generator)
        sentences.append(_fill(_choice(wordings, generator), operands_of(generator), generator))
    return " ".join(sentences)


def _fill(wording: str, operands: _Operands, generator: np.random.Generator) -> str:
    name, other = (_NAMES[index] for index in generator.choice(len(_NAMES), 2, replace=False))
    things, place = _choice(_THINGS, generator), _choice(_PLACES, generator)
    return wording.format(**vars(operands), name=name, other=other, things=things, place=place)


def _choice(options: Sequence[_T], generator: np.random.Generator) -> _T:
    return options[_integer(generator, 0, len(options) - 1)]


def _words(texts: Iterable[str]) -> set[str]:
    return {word for text in texts for word in re.findall(r"\w+|[^\w\s]+", text)}
