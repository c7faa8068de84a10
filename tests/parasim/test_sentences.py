"""Every sentence of `plan` and `explain` is said somewhere, with the fields that it has."""

from __future__ import annotations

import ast
import re
import string
import tomllib
from pathlib import Path

import pytest

from parasim.sentences import listed, say

PACKAGE = Path(__file__).parents[2] / "parasim"
SENTENCES: dict[str, dict[str, str]] = tomllib.loads((PACKAGE / "sentences.toml").read_text(encoding="utf-8"))
NAMED_BY_DATA = ("quantity", "most_favourable", "input", "change_for_all", "change_for_some", "break_even", "assumes")
"""Sections whose names are those of quantities, inputs, levers, and of what a method does."""
SOURCE = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
ALL = [(f"{section}.{name}", text) for section, said in SENTENCES.items() for name, text in said.items()]


def calls() -> list[tuple[set[str], bool, str, set[str], bool]]:
    """Every call of `say`: literal parts of names, whether there are others, the place, fields, and whether more."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
                parts = {part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)}
                fields = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
                composed = not isinstance(node.args[0], ast.Constant)
                more = any(keyword.arg is None for keyword in node.keywords)
                place = f"{path.name}:{node.lineno}"
                found.append((set(map(str, parts)), composed, place, fields, more))
    return found


def fields_of(text: str) -> set[str]:
    return {re.split(r"[.[]", name)[0] for _, name, _, _ in string.Formatter().parse(text) if name}


def test_whatever_is_said_by_name_has_its_sentence_and_all_its_fields():
    sentences = dict(ALL)
    for names, composed, place, fields, more in calls():
        if not composed:
            [name] = names
            assert name in sentences, place
            assert more or fields_of(sentences[name]) <= fields, place


@pytest.mark.parametrize("name", [name for name, _ in ALL])
def test_every_sentence_is_said(name: str):
    section, own = name.split(".")
    # By its whole name; or by one that begins with the section and is put together from words.
    words = set(re.findall(r"[\"']([\w-]+)[\"']", SOURCE))
    together = f"{section}.{{" in SOURCE and (own in words or {*own.split("_")} <= words)
    begun = f"{section}.{own.split('_')[0]}_{{" in SOURCE
    assert f'"{name}"' in SOURCE or section in NAMED_BY_DATA or together or begun


def test_fields_are_written_as_people_do():
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert say("path.seconds", resource="uplink", seconds=1500.0) == "uplink 25.0 min"
    assert say("hiding.not_hidden", bandwidth=20e6) == "20 MB/s: not hidden"
    assert say("budget.at_least", cost=25_100.4) == "at least 25,100 USD"
