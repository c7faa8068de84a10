"""A run as a Gantt chart: what each client does when, and the critical path through it.

Each client has a row with two lanes, one for computing and one for messages, because the two overlap. Clients that
are alike and were simulated once have one row; where there are many clients, those that hold the critical path are
shown, and as many others as there is room for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from parasim.figures import style
from parasim.figures.style import FigureError, Key, TimeUnit
from sim.fleet import Fleet
from sim.result import Result
from sim.studies.critical import CriticalPath, Piece
from sim.timeline import SERVER, Interval, Kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {Kind.COMPUTE: "#0072B2", Kind.UPLOAD: "#E69F00", Kind.DOWNLOAD: "#009E73", Kind.AGGREGATE: "#CC79A7"}
_PRESENT = "#F3F3F3"

# All lengths are in inches; a row's unit is 1, its lanes are given from its lower edge.
_ROW, _RIGHT, _TOP, _BOTTOM = 0.27, 0.12, 0.46, 0.36
_LANES = {True: (0.48, 0.40), False: (0.08, 0.40)}
_BAND = (0.04, 0.88)
_NAME_GAP = 0.07
_OUTLINE = 0.9
_MOST_ROWS = 16
_THINNEST = 0.012


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
    end = _window(result, rounds)
    if end <= 0:
        raise FigureError("nothing to draw: the run takes no time")
    rows = _rows(result, path, end)
    names = {client: _name(result, client) for client in rows}
    left = 0.06 + max(style.text_width(name, style.SMALL) for name in names.values()) + _NAME_GAP
    height = len(rows) * _ROW
    unit = style.time_unit(end)
    with style.sheet(style.PAGE_WIDTH, _TOP + height + _BOTTOM) as sheet:
        top = sheet.height - 0.06
        sheet.title(_title(result, rounds, end), 0.06, top)
        keys = _keys(result, rows)
        sheet.keys(style.key_lines(keys, sheet.width - 0.12), 0.06, top - 0.17)
        axes = sheet.axes(left, _BOTTOM, sheet.width - left - _RIGHT, height)
        axes.grid(visible=False)
        axes.spines["left"].set_visible(False)
        axes.set(xlim=(0, end / unit.seconds), ylim=(0, len(rows)), yticks=[])
        axes.set_xlabel(_axis_name(result, rows, unit), labelpad=2)
        chart = _Chart(axes, unit, end, {client: len(rows) - 1 - index for index, client in enumerate(rows)})
        for client in rows:
            chart.draw_row(result, client)
            middle = _BOTTOM + (chart.bottoms[client] + 0.5) * _ROW
            sheet.page.text(left - _NAME_GAP, middle, names[client], size=style.SMALL, ha="right", va="center_baseline")
        chart.outline(result, path)
        return sheet.save(directory / "gantt")


def _window(result: Result, rounds: int) -> float:
    """End of the picture [s]: of the run, or of the last computation of its first rounds."""
    if result.scenario.rounds <= rounds:
        return result.wall_clock
    computing = (s.end for s in result.timeline.spans if s.kind is Kind.COMPUTE and s.round < rounds)
    return max(computing, default=0.0)


def _rows(result: Result, path: CriticalPath, end: float) -> list[int]:
    """Clients to show, in the order of their numbers, and the server below them if its work takes time."""
    spans = result.timeline.spans
    active = {span.client for span in spans if span.start < end and span.client != SERVER}
    held: dict[int, float] = dict.fromkeys(sorted(active), 0.0)
    for piece in path.pieces:
        client = spans[piece.span].client
        if client != SERVER and piece.start < end:
            held[client] += piece.end - piece.start
    shown = sorted(sorted(held, key=lambda client: -held[client])[:_MOST_ROWS])
    aggregates = [s.end - s.start for s in spans if s.kind is Kind.AGGREGATE and s.start < end]
    return [*shown, SERVER] if max(aggregates, default=0.0) > _shortest(end) else shown


def _shortest(end: float) -> float:
    """Shortest stretch [s] that is wide enough to be seen."""
    return _THINNEST / style.PAGE_WIDTH * end


def _name(result: Result, client: int) -> str:
    if client == SERVER:
        return "server"
    fleet = Fleet(result.scenario.fleet)
    group, name = fleet.group(client), fleet.group(client).name or "client"
    if group.count == 1 and group.name:
        return name
    count = result.counts[client]
    return f"{name} × {count:,}" if count > 1 else f"{name} {client}"


def _title(result: Result, rounds: int, end: float) -> str:
    scenario = result.scenario
    what = f"{scenario.name}, {scenario.method.name}"
    if end >= result.wall_clock:
        return f"{what}: {scenario.rounds} rounds" if scenario.rounds > 1 else f"{what}: one round"
    return f"{what}: the first {rounds} of {scenario.rounds:,} rounds"


def _keys(result: Result, rows: Sequence[int]) -> list[Key]:
    keys = [Key("computing (number of the round)", (COLOURS[Kind.COMPUTE],))]
    keys += [Key(kind.value, (COLOURS[kind],)) for kind in (Kind.UPLOAD, Kind.DOWNLOAD)]
    if SERVER in rows:
        keys.append(Key("aggregation", (COLOURS[Kind.AGGREGATE],)))
    keys.append(Key("waiting", (style.WAITING,)))
    if any(list(result.presence[client]) != [(0.0, result.wall_clock)] for client in rows if client != SERVER):
        keys.append(Key("blank: offline"))
    return [*keys, Key("critical path", (style.INK,), "s")]


def _axis_name(result: Result, rows: Sequence[int], unit: TimeUnit) -> str:
    shown = sum(result.counts[client] for client in rows if client != SERVER)
    hidden = result.scenario.clients - shown
    note = f"; {shown:,} of {shown + hidden:,} clients, chosen by their part in the critical path" if hidden else ""
    return f"{unit.name}{note}"


@dataclass(frozen=True)
class _Chart:
    """Axes in units of time along x and rows along y."""

    axes: Axes
    unit: TimeUnit
    end: float
    bottoms: dict[int, int]

    def draw_row(self, result: Result, client: int) -> None:
        """Draw what one client or the server does."""
        bottom = self.bottoms[client]
        presence = [] if client == SERVER else result.presence[client]
        busy = sorted((span.start, span.end) for span in result.timeline.spans if span.client == client)
        # Behind the lines of the critical path, which pass between the bars.
        self._bars(presence, bottom + _BAND[0], _BAND[1], _PRESENT, zorder=0.5)
        self._bars(_without(presence, busy), bottom + _BAND[0], _BAND[1], style.WAITING, zorder=0.6)
        for kind, colour in COLOURS.items():
            low, height = _LANES[kind is Kind.COMPUTE]
            spans = [span for span in result.timeline.spans if span.client == client and span.kind is kind]
            # A thin white edge keeps one round's bar apart from the next one's.
            edge = 0.5 if kind is Kind.COMPUTE else 0.0
            self._bars([(span.start, span.end) for span in spans], bottom + low, height, colour, linewidth=edge)
            if kind is Kind.COMPUTE:
                for span in spans:
                    self._number(span.round, (span.start, min(span.end, self.end)), bottom + low + height / 2)

    def outline(self, result: Result, path: CriticalPath) -> None:
        """Outline the critical path, with a line where it goes from one lane to another."""
        from matplotlib.patches import Rectangle

        previous: tuple[float, float] | None = None
        for start, end, client, computing in _stretches(result, path.pieces):
            if start >= self.end:
                break
            if end - start < _shortest(self.end):
                continue
            if client not in self.bottoms:
                previous = None
                continue
            low, height = _LANES[computing]
            low += self.bottoms[client]
            x, width = start / self.unit.seconds, (min(end, self.end) - start) / self.unit.seconds
            box = Rectangle((x, low), width, height, fill=False, edgecolor=style.INK, linewidth=_OUTLINE, zorder=4)
            self.axes.add_patch(box)
            if previous is not None and previous[0] != low:
                ends = (previous[0], low + height) if previous[0] > low else (previous[1], low)
                self.axes.plot([x, x], ends, color=style.INK, linewidth=_OUTLINE, zorder=0.9, solid_capstyle="butt")
            previous = (low, low + height)

    def _bars(
        self,
        intervals: Sequence[Interval],
        low: float,
        height: float,
        colour: str,
        linewidth: float = 0.0,
        zorder: float = 1.0,
    ) -> None:
        scale = self.unit.seconds
        shown = [(s / scale, (min(e, self.end) - s) / scale) for s, e in intervals if s < min(e, self.end)]
        if shown:
            bars = self.axes.broken_barh(shown, (low, height), facecolors=colour, linewidth=linewidth)
            bars.set(edgecolor="white", zorder=zorder)

    def _number(self, round: int, interval: Interval, middle: float) -> None:
        """Write the number of a round into its computation, where there is room."""
        inch = self.axes.get_position().width * style.PAGE_WIDTH / self.end
        if (interval[1] - interval[0]) * inch > style.text_width(str(round), style.SMALL) + 0.03:
            x = sum(interval) / 2 / self.unit.seconds
            self.axes.text(
                x, middle, str(round), size=style.SMALL - 1, color="white", ha="center", va="center_baseline"
            )


def _without(intervals: Sequence[Interval], taken: Sequence[Interval]) -> list[Interval]:
    """What is left of intervals without others, which are in order of their starts."""
    left: list[Interval] = []
    for start, end in intervals:
        reached = start
        for begin, finish in taken:
            if begin > reached and reached < end:
                left.append((reached, min(begin, end)))
            reached = max(reached, finish)
        if reached < end:
            left.append((reached, end))
    return left


def _stretches(result: Result, pieces: Sequence[Piece]) -> list[tuple[float, float, int, bool]]:
    """Parts of the path in one lane: start, end [s], client, whether it computes. Pieces of a span are one."""
    spans = result.timeline.spans
    stretches: list[tuple[float, float, int, bool]] = []
    last = None
    for piece in pieces:
        span = spans[piece.span]
        if last == piece.span:
            start, _, client, computing = stretches.pop()
            stretches.append((start, piece.end, client, computing))
        else:
            stretches.append((piece.start, piece.end, span.client, span.kind is Kind.COMPUTE))
        last = piece.span
    return stretches
