"""Pages say what commands print, and what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from parasim.cli.guard import STATUSES
from parasim.cli.listing import PROFILE
from parasim.contracts import CONTRACTS
from tests.docs.pages import PAGES, ROOT, rewritten

MACHINES = (ROOT / "docs" / "reference" / "machines.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_what_stands_below_commands_is_what_they_print(path: Path):
    page = path.read_text(encoding="utf-8")
    assert rewritten(page) == page, f"python -m tests.docs.pages {path.relative_to(ROOT)} writes it anew"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_are_short(path: Path):
    assert len(path.read_text(encoding="utf-8").split()) <= 900


def test_every_contract_is_in_the_table():
    rows = re.findall(r"^\| (`[^|]*`) \|", MACHINES.partition("## Exit statuses")[0], re.MULTILINE)
    assert sorted(re.findall(r"`([^`]*)`", " ".join(rows))) == sorted([*CONTRACTS, PROFILE])


def test_every_exit_status_is_in_the_table():
    rows = re.findall(r"^\| ([0-9]+) \| (.*) \|$", MACHINES, re.MULTILINE)
    assert {int(status): meaning.partition(":")[0] for status, meaning in rows} == STATUSES
