"""`paraSim agent`: one client of a live run, on this machine."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from parasim.extras import require_live, require_training
from parasim_core.sim.errors import ScenarioError

_PARENT_SECONDS = 0.5


def command(
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to be called; port 0 for any.")
    ] = "127.0.0.1:0",
    token: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The shared token; else the variable PARASIM_TOKEN.")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM, with --key: calls are encrypted. Needed off this machine.")
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="PEM, of --certificate.")] = None,
    model: Annotated[list[str], typer.Option(help="A model that it trains; may be given again.")] = ["demo"],  # noqa: B006
    data: Annotated[list[str], typer.Option(help="Data that it trains on; may be given again.")] = [  # noqa: B006
        "word-problems",
        "digits",
    ],
    dry: Annotated[bool, typer.Option("--dry", help="Never train: sleep, and send zeros.")] = False,
) -> None:
    """Be one client of a live run, on this machine.

    It computes, sends and fetches as a conductor asks, trains only models and data that are named here, executes
    nothing that it is sent, and ends with Ctrl-C.

    Example: paraSim agent --listen 127.0.0.1:7601 --token secret.txt --model demo --data word-problems
    """
    require_live("paraSim agent")
    if not dry:
        require_training("paraSim agent")
    from parasim.live.agent import Agent, Allowed
    from parasim.live.agent import listen as begin
    from parasim.live.wire import LiveError, Secrets, read_bytes, read_token

    if (certificate is None) != (key is None):
        raise ScenarioError("--certificate and --key: give both, or neither")

    def say(what: str) -> None:
        # Standard output says where it listens, and nothing else.
        print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)

    def trainee(client: int, scenario: dict[str, Any]) -> Any:
        if dry:
            raise LiveError("was started with --dry and trains nothing")
        from parasim.live.trainee import TorchTrainee

        return TorchTrainee(client, scenario)

    secrets = Secrets(
        read_token(token),
        None if certificate is None else read_bytes(certificate, "--certificate"),
        None if key is None else read_bytes(key, "--key"),
    )
    agent = Agent(Allowed(tuple(model), tuple(data)), trainee, say)
    server, port = begin(listen, secrets, agent, say)
    print(f"Listening on {listen.rpartition(':')[0]}:{port}", flush=True)
    _follow_parent()
    signal.signal(signal.SIGTERM, lambda *_: agent.over.set())
    try:
        agent.over.wait()
    finally:
        server.stop(None).wait(2)


def _follow_parent() -> None:
    """End when the process does that started this one, if it asked for that."""
    from parasim.live.local_agents import PARENT_VARIABLE

    if not (parent := os.environ.get(PARENT_VARIABLE)):
        return

    def follow() -> None:
        while os.getppid() == int(parent):
            time.sleep(_PARENT_SECONDS)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
