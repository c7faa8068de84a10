"""`paraSim app`: a page in the browser to play with, on the exact engine."""

from __future__ import annotations

import socket
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer

from parasim.cli.options import Overrides, ScenarioOrPaper
from parasim.cli.quiet import note
from parasim_core.sim.errors import ParaSimError, install_hint
from parasim_core.sim.scenario.reading import load, plain_fields

PORT = 8642
_PACKAGES = ("starlette", "uvicorn")


class AddressError(ParaSimError):
    """The address that was asked for cannot be listened to."""


def command(
    file: ScenarioOrPaper = None,
    set_: Overrides = [],  # noqa: B006 - typer copies it
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; other machines reach 127.0.0.1 not at all.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help=f"Port; {PORT} if left out, or any other one where that is taken."),
    ] = None,
) -> None:
    """Open a page in the browser: move a slider, see what follows.

    Example: paraSim app examples/cross-silo-50.yaml
    """
    if missing := [package for package in _PACKAGES if find_spec(package) is None]:
        raise ParaSimError(f"{install_hint('paraSim app', 'app')} (not installed: {', '.join(missing)})")
    start = None
    if file is not None or set_:
        # What is wrong with the file is said here, before anything is served.
        scenario = _start(file, set_)
        start = {"name": file.name if file is not None else "The paper's setting, changed", "fields": scenario}
    from parasim.app.server import serve

    with _listening(host, port) as listening:
        address, bound = listening.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        print(f"paraSim app: http://{shown}:{bound}/ (Ctrl-C ends it)", flush=True)
        names = [] if ip_address(address).is_loopback else ["*"]
        if names:
            note(f"Whoever reaches {address} can compute here, and have files read that a scenario names.")
        serve(listening, start, names)


def _start(file: Path | None, overrides: list[str]) -> dict[str, object]:
    from parasim.planning.methods import scenario_of

    source = scenario_of(None) if file is None else file
    load(source, overrides)
    # Files that it names are found from wherever the page is served.
    return plain_fields(source if file is None else file.absolute(), overrides)


def _listening(host: str, port: int | None) -> socket.socket:
    """Listen to an address; to any port where none was asked for and the usual one is taken.

    Raises
    ------
    AddressError
        If that cannot be.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in (PORT, 0) if port is None else (port,):
        try:
            return socket.create_server((host, number), family=family)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
    raise AddressError(f"{host}, port {port if port is not None else 'any'}: {reason}")
