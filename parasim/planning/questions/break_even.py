"""`paraSim plan --break-even A,B`: where one method overtakes the other, over bandwidth and batch size.

For each batch size both methods are recorded once and replayed over a grid of bandwidths, which shows how often the
faster one changes; each change is then narrowed down to two neighbouring bandwidths of four digits, and both methods
are simulated at both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import is_

import numpy as np

from parasim.figures.break_even import draw_break_even
from parasim.planning.answer import Answer, Check, Plan
from parasim.planning.changes import with_batch_size
from parasim.planning.methods import Case, Question
from parasim.planning.search.crossings import Crossing, MethodsCompared
from parasim.planning.search.quantities import QUANTITIES
from parasim.planning.search.ranges import compared_batch_sizes, origins, searched_bandwidths
from parasim.planning.search.runtimes import by_methods, how_found, runtimes_of
from parasim.sentences import say
from parasim.text import amount, clock
from sim.analysis.deadline_search import nearest_position, neighbours
from sim.errors import ScenarioError
from sim.replay.conditions import Floats
from sim.replay.replay import Recording, record

_LOWEST, _HIGHEST = 1e6, 1e10
_PER_DECADE = 10
_ALIKE = 0.001
_BANDWIDTH = QUANTITIES["bandwidth"]
TIE = 1e-9
"""Runtimes that differ by no more than this share are equal."""


def answer(question: Question) -> Plan:
    """Find where one of two methods overtakes the other, over bandwidth and batch size.

    Raises
    ------
    ScenarioError
        If these are not two methods.
    """
    cases = question.cases
    if len(cases) != 2:
        raise ScenarioError(f"--break-even compares two methods, not {len(cases)}; write it like parablock,fedit")
    one, other = cases
    methods, sizes = (one.method, other.method), compared_batch_sizes(one.scenario, other.scenario)
    lines = [_compared(cases, size, question.jobs) for size in sizes]
    low, high = lines[0].bandwidths[0], lines[0].bandwidths[-1]
    return Plan(
        question=say("break_even.question", one=one.method, other=other.method, low=low, high=high),
        answers=[answer for line in lines for answer in _answers(line)],
        columns=("batch size", "break-even", "faster below", "faster above", "wall-clock there"),
        notes=[*_notes(lines), *origins(cases, sizes)],
        provenance=question.origins,
        draw=lambda directory: draw_break_even(lines, methods, directory),
    )


def faster(methods: Sequence[str], one: float, other: float) -> str:
    """Name the faster of two methods by their runtimes [s]; empty if both take as long."""
    if math.isclose(one, other, rel_tol=TIE):
        return ""
    return methods[0] if one < other else methods[1]


def _compared(cases: Sequence[Case], batch_size: int, jobs: int | None) -> MethodsCompared:
    sized = [Case.of(with_batch_size(case.scenario, batch_size)) for case in cases]
    recordings = [record(case.setup, case.costs) for case in sized]
    line = _along_bandwidths(recordings, jobs)
    checked = []
    for recording, times in zip(recordings, zip(*line.simulated.values(), strict=True), strict=True):
        what_ifs = _BANDWIDTH.in_recording(recording, [*line.simulated])
        checked.append(recording.held_against(times, *recording.replay(what_ifs)))
    return line if all(map(is_, checked, recordings)) else _along_bandwidths(checked, jobs)


def _along_bandwidths(recordings: list[Recording], jobs: int | None) -> MethodsCompared:
    bandwidths, methods = _range(recordings[0]), [recording.setup.scenario.method.name for recording in recordings]
    answers = [runtimes_of(each, _BANDWIDTH.in_recording(each, bandwidths), jobs) for each in recordings]
    runtimes = np.array([answer.wall_clock for answer in answers])
    names = [faster(methods, *pair) for pair in runtimes.T.tolist()]

    def faster_at(position: int) -> str:
        links = [_BANDWIDTH.in_recording(recording, [searched_bandwidths()[position]]) for recording in recordings]
        times = [float(r.answer(link).wall_clock[0]) for r, link in zip(recordings, links, strict=True)]
        return faster(methods, *times)

    crossings = []
    for between, (before, after) in zip(pairwise(bandwidths), pairwise(names), strict=True):
        if before != after:
            ends = (nearest_position(searched_bandwidths(), bandwidth) for bandwidth in between)
            low, high = neighbours(lambda position: faster_at(position) == before, *ends)  # noqa: B023
            crossings.append(Crossing(searched_bandwidths()[low], searched_bandwidths()[high], before, after))
    exact = [bool(answer.replayed.all()) for answer in answers]
    return MethodsCompared(recordings, bandwidths, runtimes, exact, crossings)


def _range(recording: Recording) -> Floats:
    """Bandwidths to compare at: whole decades around 1 MB/s to 10 GB/s and a decade about the scenario's own."""
    links = np.concatenate([recording.conditions.uplink, recording.conditions.downlink])
    low = math.floor(math.log10(min(_LOWEST, links.min())))
    high = math.ceil(math.log10(max(_HIGHEST, links.max())))
    return np.logspace(low, high, (high - low) * _PER_DECADE + 1)


def _answers(line: MethodsCompared) -> Iterator[Answer]:
    """One answer for each crossing, or one that there is none; at each of them, both methods are simulated."""
    methods, pair, size = line.methods, ", ".join(line.methods), str(line.batch_size)
    because = _because(line)
    if not line.crossings:
        [name] = {faster(methods, *times) for times in line.runtimes.T.tolist()}
        ratios = np.sort(line.runtimes.max(axis=0) / line.runtimes.min(axis=0))
        sentence = "break_even.throughout" if name else "break_even.no_difference"
        because = say(sentence, method=name, least=ratios[0], most=ratios[-1], because=because)
        row = (size, "none", name or "neither", name or "neither", "-")
        more: dict[str, object] = {"batch_size": line.batch_size, "faster": name}
        yield Answer(pair, False, None, "B/s", None, because, more=more, row=row)
    for one in line.crossings:
        checked = []
        more = {"batch_size": line.batch_size, "faster_below": one.faster_below, "faster_above": one.faster_above}
        for side, bandwidth in (("above", one.above), ("below", one.below)):
            times = line.simulated[bandwidth]
            # At the break-even itself they may take exactly as long; what was faster no longer is.
            still = faster(methods, *times) == one.faster_below
            checked.append(Check(bandwidth, times[0], still == (side == "below")))
            more[f"wall_clocks_{side}_s"] = dict(zip(methods, times, strict=True))
        names, there = (one.faster_below or "neither", one.faster_above or "neither"), checked[0].wall_clock_s
        row = (size, amount(one.above, "B/s"), *names, clock(there))
        yield Answer(pair, True, one.above, "B/s", there, because, checked, more, row)


def _because(line: MethodsCompared) -> str:
    """Say what one method needs more of, and what less."""
    results = [recording.result for recording in line.recordings]
    moved = [float(result.total("uploaded")) + float(result.total("downloaded")) for result in results]
    computing = [result.mean("compute") for result in results]
    parts = [
        say(f"break_even.{what}_as" if abs(first / second - 1) < _ALIKE else f"break_even.{what}", ratio=first / second)
        for what, (first, second) in (("moves", moved), ("computes", computing))
        if second > 0
    ]
    return say("break_even.because", method=line.methods[0], parts=parts) if parts else say("break_even.idle")


def _notes(lines: Sequence[MethodsCompared]) -> Iterator[str]:
    hows = [
        (how_found(recording, simulated=not all(line.exact[number] for line in lines)), method)
        for line in lines
        for number, (method, recording) in enumerate(zip(line.methods, line.recordings, strict=True))
    ]
    yield say("break_even.how", bandwidths=len(lines[0].bandwidths), how=by_methods(hows))
    several = [str(line.batch_size) for line in lines if len(line.crossings) > 1]
    if several:
        yield say("break_even.several", sizes=several)
