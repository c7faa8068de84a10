"""Messages: one line, bounded, printable, with the nearest right spelling and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

import parasim_core.sim.errors
from parasim_core.sim.errors import ParaSimError, UnitError, brief, install_hint, nearest, shown, shown_path

LONG = ["x" * 10_000, "x " * 5000, "x\n" * 5000, "\x1b[31m" * 2000, "\u202e" * 5000]


@pytest.mark.parametrize("text", LONG)
def test_whatever_was_given_a_message_stays_short_and_keeps_its_ends(text: str):
    for message in (str(ParaSimError(f"field: {text}; did you mean 'x'?")), str(UnitError(f"field: {text} is none"))):
        assert message.startswith("field: ")
        assert all(line.isprintable() and len(line) <= 1000 for line in message.split("\n"))
        assert len(message.split("\n")) <= 21
    assert str(ParaSimError(f"field: {text.replace(chr(10), ' ')}; did you mean 'x'?")).endswith("did you mean 'x'?")


@pytest.mark.parametrize("text", LONG)
def test_somebody_elses_text_is_one_line(text: str):
    for quoted in (brief(text), shown(text), shown_path(text)):
        assert quoted.isprintable()
        assert len(quoted) <= 2000


def test_what_is_short_is_left_as_it_is():
    text = f"/tmp/{'a' * 200}.yaml: rounds: must be a number, not 'caf\xe9'\n  and a second line"
    assert str(ParaSimError(text)) == text


def test_of_many_names_the_nearest_is_told_or_the_first():
    names = [f"group-{number:04}" for number in range(5000)]
    assert nearest("grup-0007", names) == "did you mean 'group-0007'?"
    assert nearest("zzz", names).endswith("group-0019 and 4980 more")
    assert nearest("z" * 10**6, ["a", "b"]) == "allowed are a, b"


def test_what_is_missing_is_installed_as_the_rest_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert install_hint("this", "train") == "this needs the extra 'train': pip install -c constraints.txt -e '.[train]'"
    monkeypatch.setattr(parasim_core.sim.errors, "__file__", str(tmp_path / "site-packages" / "sim" / "errors.py"))
    assert install_hint("this", "train") == "this needs the extra 'train': pip install 'parasim[train]'"
