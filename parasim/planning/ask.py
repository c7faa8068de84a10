"""The one function behind `parasim.plan` and `paraSim plan`: it takes a question apart and has it answered."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from parasim.api import Source
from parasim.memory import memory_of, merged
from parasim.planning.answer import Answer, Plan
from parasim.planning.quantities import quantity_named
from parasim.planning.setting import Methods, covered, named_methods, own_method, parsed, setting
from sim.errors import ScenarioError, UnitError
from sim.units import duration, money

if TYPE_CHECKING:
    from parasim.planning.samples import Report


def plan(
    source: Source | None = None,
    overrides: Iterable[str] = (),
    *,
    methods: Methods | None = None,
    within: str | float | None = None,
    solve_for: str | None = None,
    hide_communication: bool = False,
    break_even: Methods | None = None,
    budget: str | None = None,
    confidence: str | float | None = None,
    sensitivity: bool = False,
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
    overrides : iterable of str
        Such as ``fleet.0.uplink=20MB/s``.
    methods : str, sequence of str or None
        Methods to answer for, or ``all``; the scenario's own if None, and all for a budget.
    within : str, float or None
        The deadline, such as ``25min``; a float is seconds, a text needs a unit.
    solve_for : str or None
        What is to meet the deadline: a key of `parasim.planning.quantities.QUANTITIES`, such as ``bandwidth``.
    hide_communication : bool
        At which bandwidth all communication is hidden.
    break_even : str, sequence of str or None
        Where one of these two methods overtakes the other.
    budget : str or None
        What an amount such as ``500USD`` buys.
    confidence : str, float or None
        The deadline met with this probability; or, with `within`, the probability to meet that one.
    sensitivity : bool
        What each input's uncertainty does to the runtime.
    jobs : int or None
        Worker processes; all cores if None.
    report : callable
        Told for `confidence`, which takes longest, for what runs are drawn, how many there are and at most.

    Raises
    ------
    ParaSimError
        If it is not one question, the scenario is wrong, or a method cannot run it.
    """
    overrides = list(overrides)
    questions: dict[str, object] = {
        "--solve-for": solve_for,
        "--hide-communication": hide_communication or None,
        "--break-even": break_even,
        "--budget": budget,
        "--confidence": confidence,
        "--sensitivity": sensitivity or None,
    }
    option = _one_question(questions, within)
    deadline = None if within is None else _seconds(within)
    if break_even is not None:
        if methods is not None:
            raise ScenarioError("--break-even names its own two methods; leave out --method")
        from parasim.planning import break_even as breaking_even

        pair = named_methods("--break-even", break_even)
        return _with_memory(breaking_even.break_even(source, overrides, pair, jobs), source, overrides, pair)
    chosen, refused = _methods(source, overrides, methods)
    answered = _answer(option, questions[option], source, overrides, chosen, methods is None, deadline, jobs, report)
    # A budget's choices are held against their devices' memory one by one.
    told = answered if budget else _with_memory(answered, source, overrides, chosen, solve_for)
    return _with_refused(told, refused)


def _answer(
    option: str,
    asked: object,
    source: Source | None,
    overrides: Sequence[str],
    methods: Sequence[str],
    by_default: bool,
    within: float | None,
    jobs: int | None,
    report: Report,
) -> Plan:
    """Have the one question answered; the modules that answer are loaded when they are needed."""
    if option == "--solve-for":
        from parasim.planning.deadline import deadline

        assert within is not None
        return deadline(source, overrides, methods, within, str(asked), jobs)
    if option == "--hide-communication":
        from parasim.planning.hiding import hide_communication

        return hide_communication(source, overrides, methods, jobs)
    if option == "--budget":
        from parasim.planning.budget import budget

        return budget(source, overrides, () if by_default else methods, money(str(asked)), jobs)
    if option == "--confidence":
        from parasim.planning.confidence import confidence

        return confidence(source, overrides, methods, _probability(asked), within, jobs, report)
    from parasim.planning.sensitivity import sensitivity

    return sensitivity(source, overrides, methods, jobs)


def _one_question(questions: Mapping[str, object], within: str | float | None) -> str:
    """Return the option that asks the question.

    Raises
    ------
    ScenarioError
        If it is not exactly one, or the deadline has nothing to do with it.
    """
    asked = [option for option, value in questions.items() if value is not None]
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


def _probability(asked: object) -> float:
    try:
        probability = float(str(asked))
    except ValueError:
        probability = math.nan
    if not 0 < probability < 1:
        raise ScenarioError(f"--confidence {asked}: must be a probability between 0 and 1, such as 0.9")
    return probability


def _seconds(within: str | float) -> float:
    if isinstance(within, str) and _is_number(within):
        # Elsewhere a bare number is seconds; as a deadline it was as likely meant to be minutes.
        raise ScenarioError(f"--within {within!r} has no unit; write a duration like 90s, 25min or 4h")
    try:
        seconds = duration(within)
    except UnitError as error:
        raise ScenarioError(f"--within {error}") from None
    if not seconds:
        raise ScenarioError(f"--within {within}: must be longer than nothing")
    return seconds


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _methods(
    source: Source | None, overrides: Sequence[str], methods: Methods | None
) -> tuple[Sequence[str], dict[str, str]]:
    """Methods to plan for, and of `all`, those that cannot run the scenario, with the reasons."""
    if methods is None:
        return [own_method(source, overrides)], {}
    return covered(source, overrides) if methods == "all" else (named_methods("--method", methods), {})


def _with_refused(answered: Plan, refused: Mapping[str, str]) -> Plan:
    """Name methods that cannot run the scenario as answers that are not feasible."""
    answers = [Answer(method, False, None, "", None, reason) for method, reason in refused.items()]
    row = ("-",) * len(answered.columns)
    return replace(answered, answers=[*answered.answers, *answers], rows=[*answered.rows, *(row for _ in refused)])


def _with_memory(
    answered: Plan,
    source: Source | None,
    overrides: Sequence[str],
    methods: Sequence[str],
    solve_for: str | None = None,
) -> Plan:
    """Note for which methods clients lack the memory: at the answer, where it decides about that."""
    found = {answer.method: answer.value for answer in answered.answers}
    said = []
    for method in methods:
        data, value = setting(source, overrides, method), found.get(method)
        if solve_for is not None and value is not None:
            data = quantity_named(solve_for).change(data, value)
        said.append(({"method": method}, memory_of(*parsed(data))))
    return replace(answered, notes=[*answered.notes, *merged(said)])
