"""A run as a Gantt chart: what each client does when, and the critical path through it.

Each client has a row with two lanes, one for computing and one for messages, because the two overlap, and below them
what its links can carry, where that varies with time. Clients that are alike have one row; where there are many
clients, those that hold the critical path are shown, and as many others as there is space for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parasim.figures import style
from parasim.figures.gantt_failures import came_to_nothing, draw_deadlines, draw_failures, failure_keys
from parasim.figures.gantt_rows import STRIP, Row, chart_rows
from parasim.figures.keys import Key
from parasim.figures.labels import shortened
from parasim.figures.look import USUAL, Look
from parasim.figures.marks import write
from parasim.figures.schedule import Schedule, piece_of_path, schedule, window
from parasim.figures.sheet import Sheet, draw_to_width
from parasim.figures.style import FigureError, TimeUnit
from parasim.text import amount
from parasim_core.sim.analysis.critical_path import CriticalPath
from parasim_core.sim.analysis.failing import failures
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import SERVER, Interval, Kind, Span

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {Kind.COMPUTE: "#0072B2", Kind.UPLOAD: "#E69F00", Kind.DOWNLOAD: "#009E73", Kind.AGGREGATE: "#CC79A7"}
_START_UP = {Kind.UPLOAD: "#F7DDA0", Kind.DOWNLOAD: "#9FDCCB"}
_PRESENT = "#F3F3F3"

# All lengths are in inches; a row's unit is 1, its lanes are given from its lower edge.
_ROW, _RIGHT, _MARGIN, _LEGEND_GAP = 0.27, 0.12, 0.06, 0.095
_LANES = {True: (0.48, 0.40), False: (0.08, 0.40)}
_LANES_OF = {kind: _LANES[kind is Kind.COMPUTE] for kind in COLOURS}
_BAND = (0.04, 0.88)
_NAME_GAP, _WIDEST_NAME = 0.07, 0.35
_BRACKET, _SITE_GAP = 0.035, 0.16
_OUTLINE = 0.9
_THINNEST = 0.012
_LEVELS_PER_INCH = 36
"""Rates of a capacity in one strip; where there are more, means are drawn."""


def draw_gantt(result: Result, path: CriticalPath, directory: Path, rounds: int = 8, look: Look = USUAL) -> list[Path]:
    """Draw ``gantt``.

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
    look : Look
        How the picture is wanted.

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
    scenario, spans = result.scenario, result.timeline.spans
    path_pieces = [
        piece_of_path(spans[piece.span], piece.holder.value, piece.start, piece.end) for piece in path.pieces
    ]
    end = window(spans, rounds)
    shown = schedule(spans, path_pieces, result.counts, end, scenario, result.presence, failures(result))
    many = f"{scenario.rounds:,} rounds" if scenario.rounds > 1 else "one round"
    cut = f"the first {rounds} of " if end < result.wall_clock else ""
    title = f"{look.name(scenario.method.name)}: {cut}{many}"
    return draw_to_width(partial(draw_schedule, schedule=shown), directory / "gantt", look, style.PAGE_WIDTH, title)


def draw_schedule(drawn: Sheet, width: float, schedule: Schedule) -> None:
    """Draw a schedule on a sheet.

    Parameters
    ----------
    drawn : Sheet
        The picture.
    width : float
        Of the picture [in].
    schedule : Schedule
        What is done when.

    Raises
    ------
    FigureError
        If nothing takes any time.
    """
    end = schedule.end
    if end <= 0:
        raise FigureError("nothing to draw: the run takes no time")
    rows = chart_rows(schedule, _THINNEST / width * end)
    names = [shortened(drawn.look.name(row.name), width * _WIDEST_NAME, style.SMALL) for row in rows]
    left = _MARGIN + max(style.text_width(name, style.SMALL) for name in names) + _NAME_GAP
    most = max(1, int(_LEVELS_PER_INCH * (width - left)))
    tops = [_highest(link.levels(end, most)[0]) for row in rows for _, link in row.capacities]
    right = max([_RIGHT, *(style.text_width(amount(top, "B/s"), style.SMALL) + 0.09 for top in tops)])
    unit = style.time_unit(end)
    note = _axis_name(schedule, rows, unit)
    if style.text_width(note, style.NORMAL) > width - left:
        note = note.replace(", chosen", ",\nchosen")
    bases, units = _bases(rows)
    height = units * _ROW
    inches_per_second = (width - left - right) / end
    keys = _keys(schedule, rows, _THINNEST / inches_per_second, most)
    drawn.keys(keys, _MARGIN, height + _LEGEND_GAP, width - 2 * _MARGIN)
    axes = drawn.axes(left, 0, width - left - right, height, grid="")
    axes.spines["left"].set_visible(False)
    axes.set(xlim=(0, end), ylim=(0, units), xticks=[], yticks=[])
    # What is drawn is in seconds.
    scales = (lambda seconds: seconds / unit.seconds), (lambda units: units * unit.seconds)
    axes.secondary_xaxis("bottom", functions=scales).set_xlabel(note, labelpad=2)
    if not schedule.presence:
        edges = [base - row.strips for row, base in zip(rows[:-1], bases, strict=False)]
        axes.hlines(edges, 0, end, color=style.GRID, linewidth=0.5, zorder=0.5)
    lowest = {row.actor: base for row, base in zip(rows, bases, strict=True) if row.actor is not None}
    for row, base, name in zip(rows, bases, names, strict=True):
        if row.actor is not None:
            _draw_row(axes, schedule, row.actor, base, inches_per_second)
            lanes = {kind: (base + low, height) for kind, (low, height) in _LANES_OF.items()}
            draw_failures(axes, schedule, row.actor, lanes, (base + _BAND[0], _BAND[1]))
        for number, (kind, link) in enumerate(row.capacities, 1):
            bottom = base - number * STRIP
            highest = _draw_capacity(axes, kind, link.levels(end, most)[0], bottom, end)
            drawn.text(width - right + 0.05, (bottom + STRIP / 2) * _ROW, amount(highest, "B/s"), color=style.MUTED)
        middle = base + 0.5 if row.actor is not None else base - len(row.capacities) * STRIP / 2
        drawn.text(left - _NAME_GAP, middle * _ROW, name, ha="right")
    for low, high in _brackets(rows, bases):
        ends = [low * _ROW + 0.02, high * _ROW - 0.02]
        drawn.page.plot([left - _BRACKET] * 2, ends, color=style.MUTED, linewidth=0.8, clip_on=False)
    draw_deadlines(axes, schedule)
    _outline(axes, schedule, lowest, _THINNEST / inches_per_second)


def _bases(rows: Sequence[Row]) -> tuple[list[float], float]:
    """Where the lanes of each row begin, above its strips, and the height of all rows; sites stand apart."""
    bases: list[float] = []
    below = 0.0
    for row, above in reversed(list(zip(rows, [None, *rows], strict=False))):
        bases.append(below + row.strips)
        apart = above is not None and row.site != above.site
        below += row.height + _SITE_GAP * apart
    return bases[::-1], below


def _brackets(rows: Sequence[Row], bases: Sequence[float]) -> Iterable[Interval]:
    """Lower and upper edge of the rows of each site that has several."""
    for site, own in groupby(zip(rows, bases, strict=True), key=lambda pair: pair[0].site):
        of_site = list(own)
        if site is not None and len(of_site) > 1:
            (first, high), (last, low) = of_site[0], of_site[-1]
            yield low - last.strips, high + first.height - first.strips


def _keys(schedule: Schedule, rows: Sequence[Row], shortest: float, most: int) -> list[Key]:
    keys = [Key("computing (number of the round)", (COLOURS[Kind.COMPUTE],))]
    keys += [Key(kind.value, (COLOURS[kind],)) for kind in (Kind.UPLOAD, Kind.DOWNLOAD)]
    actors = [row.actor for row in rows if row.actor is not None]
    if any(span.client in actors and _started(span) - span.start > shortest for span in schedule.spans):
        keys.append(Key("start-up of a message", tuple(_START_UP.values())))
    if SERVER in actors:
        keys.append(Key("aggregation", (COLOURS[Kind.AGGREGATE],)))
    keys += failure_keys(schedule, actors)
    if schedule.presence:
        keys.append(Key("waiting", (style.WAITING,)))
        if any(_is_away(schedule.presence[client], schedule.end) for client in actors if client >= 0):
            keys.append(Key("blank: offline"))
    if schedule.path:
        keys.append(Key("critical path", (style.INK,), "s"))
    if any(_brackets(rows, [0.0] * len(rows))):
        keys.append(Key("behind one site's line", (style.MUTED,), "|"))
    links = [(kind, link) for row in rows for kind, link in row.capacities]
    means = max((link.levels(schedule.end, most)[1] for _, link in links), default=0.0)
    named = {Kind.UPLOAD: "capacity up", Kind.DOWNLOAD: "capacity down"}
    keys += [Key(name, (COLOURS[kind],), "_") for kind, name in named.items() if any(kind is own for own, _ in links)]
    if links:
        keys.append(Key("capacities from 0 to the rate at the right"))
    return [*keys, Key(f"drawn as means of {means:.3g} s")] if means else keys


def _is_away(presence: Sequence[Interval], end: float) -> bool:
    """Whether a client is offline at some time before the end of the picture."""
    times = [*presence, (end, end)]
    return times[0][0] > 0 or any(before[1] < min(after[0], end) for before, after in pairwise(times))


def _axis_name(schedule: Schedule, rows: Sequence[Row], unit: TimeUnit) -> str:
    shown = sum(schedule.counts[row.actor] for row in rows if row.actor is not None and row.actor >= 0)
    if shown == schedule.clients:
        return unit.name
    if shown == sum(count for actor, count in schedule.counts.items() if actor >= 0):
        return f"{unit.name}; {shown:,} of {schedule.clients:,} clients take part"
    why = "their part in the critical path" + (", and what failed" if schedule.failures else "")
    return f"{unit.name}; {shown:,} of {schedule.clients:,} clients, chosen by {why}"


def _started(span: Span) -> float:
    """When a message goes at its full rate [s]; its start where no start-up is modelled."""
    parts = span.parts
    if parts is None or not parts.start_up:
        return span.start
    return span.start + (parts.packing if span.kind is Kind.UPLOAD else 0.0) + parts.latency + parts.start_up


def _draw_capacity(axes: Axes, kind: Kind, levels: Sequence[tuple[float, float]], bottom: float, end: float) -> float:
    """Draw what one direction of a link can carry, from 0 on at a height; return the highest rate [B/s]."""
    times, rates = zip(*levels, (end, levels[-1][1]), strict=True)
    highest = _highest(levels)
    heights = [bottom + 0.82 * STRIP * rate / highest for rate in rates] if highest else [bottom] * len(rates)
    axes.fill_between(times, bottom, heights, step="post", color=_START_UP[kind], alpha=0.45, linewidth=0, zorder=1)
    axes.step(times, heights, where="post", color=COLOURS[kind], linewidth=0.6, zorder=1.1)
    return highest


def _highest(levels: Sequence[tuple[float, float]]) -> float:
    """Highest rate that is drawn [B/s], to three digits."""
    return float(f"{max(rate for _, rate in levels):.3g}")


def _draw_row(axes: Axes, schedule: Schedule, client: int, row: float, inches_per_second: float) -> None:
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
        start_ups = [(span.start, _started(span)) for span in spans if span.kind is kind]
        bars(start_ups, _LANES[computing], _START_UP.get(kind, colour), linewidth=0, zorder=1.1)
    low, height = _LANES[True]
    looks: dict[str, Any] = {"size": style.SMALL - 1, "color": "white", "ha": "center", "va": "center_baseline"}
    in_vain = came_to_nothing(schedule, client)
    for span in spans:
        # The number of the round, where a computation is long enough for it.
        end = min(span.end, schedule.end)
        needed = style.text_width(str(span.round), style.SMALL) + 0.03
        if span.kind is Kind.COMPUTE and (end - span.start) * inches_per_second > needed:
            # On a pattern, it needs a ground of its own.
            ground = {"bbox": {"fc": COLOURS[Kind.COMPUTE], "ec": "none", "pad": 0.6}}
            behind = ground if (span.kind, span.start) in in_vain else {}
            write(axes, (span.start + end) / 2, row + low + height / 2, str(span.round), **looks, **behind)


def _outline(axes: Axes, schedule: Schedule, rows: Mapping[int, float], shortest: float) -> None:
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
