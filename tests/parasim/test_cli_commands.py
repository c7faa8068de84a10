"""The subcommands of `paraSim`: loaded when asked for, listed as they describe themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from parasim.cli.commands import COMMANDS, load
from tests.parasim.command_line import refused, run


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says(name: str):
    assert load(name).help.split("\n\n")[0].replace("\n", " ") == COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_what_may_be_left_out_stands_in_one_pair_of_brackets(name: str):
    assert "[[" not in run(name, "--help").out


def test_help_loads_no_command():
    code = (
        "import sys; sys.argv = ['paraSim', '--help']\n"
        "from parasim.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "loaded = {name for name in sys.modules if name.startswith('parasim.cli.')}\n"
        "heavy = {'numpy', 'pydantic', 'yaml', 'simpy'} & sys.modules.keys()\n"
        "sys.exit(bool(heavy) or loaded != {'parasim.cli.commands', 'parasim.cli.main'})"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 0


def test_a_misspelt_command_is_answered_with_the_nearest():
    assert "'simulate'" in refused("simulat")


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ("--nosuch", "--nosuch"),
        ("simulate", "FILE"),
        ("explain none.yaml --format csv", "--format"),
        ("sweep --jobs 0", "--jobs"),
        ("sweep --plot pie", "--plot"),
        ("memory none.yaml more", "more"),
        ("plan --within", "--within"),
        ("train --clock none", "--clock"),
        ("evaluate folder", "--data"),
        ("report", "DIR"),
        ("reproduce --nosuch", "--nosuch"),
        ("calibrate --out p.json", "--model"),
        ("validate compute --device tpu", "--device"),
        ("list devices --format csv", "--format"),
    ],
)
def test_what_is_no_command_line_is_refused_in_one_line_that_says_where_to_look(arguments: str, place: str):
    message = refused(*arguments.split())
    assert place in message
    assert message.endswith("--help`")
    assert "\n" not in message


@pytest.mark.parametrize("command", [("train",), ("calibrate", "--model", "demo", "--out", "p.json")])
def test_without_torch_the_extra_is_named(command: tuple[str, ...], tmp_path: Path):
    code = (
        f"import sys; sys.modules['torch'] = None; sys.argv = ['paraSim', *{command!r}]\n"
        "from parasim.cli.main import main\n"
        "main()"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"paraSim: paraSim {command[0]} needs the extra 'train': pip install")
    assert not list(tmp_path.iterdir())
