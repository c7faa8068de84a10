"""The public API is there, and loads nothing before it is asked for."""

from __future__ import annotations

import ast
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
    root = Path(parasim.__file__).parents[1]
    modules = sorted(
        ".".join(("parasim_core", *path.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")
        for path in (root / "sim").rglob("*.py")
    )
    forbidden = ("torch", "transformers", "parasim_core.train", "parasim_core.calibration", "parasim")
    code = f"import importlib, sys\nfor m in {modules!r}: importlib.import_module(m)\n"
    code += f"print([m for m in {forbidden!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_imports_run_one_way():
    # sim <- train <- calibration <- parasim, where nothing is loaded but when it is used, too.
    root, rooms = (
        Path(parasim.__file__).parents[1],
        ("parasim_core.sim", "parasim_core.train", "parasim_core.calibration"),
    )
    for number, room in enumerate(rooms):
        above = (*rooms[number + 1 :], "parasim")
        for path in (root / room.partition(".")[2]).rglob("*.py"):
            nodes = [*ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
            named = [one.name for node in nodes if isinstance(node, ast.Import) for one in node.names]
            named += [str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)]
            assert [name for name in named if any(f"{name}.".startswith(f"{room}.") for room in above)] == [], path


@pytest.mark.parametrize("name", ["sim", "train", "calibration"])
def test_a_users_own_file_may_have_the_name_of_a_room(name: str, tmp_path: Path):
    (tmp_path / f"{name}.py").write_text("mine = True\n")
    script = tmp_path / "script.py"
    script.write_text(
        f"import parasim, {name}\n"
        "source = {'fleet': [{'uplink': '1MB/s'}], 'payload': {'upload': '1MB'}, 'compute': {'seconds': 1}}\n"
        f"print({name}.mine, parasim.simulate(source).wall_clock > 1)\n"
    )
    for command in ([str(script)], ["-m", "parasim", "list", "methods"]):
        outcome = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=tmp_path, check=False)
        assert not outcome.returncode, outcome.stderr
        assert outcome.stdout == "True True\n" or "parablock" in outcome.stdout
