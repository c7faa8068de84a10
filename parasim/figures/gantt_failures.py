"""What failed in a Gantt chart: repairs, outages, absences, clients that vanished, and what came to nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from parasim.figures import style
from parasim.figures.keys import Key
from parasim.figures.schedule import Schedule
from parasim_core.sim.analysis.failing import Failure, What
from parasim_core.sim.engine.timeline import SERVER, Interval, Kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REPAIR, OUTAGE = "#CC3311", "#882255"
_THIN = 0.4
"""Height of an outage, as a part of the lane of the messages that it concerns."""
_HATCHES = {What.WASTED: "//////", What.LATE: "xxxxxxxx"}
_ABSENT = "......"
_KEYS = {
    What.REPAIR: Key("repair", (REPAIR,)),
    What.OUTAGE: Key("outage of the link", (OUTAGE,)),
    What.WASTED: Key("cut off, or begun anew", (style.COMPUTE,), hatch=_HATCHES[What.WASTED]),
    What.LATE: Key("late and dropped", (style.COMPUTE,), hatch=_HATCHES[What.LATE]),
    What.VANISHED: Key("vanishes", (style.INK,), "x"),
    What.ABSENT: Key("not there", ("white",), hatch=_ABSENT, hatched=style.EDGE),
    What.DEADLINE: Key("a round's deadline", (REPAIR,), "|"),
}


def failure_keys(schedule: Schedule, shown: Collection[int]) -> list[Key]:
    """What a legend says of the failures of those who are shown."""
    there = {failure.what for failure in schedule.failures if failure.client in (*shown, SERVER)}
    return [key for what, key in _KEYS.items() if what in there]


def draw_failures(axes: Axes, schedule: Schedule, client: int, lanes: Mapping[Kind, Interval], band: Interval) -> None:
    """Draw what failed of one client over what it does.

    Parameters
    ----------
    axes : matplotlib Axes
        The chart.
    schedule : Schedule
        What is shown.
    client : int
        Whose row it is.
    lanes : mapping of Kind to (float, float)
        Lower edge and height of the lane of each kind of span.
    band : (float, float)
        The same of the whole row.
    """
    own = [failure for failure in schedule.failures if failure.client == client]
    low, height = lanes[Kind.UPLOAD]
    bars(axes, own, What.ABSENT, band, facecolor="none", edgecolor=style.EDGE, hatch=_ABSENT, linewidth=0, zorder=0.7)
    bars(axes, own, What.REPAIR, lanes[Kind.COMPUTE], facecolor=REPAIR, linewidth=0, zorder=1.3)
    bars(axes, own, What.OUTAGE, (low, height * _THIN), facecolor=OUTAGE, linewidth=0, zorder=1.3)
    for what, hatch in _HATCHES.items():
        for kind, of_kind in groupby(sorted((f for f in own if f.of), key=attrgetter("of")), key=attrgetter("of")):
            bars(
                axes,
                list(of_kind),
                what,
                lanes[kind],
                facecolor="none",
                edgecolor="white",
                hatch=hatch,
                linewidth=0,
                zorder=1.2,
            )
    gone = [failure.start for failure in own if failure.what is What.VANISHED and failure.start <= schedule.end]
    middle = [band[0] + band[1] / 2] * len(gone)
    axes.plot(gone, middle, "x", ms=3.4, mew=1.0, mec=style.INK, zorder=4.5, clip_on=False)


def draw_deadlines(axes: Axes, schedule: Schedule) -> None:
    """Draw a line where a round ends at its deadline."""
    for failure in schedule.failures:
        if failure.what is What.DEADLINE:
            axes.axvline(failure.start, color=REPAIR, linewidth=0.7, linestyle=(0, (4, 2)), zorder=0.8)


def came_to_nothing(schedule: Schedule, client: int) -> set[tuple[Kind, float]]:
    """Kind and start [s] of what a client did in vain."""
    return {(each.of, each.start) for each in schedule.failures if each.client == client and each.of is not None}


def bars(axes: Axes, failures: list[Failure], what: What, lane: Interval, **looks: Any) -> None:
    """Draw what failed in one way as bars of a lane."""
    times = [(each.start, each.end - each.start) for each in failures if each.what is what and each.end > each.start]
    axes.broken_barh(times, lane, **looks)
