"""A run as execution traces of Chakra, which other simulators and tools read: a file for each client and the server.

A rank is an actor: clients have their own numbers, the server follows the last of them, then the regions' aggregators.
Computing and aggregating are compute nodes; a message is a send node of one rank and a receive node of another, with
the same tag. A node depends on those of its rank that it waited for; what happened elsewhere it hears by messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from parasim.trace import CHAKRA
from parasim.trace.arrows import microseconds
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.result import TIMELINE_CLIENTS, Result
from parasim_core.sim.engine.timeline import SERVER, Kind, Span
from parasim_core.sim.errors import OutputError, install_hint
from parasim_core.sim.support.atomic_files import write_atomically


def require_chakra() -> None:
    """Make sure that execution traces can be written.

    Raises
    ------
    OutputError
        If the package is missing that does it.
    """
    try:
        import google.protobuf  # noqa: F401
    except ImportError:
        raise OutputError(install_hint("--trace FILE.et", "chakra")) from None


def chakra_files(path: Path, ranks: int) -> list[Path]:
    """Files of so many ranks: ``run.et`` becomes ``run.0.et`` and so on."""
    return [path.with_name(f"{path.name.removesuffix(CHAKRA)}.{rank}{CHAKRA}") for rank in range(ranks)]


def ranks_of(result: Result) -> int:
    """How many actors there are: clients, the server, and the regions' aggregators."""
    return result.scenario.clients + len(_others(Fleet.of(result.scenario)))


def _others(fleet: Fleet) -> list[int]:
    """Actors that are no clients, in the order of their ranks."""
    return [SERVER, *fleet.aggregators.values()]


def write_chakra(result: Result, path: Path) -> None:
    """Write a run as execution traces, each file complete or not at all.

    Parameters
    ----------
    result : Result
        The run.
    path : Path
        Ends in ``.et``; see `chakra_files`.

    Raises
    ------
    OutputError
        If there are too many clients for a file each, or files cannot be written.
    """
    require_chakra()
    if result.scenario.clients > TIMELINE_CLIENTS:
        raise OutputError(
            f"--trace {path}: would be a file for each of {result.scenario.clients:,} clients; there are at most "
            f"{TIMELINE_CLIENTS:,}"
        )
    nodes = _Nodes(result)
    for rank, file in enumerate(chakra_files(path, ranks_of(result))):
        write_atomically(file, partial(_write, nodes, rank))


def _write(nodes: _Nodes, rank: int, file: IO[str]) -> None:
    """Write the messages of a file, each after its length."""
    from parasim.trace.chakra_schema import VERSION, GlobalMetadata

    plain = cast("Any", file).buffer
    told = [_attribute("tool", "paraSim"), _attribute("actor", nodes.name(rank))]
    for message in (GlobalMetadata(version=VERSION, attr=told), *nodes.of(rank)):
        data = message.SerializeToString(deterministic=True)
        plain.write(_varint(len(data)) + data)


def _varint(number: int) -> bytes:
    """Write a number in groups of 7 bits, the lowest first, all but the last marked."""
    groups = []
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes([*groups, number])


class _Place(NamedTuple):
    """A node: a span, or one of the two ends of a message, in one of the alike clients that a span stands for."""

    span: int
    receives: bool
    client: int


class _Nodes:
    """The nodes of each rank."""

    def __init__(self, result: Result):
        self._spans: Sequence[Span] = result.timeline.spans
        self._fleet, self._counts = Fleet.of(result.scenario), result.counts
        self._clients, self._actors = result.scenario.clients, _others(self._fleet)
        self._places: dict[int, list[_Place]] = {rank: [] for rank in range(ranks_of(result))}
        for number, span in enumerate(self._spans):
            for client in self._copies(span.client):
                here, there = self._ends(span, client)
                self._places[here].append(_Place(number, False, client))
                if there is not None:
                    self._places[there].append(_Place(number, True, client))

    def name(self, rank: int) -> str:
        """What a rank is."""
        return f"client {rank}" if rank < self._clients else self._fleet.actor(self._actors[rank - self._clients])

    def _rank(self, actor: int) -> int:
        return actor if actor >= 0 else self._clients + self._actors.index(actor)

    def _copies(self, client: int) -> Sequence[int]:
        """Clients that a span stands for; the actor itself, if it is no client."""
        return range(client, client + self._counts[client]) if client >= 0 else (client,)

    def _ends(self, span: Span, client: int) -> tuple[int, int | None]:
        """Rank that does it, or that sends, and the one that receives."""
        own = self._rank(client)
        if span.kind not in (Kind.UPLOAD, Kind.DOWNLOAD):
            return own, None
        region = self._fleet.group(client).region if client >= 0 else None
        above = self._rank(self._fleet.aggregators.get(region, SERVER) if region is not None else SERVER)
        return (own, above) if span.kind is Kind.UPLOAD else (above, own)

    def of(self, rank: int) -> Iterator[Any]:
        """Nodes of a rank in the order of their starts, which is one in which each follows those it depends on."""
        from parasim.trace.chakra_schema import COMPUTES, RECEIVES, SENDS, Node

        places = sorted(self._places[rank], key=lambda place: (self._spans[place.span].start, place.span, place.client))
        numbers = {place: number for number, place in enumerate(places)}
        of_span: dict[int, list[_Place]] = {}
        for place in places:
            of_span.setdefault(place.span, []).append(place)
        for place, number in numbers.items():
            span = self._spans[place.span]
            sender, receiver = self._ends(span, place.client)
            start = microseconds(span.start)
            kind = COMPUTES if receiver is None else RECEIVES if place.receives else SENDS
            attributes = [_attribute("is_cpu_op", False), _attribute("round", span.round)]
            if receiver is not None:
                attributes += [
                    _attribute("comm_src", sender),
                    _attribute("comm_dst", receiver),
                    _attribute("comm_tag", place.span),
                    _attribute("comm_size", int(span.size), wide=True),
                ]
            causes = {*span.causes, *(() if span.beside is None else (span.beside,))}
            before = [cause for span_number in sorted(causes) for cause in of_span.get(span_number, ())]
            yield Node(
                id=number,
                name=f"{span.kind} {span.round + 1}",
                type=kind,
                # Where clients are alike, each waited for its own.
                data_deps=[
                    numbers[cause]
                    for cause in before
                    if cause.client == place.client or self._spans[cause.span].client != span.client
                ],
                start_time_micros=start,
                duration_micros=microseconds(span.end) - start,
                attr=attributes,
            )


def _attribute(name: str, value: str | bool | int, *, wide: bool = False) -> Any:
    from parasim.trace.chakra_schema import Attribute

    if isinstance(value, str):
        return Attribute(name=name, string_val=value)
    if isinstance(value, bool):
        return Attribute(name=name, bool_val=value)
    return Attribute(name=name, int64_val=value) if wide else Attribute(name=name, int32_val=value)
