"""Options of all commands that draw: kinds of files, width, type size, title, and names as they should appear."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from parasim.figures.look import (
    FORMATS,
    USUAL,
    Look,
    read_font_size,
    read_formats,
    read_labels,
    read_width,
)

_PANEL = "Pictures"


def draws(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options for pictures; it takes them together, as its last parameter, `look`.

    What is wrong with them is said before anything is computed.
    """
    own, added = (inspect.signature(function, eval_str=True) for function in (command, _look))

    @wraps(command)
    def run(**options: Any) -> None:
        chosen = {name: options.pop(name) for name in added.parameters}
        command(**options, look=_look(**chosen))

    parameters = [parameter for parameter in own.parameters.values() if parameter.name != "look"]
    parameters += [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in added.parameters.values()]
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]  # what typer reads
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _look(
    plot_format: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            rich_help_panel=_PANEL,
            help=f"Kinds of files, with commas between them: {', '.join(FORMATS)}; png,svg if left out.",
        ),
    ] = None,
    width: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTH",
            rich_help_panel=_PANEL,
            help="Of the whole picture, such as 84mm; one whose texts need more is as narrow as they allow.",
        ),
    ] = None,
    font_size: Annotated[
        str | None, typer.Option(metavar="POINTS", rich_help_panel=_PANEL, help="Of most text; 7 if left out.")
    ] = None,
    title: Annotated[
        str | None, typer.Option(rich_help_panel=_PANEL, help="Above the picture; '' for one without a title.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=_PANEL,
            help="Names as they should appear (YAML), such as parablock: ParaBlock.",
        ),
    ] = None,
) -> Look:
    return Look(
        formats=() if plot_format is None else read_formats(plot_format),
        width=None if width is None else read_width(width),
        font_size=USUAL.font_size if font_size is None else read_font_size(font_size),
        title=title,
        labels={} if labels is None else read_labels(labels),
    )
