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
_DYING = 1.0
"""Longest that a process takes to be gone whose connections are [s]."""
ANNOUNCED = "Listening on "
"""What an agent's line says before its address."""


class LocalAgents:
    """Agents on this machine.

    Parameters
    ----------
    folder : Path
        Each has a folder of its own below it, with what it says.
    token : str
        Handed to them in their environment.
    options : sequence of str
        Of `paraSim agent`, beside `--listen`.
    """

    def __init__(self, folder: Path, token: str, options: Sequence[str]):
        self._folder = folder
        self._environment = {**os.environ, TOKEN_VARIABLE: token, PARENT_VARIABLE: str(os.getpid())}
        self._command = [sys.executable, "-m", "parasim", "agent", "--listen", "127.0.0.1:0", *options]
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, number: int) -> None:
        """Start one."""
        own = self._folder / f"{number}"
        own.mkdir(parents=True, exist_ok=True)
        with (own / "log.txt").open("ab") as log:
            # A session of its own: Ctrl-C is for the conductor, which ends its agents.
            self.processes[number] = subprocess.Popen(
                self._command,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )

    def address(self, number: int) -> str:
        """Where one listens, as soon as it does.

        Raises
        ------
        LiveError
            If it ends before, and was not killed.
        """
        while True:
            process = self.processes[number]
            assert process.stdout is not None
            for line in process.stdout:
                if line.decode(errors="replace").startswith(ANNOUNCED):
                    return line.decode().removeprefix(ANNOUNCED).strip()
            if process.wait() >= 0:
                log = self._folder / f"{number}" / "log.txt"
                said = log.read_text(errors="replace").strip().splitlines()
                raise LiveError(f"an agent ended before it listened{': ' + said[-1] if said else ''}; see {log}")
            # Somebody killed it.
            process.stdout.close()
            self.start(number)

    def revive(self, number: int) -> str | None:
        """Start one anew if it is dead; return its new address, None if it lives."""
        process = self.processes[number]
        try:
            # What was killed a moment ago may not be gone yet.
            process.wait(_DYING)
        except subprocess.TimeoutExpired:
            return None
        assert process.stdout is not None
        process.stdout.close()
        self.start(number)
        return self.address(number)

    def end(self) -> None:
        """End all of them."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()


@contextmanager
def local_agents(count: int, folder: Path, token: str, options: Sequence[str]) -> Iterator[LocalAgents]:
    """Start so many agents, which end when the block is left; the parameters are those of `LocalAgents`."""
    agents = LocalAgents(folder, token, options)
    try:
        for number in range(count):
            agents.start(number)
        yield agents
    finally:
        agents.end()
