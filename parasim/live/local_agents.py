"""Agents that a conductor starts itself, one process each, on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from parasim.live.wire import TOKEN_VARIABLE, LiveError

PARENT_VARIABLE = "PARASIM_PARENT"
"""Process without which an agent ends, too."""
ANNOUNCED = "Listening on "
"""What an agent's line says before its address."""


@contextmanager
def local_agents(count: int, folder: Path, token: str, options: Sequence[str]) -> Iterator[list[str]]:
    """Start so many agents, and give their addresses; they end when the block is left.

    Parameters
    ----------
    count : int
        How many.
    folder : Path
        Each has a folder of its own below it, with what it says.
    token : str
        Handed to them in their environment.
    options : sequence of str
        Of `paraSim agent`, beside `--listen`.

    Raises
    ------
    LiveError
        If one ends before it listens.
    """
    environment = {**os.environ, TOKEN_VARIABLE: token, PARENT_VARIABLE: str(os.getpid())}
    processes = []
    try:
        for number in range(count):
            own = folder / f"{number}"
            own.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, "-m", "parasim", "agent", "--listen", "127.0.0.1:0", *options]
            with (own / "log.txt").open("wb") as log:
                processes.append(
                    # A session of its own: Ctrl-C is for the conductor, which tells its agents.
                    subprocess.Popen(
                        command, stdout=subprocess.PIPE, stderr=log, env=environment, cwd=own, start_new_session=True
                    )
                )
        yield [_address(process, folder / f"{number}" / "log.txt") for number, process in enumerate(processes)]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until an agent says where it listens."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.decode(errors="replace").startswith(ANNOUNCED):
            return line.decode().removeprefix(ANNOUNCED).strip()
    said = log.read_text(errors="replace").strip().splitlines()
    raise LiveError(f"an agent ended before it listened{': ' + said[-1] if said else ''}; see {log}")
