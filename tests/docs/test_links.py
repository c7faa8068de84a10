"""Links between pages, and from code and notebooks to pages, lead somewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT

MARKDOWN = (*ROOT.glob("*.md"), *DOCS.rglob("*.md"))
NOTEBOOKS = tuple((ROOT / "notebooks").glob("*.ipynb"))


def text_of(path: Path) -> str:
    """What readers see of a page or a notebook: prose, without code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text_of(path), re.MULTILINE)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}


def dead(path: Path) -> list[str]:
    """Links of a page that lead nowhere in the repository."""
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(path)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        to = Path(os.path.normpath(path.parent / name)) if name else path
        if not to.exists() or (anchor and to.suffix == ".md" and anchor not in anchors(to)):
            found.append(target)
    return found


@pytest.mark.parametrize("path", [*MARKDOWN, *NOTEBOOKS], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_link_is_dead(path: Path):
    assert not dead(path)


def test_a_dead_link_is_found(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# One\n[a](page.md#one) [b](page.md#two) [c](no.md) [d](https://example.org) [e](#one)")
    assert dead(page) == ["page.md#two", "no.md"]


def test_pages_that_code_names_are_there():
    listed = subprocess.run(
        ["git", "grep", "--only-matching", "-hE", r"docs/[a-z/-]+\.md", "--", "*.py", "*.toml", "*.yaml", "Makefile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    named = set(listed.stdout.split())
    if not named:
        pytest.skip("no checkout of git")
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_page_is_in_the_site():
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"(?::|-) ([a-z/-]+\.md)$", site.partition("\nnav:\n")[2], re.MULTILINE)
    assert sorted(listed) == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
