"""`paraSim plan --confidence`: the deadline that a run meets with a probability, or the probability to meet a deadline.

Runs are drawn from the scenario's jitter until the answer's own error is small. The error is that of order statistics,
which assumes no distribution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from parasim.figures.confidence import draw_confidence
from parasim.figures.look import USUAL
from parasim.planning.answer import Answer, Check, Plan
from parasim.planning.methods import Question
from parasim.planning.risk.random_runs import CERTAINTY, PRECISE, RandomRuns, random_runs
from parasim.sentences import grouped, say
from parasim.text import clock, deadline_clock
from parasim_core.sim.analysis.jitter import (
    drawn_failures,
    jitters,
    random_failures,
    random_participants,
    random_starts,
)
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.uncertainty import Jitter

_QUANTILES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)


_GIVEN = {
    "jitter": "jitter that was",
    "failures": "failures that were",
    "jitter or failures": "jitter and failures that were",
    "new draws": "participation that was",
}
"""What was given, and may be other than it is in truth."""


def answer(question: Question) -> Plan:
    """Find the deadline that each method meets with a probability, or with what probability it meets a deadline.

    Returns
    -------
    Plan
        With a deadline, its values are the probabilities to meet it, and whether that reaches the one asked for decides
        whether it is feasible. It does not depend on the number of workers.

    Raises
    ------
    ScenarioError
        If nothing in the scenario varies.
    """
    probability = question.probability
    within, scenario = question.within, question.cases[0].scenario
    sampled = [random_runs(case, probability, within, question.jobs, question.report) for case in question.cases]
    varying = [_described(scenario, *one) for one in jitters(scenario)]
    varying += [say("confidence.starts")] if random_starts(scenario) else []
    varying += [say("confidence.failing", failing=named)] if (named := _failing(scenario)) else []
    varying += [say("confidence.participants")] if random_participants(scenario) else []
    jitter = say("confidence.jitter", varying="; ".join(varying), seed=scenario.seed)
    asked = "deadline" if within is None else f"done in {deadline_clock(within)}"
    return Plan(
        scenario=question.scenario,
        question=say(f"confidence.{'deadline' if within is None else 'probability'}", share=probability, within=within),
        answers=[_answer(runs) for runs in sampled],
        columns=(asked, f"{CERTAINTY:.0%} interval", "median", f"no {sampled[0].without}", "runs"),
        notes=_notes(sampled),
        provenance=question.origins | {"jitter" if sampled[0].without == "jitter" else "drawn": jitter},
        draw=lambda directory, look=USUAL: draw_confidence(sampled, directory, look),
    )


def _answer(runs: RandomRuns) -> Answer:
    scenario = runs.recording.setup.scenario
    deadline = runs.estimate if runs.within is None else runs.within
    checks = [Check(deadline, time, time <= deadline * (1 + 1e-9)) for _, time in runs.simulated[:2]]
    more = {
        "runs": len(runs.times),
        "interval": [None if end is None else _finite(end) for end in runs.interval],
        "interval_certainty": CERTAINTY,
        "precise": runs.precise,
        f"no_{runs.without.replace(' ', '_')}_s": runs.planned,
        **({"ended_early": runs.ended_early} if random_failures(scenario) else {}),
        "replayed": runs.replayed / len(runs.times),
        "quantiles_s": {f"{share:g}": _finite(runs.quantile(share)) for share in _QUANTILES},
    }
    write = clock if runs.within is None else "{:.4g}".format
    times = runs.estimate, *runs.interval, runs.quantile(0.5)
    answer, low, high, median = (
        "unknown" if time is None else "never" if math.isinf(time) else how(time)
        for time, how in zip(times, (write, write, write, clock), strict=True)
    )
    row = (answer, f"{low} to {high}", median, clock(runs.planned), f"{len(runs.times):,}")
    met = runs.estimate < math.inf if runs.within is None else runs.estimate >= runs.probability
    unit = "s" if runs.within is None else ""
    return Answer(runs.method, met, _finite(runs.estimate), unit, _finite(deadline), _because(runs), checks, more, row)


def _finite(time: float) -> float | None:
    """Return a time as JSON can hold it."""
    return time if time < math.inf else None


def _failing(scenario: Scenario) -> list[str]:
    """Name what fails at random, and of whom."""
    fleet = Fleet(scenario.fleet)
    return [
        f"{'absences' if field == 'available' else field} of {fleet.name(index)}"
        for index, group in enumerate(scenario.fleet)
        for field in drawn_failures(group)
    ]


def _because(runs: RandomRuns) -> str:
    imprecise = ""
    if not runs.precise:
        # The precision that one may expect was not reached; if it is known, which one was.
        known = "unknown" if math.isinf(runs.error) else "imprecise"
        sentence = f"confidence.{known}_{'deadline' if runs.within is None else 'probability'}"
        imprecise = say(sentence, wanted=100 * PRECISE, reached=100 * runs.error)
    if math.isinf(runs.estimate):
        return say("confidence.never", share=runs.ended_early / len(runs.times))
    if runs.within is None:
        later = runs.estimate / runs.planned - 1 if runs.planned else 0.0
        return say(
            f"confidence.{'later' if later >= 0 else 'earlier'}", share=abs(later), runs=runs, imprecise=imprecise
        )
    low, high = runs.interval
    assert low is not None
    assert high is not None
    verdict = "too_close" if low <= runs.probability <= high else "more" if low > runs.probability else "less"
    without = "meets" if runs.planned <= runs.within else "misses"
    return say(f"confidence.{verdict}", runs=runs, without=without, imprecise=imprecise)


def _notes(sampled: Sequence[RandomRuns]) -> list[str]:
    """Say how the answers were found and checked."""
    scenario = sampled[0].recording.setup.scenario
    pairs = [(runs.drawn[n], time) for runs in sampled for n, time in runs.simulated]
    # A run that takes no time agrees with one that takes none.
    off = max(0.0 if drawn == time else float(abs(drawn / time - 1)) if time else 1.0 for drawn, time in pairs)
    differ = say("found.equal" if off <= 1e-9 else "found.apart", off=off)
    replayed, checked = sum(runs.replayed for runs in sampled), sum(len(runs.simulated) for runs in sampled)
    simulated = sum(len(runs.times) for runs in sampled) - replayed
    reasons = grouped((reason, runs.method) for runs in sampled if (reason := runs.recording.not_replayable))
    everyone = sum(map(len, reasons.values())) == len(sampled)
    sentence = "confidence.not_replayable" if everyone else "confidence.not_replayable_for"
    return [
        say("confidence.how", replayed=replayed, simulated=simulated, checked=checked, differ=differ),
        *(say(sentence, reason=reason, methods=methods) for reason, methods in reasons.items()),
        say("confidence.intervals", looks=max(runs.looks for runs in sampled), given=_GIVEN[sampled[0].without]),
        say(f"confidence.{_anew(scenario)}"),
        *(say("confidence.ended_early", runs=runs, of=len(runs.times)) for runs in sampled if runs.ended_early),
    ]


def _anew(scenario: Scenario) -> str:
    """Name what is said of what is drawn anew for each run, and what is not."""
    if random_failures(scenario):
        return "drawn_anew"
    return "participants_anew" if random_participants(scenario) else "same_blocks"


def _described(scenario: Scenario, name: str, index: int, jitter: Jitter) -> str:
    """Say what varies how."""
    given = [value for value in (jitter.sigma, jitter.low, jitter.mode, jitter.high) if value is not None]
    parameters = " to ".join(f"{value:g}" for value in given) or len(jitter.values or ())
    group, shared = Fleet(scenario.fleet).name(index), say("confidence.shared") if jitter.each == "group" else ""
    sentence = "confidence.distributed" if given else "confidence.observed"
    return say(sentence, name=name, group=group, jitter=jitter, parameters=parameters, shared=shared)
