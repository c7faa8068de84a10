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

import numpy as np

from parasim.cli.text import amount, clock, origin
from parasim.planning.answer import Answer, Check, Plan
from parasim.planning.changes import with_bandwidth, with_batch_size
from parasim.planning.methods import Case, simulated
from parasim.planning.search.how_found import how_found, runtimes_of
from parasim.planning.search.quantities import QUANTITIES
from parasim.planning.search.ranges import BANDWIDTHS, compared_batch_sizes, origins
from parasim.sentences import say
from sim.errors import ScenarioError
from sim.result import Result
from sim.studies.replay import Recording, record
from sim.studies.variants import Floats

_LOWEST, _HIGHEST = 1e6, 1e10
_PER_DECADE = 10
_ALIKE = 0.001
TIE = 1e-9
"""Runtimes that differ by no more than this share are equal."""


@dataclass(frozen=True)
class Crossing:
    """Where the faster of two methods changes.

    Attributes
    ----------
    below, above : float
        Neighbouring bandwidths of four digits, the last before and the first after the change [B/s].
    faster_below, faster_above : str
        Names of the faster methods there; empty where both take as long.
    times_below, times_above : tuple of (float, float)
        Both methods' event-simulated runtimes there [s].
    """

    below: float
    above: float
    faster_below: str
    faster_above: str
    times_below: tuple[float, float]
    times_above: tuple[float, float]


@dataclass(frozen=True)
class MethodsCompared:
    """Two methods compared along the bandwidth, at one batch size.

    Attributes
    ----------
    cases : sequence of Case
        Both methods, at that batch size.
    recordings : sequence of Recording
        Their runs.
    bandwidths : array of shape (bandwidths,)
        Of every client, up and down [B/s].
    runtimes : array of shape (2, bandwidths)
        Of both methods [s].
    exact : bool
        Whether all runtimes are exact replays; otherwise some were simulated.
    crossings : sequence of Crossing
        Where the faster one changes, in rising order.
    """

    cases: Sequence[Case]
    recordings: Sequence[Recording]
    bandwidths: Floats
    runtimes: Floats
    exact: bool
    crossings: Sequence[Crossing]

    @property
    def methods(self) -> tuple[str, str]:
        """Names of both."""
        one, other = self.cases
        return one.method, other.method

    @property
    def batch_size(self) -> int:
        """The batch size."""
        return self.cases[0].scenario.local.batch_size

    @property
    def results(self) -> list[Result]:
        """Runs of both methods with the scenario's own links."""
        return [recording.result for recording in self.recordings]


def break_even(cases: Sequence[Case], jobs: int | None) -> Plan:
    """Find where one of two methods overtakes the other, over bandwidth and batch size.

    Parameters
    ----------
    cases : sequence of Case
        The scenario under each of them.
    jobs : int or None
        Worker processes; all cores if None.

    Raises
    ------
    ScenarioError
        If these are not two methods.
    """
    if len(cases) != 2:
        raise ScenarioError(f"--break-even compares two methods, not {len(cases)}; write it like parablock,fedit")
    one, other = cases
    sizes = compared_batch_sizes(one.scenario, other.scenario)
    lines = [_compared(cases, size, jobs) for size in sizes]
    low, high = lines[0].bandwidths[0], lines[0].bandwidths[-1]

    def draw(directory: Path) -> Sequence[Path]:
        from parasim.figures.break_even import draw_break_even

        return draw_break_even(lines, lines[0].methods, directory)

    return Plan(
        question=say("break_even.question", one=one.method, other=other.method, low=low, high=high),
        answers=[answer for line in lines for answer in _answers(line)],
        columns=("batch size", "break-even", "faster below", "faster above", "wall-clock there"),
        notes=[*_notes(lines), *origins(cases, sizes)],
        provenance={case.method: origin({"compute": case.costs.provenance()}) for case in cases},
        draw=draw,
    )


def faster(methods: Sequence[str], one: float, other: float) -> str:
    """Name the faster of two methods by their runtimes [s]; empty if both take as long."""
    if math.isclose(one, other, rel_tol=TIE):
        return ""
    return methods[0] if one < other else methods[1]


def _compared(cases: Sequence[Case], batch_size: int, jobs: int | None) -> MethodsCompared:
    cases = [Case.of(with_batch_size(case.scenario, batch_size)) for case in cases]
    recordings = [record(case.setup, case.costs) for case in cases]
    bandwidths = _range(recordings[0])
    bandwidth = QUANTITIES["bandwidth"]
    answers = [runtimes_of(each, bandwidth.in_recording(each, list(bandwidths)), jobs) for each in recordings]
    runtimes = np.array([answer.wall_clock for answer in answers])
    exact = all(bool(answer.replayed.all()) for answer in answers)
    names = [faster([case.method for case in cases], *pair) for pair in runtimes.T.tolist()]
    crossings = [
        _crossing(cases, recordings, (bandwidths[position], bandwidths[position + 1]), before, after)
        for position, (before, after) in enumerate(pairwise(names))
        if before != after
    ]
    return MethodsCompared(cases, recordings, bandwidths, runtimes, exact, crossings)


def _range(recording: Recording) -> Floats:
    """Bandwidths to compare at: whole decades around 1 MB/s to 10 GB/s and a decade about the scenario's own."""
    links = np.concatenate([recording.uplink, recording.downlink])
    low = math.floor(math.log10(min(_LOWEST, links.min())))
    high = math.ceil(math.log10(max(_HIGHEST, links.max())))
    return np.logspace(low, high, (high - low) * _PER_DECADE + 1)


def _crossing(
    cases: Sequence[Case], recordings: Sequence[Recording], between: tuple[float, float], before: str, after: str
) -> Crossing:
    """Narrow a change down to two neighbouring bandwidths, and simulate both methods at both."""
    methods, bandwidth = [case.method for case in cases], QUANTITIES["bandwidth"]

    def faster_at(position: int) -> str:
        links = [bandwidth.in_recording(recording, [BANDWIDTHS[position]]) for recording in recordings]
        times = [float(r.answer(link).wall_clock[0]) for r, link in zip(recordings, links, strict=True)]
        return faster(methods, *times)

    low, high = (BANDWIDTHS.nearest(bandwidth) for bandwidth in between)
    while high - low > 1:
        middle = (low + high) // 2
        if faster_at(middle) == before:
            low = middle
        else:
            high = middle
    below, above = BANDWIDTHS[low], BANDWIDTHS[high]
    one, other = (case.scenario for case in cases)
    times = [
        (simulated(with_bandwidth(one, link)).wall_clock, simulated(with_bandwidth(other, link)).wall_clock)
        for link in (below, above)
    ]
    return Crossing(below, above, before, after, *times)


def _answers(line: MethodsCompared) -> Iterator[Answer]:
    """One answer for each crossing, or one that there is none."""
    methods, pair, size = line.methods, ", ".join(line.methods), str(line.batch_size)
    because = _because(line)
    if not line.crossings:
        [name] = {faster(methods, *times) for times in line.runtimes.T.tolist()}
        ratios = np.sort(line.runtimes.max(axis=0) / line.runtimes.min(axis=0))
        sentence = "break_even.throughout" if name else "break_even.no_difference"
        because = say(sentence, method=name, least=ratios[0], most=ratios[-1], because=because)
        more = {"batch_size": line.batch_size, "faster": name}
        row = (size, "none", name or "neither", name or "neither", "-")
        yield Answer(pair, False, None, "B/s", None, because, more=more, row=row)
    for one in line.crossings:
        # At the break-even itself they may take exactly as long; what was faster no longer is.
        at, below = faster(methods, *one.times_above), faster(methods, *one.times_below)
        checked = [
            Check(one.above, one.times_above[0], at != one.faster_below),
            Check(one.below, one.times_below[0], below == one.faster_below),
        ]
        more = {
            "batch_size": line.batch_size,
            "faster_below": one.faster_below,
            "faster_above": one.faster_above,
            "wall_clocks_above_s": dict(zip(methods, one.times_above, strict=True)),
            "wall_clocks_below_s": dict(zip(methods, one.times_below, strict=True)),
        }
        names = (one.faster_below or "neither", one.faster_above or "neither")
        row = (size, amount(one.above, "B/s"), *names, clock(one.times_above[0]))
        yield Answer(pair, True, one.above, "B/s", one.times_above[0], because, checked, more, row)


def _because(line: MethodsCompared) -> str:
    """Say what one method needs more of, and what less."""
    moved = [sum(float(result.total(way)) for way in ("uploaded", "downloaded")) for result in line.results]
    computing = [result.mean("compute") for result in line.results]
    parts = [
        say(f"break_even.{what}_as" if abs(first / second - 1) < _ALIKE else f"break_even.{what}", ratio=first / second)
        for what, (first, second) in (("moves", moved), ("computes", computing))
        if second > 0
    ]
    return say("break_even.because", method=line.methods[0], parts=parts) if parts else say("break_even.idle")


def _notes(lines: Sequence[MethodsCompared]) -> Iterator[str]:
    recordings = [recording for line in lines for recording in line.recordings]
    how = how_found(*recordings, replayed=True, simulated=not all(line.exact for line in lines))
    yield say("break_even.how", bandwidths=len(lines[0].bandwidths), how=how)
    several = [str(line.batch_size) for line in lines if len(line.crossings) > 1]
    if several:
        yield say("break_even.several", sizes=several)
