"""The one function behind `parasim.plan` and `paraSim plan`: it takes a question apart and has it answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from importlib import import_module
from itertools import chain
from pathlib import Path

from parasim.alike_bars import seen, share_seconds
from parasim.api import Overrides, Source
from parasim.deadlines import read_within
from parasim.figures.look import USUAL, Look
from parasim.ignored import ignored, not_adapted, unused_regions
from parasim.memory_notes import memory_of, merged
from parasim.outputs.plans import leave_plan
from parasim.planning.answer import Answer, Plan
from parasim.planning.methods import (
    Case,
    Methods,
    Question,
    Report,
    by_method,
    named_methods,
    scenario_of,
    uneven_rounds,
)
from parasim.planning.search.quantities import WithValue, quantity_named
from parasim.planning.search.waiting import WAITING, case_that_waits
from parasim.sentences import say
from parasim_core.sim.errors import ScenarioError, UnitError
from parasim_core.sim.scenario.calendar import moment_after, written
from parasim_core.sim.scenario.traces import links_of, varies
from parasim_core.sim.scenario.units import quantity
from parasim_core.sim.workload.methods import Trains

_CONFIDENCE = 0.9
"""How sure an answer is to be, unless somebody says."""


def plan(
    source: Source | None = None,
    set: Overrides = (),
    *,
    method: Methods | None = None,
    within: str | float | None = None,
    solve_for: str | None = None,
    hide_communication: bool = False,
    break_even: Methods | None = None,
    budget: str | None = None,
    confidence: str | float | None = None,
    sensitivity: bool = False,
    out: str | Path | None = None,
    look: Look = USUAL,
    jobs: int | None = None,
    report: Report = lambda what, done, total: None,
) -> Plan:
    """Plan backwards: ask one question, whose answers are checked by simulation.

    The questions are `solve_for` with `within`, `hide_communication`, `break_even`, `budget`, `confidence` (alone, or
    with `within`), and `sensitivity`.

    Parameters
    ----------
    source : path, mapping, Scenario or None
        What to plan for; the paper's setting with Llama 3-8B if None.
    set : mapping, str, or iterable of str or (str, value)
        Fields of it to set first: ``{"fleet.0.uplink": "20MB/s", "rounds": 16}``, or as the command line has them,
        ``["fleet.0.uplink=20MB/s"]``.
    method : str, sequence of str or None
        Methods to answer for, or ``all``; the scenario's own if None.
    within : str, float or None
        The deadline, such as ``25min`` (a float is seconds, a text needs a unit) or ``Friday 18:00``: by the calendar,
        for a run that starts when the scenario says, or now.
    solve_for : str or None
        What is to meet the deadline: a key of `parasim.planning.search.quantities.QUANTITIES`, such as ``bandwidth``,
        or of `parasim.planning.search.waiting.WAITING`, such as ``quorum``.
    hide_communication : bool
        At which bandwidth all communication is hidden.
    break_even : str, sequence of str or None
        Where one of these two methods overtakes the other.
    budget : str or None
        What an amount such as ``500USD`` buys.
    confidence : str, float or None
        The deadline met with this probability; or, with `within`, the probability to meet that one; or, if `solve_for`
        is ``quorum``, ``over_selection`` or ``deadline``, how sure the answer is to be, 0.9 if None.
    sensitivity : bool
        What each input's uncertainty does to the runtime.
    out : path, optional
        A folder for the plan, its table and its picture.
    look : Look
        How the picture is wanted.
    jobs : int or None
        Worker processes; all cores if None.
    report : callable
        Told for `confidence`, which takes longest, for what runs are drawn, how many there are and at most.

    Raises
    ------
    ParaSimError
        If it is not one question, the scenario is wrong, or a method cannot run it.
    """
    told = {"methods": method, "within": within, "solve_for": solve_for, "hide_communication": hide_communication}
    told |= {"break_even": break_even, "budget": budget, "confidence": confidence, "sensitivity": sensitivity}
    asked = {
        "--solve-for": ("deadline", solve_for),
        "--hide-communication": ("hiding", hide_communication or None),
        "--break-even": ("break_even", break_even),
        "--budget": ("budget", budget),
        "--confidence": ("confidence", confidence),
        "--sensitivity": ("sensitivity", sensitivity or None),
    }
    module, value = asked[_one_question(asked, within)]
    if solve_for in WAITING:
        module = "waiting"
    if break_even is not None:
        if method is not None:
            raise ScenarioError("--break-even names its own two methods; leave out --method")
        method = named_methods("--break-even", break_even)
    scenario = scenario_of(source, set)
    due = None if within is None else read_within(within, scenario)
    deadline = None if due is None else due.seconds
    prepare = Case.of
    if solve_for in WAITING and deadline is not None:
        prepare = partial(case_that_waits, WAITING[solve_for], deadline)
    prepared, refused = by_method(scenario, method, prepare)
    cases, left_out = list(prepared.values()), refused if method is None else {}
    sure = _CONFIDENCE if confidence is None else _probability(confidence)
    question = Question(scenario, cases, left_out, str(value), sure, deadline, jobs, report)
    # Each is loaded when it is asked.
    answered: Plan = import_module(f"parasim.planning.questions.{module}").answer(question)
    change = None if solve_for is None or solve_for in WAITING else quantity_named(solve_for, scenario).change
    # A budget's choices are held against their devices' memory one by one.
    notes = [*answered.notes, *uneven_rounds(prepared), *([] if budget else _memory(answered, cases, change))]
    notes += _shared_seconds(cases, widths=solve_for == "block-width" or budget is not None)
    if confidence is None and any(map(varies, links_of(scenario))):
        notes.append(say("found.means"))
    notes += ignored(scenario) if confidence is None else unused_regions(scenario)
    setups = (case.setup for case in cases)
    unadapted = (not_adapted(setup.scenario, setup.architecture) for setup in setups if setup.architecture is not None)
    notes += dict.fromkeys(chain.from_iterable(unadapted))
    starts = scenario.starts if due is None else due.starts
    notes += _ends(answered.answers, starts)
    row = ("-",) * len(answered.columns)
    others = [Answer(m, False, None, "", None, why, row=row) for m, why in refused.items() if m not in left_out]
    found = replace(
        answered,
        answers=[*answered.answers, *others],
        notes=notes,
        within=due,
        starts=starts,
        scenario=scenario,
        asked={name: value for name, value in told.items() if value},
    )
    return found if out is None else replace(found, files=leave_plan(found, Path(out), look))


def _ends(answers: Sequence[Answer], starts: datetime | None) -> list[str]:
    """Say in a sentence when runs end at the answers, by the calendar, if it matters."""
    if starts is None:
        return []
    runs = [(answer.method, answer.wall_clock_s) for answer in answers if answer.wall_clock_s is not None]
    if len(dict(runs)) < len(runs):
        # Of points of a front there are several for a method.
        return []
    ends = [say("times.end", method=method, end=written(moment_after(starts, time))) for method, time in runs]
    return [say("times.ends", starts=written(starts), ends=ends)] if ends else []


def _one_question(questions: Mapping[str, tuple[str, object]], within: str | float | None) -> str:
    """Return the option that asks the question.

    Raises
    ------
    ScenarioError
        If it is not exactly one, or the deadline has nothing to do with it.
    """
    asked = [option for option, (_, value) in questions.items() if value is not None]
    if {*asked} == {"--solve-for", "--confidence"}:
        _, solve_for = questions["--solve-for"]
        if solve_for not in WAITING:
            raise ScenarioError(f"--confidence goes with --solve-for {', '.join(WAITING)}, not with {solve_for}")
        asked.remove("--confidence")
    if len(asked) > 1:
        raise ScenarioError(f"one question at a time, not {' and '.join(asked)}")
    if not asked and within is not None:
        raise ScenarioError(f"--within {within}: say what to solve for, such as --solve-for bandwidth")
    if not asked:
        raise ScenarioError(f"no question; ask one of {', '.join(questions)}")
    [option] = asked
    if option == "--solve-for" and within is None:
        raise ScenarioError("--solve-for needs a deadline, such as --within 25min")
    if within is not None and option not in ("--solve-for", "--confidence"):
        raise ScenarioError(f"--within goes with --solve-for or --confidence, not with {option}")
    return option


def _probability(confidence: str | float) -> float:
    probability, unit = 0.0, ""
    with suppress(UnitError):
        probability, unit = quantity(str(confidence))
    if unit or not 0 < probability < 1:
        raise ScenarioError(f"--confidence {confidence}: must be a probability between 0 and 1, such as 0.9")
    return probability


def _shared_seconds(cases: Sequence[Case], *, widths: bool) -> list[str]:
    """Say what given seconds, that a profile would tell apart, are the same for among what is compared."""
    trains_blocks = any(case.setup.method.trains is Trains.BLOCK for case in cases)
    wide = widths and trains_blocks and cases[0].scenario.compute.seconds is not None
    shared = ["methods"] * share_seconds(seen(case.setup) for case in cases) + ["block widths"] * wide
    if not shared:
        return []
    return [f"compute.seconds is the same for several {' and '.join(shared)}: they differ in what is sent alone."]


def _memory(answered: Plan, cases: Sequence[Case], change: WithValue | None) -> list[str]:
    """Say for which methods clients lack the memory: at the answer, where it decides about that."""
    values = {answer.method: answer.value for answer in answered.answers}
    said = []
    for case in cases:
        value = values.get(case.method)
        at = case if change is None or value is None else Case.of(change(case.scenario, value))
        said.append(({"method": case.method}, memory_of(at.setup, at.costs)))
    return merged(said)
