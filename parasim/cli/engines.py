"""The options `--engine` and `--address`: which machines compute."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import typer

from sim.errors import ScenarioError

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


@contextmanager
def computing_on(engine: str, address: str | None) -> Iterator[None]:
    """Compute with an engine inside a ``with`` block, in which nothing may be printed as a result.

    Raises
    ------
    ParaSimError
        If there is an address without Ray, or the cluster cannot be reached.
    """
    if address is not None and not address.strip():
        raise ScenarioError("--address: is empty; leave it out for the cluster that this machine belongs to")
    if address is not None and engine != "ray":
        raise ScenarioError(f"--address {address}: goes with --engine ray")
    if engine != "ray":
        yield
        return
    from sim.support.ray_pool import on_ray

    # Ray's own messages go to standard output, where results belong.
    with contextlib.redirect_stdout(sys.stderr), on_ray(address or "auto"):
        yield
