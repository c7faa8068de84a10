"""`compare_live(scenario) -> list of LiveRow`: run a grid of settings live, and hold predictions against that.

Two predictions of each: *blind*, from the scenario alone, and with the computing times that were *measured*: what is
left of the error then is the network's and the protocol's. Every setting runs twice, so that the noise from run to run
stands beside the errors.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, combinations, product
from pathlib import Path
from statistics import fmean
from typing import Any

from parasim import api
from parasim.live.conductor import PATIENCE, Report, live
from parasim.live.local_agents import local_agents
from parasim.live.wire import Secrets
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import Kind
from parasim_core.sim.errors import CostError
from parasim_core.sim.scenario.reading import Overrides, Source, fields_set, load, plain_fields
from parasim_core.sim.scenario.scenario import Scenario

APART = 0.03
"""Settings whose makespans differ by more than this have to be ranked right."""
MEAN_GOAL, LARGEST_GOAL = 0.01, 0.03
"""Errors of the makespan with measured computing that are aimed at."""


@dataclass(frozen=True)
class LiveRow:
    """One setting, run twice and predicted twice.

    Attributes
    ----------
    setting : str
        What of the scenario it sets.
    measured_s, again_s : float
        Makespans of the two runs [s].
    blind_s : float or None
        Predicted from the scenario alone [s]; None where nobody can say how long computing takes.
    predicted_s, predicted_again_s : float
        Predicted with the computing times of each run [s].
    spans : int
        Activities compared, of the first run.
    mean_span_s, largest_span_s : float
        Errors of when these begin and end, with measured computing [s].
    """

    setting: str
    measured_s: float
    again_s: float
    blind_s: float | None
    predicted_s: float
    predicted_again_s: float
    spans: int
    mean_span_s: float
    largest_span_s: float

    @property
    def noise(self) -> float:
        """Difference of the two runs, as a share of their mean."""
        return abs(self.measured_s - self.again_s) / fmean((self.measured_s, self.again_s))

    @property
    def error(self) -> float:
        """Mean of the errors of the two predictions with measured computing, as a share of what was measured."""
        return fmean((self.predicted_s / self.measured_s, self.predicted_again_s / self.again_s)) - 1

    @property
    def blind_error(self) -> float | None:
        """Error of the blind prediction, as a share of the two runs' mean."""
        return None if self.blind_s is None else self.blind_s / fmean((self.measured_s, self.again_s)) - 1

    def entry(self) -> dict[str, Any]:
        """Figures, with the errors in percent."""
        blind = self.blind_error
        return asdict(self) | {
            "noise_pct": 100 * self.noise,
            "error_pct": 100 * self.error,
            "blind_error_pct": None if blind is None else 100 * blind,
        }


def summary(rows: Sequence[LiveRow]) -> dict[str, Any]:
    """Errors of all settings, and how many pairs of them were ranked as they are."""
    errors = [abs(row.error) for row in rows]
    pairs = list(ranked(rows))
    return {
        "settings": len(rows),
        "mean_pct": 100 * fmean(errors),
        "max_pct": 100 * max(errors),
        "noise_pct": 100 * fmean(row.noise for row in rows),
        "pairs": len(pairs),
        "ranked_right": sum(pairs),
        "met": fmean(errors) <= MEAN_GOAL and max(errors) <= LARGEST_GOAL and all(pairs),
    }


def ranked(rows: Sequence[LiveRow]) -> Iterator[bool]:
    """Tell of all pairs of settings that are clearly apart whether their predictions are in the same order."""
    for one, other in combinations(rows, 2):
        measured = [fmean((row.measured_s, row.again_s)) for row in (one, other)]
        predicted = [fmean((row.predicted_s, row.predicted_again_s)) for row in (one, other)]
        if max(measured) > (1 + APART) * min(measured):
            yield (measured[0] < measured[1]) == (predicted[0] < predicted[1])


def compare_live(
    source: Source,
    set: Overrides = (),
    *,
    grid: Sequence[tuple[Sequence[str], Sequence[str]]],
    out: Path,
    dry: bool = False,
    agents: Sequence[str] = (),
    known: Secrets | None = None,
    shaped: bool = True,
    patience: float = PATIENCE,
    report: Report = lambda what, done, total: None,
) -> list[LiveRow]:
    """Run every setting of a grid twice, and predict it.

    Parameters
    ----------
    source, set
        The scenario, as of `parasim.simulate`.
    grid : sequence of (fields, values)
        Fields that are set to each of some values, in all combinations.
    out : Path
        Agents have their folders below it.
    dry, agents, known, shaped, patience, report
        Those of `live`; agents that are started here do all settings.

    Raises
    ------
    ParaSimError
        As `live` does.
    """
    overrides = fields_set(set)
    settings = [*product(*([(value, [(field, value) for field in fields]) for value in vs] for fields, vs in grid))]
    variants = [[*overrides, *chain.from_iterable(fields for _, fields in setting)] for setting in settings]
    scenarios = [load(source, variant) for variant in variants]
    own = known or Secrets(secrets.token_urlsafe(32))
    options = ["--dry"] if dry else _trains(scenarios[0])
    rows = []
    with local_agents(0 if agents else scenarios[0].clients, out / "agents", own.token, options) as local:
        addresses = agents or [local.address(number) for number in local.processes]
        for number, (setting, variant) in enumerate(zip(settings, variants, strict=True)):
            report("settings", number, len(settings))
            fields = plain_fields(source, variant)
            runs = [
                live(
                    fields,
                    out=out,
                    dry=dry,
                    agents=addresses,
                    known=own,
                    shaped=shaped,
                    patience=patience,
                ).result
                for _ in range(2)
            ]
            rows.append(compare(", ".join(value for value, _ in setting), fields, runs))
    report("settings", len(settings), len(settings))
    return rows


def compare(setting: str, fields: dict[str, Any], runs: Sequence[Result]) -> LiveRow:
    """Hold predictions against two runs of a setting.

    Parameters
    ----------
    setting : str
        What it is called.
    fields : dict
        The scenario.
    runs : sequence of Result
        Two runs of it.
    """
    try:
        blind = api.simulate(fields).wall_clock
    except CostError:
        blind = None
    predicted = [api.simulate(fields, {"compute": {"seconds": measured_seconds(run)}}) for run in runs]
    errors = list(span_errors(runs[0], predicted[0]))
    measured, again = (run.wall_clock for run in runs)
    expected, expected_again = (one.wall_clock for one in predicted)
    return LiveRow(
        setting,
        measured,
        again,
        blind,
        expected,
        expected_again,
        len(errors) // 2,
        fmean(errors),
        max(errors),
    )


def measured_seconds(run: Result) -> list[list[float]]:
    """Seconds of computing by round and client, as `compute.seconds` has them: at a speed of one [s]."""
    scenario = run.scenario
    groups = Fleet.of(scenario)
    rows = [[1.0] * scenario.clients for _ in range(scenario.rounds)]
    for span in run.timeline.spans:
        if span.kind is Kind.COMPUTE and span.round < len(rows):
            rows[span.round][span.client] = (span.end - span.start) * groups.group(span.client).speed
    return rows


def span_errors(measured: Result, predicted: Result) -> Iterator[float]:
    """By how much the begin and the end of each activity were predicted wrong [s]."""
    when = {_key(span): span for span in predicted.timeline.spans}
    for span in measured.timeline.spans:
        if (other := when.get(_key(span))) is not None:
            yield abs(span.start - other.start)
            yield abs(span.end - other.end)


def _key(span: Any) -> tuple[object, ...]:
    return span.client, span.round, span.kind, span.blocks


def _trains(scenario: Scenario) -> list[str]:
    from parasim_core.train.runs.settings import TrainSettings

    return ["--model", scenario.model or "demo", "--data", TrainSettings.parse(scenario.train).data.source]
