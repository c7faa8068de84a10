"""`paraSim plan --confidence`: the deadline that a run meets with a probability, or the probability to meet a deadline.

Runs are drawn from the scenario's jitter until the answer's own error is small (`samples.py`). The error is that of
order statistics, which assumes no distribution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from parasim.api import Source
from parasim.planning.answer import Answer, Check, Plan
from parasim.planning.samples import CERTAINTY, PRECISE, Report, Sample, looks_of, sampled
from parasim.planning.setting import own_method, setting
from parasim.text import clock, deadline_clock, origin
from sim.errors import ScenarioError
from sim.fleet import Fleet
from sim.scenario import Scenario
from sim.studies.jitter import jitters
from sim.studies.quantile import quantile_rank
from sim.uncertainty import Jitter


def confidence(
    source: Source | None,
    overrides: Sequence[str],
    methods: Sequence[str],
    probability: float = 0.9,
    within: float | None = None,
    jobs: int | None = None,
    report: Report = lambda what, done, total: None,
) -> Plan:
    """Find the deadline that each method meets with a probability, or with what probability it meets a deadline.

    Parameters
    ----------
    source : path, mapping, Scenario or None
        What to plan for, with jitter in its fleet; the paper's setting if None.
    overrides : sequence of str
        Such as ``fleet.*.speed_jitter.sigma=0.1``.
    methods : sequence of str
        Names of methods; the scenario's own if empty.
    probability : float
        In (0, 1).
    within : float or None
        A deadline [s]: the answer's value is the probability to meet it, and whether it reaches `probability` decides
        whether that is feasible.
    jobs : int or None
        Worker processes; all cores if None. The answer does not depend on it.
    report : callable
        Told for what runs are drawn, how many there are and how many there may be at most.

    Returns
    -------
    Plan

    Raises
    ------
    ParaSimError
        If the scenario is wrong or nothing in it varies, or a method cannot run it.
    """
    if not 0 < probability < 1:
        raise ScenarioError(f"--confidence {probability:g}: is a probability between 0 and 1, such as 0.9")
    if within is not None and not within > 0:
        raise ScenarioError(f"--within {within:g}s: must be longer than nothing")
    methods = methods or [own_method(source, overrides)]
    samples = [
        sampled(setting(source, overrides, method), method, probability, within, jobs, report) for method in methods
    ]
    answers = [_answer(sample, probability, within) for sample in samples]
    scenario = samples[0].recording.setup.scenario

    def draw(directory: Path) -> Sequence[Path]:
        from parasim.figures.confidence import Line, draw_confidence

        lines = [Line(one.method, one.times, one.planned, one.interval) for one in samples]
        return draw_confidence(lines, probability, within, directory)

    shown = "deadline" if within is None else f"done in {deadline_clock(within)}"
    return Plan(
        question=(
            f"Deadline that {probability:.10g} of all runs meet"
            if within is None
            else f"Probability that a run takes no more than {deadline_clock(within)}, "
            f"and whether it is {probability:.10g}"
        ),
        answers=answers,
        columns=(shown, f"{CERTAINTY:.0%} interval", "median", "no jitter", "runs"),
        rows=[_row(sample, within) for sample in samples],
        notes=_how(samples),
        provenance={
            **{sample.method: origin({"compute": sample.recording.costs.provenance()}) for sample in samples},
            "jitter": f"given: {'; '.join(_described(scenario))}; seed {scenario.seed}",
        },
        draw=draw,
    )


def _answer(sample: Sample, probability: float, within: float | None) -> Answer:
    limit = sample.estimate if within is None else within
    beside = sample.simulated[:2]
    checks = [Check(limit, time, holds=time <= limit * (1 + 1e-9)) for _, time in beside]
    feasible = within is None or sample.estimate >= probability
    more = {
        "runs": len(sample.times),
        "interval": list(sample.interval),
        "interval_certainty": CERTAINTY,
        "precise": sample.precise(within),
        "no_jitter_s": sample.planned,
        "replayed": sample.replayed,
        "quantiles_s": {
            f"{share:g}": float(sample.times[quantile_rank(len(sample.times), share)])
            for share in (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
        },
    }
    if within is not None:
        because = _because_within(sample, probability, within)
        return Answer(sample.method, feasible, sample.estimate, "", within, because, checks, more)
    later = sample.estimate / sample.planned - 1
    because = f"{abs(later):.1%} {'later' if later >= 0 else 'earlier'} than without jitter{_imprecise(sample, None)}"
    return Answer(sample.method, True, sample.estimate, "s", sample.estimate, because, checks, more)


def _because_within(sample: Sample, probability: float, within: float) -> str:
    low, high = sample.interval
    assert low is not None
    assert high is not None
    if low <= probability <= high:
        verdict = f"too close to {probability:.10g} to tell"
    else:
        verdict = f"{'more' if low > probability else 'less'} than {probability:.10g}"
    without = "meets it" if sample.planned <= within else "misses it"
    return f"{verdict}; without jitter it {without}{_imprecise(sample, within)}"


def _imprecise(sample: Sample, within: float | None) -> str:
    """Say that the precision that one may expect was not reached, and which one was; nothing if it was."""
    if sample.precise(within):
        return ""
    reached = sample.error / (sample.estimate if within is None else 1.0)
    but = f" but to {100 * reached:.2g}" if math.isfinite(reached) else ""
    of = "% of it" if within is None else f" percentage point{'s' if but else ''}"
    return f"; not known to {100 * PRECISE:g}{but}{of}, more runs were too many"


def _row(sample: Sample, within: float | None) -> tuple[str, ...]:
    def written(value: float | None) -> str:
        if value is None:
            return "unknown"
        return f"{value:.4g}" if within is not None else clock(value)

    low, high = sample.interval
    return (
        written(sample.estimate),
        f"{written(low)} to {written(high)}",
        clock(float(sample.times[quantile_rank(len(sample.times), 0.5)])),
        clock(sample.planned),
        f"{len(sample.times):,}",
    )


def _how(samples: Sequence[Sample]) -> list[str]:
    """Say how the answers were found and checked."""
    off = max(
        abs(sample.drawn[position] / time - 1) for sample in samples for position, time in sample.simulated if time > 0
    )
    checked = sum(len(sample.simulated) for sample in samples)
    replayed = sum(sample.replayed * len(sample.times) for sample in samples)
    simulated = sum(len(sample.times) for sample in samples) - round(replayed)
    means = f"{round(replayed):,} runs replayed, {simulated:,} simulated"
    looks = max(len(looks_of(sample.recording)) for sample in samples)
    return [
        f"{means}; {checked} of them simulated once more, at the answers and elsewhere: {_differ(float(off))}",
        f"intervals are of order statistics, divided among at most {looks} looks at growing samples; "
        f"they hold for any distribution, but only for the jitter that was given",
        "blocks and participants are those of the seed in every run",
    ]


def _differ(off: float) -> str:
    return "equal to 1e-9" if off <= 1e-9 else f"up to {off:.2g} apart"


def _described(scenario: Scenario) -> list[str]:
    """Say what varies how."""
    fleet = Fleet(scenario.fleet)
    return [f"{name} of {fleet.name(index)} {_distribution(jitter)}" for name, index, jitter in jitters(scenario)]


def _distribution(jitter: Jitter) -> str:
    if jitter.distribution == "observed":
        assert jitter.values is not None
        text = f"one of {len(jitter.values)} observed factors"
    else:
        parameters = (jitter.sigma, jitter.low, jitter.mode, jitter.high)
        text = f"{jitter.distribution} {' to '.join(f'{value:g}' for value in parameters if value is not None)}"
    shared = ", the same for the whole group" if jitter.each == "group" else ""
    return f"{text} per {jitter.per}{shared}"
