"""The options `--engine`, `--address` and `--jobs`: which machines compute, and with how many processes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import typer

from parasim_core.sim.errors import ScenarioError

Engine = Annotated[
    Literal["local", "ray"], typer.Option("--engine", help="Compute on this machine, or on a Ray cluster.")
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="The Ray cluster: HOST:PORT, ray://HOST:PORT, local to start one here; this machine's own if left out.",
    ),
]
Jobs = Annotated[int | None, typer.Option("--jobs", min=1, help="Worker processes; all cores if left out.")]


@contextmanager
def computing_on(engine: str, address: str | None) -> Iterator[None]:
    """Compute with an engine inside a ``with`` block, in which nothing may be printed as a result.

    Raises
    ------
    ParaSimError
        If there is an address without Ray, or the cluster cannot be reached.
    """
    if address is not None and (engine != "ray" or not address.strip()):
        raise ScenarioError(
            f"--address {address!r}: goes with --engine ray; left out, it is this machine's own cluster"
        )
    if engine != "ray":
        yield
        return
    from parasim_core.sim.support.ray_pool import on_ray

    # Ray's own messages go to standard output, where results belong.
    with contextlib.redirect_stdout(sys.stderr), on_ray(address or "auto"):
        yield
