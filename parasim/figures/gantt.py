"""A run as a Gantt chart: what each client does when, and the critical path through it.

Each client has a row with two lanes, one for computing and one for messages, because the two overlap. Clients that
are alike and were simulated once have one row; where there are many clients, those that hold the critical path are
shown, and as many others as there is space for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parasim.figures import style
from parasim.figures.labels import shortened
from parasim.figures.sheet import Key, Sheet, sheet
from parasim.figures.style import FigureError, TimeUnit
from sim.analysis.critical_path import CriticalPath
from sim.engine.fleet import Fleet
from sim.engine.result import Result
from sim.engine.timeline import SERVER, Interval, Kind, Span

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {Kind.COMPUTE: "#0072B2", Kind.UPLOAD: "#E69F00", Kind.DOWNLOAD: "#009E73", Kind.AGGREGATE: "#CC79A7"}
_PRESENT = "#F3F3F3"

# All lengths are in inches; a row's unit is 1, its lanes are given from its lower edge.
_ROW, _RIGHT, _MARGIN, _LEGEND_GAP = 0.27, 0.12, 0.06, 0.095
_LANES = {True: (0.48, 0.40), False: (0.08, 0.40)}
_BAND = (0.04, 0.88)
_NAME_GAP, _WIDEST_NAME = 0.07, 0.35
_OUTLINE = 0.9
_MOST_ROWS = 16
_THINNEST = 0.012


@dataclass(frozen=True)
class Schedule:
    """What a Gantt chart shows.

    Attributes
    ----------
    spans : sequence of Span
        What clients and the server do.
    path : sequence of (Span, float, float)
        The critical path in the order of time: whose span each piece belongs to, its start and end [s].
    names : mapping of int to str
        The rows by number of client, those of the server and of aggregators too.
    counts : mapping of int to int
        Number of alike clients that a row stands for.
    clients : int
        Number of all clients.
    presence : mapping of int to sequence of (float, float)
        When each client takes part [s]; where that is not known, waiting is not shown.
    end : float
        Where the picture ends [s].
    """

    spans: Sequence[Span]
    path: Sequence[tuple[Span, float, float]]
    names: Mapping[int, str]
    counts: Mapping[int, int]
    clients: int
    presence: Mapping[int, Sequence[Interval]]
    end: float


def client_name(fleet: Fleet | None, client: int, count: int = 1) -> str:
    """Name a client after its group, if that is known: alone, with its number, or for so many alike ones."""
    if client < 0:
        return "server" if fleet is None else fleet.actor(client)
    group = None if fleet is None else fleet.group(client)
    name = (group and group.name) or "client"
    if group and group.name and group.count == 1:
        return name
    return f"{name} × {count:,}" if count > 1 else f"{name} {client}"


def draw_gantt(result: Result, path: CriticalPath, directory: Path, rounds: int = 8) -> list[Path]:
    """Draw ``gantt.png`` and ``gantt.svg``.

    Parameters
    ----------
    result : Result
        The run.
    path : CriticalPath
        Its critical path.
    directory : Path
        Where the files go.
    rounds : int
        Up to the end of the last computation of this many rounds; a longer run is cut off there.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    FigureError
        If the run takes no time.
    OutputError
        If the files cannot be written.
    """
    scenario, spans, fleet = result.scenario, result.timeline.spans, Fleet.of(result.scenario)
    pieces = [(spans[piece.span], piece.start, piece.end) for piece in path.pieces]
    actors = dict.fromkeys((SERVER, *fleet.aggregators.values()), 1)
    names = {client: client_name(fleet, client, count) for client, count in {**result.counts, **actors}.items()}
    end = window(spans, rounds)
    schedule = Schedule(spans, pieces, names, result.counts, scenario.clients, result.presence, end)
    many = f"{scenario.rounds:,} rounds" if scenario.rounds > 1 else "one round"
    cut = f"the first {rounds} of " if end < result.wall_clock else ""
    title = f"{scenario.name}, {scenario.method.name}: {cut}{many}"
    with sheet() as drawn:
        draw_schedule(drawn, style.PAGE_WIDTH, schedule, title)
        return drawn.save(directory / "gantt")


def window(spans: Sequence[Span], rounds: int) -> float:
    """End of the picture [s]: of the run, or of the last computation of its first rounds."""
    if max((span.round for span in spans), default=0) < rounds:
        return max((span.end for span in spans), default=0.0)
    return max((s.end for s in spans if s.kind is Kind.COMPUTE and s.round < rounds), default=0.0)


def draw_schedule(drawn: Sheet, width: float, schedule: Schedule, title: str = "") -> None:
    """Draw a schedule on a sheet.

    Parameters
    ----------
    drawn : Sheet
        The picture.
    width : float
        Of the picture [in].
    schedule : Schedule
        What is done when.
    title : str
        Written above, if not empty.

    Raises
    ------
    FigureError
        If nothing takes any time.
    """
    end = schedule.end
    if end <= 0:
        raise FigureError("nothing to draw: the run takes no time")
    clients = _rows(schedule, end, _THINNEST / width * end)
    names = {client: shortened(schedule.names[client], width * _WIDEST_NAME, style.SMALL) for client in clients}
    left = _MARGIN + max(style.text_width(name, style.SMALL) for name in names.values()) + _NAME_GAP
    unit = style.time_unit(end)
    note = _axis_name(schedule, clients, unit)
    if style.text_width(note, style.NORMAL) > width - left:
        note = note.replace(", chosen", ",\nchosen")
    height = len(clients) * _ROW
    top = drawn.keys(_keys(schedule, clients, end), _MARGIN, height + _LEGEND_GAP, width - 2 * _MARGIN)
    drawn.title(title, _MARGIN, top + 0.03)
    axes = drawn.axes(left, 0, width - left - _RIGHT, height, grid="")
    axes.spines["left"].set_visible(False)
    axes.set(xlim=(0, end), ylim=(0, len(clients)), xticks=[], yticks=[])
    # What is drawn is in seconds.
    scales = (lambda seconds: seconds / unit.seconds), (lambda units: units * unit.seconds)
    axes.secondary_xaxis("bottom", functions=scales).set_xlabel(note, labelpad=2)
    if not schedule.presence:
        axes.hlines(range(1, len(clients)), 0, end, color=style.GRID, linewidth=0.5, zorder=0.5)
    lowest = {client: len(clients) - 1 - index for index, client in enumerate(clients)}
    inches_per_second = (width - left - _RIGHT) / end
    for client, row in lowest.items():
        _draw_row(axes, schedule, client, row, inches_per_second)
        drawn.text(left - _NAME_GAP, (row + 0.5) * _ROW, names[client], ha="right")
    _outline(axes, schedule, lowest, _THINNEST / inches_per_second)


def _rows(schedule: Schedule, end: float, shortest: float) -> list[int]:
    """Clients to show, in the order of their numbers, then aggregators, and the server if its work takes time."""
    held = dict.fromkeys(sorted({s.client for s in schedule.spans if s.start < end and s.client != SERVER}), 0.0)
    for span, start, until in schedule.path:
        if span.client in held and start < end:
            held[span.client] += until - start
    shown = sorted(sorted(held, key=lambda client: -held[client])[:_MOST_ROWS], key=lambda c: (c < 0, abs(c)))
    aggregates = [s.end - s.start for s in schedule.spans if s.kind is Kind.AGGREGATE and s.start < end]
    return [*shown, SERVER] if max(aggregates, default=0.0) > shortest else shown


def _keys(schedule: Schedule, clients: Sequence[int], end: float) -> list[Key]:
    keys = [Key("computing (number of the round)", (COLOURS[Kind.COMPUTE],))]
    keys += [Key(kind.value, (COLOURS[kind],)) for kind in (Kind.UPLOAD, Kind.DOWNLOAD)]
    if SERVER in clients:
        keys.append(Key("aggregation", (COLOURS[Kind.AGGREGATE],)))
    if schedule.presence:
        keys.append(Key("waiting", (style.WAITING,)))
        present = [list(schedule.presence[client]) for client in clients if client >= 0]
        if any(len(times) != 1 or times[0][0] > 0 or times[0][1] < end for times in present):
            keys.append(Key("blank: offline"))
    return [*keys, Key("critical path", (style.INK,), "s")] if schedule.path else keys


def _axis_name(schedule: Schedule, clients: Sequence[int], unit: TimeUnit) -> str:
    shown = sum(schedule.counts[client] for client in clients if client >= 0)
    if shown == schedule.clients:
        return unit.name
    return f"{unit.name}; {shown:,} of {schedule.clients:,} clients, chosen by their part in the critical path"


def _draw_row(axes: Axes, schedule: Schedule, client: int, row: int, inches_per_second: float) -> None:
    """Draw what one client, an aggregator or the server does."""

    def bars(times: Iterable[Interval], place: tuple[float, float], colour: str, **looks: Any) -> None:
        boxes = [(start, end - start) for start, end in times if start < end]
        axes.broken_barh(boxes, (row + place[0], place[1]), facecolors=colour, edgecolor="white", **looks)

    spans = [span for span in schedule.spans if span.client == client and span.start < schedule.end]
    # Behind the lines of the critical path, which pass between the bars: waiting is what nothing covers.
    present = schedule.presence.get(client, ())
    bars(present, _BAND, style.WAITING, linewidth=0, zorder=0.5)
    bars([(s.start, s.end) for s in spans if present], _BAND, _PRESENT, linewidth=0, zorder=0.6)
    for kind, colour in COLOURS.items():
        computing = kind is Kind.COMPUTE
        # A thin white edge keeps one round's bar apart from the next one's.
        times = [(s.start, s.end) for s in spans if s.kind is kind]
        bars(times, _LANES[computing], colour, linewidth=0.5 * computing, zorder=1)
    low, height = _LANES[True]
    looks: dict[str, Any] = {"size": style.SMALL - 1, "color": "white", "ha": "center", "va": "center_baseline"}
    for span in spans:
        # The number of the round, where a computation is long enough for it.
        end = min(span.end, schedule.end)
        needed = style.text_width(str(span.round), style.SMALL) + 0.03
        if span.kind is Kind.COMPUTE and (end - span.start) * inches_per_second > needed:
            axes.text((span.start + end) / 2, row + low + height / 2, str(span.round), **looks)


def _outline(axes: Axes, schedule: Schedule, rows: Mapping[int, int], shortest: float) -> None:
    """Outline the critical path's spans of some length [s], with a line where it goes from one lane to another."""
    from matplotlib.patches import Rectangle

    looks: dict[str, Any] = {"color": style.INK, "linewidth": _OUTLINE}
    before: float | None = None
    for span, pieces in groupby(schedule.path, key=lambda piece: piece[0]):
        own = list(pieces)
        start, end = own[0][1], min(own[-1][2], schedule.end)
        if end - start < shortest:
            continue
        if span.client not in rows:
            before = None
            continue
        low, height = _LANES[span.kind is Kind.COMPUTE]
        low += rows[span.client]
        axes.add_patch(Rectangle((start, low), end - start, height, fill=False, zorder=4, **looks))
        if before is not None and before != low:
            ends = (before, low + height) if before > low else (before + height, low)
            axes.plot([start, start], ends, zorder=0.9, solid_capstyle="butt", **looks)
        before = low
