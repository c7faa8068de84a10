"""Pages whose commands are run: what stands below them is what they print.

A block ``yaml`` or ``python`` whose first line is a comment with a name is that file; of a block ``console``, every
line that begins with ``$`` is run in a folder with these files and the examples, and printed lines follow. ``...``
stands for as many lines as it takes; below it, lines go on as they are printed.

    python -m tests.docs [PAGE ...]

writes pages anew, and those that are made of the program (`reference`); ``...`` then stands where it stood, after as
many lines.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = (
    DOCS / "reference" / "machines.md",
    DOCS / "tutorials" / "my-sites.md",
    DOCS / "tutorials" / "my-method.md",
    DOCS / "tutorials" / "last-night.md",
)
"""Pages whose commands are run by every test."""
LONG = (DOCS / "tutorials" / "my-gpu.md", DOCS / "tutorials" / "my-data.md")
"""Pages whose commands trace or train a model: `make docs-pages` runs them. What a training learns is the same to the
bit on one machine only."""
LEFT_OUT = "..."


def rewritten(page: str) -> str:
    """Run the commands of a page, and put what they print below them."""
    with TemporaryDirectory() as directory:
        folder = Path(directory)
        command = folder / ".bin" / "paraSim"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m parasim "$@"\n')
        command.chmod(0o755)
        (folder / "examples").symlink_to(ROOT / "examples")
        for name, text in re.findall(
            r"^```(?:yaml|python)\n# (\S+\.(?:yaml|py))\n(.*?)^```", page, re.MULTILINE | re.DOTALL
        ):
            (folder / name).write_text(text)
        return re.sub(
            r"(^```console\n)(.*?)(^```)",
            lambda block: block[1] + _ran(block[2], folder) + block[3],
            page,
            flags=re.MULTILINE | re.DOTALL,
        )


def _ran(block: str, folder: Path) -> str:
    """Run the commands of a block."""
    written: list[str] = []
    for step in re.split(r"^(?=\$ )", block, flags=re.MULTILINE):
        if step.startswith("$ "):
            command, *before = step.removesuffix("\n").split("\n")
            written += [command, *_abridged(_printed(command.removeprefix("$ "), folder), before)]
    return "".join(f"{line}\n" for line in written)


def _printed(command: str, folder: Path) -> list[str]:
    path = f"{folder / '.bin'}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {
        "PATH": path,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'examples'}",
        "OMP_NUM_THREADS": "1",
    }
    told = subprocess.run(
        ["/bin/bash", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return [line.rstrip() for line in told.stdout.splitlines()]


def _abridged(lines: list[str], before: list[str]) -> list[str]:
    """Leave out of what was printed what a page left out: all between as many lines as stand before and after it."""
    if LEFT_OUT not in before:
        return lines
    first = before.index(LEFT_OUT)
    last = len(before) - first - 1
    return [*lines[:first], LEFT_OUT, *lines[len(lines) - last :]] if len(lines) > first + last else lines
