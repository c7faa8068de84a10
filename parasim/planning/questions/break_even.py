"""`paraSim plan --break-even A,B`: where one method overtakes the other, over bandwidth and batch size.

For each batch size both methods are recorded once and replayed over a grid of bandwidths, which shows how often the
faster one changes; each change is then narrowed down to two neighbouring bandwidths of four digits, and both methods
are simulated at both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from operator import attrgetter, is_

import numpy as np

from parasim.figures.break_even import draw_break_even
from parasim.figures.look import USUAL
from parasim.planning.answer import Answer, Check, Plan
from parasim.planning.changes import has_transport, with_batch_size, without_transport
from parasim.planning.methods import Case, Question
from parasim.planning.search.crossings import Crossing, MethodsCompared
from parasim.planning.search.quantities import bandwidth_text, quantity_named
from parasim.planning.search.ranges import compared_batch_sizes, origins, searched_bandwidths
from parasim.planning.search.runtimes import by_methods, how_found, runtimes_of
from parasim.planning.search.work import affordable
from parasim.sentences import say
from parasim.text import clock
from parasim_core.sim.analysis.deadline_search import nearest_position, neighbours, spread
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.replay.conditions import Floats, shared_or_varying
from parasim_core.sim.replay.replay import Recording, record
from parasim_core.sim.scenario.traces import links_of, varies

_LOWEST, _HIGHEST = 1e6, 1e10
_LEAST, _MOST = 0.1, 10.0
"""Multiples of links that vary with time."""
_PER_DECADE, _FEWEST_PER_DECADE = 10, 3
_SLOWER = 3
"""Runs whose links vary take more events where these are slow: all of a comparison so many times as many, together."""
_BISECTED = 12
"""Simulations of a method that narrowing down a change takes, about."""
_ALIKE = 0.001
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
    lines, notes = _compared_at(cases, sizes, question.jobs)
    answers, columns = [answer for line in lines for answer in _answers(line)], ["batch size"]
    maps = [(lines, "break_even")]
    if has_transport(one.scenario):
        # What TCP changes is seen beside the same links without it.
        fluid_cases = [Case.of(without_transport(case.scenario)) for case in cases]
        fluid, fluid_notes = _compared_at(fluid_cases, [line.batch_size for line in lines], question.jobs)
        answers = [_of_links(answer, "TCP") for answer in answers]
        answers += [_of_links(answer, "fluid") for line in fluid for answer in _answers(line)]
        notes = [*notes, *(say("break_even.fluid", note=note) for note in fluid_notes), *_moved(lines, fluid)]
        maps.append((fluid, "break_even_fluid"))
        columns.append("links")
    low, high = (lines[0].quantity.text(end) for end in lines[0].bandwidths[[0, -1]].tolist())
    sentence = "break_even.question_factor" if lines[0].quantity.relative else "break_even.question"
    return Plan(
        scenario=question.scenario,
        question=say(sentence, one=one.method, other=other.method, low=low, high=high),
        answers=answers,
        columns=(*columns, "break-even", "faster below", "faster above", "wall-clock there"),
        notes=[*notes, *origins(cases, sizes)],
        provenance=question.origins,
        draw=lambda directory, look=USUAL: [
            file for drawn, name in maps for file in draw_break_even(drawn, methods, directory / name, look)
        ],
    )


def _of_links(answer: Answer, links: str) -> Answer:
    """Say of which links an answer is."""
    size, *row = answer.row
    return replace(answer, more=dict(answer.more) | {"links": links}, row=(size, links, *row))


def _moved(lines: Sequence[MethodsCompared], fluid: Sequence[MethodsCompared]) -> Iterator[str]:
    """Say by how much TCP moves break-evens."""
    for line, other in zip(lines, fluid, strict=True):
        if len(line.crossings) == len(other.crossings) == 1:
            ends = [line.quantity.text(one.crossings[0].above) for one in (other, line)]
            yield say("break_even.moved", size=line.batch_size, fluid=ends[0], tcp=ends[1])


def _compared_at(
    cases: Sequence[Case], sizes: Sequence[int], jobs: int | None
) -> tuple[list[MethodsCompared], list[str]]:
    """Compare at some batch sizes, fewer where every runtime has to be simulated and that takes long; with notes."""
    recordings = [record(case.setup, case.costs) for case in cases]
    per_decade, kept = _PER_DECADE, list(sizes)
    if shared_or_varying(cases[0].scenario):
        longest = max((recording.result for recording in recordings), key=attrgetter("events"))
        slower = _SLOWER if any(map(varies, links_of(cases[0].scenario))) else 1
        each = 2 * (slower * len(_range(recordings[0], per_decade)) + _BISECTED)
        number = affordable(longest, each * len(sizes)) // each
        if not number:
            per_decade = _FEWEST_PER_DECADE
        own = cases[0].scenario.local.batch_size
        # As many as there is time for, evenly; with only two, a single one beside its own would say little.
        kept = sorted({own, *(sizes[at] for at in spread(len(sizes), number))} if number > 2 else {own})
    lines = [_compared(cases, size, per_decade, jobs) for size in kept]
    left_out = [str(size) for size in sizes if size not in kept]
    return lines, [*_notes(lines), *([say("break_even.left_out", sizes=left_out)] if left_out else [])]


def faster(methods: Sequence[str], one: float, other: float) -> str:
    """Name the faster of two methods by their runtimes [s]; empty if both take as long."""
    if math.isclose(one, other, rel_tol=TIE):
        return ""
    return methods[0] if one < other else methods[1]


def _compared(cases: Sequence[Case], batch_size: int, per_decade: int, jobs: int | None) -> MethodsCompared:
    sized = [Case.of(with_batch_size(case.scenario, batch_size)) for case in cases]
    recordings = [record(case.setup, case.costs) for case in sized]
    line = _along_bandwidths(recordings, per_decade, jobs)
    checked = []
    for recording, times in zip(recordings, zip(*line.simulated.values(), strict=True), strict=True):
        what_ifs = line.quantity.in_recording(recording, [*line.simulated])
        checked.append(recording.held_against(times, *recording.replay(what_ifs)))
    return line if all(map(is_, checked, recordings)) else _along_bandwidths(checked, per_decade, jobs)


def _along_bandwidths(recordings: list[Recording], per_decade: int, jobs: int | None) -> MethodsCompared:
    quantity = quantity_named("bandwidth", recordings[0].setup.scenario)
    bandwidths = _range(recordings[0], per_decade)
    searched = (
        quantity.values(Case(recordings[0].setup, recordings[0].costs)) if quantity.relative else searched_bandwidths()
    )
    methods = [recording.setup.scenario.method.name for recording in recordings]
    answers = [runtimes_of(each, quantity.in_recording(each, bandwidths), jobs) for each in recordings]
    runtimes = np.array([answer.wall_clock for answer in answers])
    names = [faster(methods, *pair) for pair in runtimes.T.tolist()]

    def faster_at(position: int) -> str:
        links = [quantity.in_recording(recording, [searched[position]]) for recording in recordings]
        times = [float(r.answer(link).wall_clock[0]) for r, link in zip(recordings, links, strict=True)]
        return faster(methods, *times)

    crossings = []
    for between, (before, after) in zip(pairwise(bandwidths), pairwise(names), strict=True):
        if before != after:
            ends = (nearest_position(searched, bandwidth) for bandwidth in between)
            low, high = neighbours(lambda position: faster_at(position) == before, *ends)  # noqa: B023
            crossings.append(Crossing(searched[low], searched[high], before, after))
    exact = [bool(answer.replayed.all()) for answer in answers]
    return MethodsCompared(recordings, bandwidths, runtimes, exact, crossings, quantity)


def _range(recording: Recording, per_decade: int) -> Floats:
    """Bandwidths to compare at: whole decades around 1 MB/s to 10 GB/s and a decade about the scenario's own.

    Multiples of links that vary go from a tenth to ten, or about from a third to three where there are only few.
    """
    if quantity_named("bandwidth", recording.setup.scenario).relative:
        # The slowest links make for the longest runs.
        root = 1 if per_decade == _PER_DECADE else 2
        return np.geomspace(_LEAST ** (1 / root), _MOST ** (1 / root), 2 * per_decade + 1)
    links = np.concatenate([recording.conditions.uplink, recording.conditions.downlink])
    low = math.floor(math.log10(min(_LOWEST, links.min())))
    high = math.ceil(math.log10(max(_HIGHEST, links.max())))
    return np.logspace(low, high, (high - low) * per_decade + 1)


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
        yield Answer(pair, False, None, line.quantity.unit, None, because, more=more, row=row)
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
        break_even = bandwidth_text(line.recordings[0].setup.scenario, line.quantity, one.above)
        row = (size, break_even, *names, clock(there))
        yield Answer(pair, True, one.above, line.quantity.unit, there, because, checked, more, row)


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
