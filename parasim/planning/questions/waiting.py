"""`paraSim plan --within D --solve-for quorum`, `over_selection` or `deadline`: how long rounds can afford to wait.

What fails is drawn anew in every run. A value meets the deadline if a share of the runs does, nine tenths unless
`--confidence` says otherwise. It is searched with the same few seeds of failures for every value; what is found, with
the value beside it, is then held against many fresh ones, and gives way to the value beside it if these say so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parasim.figures.deadline import Deadline, draw_deadline
from parasim.figures.look import USUAL, Look
from parasim.planning.answer import Answer, Check, Plan
from parasim.planning.methods import Case, Question
from parasim.planning.search.waiting import PATIENCE, SCANNED, WAITING, Outcome, RunsByValue, Waiting, means
from parasim.sentences import say
from parasim.text import clock, deadline_clock
from parasim_core.sim.analysis.deadline_search import deadline_search, spread
from parasim_core.sim.analysis.jitter import random_failures
from parasim_core.sim.analysis.levers import wanted
from parasim_core.sim.analysis.quantile import probability_interval

_CERTAINTY = 0.95
_STEPS = 8
"""So many values beside what the search has found are held against fresh runs, at most."""


@dataclass(frozen=True)
class _Solved:
    """One method's answer, and what was run for it."""

    answer: Answer
    runs: RunsByValue


def answer(question: Question) -> Plan:
    """Find, for each method, how long rounds can wait for runs to end within a deadline as often as is asked for.

    Raises
    ------
    ParaSimError
        If a scenario cannot have such values.
    """
    waiting, within, probability = WAITING[question.asked], question.within, question.probability
    assert within is not None
    solved = [_solve(case, waiting, within * (1 + 1e-9), probability, question.jobs) for case in question.cases]
    word, meaning = "largest" if waiting.most else "least", say(f"waiting.{waiting.field}")
    random = random_failures(question.scenario)
    factor, unit = waiting.drawn_as

    def draw(directory: Path, look: Look = USUAL) -> Sequence[Path]:
        curves = {one.answer.method: [(factor * v, time) for v, time in one.runs.curve()] for one in solved}
        answers = {
            one.answer.method: (factor * one.answer.value, one.answer.wall_clock_s)
            for one in solved
            if one.answer.value is not None and one.answer.wall_clock_s is not None
        }
        return draw_deadline(Deadline(curves, answers, within, f"{meaning} [{unit}]", ""), directory, look)

    asked = {"word": word.capitalize(), "meaning": meaning, "within": within, "share": probability}
    beside = f"one step {'more' if waiting.most else 'less'}"
    columns = (
        "now",
        f"{word} {waiting.field}",
        *((f"{probability:g} done by", "fresh runs") if random else ("wall-clock",)),
    )
    return Plan(
        scenario=question.scenario,
        question=say(f"waiting.{'question' if random else 'question_once'}", **asked),
        answers=[one.answer for one in solved],
        columns=(*columns, beside),
        notes=_notes(solved, random=random),
        provenance=question.origins,
        draw=draw if any(one.runs.curve() for one in solved) else None,
    )


def _solve(case: Case, waiting: Waiting, within: float, probability: float, jobs: int | None) -> _Solved:
    runs = RunsByValue(case, waiting, within, probability, jobs)
    values, scenario = runs.values, case.scenario
    found = deadline_search(runs.times, spread(len(values), SCANNED), within, most=waiting.most)
    at, feasible, moved = found.best, False, 0
    # Rounds wait for less downwards where the most is asked for, and upwards where the least is.
    random = runs.fresh_runs > 1
    less = -1 if waiting.most else 1
    if found.index is not None:
        at, feasible, moved = _borne_out(runs, found.index, less, within, probability)
    runs.times([at])
    fresh, next_to = runs.fresh(at), at - less
    beside = runs.fresh(next_to) if feasible and 0 <= next_to < len(values) else None
    time, written = runs.time(fresh), waiting.text(scenario, values[at])
    row = (
        _clock(runs.time(runs.own())),
        written if feasible else "none",
        _clock(time) if feasible else f"> {deadline_clock(within)}",
        *((_share(fresh, within),) if random else ()),
        "end of the scale" if beside is None else _beside(waiting.text(scenario, values[next_to]), beside, within),
    )
    if feasible:
        mean = "in the mean, " if random else ""
        because = say("waiting.because", mean=mean, rounds=scenario.rounds, wanted=wanted(scenario), **means(fresh))
    else:
        sentence = "never" if math.isinf(time) else "even_with"
        because = say(f"waiting.{sentence}", name=waiting.field, value=written, time=min(time, PATIENCE * within))
    checked = [
        Check(values[position], runs.time(held), _met(held, within) >= probability)
        for position, held in ((at, fresh), (next_to, beside))
        if held is not None and runs.time(held) < math.inf
    ]
    more: dict[str, Any] = {
        "now_wall_clock_s": _finite(runs.time(runs.own())),
        "values_tried": runs.tried,
        "runs_of_a_value": runs.runs,
        "moved": moved,
        "fresh_runs": len(fresh),
        "met": _met(fresh, within),
        "interval": list(_interval(fresh, within)),
        **{f"mean_{name}": value for name, value in means(fresh).items()},
        **({"beside": values[next_to], "met_beside": _met(beside, within)} if beside is not None else {}),
    }
    value, unit = values[at] if feasible else None, "s" if waiting.field == "deadline" else ""
    answered = Answer(case.method, feasible, value, unit, time if feasible else None, because, checked, more, row)
    return _Solved(answered, runs)


def _borne_out(runs: RunsByValue, at: int, less: int, within: float, probability: float) -> tuple[int, bool, int]:
    """Go from what a search has found to what fresh runs bear out, while the value beside it is not.

    Returns
    -------
    tuple of (int, bool, int)
        The position; whether fresh runs bear it out; and by how many values it lies beside what was found.
    """

    def is_met(position: int) -> bool:
        return _met(runs.fresh(position), within) >= probability

    steps = range(1, _STEPS + 1)
    places = range(len(runs.values))
    if not is_met(at):
        way = [at + less * number for number in steps if at + less * number in places]
        found = next((position for position in way if is_met(position)), None)
        return (at, False, 0) if found is None else (found, True, abs(found - at))
    before = at
    for number in steps:
        if (position := at - less * number) not in places or not is_met(position):
            break
        before = position
    return before, True, abs(before - at)


def _met(outcomes: Sequence[Outcome], within: float) -> float:
    return sum(outcome.wall_clock <= within for outcome in outcomes) / len(outcomes)


def _interval(outcomes: Sequence[Outcome], within: float) -> tuple[float, float]:
    """Between which shares that of all runs that meet a deadline is known to lie."""
    return probability_interval(round(_met(outcomes, within) * len(outcomes)), len(outcomes), _CERTAINTY)


def _share(outcomes: Sequence[Outcome], within: float) -> str:
    low, high = _interval(outcomes, within)
    return f"{round(_met(outcomes, within) * len(outcomes))} of {len(outcomes)} ({low:.0%} to {high:.0%})"


def _beside(value: str, outcomes: Sequence[Outcome], within: float) -> str:
    if len(outcomes) == 1:
        late = outcomes[0].wall_clock - within
        return say("waiting.late" if late > 0 else "waiting.early", value=value, late=abs(late))
    return f"{value}: {round(_met(outcomes, within) * len(outcomes))} of {len(outcomes)}"


def _notes(solved: Sequence[_Solved], *, random: bool) -> list[str]:
    """Say what was simulated how often."""
    if not random:
        return [say("waiting.how_once", tried=sum(one.runs.tried for one in solved))]
    runs = solved[0].runs
    notes = [say("waiting.how", tried=sum(one.runs.tried for one in solved), runs=runs.runs, fresh=runs.fresh_runs)]
    notes += [say("waiting.moved", method=one.answer.method) for one in solved if one.answer.more["moved"]]
    return [*notes, say("waiting.given")]


def _clock(time: float) -> str:
    return clock(time) if time < math.inf else "never"


def _finite(time: float) -> float | None:
    return time if time < math.inf else None
