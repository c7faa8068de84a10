"""Pages say what commands print, and what there is; they are short."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from pathlib import Path

import pytest

from parasim.cli.commands import COMMANDS, load
from parasim.cli.guard import STATUSES
from parasim.cli.listing import PROFILE
from parasim.contracts import CONTRACTS
from parasim_core.sim.errors import OutputError
from tests.docs.pages import DOCS, PAGES, ROOT, rewritten
from tests.docs.reference import REFERENCES

MACHINES = (DOCS / "reference" / "machines.md").read_text(encoding="utf-8")
MARKDOWN = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md"))
READ = [path for path in MARKDOWN if "appendices" not in path.parts]
_WITH_ALL = {"--quiet", "--verbose", "--debug"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_what_stands_below_commands_is_what_they_print(path: Path):
    page = path.read_text(encoding="utf-8")
    assert rewritten(page) == page, f"python -m tests.docs {path.relative_to(ROOT)} writes it anew"


@pytest.mark.parametrize("name", REFERENCES)
def test_the_reference_is_what_the_program_says(name: str):
    page = (DOCS / "reference" / name).read_text(encoding="utf-8")
    assert REFERENCES[name]() == page, "python -m tests.docs writes it anew"


def prose(page: str) -> str:
    """A page without its code, in fences or indented, and its tables."""
    page = re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^(?:    |\||!\[).*$", "", page, flags=re.MULTILINE)


@pytest.mark.parametrize("path", READ, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_are_short(path: Path):
    assert len(prose(path.read_text(encoding="utf-8")).split()) <= 900


def test_the_readme_is_short_and_opens_with_three_jobs():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) < 120
    opening = readme.partition("\n## ")[0]
    assert [job for job in ("researcher", "platform engineer", "engineer with one GPU") if job not in opening] == []


def commands(page: str) -> list[str]:
    """Commands of paraSim on a page, continued lines joined."""
    code = re.findall(
        r"^(?:    |\$ )(?:\$ )?((?:\.venv/bin/)?paraSim [a-z-]+(?: .*)?)$", page.replace("\\\n", " "), re.MULTILINE
    )
    return [re.split(r"\s# |\s\| |; |\s[<>] ", line)[0] for line in code if "..." not in line and "[" not in line]


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_is_one_that_there_is(path: Path):
    for line in commands(path.read_text(encoding="utf-8")):
        _, *words = (word for word in shlex.split(line) if word not in _WITH_ALL)
        for option in ("--import", "--log-file"):
            if option in words:
                at = words.index(option)
                del words[at : at + 2]
        if words and words[0] in COMMANDS:
            # Parses, with options and their values checked, and runs nothing.
            command = load(words.pop(0))
            while hasattr(command, "commands") and words:
                command = command.commands[words.pop(0)]
            # An option of an extra that is not installed here is an option all the same.
            with suppress(OutputError):
                command.make_context(line, words)
        else:
            assert words
            assert words[0].startswith("--"), line


def test_every_contract_is_in_the_table():
    rows = re.findall(r"^\| (`[^|]*`) \|", MACHINES.partition("## Exit statuses")[0], re.MULTILINE)
    assert sorted(re.findall(r"`([^`]*)`", " ".join(rows))) == sorted([*CONTRACTS, PROFILE])


def test_every_exit_status_is_in_the_table():
    rows = re.findall(r"^\| ([0-9]+) \| (.*) \|$", MACHINES, re.MULTILINE)
    assert {int(status): meaning.partition(":")[0] for status, meaning in rows} == STATUSES
