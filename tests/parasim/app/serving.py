"""`paraSim app` as a process of its own, spoken to over HTTP."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

PATIENCE = 120.0
"""How long a busy machine may take [s]."""


class App:
    """A running `paraSim app`."""

    def __init__(self, process: subprocess.Popen[str], address: str):
        self.process, self.address = process, address

    def get(self, path: str = "", **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
        """Ask for a path: status, body and headers."""
        return _opened(Request(self.address + path, headers=headers))

    def ask(self, name: str, asked: object, **headers: str) -> tuple[int, Any]:
        """Ask a question: status and answer."""
        body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
        request = Request(self.address + f"ask/{name}", body, {"Content-Type": "application/json", **headers})
        status, answer, told = _opened(request)
        return status, answer if told["content-type"] == "application/octet-stream" else json.loads(answer)

    def interrupt(self) -> tuple[int, str]:
        """Press Ctrl-C: the exit status, and what was said on the way out."""
        self.process.send_signal(signal.SIGINT)
        _, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, err


def _opened(request: Request) -> tuple[int, bytes, Mapping[str, str]]:
    try:
        with urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read(), answer.headers
    except HTTPError as refused:
        return refused.code, refused.read(), refused.headers


@contextmanager
def serving(*arguments: object, folder: Path | None = None) -> Iterator[App]:
    """Start `paraSim app` on any free port, and end it afterwards."""
    command = [sys.executable, "-m", "parasim", "app", "--port", "0", *map(str, arguments)]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            address = re.search(r"http://\S+/", line)
            assert address is not None, line + process.communicate()[1]
            yield App(process, address[0])
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
