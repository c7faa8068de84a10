"""The subcommands of `paraSim`: loaded when asked for, listed as they describe themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperCommand, TyperGroup

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
        "heavy = {'numpy', 'pydantic', 'ruamel', 'simpy'} & sys.modules.keys()\n"
        "sys.exit(bool(heavy) or loaded != {f'parasim.cli.{name}' for name in ('commands', 'guard', 'main', 'quiet')})"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 0


def leaves(command, *names):
    """All commands below one, with their names."""
    if isinstance(command, TyperGroup):
        for name, each in command.commands.items():
            yield from leaves(each, *names, name)
    else:
        yield names, command


EVERY = [leaf for name in COMMANDS for leaf in leaves(load(name), name)]


@pytest.mark.parametrize(("names", "command"), EVERY, ids=[" ".join(names) for names, _ in EVERY])
def test_every_command_shows_an_example_of_itself(names: tuple[str, ...], command: TyperCommand):
    assert f"Example: paraSim {' '.join(names)}" in command.help


@pytest.mark.parametrize("place", [0, 1, 4])
def test_quiet_leaves_the_result_alone(place: int):
    arguments = ["validate", "transport", "--format", "csv"]
    said, quiet = run(*arguments), run(*arguments[:place], "--quiet", *arguments[place:])
    assert said.err
    assert (quiet.status, quiet.out, quiet.err) == (0, said.out, "")


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


@pytest.mark.parametrize("package", ["torch", "transformers", "tokenizers", "safetensors", "huggingface_hub"])
@pytest.mark.parametrize("command", [("train",), ("evaluate", "model", "--data", "data.jsonl")])
def test_whatever_of_the_extra_is_missing_one_line_says_what_to_install(command: tuple[str, ...], package: str):
    # None in sys.modules is how Python itself says that a package is not there; nothing else may be imported before.
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "import parasim, parasim.cli.main\n"
        f"sys.argv = ['paraSim', *{command!r}]\n"
        "try:\n"
        f"    parasim.{command[0]}\n"
        "except parasim.ParaSimError as error:\n"
        "    print(error)\n"
        "parasim.cli.main.main()"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ended.returncode == 2
    for said in (ended.stderr, ended.stdout):
        assert said.count("\n") == 1
        assert "needs the extra 'train': pip install" in said
        assert f"not installed: {package}" in said


def test_an_option_that_is_none_of_its_choices_is_told_them():
    assert refused("simulate", "--format", "yaml") == (
        "Invalid value for '--format': 'yaml' is not one of 'table', 'json'; see `paraSim simulate --help`"
    )
