"""`paraSim plan --within D --solve-for QUANTITY`: what meets a deadline, or what stands in the way.

Links, devices and the server are searched by replay of one recorded run where that is exact, everything else by
simulation. The answer and the value beside it are simulated as scenarios of their own in any case, and so is the most
favourable value, whose critical path says what stands in the way if that does not help.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from parasim.api import Source
from parasim.planning.answer import Answer, Check, Plan
from parasim.planning.hidden_points import own_width
from parasim.planning.quantities import Data, Quantity, quantity_named
from parasim.planning.reasons import in_the_way, time_goes
from parasim.planning.runtimes import Runtimes
from parasim.planning.setting import parsed, setting
from parasim.text import clock, deadline_clock, origin
from sim.errors import ParaSimError, ScenarioError
from sim.studies.ladder import Decimals, Found, search, spread

ROUNDING = 1e-9
"""Share of a deadline that is rounding."""

_DRAWN = 41
_BEYOND = 8.0
"""How far beyond the answers, as a factor, a picture goes."""


@dataclass(frozen=True)
class _Solved:
    """One method's answer, and what the table and the picture need besides."""

    answer: Answer
    row: tuple[str, ...]
    origin: str
    runs: Runtimes
    values: Sequence[float]
    notes: Sequence[str] = ()


def deadline(
    source: Source | None,
    overrides: Sequence[str],
    methods: Sequence[str],
    within: float,
    solve_for: str,
    jobs: int | None = None,
) -> Plan:
    """Find, for each method, the least or the most of a quantity with which a run meets a deadline.

    Parameters
    ----------
    source : path, mapping, Scenario or None
        What to plan for; the paper's setting if None.
    overrides : sequence of str
        Such as ``fleet.0.uplink=20MB/s``.
    methods : sequence of str
        Names of methods.
    within : float
        The deadline [s].
    solve_for : str
        One of `parasim.planning.quantities.QUANTITIES`.
    jobs : int or None
        Worker processes; all cores if None.

    Raises
    ------
    ParaSimError
        If the scenario is wrong, a method cannot run it, or the quantity cannot be varied in it.
    """
    quantity = quantity_named(solve_for)
    provenance: dict[str, str] = {}
    solved = []
    for method in methods:
        one = _solve(setting(source, overrides, method), method, quantity, within, jobs)
        solved.append(one)
        provenance[method] = one.origin
    word = "largest" if quantity.most else "least"

    def draw(directory: Path) -> Sequence[Path]:
        from parasim.figures.deadline import draw_deadline

        answers = {
            one.answer.method: (one.answer.value, one.answer.wall_clock_s)
            for one in solved
            if one.answer.value is not None and one.answer.wall_clock_s is not None
        }
        curves = _curves(solved, quantity, [value for value, _ in answers.values()])
        return draw_deadline(curves, answers, within, quantity.meaning, quantity.unit, directory)

    return Plan(
        question=f"{word.capitalize()} {quantity.meaning}, with which the run ends within {deadline_clock(within)}.",
        answers=[one.answer for one in solved],
        columns=("now", f"{word} {quantity.name}", "wall-clock", f"one step {'more' if quantity.most else 'less'}"),
        rows=[one.row for one in solved],
        notes=[*dict.fromkeys(note for one in solved for note in one.notes)],
        provenance=provenance,
        draw=draw if any(one.values for one in solved) else None,
    )


def _solve(data: Data, method: str, quantity: Quantity, within: float, jobs: int | None) -> _Solved:
    # A run that ends on the dot meets its deadline, however its sums were rounded.
    limit = within * (1 + ROUNDING)
    values = quantity.values(data)
    runs = Runtimes(data, quantity, values, limit, jobs)
    if not values:
        return _indifferent(data, method, quantity, runs, limit)
    found = search(runs, quantity.scan(values, runs, limit), limit, quantity.wanted)
    solved = _feasible if found.index is not None else _infeasible
    return solved(method, quantity, values, limit, runs, found)


def _feasible(
    method: str, quantity: Quantity, values: Sequence[float], within: float, runs: Runtimes, found: Found
) -> _Solved:
    assert found.index is not None
    value, result = values[found.index], runs.at(found.index)
    checked = [Check(value, result.wall_clock, result.wall_clock <= within)]
    because = time_goes(result)
    if found.beside is None:
        beside = "not tried"
        because = f"{'more' if quantity.most else 'less'} was not tried, this is the end of the scale; {because}"
    else:
        other = values[found.beside]
        try:
            wall_clock = runs.at(found.beside).wall_clock
        except ParaSimError as error:
            beside = "impossible"
            because = f"{quantity.text(other)} is impossible ({error}); {because}"
        else:
            checked.append(Check(other, wall_clock, wall_clock <= within))
            beside = f"{quantity.text(other)}: {clock(wall_clock - within)} late"
    answer = Answer(method, True, value, quantity.unit, result.wall_clock, because, checked, _now(runs))
    row = clock(runs.own.wall_clock), quantity.text(value), clock(result.wall_clock), beside
    return _Solved(answer, row, origin(result.provenance), runs, values, _notes(method, quantity, runs, found))


def _infeasible(
    method: str, quantity: Quantity, values: Sequence[float], within: float, runs: Runtimes, found: Found
) -> _Solved:
    best = found.best if quantity.most else len(values) - 1
    if runs([best])[0] == math.inf:
        raise ScenarioError(f"--solve-for {quantity.name}: {runs.refused}")
    result = runs.at(best)
    extreme = quantity.extreme.format(quantity.text(values[best]))
    because = f"even with {extreme}, {in_the_way(result, within)}"
    checked = [Check(values[best], result.wall_clock, result.wall_clock <= within)]
    answer = Answer(method, False, None, quantity.unit, None, because, checked, _now(runs))
    row = clock(runs.own.wall_clock), "none", f"> {deadline_clock(within)}", "-"
    return _Solved(answer, row, origin(result.provenance), runs, values, _notes(method, quantity, runs, found))


def _indifferent(data: Data, method: str, quantity: Quantity, runs: Runtimes, within: float) -> _Solved:
    """Answer where the quantity means nothing to the method: any value meets the deadline, or none does."""
    wall_clock = runs.own.wall_clock
    met = wall_clock <= within
    verdict = "is met" if met else "is missed"
    because = f"{method} has no blocks of a chosen width; the deadline {verdict} as it is: {time_goes(runs.own)}"
    checked = [Check(own_width(parsed(data)[0]), wall_clock, met)]
    answer = Answer(method, met, None, quantity.unit, wall_clock if met else None, because, checked, more=_now(runs))
    there = ("any", clock(wall_clock)) if met else ("none", f"> {deadline_clock(within)}")
    return _Solved(answer, (clock(wall_clock), *there, "-"), origin(runs.own.provenance), runs, ())


def _now(runs: Runtimes) -> dict[str, float]:
    return {"now_wall_clock_s": runs.own.wall_clock}


def _notes(method: str, quantity: Quantity, runs: Runtimes, found: Found) -> list[str]:
    """Say how the answer was found, and where the relation is not as simple as it looks."""
    if runs.replayed and quantity.whatifs:
        how = "Found by exact replay of one recorded run"
    elif quantity.whatifs:
        how = "Found by simulation, as links are shared; a replay, being too short there, ruled out what is too slow"
    else:
        how = "Found by simulation"
    notes = [f"{how}. The answers and the values beside them were simulated as scenarios of their own."]
    if found.changes > 1:
        again = "missed" if not quantity.most else "met"
        notes.append(
            f"{method}: runtime is not monotone in the {quantity.name}; among the scanned values, the deadline changes "
            f"{found.changes} times between met and missed, so that beyond the answer it is {again} again."
        )
    return notes


def _curves(
    solved: Sequence[_Solved], quantity: Quantity, answers: Sequence[float]
) -> dict[str, Sequence[tuple[float, float]]]:
    """Runtimes of each method by the quantity: about the answers, or where such a quantity usually is."""
    curves: dict[str, Sequence[tuple[float, float]]] = {}
    for one in solved:
        if isinstance(one.values, Decimals):
            low, high = min(answers, default=quantity.usual[0]), max(answers, default=quantity.usual[1])
            first, last = one.values.nearest(low / _BEYOND), one.values.nearest(high * _BEYOND)
            one.runs.exactly([first + position for position in spread(last - first + 1, _DRAWN)])
            low, high = one.values[first], one.values[last]
            curves[one.answer.method] = [point for point in one.runs.curve() if low <= point[0] <= high]
        elif one.values:
            curves[one.answer.method] = one.runs.curve()
    everywhere = sorted({value for curve in curves.values() for value, _ in curve})
    # To whom the quantity means nothing, as long for any value.
    flat = {one.answer.method: one.runs.own.wall_clock for one in solved if not one.values}
    return curves | {method: [(value, wall_clock) for value in everywhere] for method, wall_clock in flat.items()}
