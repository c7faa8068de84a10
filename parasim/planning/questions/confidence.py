"""`paraSim plan --confidence`: the deadline that a run meets with a probability, or the probability to meet a deadline.

Runs are drawn from the scenario's jitter until the answer's own error is small. The error is that of order statistics,
which assumes no distribution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from parasim.cli.text import clock, deadline_clock, origin
from parasim.planning.answer import Answer, Check, Plan
from parasim.planning.methods import Case
from parasim.planning.risk.random_runs import CERTAINTY, PRECISE, RandomRuns, Report, random_runs
from parasim.planning.search.how_found import not_replayable
from parasim.sentences import say
from sim.fleet import Fleet
from sim.scenario import Scenario
from sim.studies.jitter import jitters
from sim.uncertainty import Jitter

_QUANTILES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)


def confidence(
    cases: Sequence[Case], probability: float, within: float | None, jobs: int | None, report: Report
) -> Plan:
    """Find the deadline that each method meets with a probability, or with what probability it meets a deadline.

    Parameters
    ----------
    cases : sequence of Case
        The scenario under each method, with jitter in its fleet.
    probability : float
        In (0, 1).
    within : float or None
        A deadline [s]: the answer's value is the probability to meet it, and whether it reaches `probability` decides
        whether that is feasible.
    jobs : int or None
        Worker processes; all cores if None. The answer does not depend on it.
    report : callable
        Told for what runs are drawn, how many there are and how many there may be at most.

    Raises
    ------
    ScenarioError
        If nothing in the scenario varies.
    """
    sampled = [random_runs(case, probability, within, jobs, report) for case in cases]
    scenario = cases[0].scenario

    def draw(directory: Path) -> Sequence[Path]:
        from parasim.figures.confidence import Line, draw_confidence

        lines = [Line(one.method, one.times, one.planned, one.interval) for one in sampled]
        return draw_confidence(lines, probability, within, directory)

    varying = [_described(scenario, *one) for one in jitters(scenario)]
    return Plan(
        question=say(f"confidence.{'deadline' if within is None else 'probability'}", share=probability, within=within),
        answers=[_answer(runs) for runs in sampled],
        columns=(
            "deadline" if within is None else f"done in {deadline_clock(within)}",
            f"{CERTAINTY:.0%} interval",
            "median",
            "no jitter",
            "runs",
        ),
        notes=_notes(sampled),
        provenance={
            **{runs.method: origin({"compute": runs.recording.costs.provenance()}) for runs in sampled},
            "jitter": say("confidence.jitter", varying="; ".join(varying), seed=scenario.seed),
        },
        draw=draw,
    )


def _answer(runs: RandomRuns) -> Answer:
    deadline = runs.estimate if runs.within is None else runs.within
    checks = [Check(deadline, time, time <= deadline * (1 + 1e-9)) for _, time in runs.simulated[:2]]
    more = {
        "runs": len(runs.times),
        "interval": list(runs.interval),
        "interval_certainty": CERTAINTY,
        "precise": runs.precise,
        "no_jitter_s": runs.planned,
        "replayed": runs.replayed / len(runs.times),
        "quantiles_s": {f"{share:g}": runs.quantile(share) for share in _QUANTILES},
    }

    def written(value: float | None) -> str:
        if value is None:
            return "unknown"
        return clock(value) if runs.within is None else f"{value:.4g}"

    interval = " to ".join(map(written, runs.interval))
    row = (written(runs.estimate), interval, clock(runs.quantile(0.5)), clock(runs.planned), f"{len(runs.times):,}")
    feasible = runs.within is None or runs.estimate >= runs.probability
    unit = "s" if runs.within is None else ""
    because = _because(runs) + _imprecise(runs)
    return Answer(runs.method, feasible, runs.estimate, unit, deadline, because, checks, more, row)


def _because(runs: RandomRuns) -> str:
    if runs.within is None:
        later = runs.estimate / runs.planned - 1
        return say(f"confidence.{'later' if later >= 0 else 'earlier'}", share=abs(later))
    low, high = runs.interval
    assert low is not None
    assert high is not None
    verdict = "too_close" if low <= runs.probability <= high else "more" if low > runs.probability else "less"
    without = "meets" if runs.planned <= runs.within else "misses"
    return say(f"confidence.{verdict}", share=runs.probability, without=without)


def _imprecise(runs: RandomRuns) -> str:
    """Say that the precision that one may expect was not reached, and which one was; nothing if it was."""
    if runs.precise:
        return ""
    sentence = "deadline" if runs.within is None else "probability"
    reached = "unknown" if math.isinf(runs.error) else "imprecise"
    return say(f"confidence.{reached}_{sentence}", wanted=100 * PRECISE, reached=100 * runs.error)


def _notes(sampled: Sequence[RandomRuns]) -> list[str]:
    """Say how the answers were found and checked."""
    off = max(abs(runs.drawn[n] / time - 1) for runs in sampled for n, time in runs.simulated if time > 0)
    replayed = sum(runs.replayed for runs in sampled)
    reasons = dict.fromkeys(filter(None, (not_replayable(runs.recording) for runs in sampled)))
    return [
        say(
            "confidence.how",
            replayed=replayed,
            simulated=sum(len(runs.times) for runs in sampled) - replayed,
            checked=sum(len(runs.simulated) for runs in sampled),
            differ=say("found.equal" if off <= 1e-9 else "found.apart", off=float(off)),
        ),
        *(say("confidence.not_replayable", reason=reason) for reason in reasons),
        say("confidence.intervals", looks=max(runs.looks for runs in sampled)),
        say("confidence.same_blocks"),
    ]


def _described(scenario: Scenario, name: str, index: int, jitter: Jitter) -> str:
    """Say what varies how."""
    parameters = [value for value in (jitter.sigma, jitter.low, jitter.mode, jitter.high) if value is not None]
    return say(
        f"confidence.{'observed' if jitter.values is not None else 'distributed'}",
        name=name,
        group=Fleet(scenario.fleet).name(index),
        distribution=jitter.distribution,
        parameters=" to ".join(f"{value:g}" for value in parameters),
        values=len(jitter.values or ()),
        per=jitter.per,
        shared=say("confidence.shared") if jitter.each == "group" else "",
    )
