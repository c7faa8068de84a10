"""What goes between the conductor and its agents: gRPC calls of bytes, that is JSON, safetensors and nothing else.

`COMMAND` is a question and its answer, both JSON; `UPLOAD` a question and pieces of what an agent sends; `DOWNLOAD` a
header and pieces of what it is sent, and an answer. Every call carries the token and the version of the protocol.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

# What becomes of a connection is told in paraSim's own words.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc

from parasim_core.sim.errors import ParaSimError, ScenarioError

VERSION = "1"
"""Of the protocol; another one is refused."""
SERVICE = "parasim.Agent"
COMMAND, UPLOAD, DOWNLOAD = "Command", "Upload", "Download"
TOKEN_VARIABLE = "PARASIM_TOKEN"
LARGEST_COMMAND, LARGEST_PIECE = 1 << 20, 1 << 20
"""Bytes of a command or an answer, and of a piece [B]."""
LARGEST_MESSAGE = 1 << 36
"""Bytes of a whole message [B]."""
_TOKEN, _VERSION = "parasim-token", "parasim-version"
_LIMITS = [
    ("grpc.max_receive_message_length", LARGEST_PIECE + 1024),
    ("grpc.max_send_message_length", LARGEST_PIECE + 1024),
    # What a long link holds must not wait for gRPC's own window.
    ("grpc.http2.lookahead_bytes", 1 << 24),
    ("grpc.http2.bdp_probe", 0),
]
_KEPT_ALIVE = [
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Connections of their own, so that no message waits behind another one in the same.
    ("grpc.use_local_subchannel_pool", 1),
]


class LiveError(ParaSimError):
    """Something is wrong between the conductor and an agent."""

    exit_status = 1


class LostError(LiveError):
    """An agent, or the connection to it, is gone: it may come back."""


@dataclass(frozen=True)
class Secrets:
    """What both sides have to know.

    Attributes
    ----------
    token : str
        Shared; compared in constant time.
    certificate, key : bytes or None
        An agent's, PEM; without them nothing is encrypted.
    authority : bytes or None
        What a conductor holds certificates against, PEM; without it, it speaks in the clear.
    """

    token: str
    certificate: bytes | None = None
    key: bytes | None = None
    authority: bytes | None = None


def read_token(file: Path | None) -> str:
    """Read the token from a file, or from the environment variable ``PARASIM_TOKEN``.

    Raises
    ------
    ScenarioError
        If there is none, or one that is too short to be secret.
    """
    token = os.environ.get(TOKEN_VARIABLE, "") if file is None else read_bytes(file, "--token").decode(errors="replace")
    token = token.strip()
    if not token:
        raise ScenarioError(f"no token: give --token FILE, or set {TOKEN_VARIABLE}; both sides need the same")
    if len(token) < 16 or not token.isascii() or not token.isprintable():
        raise ScenarioError("the token must be at least 16 printable ASCII characters")
    return token


def read_bytes(file: Path, option: str) -> bytes:
    """Read a file that an option names.

    Raises
    ------
    ScenarioError
        If it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise ScenarioError(f"{option} {file}: {error.strerror or error}") from None


def is_loopback(address: str) -> bool:
    """Whether an address, HOST:PORT, is this machine's own; a name that only begins like one is not."""
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def check_address(address: str, option: str) -> str:
    """Return an address if it is HOST:PORT.

    Raises
    ------
    ScenarioError
        If it is not.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not int(port) < 2**16:
        raise ScenarioError(f"{option} {address}: write HOST:PORT, such as 127.0.0.1:7600")
    return address


class _Guard(grpc.ServerInterceptor):
    """Refuses calls without the token, or of another version."""

    def __init__(self, token: str, refused: Callable[[str], None]):
        self._token = token.encode()
        self._refused = refused

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        given = dict(details.invocation_metadata or ())
        if not hmac.compare_digest(str(given.get(_TOKEN, "")).encode(), self._token):
            return self._refusal(continuation(details), grpc.StatusCode.UNAUTHENTICATED, "the token is wrong")
        if (version := given.get(_VERSION)) != VERSION:
            what = f"protocol version {str(version)[:20]} is not {VERSION}; install the same paraSim on both sides"
            return self._refusal(continuation(details), grpc.StatusCode.FAILED_PRECONDITION, what)
        return continuation(details)

    def _refusal(self, handler: Any, code: Any, what: str) -> Any:
        self._refused(what)
        if handler is None:
            return None

        def refuse(request: Any, context: Any) -> Any:
            context.abort(code, what)

        kinds = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
        }
        return kinds[handler.request_streaming, handler.response_streaming](refuse)


@dataclass(frozen=True)
class Service:
    """What an agent does when it is called."""

    command: Callable[[dict[str, Any]], dict[str, Any]]
    upload: Callable[[dict[str, Any]], Iterator[bytes]]
    download: Callable[[dict[str, Any], Iterator[bytes]], dict[str, Any]]


def serve(
    service: Service, address: str, secrets: Secrets, executor: Any, say: Callable[[str], None]
) -> tuple[Any, int]:
    """Begin to serve calls at an address; return the server and its port.

    Raises
    ------
    ScenarioError
        If the address is not loopback and there is no certificate, or nobody can listen there.
    """
    check_address(address, "--listen")
    if secrets.certificate is None and not is_loopback(address):
        raise ScenarioError(
            f"--listen {address}: is not loopback, and without --certificate and --key anyone on the way could read "
            "along; give both, or listen on 127.0.0.1"
        )

    def answered(act: Callable[[], Any], context: Any) -> Any:
        try:
            return act()
        except ParaSimError as error:
            say(f"refused: {error}")
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    def command(request: bytes, context: Any) -> bytes:
        return bytes(answered(lambda: _packed(service.command(_unpacked(request))), context))

    def upload(request: bytes, context: Any) -> Iterator[bytes]:
        yield from answered(lambda: service.upload(_unpacked(request)), context)

    def download(request: Iterator[bytes], context: Any) -> bytes:
        def taken() -> bytes:
            header = next(request, None)
            if header is None:
                raise LiveError("a message without a header")
            told = _unpacked(header)
            size = told.get("bytes")
            if not isinstance(size, int) or not 0 <= size <= LARGEST_MESSAGE:
                raise LiveError(f"a message of {str(size)[:30]} bytes; at most {LARGEST_MESSAGE:,} are taken")
            return _packed(service.download(told, _exactly(request, size)))

        return bytes(answered(taken, context))

    # Without shared ports: a second agent at the same address is an error, not a rival.
    server = grpc.server(
        executor, options=[*_LIMITS, ("grpc.so_reuseport", 0)], interceptors=[_Guard(secrets.token, say)]
    )
    handlers: dict[str, Any] = {
        COMMAND: grpc.unary_unary_rpc_method_handler(command),
        UPLOAD: grpc.unary_stream_rpc_method_handler(upload),
        DOWNLOAD: grpc.stream_unary_rpc_method_handler(download),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    try:
        if secrets.certificate is not None and secrets.key is not None:
            port = server.add_secure_port(address, grpc.ssl_server_credentials([(secrets.key, secrets.certificate)]))
        else:
            port = server.add_insecure_port(address)
    except RuntimeError:
        port = 0
    if not port:
        raise ScenarioError(
            f"--listen {address}: cannot be listened at; does another program, or is it not this machine's?"
        )
    server.start()
    return server, int(port)


def _exactly(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Pass pieces on, and refuse a message that is shorter or longer than was said."""
    left = size
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            raise LiveError(f"a message is longer than the {size:,} bytes that were announced")
        yield piece
    if left:
        raise LiveError(f"a message ended {left:,} bytes before the {size:,} that were announced")


class Caller:
    """The conductor's end of the connections to one agent.

    Parameters
    ----------
    address : str
        HOST:PORT.
    secrets : Secrets
        The token, and what certificates are held against.
    name : str
        Whose agent it is, for messages.
    """

    def __init__(self, address: str, secrets: Secrets, name: str):
        if secrets.authority is None and not is_loopback(address):
            raise ScenarioError(
                f"agent {address}: is not loopback; give --authority, the certificate that its own is held against"
            )
        self.name = f"{name} ({address})"
        self._metadata = ((_TOKEN, secrets.token), (_VERSION, VERSION))
        credentials = None if secrets.authority is None else grpc.ssl_channel_credentials(secrets.authority)
        # Nothing that is not encrypted, the token least of all, goes to a proxy that the environment names.
        options = [*_LIMITS, *_KEPT_ALIVE, ("grpc.enable_http_proxy", int(credentials is not None))]
        # One connection for commands, one for each direction of messages.
        self._channels = [
            grpc.insecure_channel(address, options)
            if credentials is None
            else grpc.secure_channel(address, credentials, options)
            for _ in range(3)
        ]
        commands, uploads, downloads = self._channels
        self._command: Any = commands.unary_unary(f"/{SERVICE}/{COMMAND}")
        self._upload: Any = uploads.unary_stream(f"/{SERVICE}/{UPLOAD}")
        self._download: Any = downloads.stream_unary(f"/{SERVICE}/{DOWNLOAD}")

    def connect(self, deadline: float) -> None:
        """Connect, before anything is measured.

        Raises
        ------
        LiveError
            If that takes longer than `deadline` [s].
        """
        for channel in self._channels:
            try:
                grpc.channel_ready_future(channel).result(deadline)
            except grpc.FutureTimeoutError:
                raise LostError(
                    f"agent of {self.name}: cannot be reached within {deadline:g} s; is it running?"
                ) from None

    def command(self, what: str, deadline: float, **told: Any) -> dict[str, Any]:
        """Have the agent do something and return what it answers.

        Raises
        ------
        LiveError
            If it does not, refuses, or takes longer than `deadline` [s].
        """
        try:
            return _unpacked(self._command(_packed({"do": what, **told}), timeout=deadline, metadata=self._metadata))
        except grpc.RpcError as error:
            raise self._failed(what, error, deadline) from None

    def upload(self, told: dict[str, Any], deadline: float) -> Iterator[bytes]:
        """Have the agent send something; yields pieces."""
        try:
            yield from self._upload(_packed(told), timeout=deadline, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._failed("send its update", error, deadline) from None

    def download(self, told: dict[str, Any], pieces: Iterator[bytes], deadline: float) -> dict[str, Any]:
        """Send the agent something."""

        def sent() -> Iterator[bytes]:
            yield _packed(told)
            yield from pieces

        try:
            return _unpacked(self._download(sent(), timeout=deadline, metadata=self._metadata))
        except grpc.RpcError as error:
            raise self._failed("take a message", error, deadline) from None

    def close(self) -> None:
        """Close the connections."""
        for channel in self._channels:
            channel.close()

    def _failed(self, what: str, error: Any, deadline: float) -> LiveError:
        code, details = error.code(), " ".join(str(error.details()).split())[:300]
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return LiveError(f"agent of {self.name}: did not {what} within {deadline:g} s")
        if code is grpc.StatusCode.UNAVAILABLE or "Stream removed" in details:
            return LostError(f"agent of {self.name}: cannot be reached, to {what}: is it running? ({details})")
        if code is grpc.StatusCode.UNKNOWN:
            return LiveError(f"agent of {self.name}: failed to {what}; its own output says why ({details})")
        return LiveError(f"agent of {self.name}: {details}")


def cut(data: bytes | memoryview, sizes: Callable[[], int]) -> Iterator[bytes]:
    """Cut a message into pieces."""
    view, at = memoryview(data), 0
    while at < len(view):
        size = sizes()
        yield bytes(view[at : at + size])
        at += size


def zeros(size: int, sizes: Callable[[], int]) -> Iterator[bytes]:
    """Give a message of so many bytes that say nothing, in pieces."""
    while size:
        piece = min(size, sizes())
        yield bytes(piece)
        size -= piece


def _packed(told: dict[str, Any]) -> bytes:
    return json.dumps(told, allow_nan=False).encode()


def _unpacked(data: bytes) -> dict[str, Any]:
    try:
        told = json.loads(data) if len(data) <= LARGEST_COMMAND else None
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise LiveError("a message that is no JSON object, or too long")
    return told


def whole(told: dict[str, Any], field: str, kinds: Sequence[type] = (int,)) -> Any:
    """Return a field of a command.

    Raises
    ------
    LiveError
        If it is missing or of another kind.
    """
    value = told.get(field)
    if not isinstance(value, tuple(kinds)) or (isinstance(value, bool) and bool not in kinds):
        raise LiveError(f"{field}: is {str(value)[:40]}, not a {kinds[0].__name__}")
    return value
