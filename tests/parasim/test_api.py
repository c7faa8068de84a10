"""The public API is there, and loads nothing before it is asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import parasim

HEAVY = ("torch", "transformers", "peft", "matplotlib", "pandas", "sklearn", "ray")


@pytest.mark.parametrize("name", sorted(parasim.__all__))
def test_every_public_name_is_there(name: str):
    assert getattr(parasim, name) is not None
    assert name in dir(parasim)


@pytest.mark.parametrize("statement", ["import parasim", "import parasim.cli.main", "import parasim.api"])
def test_starting_loads_nothing_heavy(statement: str):
    code = f"{statement}; import sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_sim_needs_neither_the_trainer_nor_what_stands_above_it():
    # Imports run one way: sim <- train <- calibration <- parasim.
    root = Path(parasim.__file__).parents[1]
    modules = sorted(
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        for path in (root / "sim").rglob("*.py")
    )
    forbidden = ("torch", "transformers", "train", "calibration", "parasim")
    code = f"import importlib, sys\nfor m in {modules!r}: importlib.import_module(m)\n"
    code += f"print([m for m in {forbidden!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("name", ["sim", "train", "calibration"])
def test_a_hidden_package_is_named_in_one_line(name: str, tmp_path: Path):
    (tmp_path / f"{name}.py").write_text("")
    command = [sys.executable, "-m", "parasim", "list", "methods"]
    outcome = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert outcome.returncode != 0
    assert outcome.stderr.splitlines() == [
        f"paraSim: paraSim's package {name!r} is hidden by {tmp_path / name}.py: "
        "rename it or run from another directory"
    ]
    imported = subprocess.run(
        [sys.executable, "-c", "import parasim"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert f"is hidden by {tmp_path / name}.py" in imported.stderr.splitlines()[-1]
