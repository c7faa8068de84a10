"""The subcommands of `paraSim`, each loaded when it is asked for: listing them must not cost what running them does."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from parasim_core.sim.errors import ParaSimError, install_hint
from parasim_core.sim.support.collector import loading

COMMANDS = {
    "simulate": "Simulate a scenario: how long it takes, and why.",
    "explain": "Explain a run: its critical path, and what would shorten it.",
    "sweep": "Sweep fields of a scenario; by default, the paper's Figure 2.",
    "diff": "Compare two results: what differs, and why.",
    "memory": "Trace what a client's step needs of memory, and where it fits.",
    "plan": "Plan backwards from a deadline or a budget.",
    "train": "Train with real models: loss against rounds and wall-clock.",
    "evaluate": "Measure models on held-out questions.",
    "live": "Run the protocol on real machines, in real time, and measure it.",
    "agent": "Be one client of a live run, on this machine.",
    "app": "Open a page in the browser: move a slider, see what follows.",
    "report": "Make one HTML page: question, answer, and what-ifs to move.",
    "reproduce": "Compare with every runtime cell of the ParaBlock paper.",
    "calibrate": "Measure training steps on this machine, and fit what they cost.",
    "validate": "Hold predictions against what really happens.",
    "import": "Take over what was measured elsewhere.",
    "list": "List models, methods, devices ..., or print JSON Schemas.",
}
"""What each subcommand does, as its own help begins."""

_MODULES = {"import": "importing", "explain": "explanation", "list": "listing"}


class InterruptedRunError(ParaSimError):
    """The user pressed Ctrl-C."""

    exit_status = 130


class Commands(TyperGroup):
    """The subcommands, whose interruption is left to `main`: typer would end without a word."""

    def __init__(self, **attributes: Any) -> None:
        attributes["commands"] = {name: TyperCommand(name, help=text) for name, text in COMMANDS.items()}
        super().__init__(**attributes)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Load the subcommand that is to run; only its name and help are known before."""
        name, _, rest = super().resolve_command(ctx, args)
        with loading():
            return name, load(str(name)), rest

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand that was asked for."""
        try:
            os.getcwd()  # noqa: PTH109 - only whether there is one
        except OSError:
            raise ParaSimError("the current folder was deleted; change to one that exists") from None
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            raise InterruptedRunError(f"interrupted: {interrupt}" if str(interrupt) else "interrupted") from None
        except ModuleNotFoundError as missing:
            # Extras that only one option or question asks for are named where they are imported.
            hint = install_hint(f"paraSim {ctx.invoked_subcommand}", "train")
            raise ParaSimError(f"{hint} ({str(missing).partition(chr(10))[0]})") from None


def load(name: str) -> Any:
    """Load a subcommand."""
    module = import_module(f"parasim.cli.{_MODULES.get(name, name)}")
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False)
        app.command()(module.command)
    loaded = typer.main.get_command(app)
    loaded.name = name
    return loaded
