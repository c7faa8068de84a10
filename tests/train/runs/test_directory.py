"""A directory belongs to one set of settings; methods may be added, each with what concerns it alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from parasim_core.sim.errors import OutputError
from parasim_core.train.runs.directory import TrainingTerms, agree, keep, trained_in

TERMS = TrainingTerms(
    {"local.steps": 4, "train.data.source": "words", "payload": None},
    {"fedbcd": {"rate": 0.1}},
    {"fedbcd": 20, "fedit": 20},
    {"data": "abc"},
)


SPOILED = [
    json.dumps(
        {"format": 2, "shared": {}, "own": {"fedbcd": {}}, "rounds": {"fedbcd": 4}, "contents": {}} | {part: value}
    )
    for part in ("shared", "own", "rounds", "contents")
    for value in (None, 1, "text", [1], [["a", 1]])
] + [json.dumps({"format": 2, "shared": {}, "own": {"fedbcd": 3}, "rounds": {"fedbcd": 4}, "contents": {}})]


def held(directory: Path, terms: TrainingTerms = TERMS) -> Path:
    """A directory in which something was trained."""
    keep(directory, terms)
    for method in terms.own:
        (directory / method / "checkpoints" / "round-000000").mkdir(parents=True, exist_ok=True)
    return directory


def test_the_same_terms_agree(tmp_path: Path):
    agree(held(tmp_path), TERMS)
    assert trained_in(tmp_path) == ["fedbcd"]


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (replace(TERMS, shared=TERMS.shared | {"local.steps": 5}), "local.steps was 4, is 5;"),
        (replace(TERMS, shared=TERMS.shared | {"seed": 1}), "seed was not given, is 1;"),
        (replace(TERMS, own={"fedbcd": {"rate": 0.2}}), "rate for fedbcd was 0.1, is 0.2;"),
        (replace(TERMS, rounds={"fedbcd": 19}), "rounds for fedbcd were 20, are 19;"),
        (replace(TERMS, contents={"data": "abd"}), "data changed;"),
        # Another method does not make it another directory.
        (
            replace(TERMS, shared=TERMS.shared | {"train.data.source": "gsm"}, own={"fedit": {}}),
            "train.data.source was words, is gsm;",
        ),
    ],
)
def test_what_differs_is_named(terms: TrainingTerms, message: str, tmp_path: Path):
    with pytest.raises(OutputError, match=r"belongs to another run \(fedbcd\): ") as error:
        agree(held(tmp_path), terms)
    assert f": {message} choose another --out or delete" in str(error.value)


def test_of_many_differences_a_few_are_named(tmp_path: Path):
    with pytest.raises(OutputError, match=r"n0 was .*n3 was not given, is 3; and 2 more; choose"):
        agree(held(tmp_path), TrainingTerms({**TERMS.shared, **{f"n{n}": n for n in range(6)}}, {}, {}))


def test_a_method_may_be_added_with_parameters_of_its_own(tmp_path: Path):
    held(tmp_path)
    added = replace(TERMS, own={"fedit": {"rate": 0.2, "lora.rank": 4}})
    agree(tmp_path, added)
    held(tmp_path, added)
    # The first one's are not forgotten.
    agree(tmp_path, TERMS)
    with pytest.raises(OutputError, match=r"rate for fedbcd was 0\.1, is 0\.3"):
        agree(tmp_path, replace(TERMS, own={"fedbcd": {"rate": 0.3}}))


def test_a_method_may_be_given_more_rounds(tmp_path: Path):
    longer = replace(TERMS, rounds={"fedbcd": 21})
    agree(held(tmp_path), longer)
    held(tmp_path, longer)
    # From then on it is a run of so many: another method keeps its own number.
    agree(tmp_path, replace(TERMS, own={"fedit": {}}))
    with pytest.raises(OutputError, match="rounds for fedbcd were 21, are 20;"):
        agree(tmp_path, TERMS)


def test_nothing_is_refused_where_nothing_was_trained(tmp_path: Path):
    keep(tmp_path, TERMS)
    agree(tmp_path, replace(TERMS, shared={"seed": 9}))
    agree(tmp_path / "nowhere", TERMS)
    assert trained_in(tmp_path) == []


def test_a_method_whose_folder_is_gone_may_begin_anew(tmp_path: Path):
    held(tmp_path, replace(TERMS, own={"fedbcd": {"rate": 0.1}, "fedit": {"rate": 0.1}}))
    (tmp_path / "fedit" / "checkpoints" / "round-000000").rmdir()
    agree(tmp_path, replace(TERMS, own={"fedit": {"rate": 0.5}}))


@pytest.mark.parametrize("text", [None, "{", "[]", "{}", json.dumps({"format": 99}), "[" * 100_000, *SPOILED])
def test_a_record_that_is_missing_or_damaged(text: str | None, tmp_path: Path):
    held(tmp_path)
    if text is None:
        (tmp_path / "settings.json").unlink()
    else:
        (tmp_path / "settings.json").write_text(text)
    with pytest.raises(
        OutputError, match="does not say how it was set" if text is None else "settings.json: is damaged"
    ):
        agree(tmp_path, TERMS)
