"""`paraSim plan --break-even A,B`: where one method overtakes the other, over bandwidth and batch size.

For each batch size both methods are recorded once and replayed over a grid of bandwidths, which shows how often the
faster one changes; each change is then narrowed down to two neighbouring bandwidths of four digits, and both methods
are simulated at both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from parasim.api import Source, simulate
from parasim.planning.answer import Answer, Check, Plan
from parasim.planning.quantities import QUANTITIES, column
from parasim.planning.setting import batch_sizes, origins, parsed, setting
from parasim.text import amount, clock, origin
from sim.errors import ScenarioError
from sim.result import Result
from sim.scenario import Scenario
from sim.scenario_file import with_field
from sim.studies.conditions import Floats, Variants
from sim.studies.ladder import Decimals, spread
from sim.studies.replay import Recording, record, replay

_BANDWIDTHS = Decimals(0, 15)
_LOWEST, _HIGHEST = 1e6, 1e10
_PER_DECADE = 10
_MOST_BATCHES = 8
_ALIKE = 0.001
TIE = 1e-9
"""Runtimes that differ by no more than this share are equal."""

Data = dict[str, Any]


@dataclass(frozen=True)
class Crossing:
    """Where the faster of two methods changes.

    Attributes
    ----------
    below, above : float
        Neighbouring bandwidths of four digits, the last before and the first after the change [B/s].
    faster_below, faster_above : str
        Names of the faster methods there; empty where both take as long.
    wall_clocks : tuple of (float, float)
        Both methods' event-simulated runtimes at `below` and at `above` [s].
    """

    below: float
    above: float
    faster_below: str
    faster_above: str
    wall_clocks: tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """Two methods compared along the bandwidth, at one batch size.

    Attributes
    ----------
    batch_size : int
        The batch size.
    bandwidths : array of shape (bandwidths,)
        Of every client, up and down [B/s].
    runtimes : array of shape (2, bandwidths)
        Of both methods [s].
    crossings : sequence of Crossing
        Where the faster one changes, in rising order.
    exact : bool
        Whether all runtimes are exact replays; otherwise some were simulated.
    """

    batch_size: int
    bandwidths: Floats
    runtimes: Floats
    crossings: Sequence[Crossing]
    exact: bool


def break_even(
    source: Source | None, overrides: Sequence[str], methods: Sequence[str], jobs: int | None = None
) -> Plan:
    """Find where one of two methods overtakes the other, over bandwidth and batch size.

    Parameters
    ----------
    source : path, mapping, Scenario or None
        What to plan for; the paper's setting if None.
    overrides : sequence of str
        Such as ``blocks.layers=4``.
    methods : sequence of str
        Names of two methods.
    jobs : int or None
        Worker processes; all cores if None.

    Raises
    ------
    ParaSimError
        If these are not two methods, the scenario is wrong, or a method cannot run it.
    """
    if len(methods) != 2:
        raise ScenarioError(f"--break-even compares two methods, not {len(methods)}; write it like parablock,fedit")
    one, other = (setting(source, overrides, method) for method in methods)
    known = sorted(set(batch_sizes(one)) & set(batch_sizes(other)))
    own = Scenario.parse(one).local.batch_size
    sizes = sorted({*(known[position] for position in spread(len(known), _MOST_BATCHES)), own})
    lines = [_line(methods, one, other, size, jobs) for size in sizes]
    found = [(line, crossing) for line in lines for crossing in (line.crossings or (None,))]

    def draw(directory: Path) -> Sequence[Path]:
        from parasim.figures.break_even import draw_break_even

        return draw_break_even(lines, (methods[0], methods[1]), directory)

    low, high = amount(lines[0].bandwidths[0], "B/s"), amount(lines[0].bandwidths[-1], "B/s")
    return Plan(
        question=f"Where {methods[0]} and {methods[1]} break even, between {low} and {high} for every client.",
        answers=[_answer(methods, _at(one, line), _at(other, line), line, crossing) for line, crossing in found],
        columns=("batch size", "break-even", "faster below", "faster above", "wall-clock there"),
        rows=[_row(methods, line, crossing) for line, crossing in found],
        notes=[*_notes(lines), *origins(dict(zip(methods, (one, other), strict=True)), sizes)],
        provenance={
            method: origin({"compute": parsed(data)[1].provenance()})
            for method, data in zip(methods, (one, other), strict=True)
        },
        draw=draw,
    )


def faster(methods: Sequence[str], one: float, other: float) -> str:
    """Name the faster of two methods by their runtimes [s]; empty if both take as long."""
    if math.isclose(one, other, rel_tol=TIE):
        return ""
    return methods[0] if one < other else methods[1]


def _line(methods: Sequence[str], one: Data, other: Data, batch_size: int, jobs: int | None) -> Line:
    data = [with_field(each, "local.batch_size", batch_size) for each in (one, other)]
    recordings = [record(*parsed(each)) for each in data]
    bandwidths = _range(recordings[0])
    answers = [next(replay(recording, [_links(recording, bandwidths)], jobs=jobs)) for recording in recordings]
    runtimes = np.array([answer.wall_clock for answer in answers])
    names = [faster(methods, *pair) for pair in runtimes.T.tolist()]
    crossings = [
        _crossing(methods, data, recordings, (bandwidths[position], bandwidths[position + 1]), before, after)
        for position, (before, after) in enumerate(pairwise(names))
        if before != after
    ]
    return Line(batch_size, bandwidths, runtimes, crossings, all(bool(answer.replayed.all()) for answer in answers))


def _range(recording: Recording) -> Floats:
    """Bandwidths to compare at: whole decades around 1 MB/s to 10 GB/s and a decade about the scenario's own."""
    links = np.concatenate([recording.conditions.uplink, recording.conditions.downlink])
    low = math.floor(math.log10(min(_LOWEST, links.min())))
    high = math.ceil(math.log10(max(_HIGHEST, links.max())))
    return np.logspace(low, high, (high - low) * _PER_DECADE + 1)


def _links(recording: Recording, bandwidths: Sequence[float] | Floats) -> Variants:
    whatifs = QUANTITIES["bandwidth"].whatifs
    assert whatifs is not None
    return whatifs(recording, column(list(bandwidths)))


def _crossing(
    methods: Sequence[str],
    data: Sequence[Data],
    recordings: Sequence[Recording],
    between: tuple[float, float],
    before: str,
    after: str,
) -> Crossing:
    """Narrow a change down to two neighbouring bandwidths, and simulate both methods at both."""

    def faster_at(position: int) -> str:
        links = [_links(recording, [_BANDWIDTHS[position]]) for recording in recordings]
        times = [float(r.answer(link).wall_clock[0]) for r, link in zip(recordings, links, strict=True)]
        return faster(methods, *times)

    low, high = (_BANDWIDTHS.nearest(bandwidth) for bandwidth in between)
    while high - low > 1:
        middle = (low + high) // 2
        if faster_at(middle) == before:
            low = middle
        else:
            high = middle
    below, above = _BANDWIDTHS[low], _BANDWIDTHS[high]
    times = [tuple(_at_bandwidth(each, bandwidth).wall_clock for each in data) for bandwidth in (below, above)]
    (a, b), (c, d) = times
    return Crossing(below, above, before, after, ((a, b), (c, d)))


def _at(data: Data, line: Line) -> Result:
    """Simulate a method at a line's batch size."""
    return simulate(with_field(data, "local.batch_size", line.batch_size))


def _at_bandwidth(data: Data, bandwidth: float) -> Result:
    return simulate(QUANTITIES["bandwidth"].change(data, bandwidth))


def _answer(methods: Sequence[str], one: Result, other: Result, line: Line, crossing: Crossing | None) -> Answer:
    because = _because(methods, one, other)
    pair = ", ".join(methods)
    if crossing is None:
        [name] = {faster(methods, *times) for times in line.runtimes.T.tolist()}
        ratios = np.sort(line.runtimes.max(axis=0) / line.runtimes.min(axis=0))
        verdict = f"{name} is faster throughout, {ratios[0]:.4g} to {ratios[-1]:.4g} times" if name else "no difference"
        return Answer(
            pair,
            False,
            None,
            "B/s",
            None,
            f"{verdict}: {because}",
            more={"batch_size": line.batch_size, "faster": name},
        )
    # At the break-even itself they may take exactly as long; what was faster no longer is.
    at, below = (faster(methods, *times) for times in reversed(crossing.wall_clocks))
    checked = [
        Check(crossing.above, crossing.wall_clocks[1][0], at != crossing.faster_below),
        Check(crossing.below, crossing.wall_clocks[0][0], below == crossing.faster_below),
    ]
    more = {
        "batch_size": line.batch_size,
        "faster_below": crossing.faster_below,
        "faster_above": crossing.faster_above,
        "wall_clocks_above_s": dict(zip(methods, crossing.wall_clocks[1], strict=True)),
        "wall_clocks_below_s": dict(zip(methods, crossing.wall_clocks[0], strict=True)),
    }
    return Answer(pair, True, crossing.above, "B/s", crossing.wall_clocks[1][0], because, checked, more)


def _because(methods: Sequence[str], one: Result, other: Result) -> str:
    """Say what one method needs more of, and what less."""
    moved = [sum(float(result.total(way)) for way in ("uploaded", "downloaded")) for result in (one, other)]
    computing = [result.mean("compute") for result in (one, other)]
    parts = [
        f"{verb} as {much}" if abs(first / second - 1) < _ALIKE else f"{verb} {first / second:.3g} times as {much}"
        for verb, much, (first, second) in (("moves", "much", moved), ("computes", "long", computing))
        if second > 0
    ]
    return f"{methods[0]} {' and '.join(parts)}" if parts else "neither moves or computes anything"


def _row(methods: Sequence[str], line: Line, crossing: Crossing | None) -> tuple[str, ...]:
    if crossing is None:
        [name] = {faster(methods, *times) for times in line.runtimes.T.tolist()}
        return str(line.batch_size), "none", name or "neither", name or "neither", "-"
    return (
        str(line.batch_size),
        amount(crossing.above, "B/s"),
        crossing.faster_below or "neither",
        crossing.faster_above or "neither",
        clock(crossing.wall_clocks[1][0]),
    )


def _notes(lines: Sequence[Line]) -> Iterator[str]:
    how = "exact replays" if all(line.exact for line in lines) else "replays, and simulations where links are shared"
    yield (
        f"Compared at {len(lines[0].bandwidths)} bandwidths by {how}; every break-even is narrowed down to two "
        "neighbouring bandwidths of four digits, at both of which both methods were simulated."
    )
    several = [str(line.batch_size) for line in lines if len(line.crossings) > 1]
    if several:
        yield f"At batch size {', '.join(several)} the faster method changes more than once."
