"""The server behind the page: the files of ``static/``, and questions that are answered as JSON.

It listens to this machine alone unless told otherwise, and answers only to names of its own. Another page that is open
in the same browser can neither read answers nor ask: questions come as JSON, for which browsers ask leave first.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from parasim.app.files import PICTURES
from parasim.app.forms import choices, starting_points
from parasim.app.questions import QUESTIONS
from parasim.app.workers import KilledError, Workers
from parasim.figures.look import FORMATS
from parasim_core.sim.errors import brief

_STATIC = Path(__file__).with_name("static")
_MOST_BYTES = 16 * 2**20
"""Largest question [B]."""
_GLANCE = 0.1
"""How often it is looked whether somebody still waits for an answer [s]."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_LOCAL_NAMES = ["localhost", "127.0.0.1", "[::1]"]


def serve(listening: socket.socket, start: Mapping[str, Any] | None, names: list[str]) -> None:
    """Serve the page until interrupted.

    Parameters
    ----------
    listening : socket
        Where.
    start : mapping or None
        Fields of the scenario that the page begins with, and its name; the paper's setting if None.
    names : list of str
        Names of hosts that it answers to beside those of this machine; ``*`` for any.
    """
    app = application(start, names)
    config = uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=5, access_log=False)
    server = uvicorn.Server(config)
    app.state.is_ending = lambda: server.should_exit
    server.run([listening])


def application(start: Mapping[str, Any] | None, names: list[str]) -> Starlette:
    """Put the server together; the parameters are those of `serve`."""
    points = starting_points()
    if start is not None:
        points = {start["name"]: dict(start["fields"])} | points
    beginning = {
        "start": next(iter(points)),
        "points": points,
        "pictures": dict.fromkeys(PICTURES, FORMATS),
        **choices(),
    }

    async def page(request: Request) -> Response:
        return FileResponse(_STATIC / "index.html", headers=_HEADERS)

    async def begin(request: Request) -> Response:
        return JSONResponse(beginning, headers=_HEADERS)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.workers = Workers()
        yield
        app.state.workers.stop()

    routes = [
        Route("/", page),
        Route("/begin", begin),
        Route("/ask/{name}", _ask, methods=["POST"]),
        Mount("/static", _Files(directory=_STATIC)),
    ]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[*_LOCAL_NAMES, *names], www_redirect=False)
    return Starlette(routes=routes, middleware=[hosts], lifespan=lifespan)


class _Files(StaticFiles):
    """Files of the page, with the headers of the page."""

    def file_response(self, *arguments: Any, **named: Any) -> Response:
        response = super().file_response(*arguments, **named)
        response.headers.update(_HEADERS)
        return response


async def _ask(request: Request) -> Response:
    """Have a question answered by another process, as long as somebody waits for it."""
    name = request.path_params["name"]
    if name not in QUESTIONS:
        return _refused(404, f"there is no question {name!r}")
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return _refused(415, "questions are asked in JSON")
    if int(request.headers.get("content-length") or _MOST_BYTES + 1) > _MOST_BYTES:
        return _refused(413, f"a question has at most {_MOST_BYTES // 2**20} MiB")
    try:
        asked = json.loads(await request.body())
    except (ValueError, RecursionError):
        return _refused(400, "not well-formed JSON")
    if not isinstance(asked, dict) or not isinstance(asked.get("fields", {}), dict):
        return _refused(400, "a question is a mapping, and so is its scenario")
    answer = asyncio.create_task(request.app.state.workers.ask(name, asked))
    while not answer.done():
        await asyncio.wait({answer}, timeout=_GLANCE)
        if not answer.done() and (request.app.state.is_ending() or await request.is_disconnected()):
            answer.cancel()
            return _refused(503, "paraSim app was ended")
    try:
        found, wrong = answer.result()
    except TimeoutError:
        patience = QUESTIONS[name].patience
        text = f"this takes longer than {patience:.0f} s; the command line has as much time as you have"
        wrong = [{"field": "", "text": text}]
    except KilledError as error:
        return _refused(500, str(error))
    except RuntimeError as error:
        return _refused(500, f"unexpected {brief(str(error))}")
    if wrong:
        # An answer, and no failure of the server's, which a browser would note as such.
        return JSONResponse({"problems": wrong}, headers=_HEADERS)
    if isinstance(found, bytes):
        return Response(found, media_type="application/octet-stream", headers=_HEADERS)
    return JSONResponse(found, headers=_HEADERS)


def _refused(status: int, text: str) -> Response:
    return JSONResponse({"problems": [{"field": "", "text": text}]}, status_code=status, headers=_HEADERS)
