"""`paraSim plan --within D --solve-for QUANTITY`: what meets a deadline, or what stands in the way.

Links, devices and the server are searched by replay of one recorded run where that is exact, everything else by
simulation. The answer and the value beside it are simulated as scenarios of their own in any case, and so is the most
favourable value, whose critical path says what stands in the way if that does not help.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from parasim.deadlines import ROUNDING
from parasim.explanation import who
from parasim.figures.look import USUAL, Look
from parasim.planning.answer import Answer, Check, Plan
from parasim.planning.methods import Case, Question
from parasim.planning.search.quantities import Quantity, bandwidth_text, quantity_named
from parasim.planning.search.ranges import own_width
from parasim.planning.search.runtimes import RuntimesByValue, by_methods
from parasim.sentences import say
from parasim.text import clock, deadline_clock, origin
from parasim_core.sim.analysis.critical_path import Holder, critical_path
from parasim_core.sim.analysis.deadline_search import deadline_search, nearest_position, spread
from parasim_core.sim.analysis.explain import MOST_NAMED, named, shares_by_group
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.result import Result
from parasim_core.sim.errors import ParaSimError, ScenarioError

_WORTH_A_CLAUSE = 0.01
"""Share of the wall-clock that a resource must hold to be named."""
_DRAWN = 41
_BEYOND = 8.0
"""How far beyond the answers, as a factor, a picture goes."""


class _Solved(NamedTuple):
    """One method's answer, where its numbers are from, what the picture is drawn of, and notes."""

    answer: Answer
    origin: str
    runs: RuntimesByValue
    notes: list[str]


def answer(question: Question) -> Plan:
    """Find, for each method, the least or the most of a quantity with which a run meets a deadline.

    Raises
    ------
    ParaSimError
        If there is no such quantity, or it cannot be varied in the scenario.
    """
    quantity, within = quantity_named(question.asked, question.scenario), question.within
    assert within is not None
    # A run that ends on the dot meets its deadline, however its sums were rounded.
    solved = [_solve(case, quantity, within * (1 + ROUNDING), question.jobs) for case in question.cases]
    word, meaning = "largest" if quantity.most else "least", say(f"quantity.{quantity.name}")

    hows = [(one.runs.how(), one.answer.method) for one in solved if one.runs.values]
    found = [say("deadline.how", how=by_methods(hows))] if hows else []

    def draw(directory: Path, look: Look = USUAL) -> Sequence[Path]:
        from parasim.figures.deadline import Deadline, draw_deadline

        answers = {
            one.answer.method: (one.answer.value, one.answer.wall_clock_s)
            for one in solved
            if one.answer.value is not None and one.answer.wall_clock_s is not None
        }
        curves = _curves(solved, quantity, [value for value, _ in answers.values()])
        return draw_deadline(Deadline(curves, answers, within, meaning, quantity.unit), directory, look)

    return Plan(
        scenario=question.scenario,
        question=say("deadline.question", word=word.capitalize(), meaning=meaning, within=within),
        answers=[one.answer for one in solved],
        columns=("now", f"{word} {question.asked}", "wall-clock", f"one step {'more' if quantity.most else 'less'}"),
        notes=[*found, *dict.fromkeys(note for one in solved for note in one.notes)],
        provenance={one.answer.method: one.origin for one in solved},
        draw=draw if any(one.runs.values for one in solved) else None,
    )


def _solve(case: Case, quantity: Quantity, within: float, jobs: int | None) -> _Solved:
    values = quantity.values(case)
    runs = RuntimesByValue(case, quantity, values, within, jobs)
    notes: list[str] = []
    value, beside = None, "-"

    def check(value: float, result: Result) -> Check:
        return Check(value, result.wall_clock, result.wall_clock <= within)

    if not values:
        # Any value meets the deadline, or none does.
        result = runs.own
        checked = [check(own_width(case.setup), result)]
        feasible = checked[0].holds
        verdict, written = ("met", "any") if feasible else ("missed", "none")
        because = say("deadline.no_width", method=case.method, verdict=verdict, path=_time_goes(result))
    else:
        found = deadline_search(runs, quantity.scan(values, runs, within, runs.scanned), within, most=quantity.most)
        # Where no value is early enough, the answer rests on the most favourable one.
        decides = len(values) - 1 if found.index is None and not quantity.most else found.index
        runs([] if decides is None else [decides])
        if runs.contradicted(decides, found.beside):
            found = deadline_search(runs, quantity.scan(values, runs, within, runs.scanned), within, most=quantity.most)
        if found.changes > 1:
            said = {"method": case.method, "quantity": quantity.name, "times": found.changes}
            notes.append(say("deadline.changes", again="met" if quantity.most else "missed", **said))
        at, feasible = found.index, found.index is not None
        if at is None:
            at = found.best if quantity.most else len(values) - 1
            if runs([at])[0] == math.inf:
                raise ScenarioError(f"--solve-for {quantity.name}: {runs.refused}")
        result = runs.at(at)
        checked, written = [check(values[at], result)], quantity.text(values[at])
        if not feasible:
            extreme = say(f"most_favourable.{quantity.name}", value=written)
            because, written = say("deadline.even_with", extreme=extreme, obstacle=_in_the_way(result, within)), "none"
        else:
            value, because = values[at], _time_goes(result)
            written = bandwidth_text(case.scenario, quantity, value)
            if found.beside is None:
                beside = "not simulated"
                because = say("deadline.end_of_scale", more="more" if quantity.most else "less", path=because)
                if quantity.straight and result.wall_clock:
                    # From the first value to the last, as rounds may begin or end with something that is done once.
                    pace = (result.wall_clock - runs([0])[0]) / max(1.0, value - values[0])
                    guess = value + (within - result.wall_clock) / (pace or result.wall_clock / value)
                    said = {"method": case.method, "quantity": quantity.name, "guess": guess}
                    notes.append(say("deadline.bound", most=written, **said))
            else:
                other = quantity.text(values[found.beside])
                try:
                    checked.append(check(values[found.beside], runs.at(found.beside)))
                    beside = say("deadline.late", value=other, late=checked[1].wall_clock_s - within)
                except ParaSimError as error:
                    beside = "impossible"
                    because = say("deadline.impossible", value=other, error=error, path=because)
    wall_clock, more = (result.wall_clock if feasible else None), {"now_wall_clock_s": runs.own.wall_clock}
    takes = clock(result.wall_clock) if feasible else f"> {deadline_clock(within)}"
    row = (clock(runs.own.wall_clock), written, takes, beside)
    answer = Answer(case.method, feasible, value, quantity.unit, wall_clock, because, checked, more, row)
    return _Solved(answer, origin(result.provenance), runs, notes)


def _curves(
    solved: Sequence[_Solved], quantity: Quantity, answers: Sequence[float]
) -> dict[str, Sequence[tuple[float, float]]]:
    """Runtimes of each method by the quantity: about the answers, or where such a quantity usually is."""
    curves: dict[str, Sequence[tuple[float, float]]] = {}
    for one in solved:
        runs = one.runs
        if not quantity.most:
            low, high = min(answers, default=quantity.usual[0]), max(answers, default=quantity.usual[1])
            first, last = nearest_position(runs.values, low / _BEYOND), nearest_position(runs.values, high * _BEYOND)
            runs.exactly([first + position for position in spread(last - first + 1, _DRAWN)])
            low, high = runs.values[first], runs.values[last]
            curves[one.answer.method] = [point for point in runs.curve() if low <= point[0] <= high]
        elif runs.values:
            curves[one.answer.method] = runs.curve()
    everywhere = sorted({value for curve in curves.values() for value, _ in curve})
    # To whom the quantity means nothing, as long for any value.
    flat = {one.answer.method: one.runs.own.wall_clock for one in solved if not one.runs.values}
    return curves | {method: [(value, wall_clock) for value in everywhere] for method, wall_clock in flat.items()}


def _time_goes(result: Result) -> str:
    """Say what the wall-clock consists of: ``84% computing, 10% uplink and 6% downlink (mostly of rural)``."""
    parts = [
        say("path.share", share=seconds / result.wall_clock, resource=name)
        for _, name, seconds in _held(result)
        if seconds >= _WORTH_A_CLAUSE * result.wall_clock
    ]
    return say("path.shares", parts=parts) if parts else say("path.no_time")


def _in_the_way(result: Result, within: float) -> str:
    """Say what makes a run longer than a deadline: computing alone, or everything there is."""
    parts = []
    for holder, name, seconds in _held(result):
        if holder is Holder.COMPUTING and seconds > within:
            return say("path.alone", resource=name, seconds=seconds)
        if seconds >= _WORTH_A_CLAUSE * result.wall_clock:
            parts.append(say("path.seconds", resource=name, seconds=seconds))
    return say("path.takes", wall_clock=result.wall_clock, parts=parts)


def _held(result: Result) -> list[tuple[Holder, str, float]]:
    """Resources of the critical path, named with their owners where clients differ, and seconds, the largest first."""
    fleet = Fleet.of(result.scenario)
    shares = shares_by_group(critical_path(result), fleet)
    held = []
    for holder in dict.fromkeys(share.holder for share in shares):
        seconds = math.fsum(share.seconds for share in shares if share.holder is holder)
        groups = named(shares, holder, aggregators=True)
        # Named groups hold the most of it, not always all.
        owned = 0 < len(groups) <= min(MOST_NAMED, len(fleet.groups) + len(fleet.aggregators) - 1)
        name = say("path.mostly", resource=holder.value, groups=who(groups, fleet)) if owned else holder.value
        held.append((holder, name, seconds))
    return sorted(held, key=lambda item: -item[2])
