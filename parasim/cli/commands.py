"""The subcommands of `paraSim`, each loaded when it is asked for: listing them must not cost what running them does."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from sim.errors import ParaSimError, install_hint

COMMANDS = {
    "simulate": "Simulate one scenario: wall-clock, exposed communication, bytes, and where they come from.",
    "explain": "Explain one run: what its critical path consists of, and what improvements would save, predicted and "
    "simulated.",
    "sweep": "Sweep fields of a scenario; without options, the ParaBlock paper's Figure 2 for both models.",
    "diff": "Compare two results: what differs in the scenario, what in the answer, and why, by the critical path.",
    "memory": "Trace what a client's local update needs of memory, by what it is for, and on which devices it fits.",
    "plan": "Plan backwards, one question at a time; every answer is checked by simulating it and what is just "
    "beside it.",
    "train": "Train methods with a real model under the simulated clock: loss against rounds and against wall-clock.",
    "evaluate": "Measure models on held-out questions: loss, perplexity, and how many generated answers are right.",
    "app": "Open a page in the browser: move a slider, and see what a run takes, why, and what it costs.",
    "report": "Make one self-contained HTML page: question, answer, charts, what-ifs to move, and where the numbers "
    "come from.",
    "reproduce": "Compare with every runtime cell of the ParaBlock paper: fitted, predicted or unexplained.",
    "calibrate": "Measure real training steps on this machine, fit what they cost, and say how wrong the fit is.",
    "validate": "Hold predictions against what really happens.",
    "import": "Take over what was measured elsewhere.",
    "list": "List models, methods, profiles and devices, or print the JSON Schema of scenarios.",
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
