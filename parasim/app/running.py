"""One run: its figures, what it costs, and its first rounds as rows of bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parasim.api import judged, load, set_up
from parasim.figures.gantt_rows import chart_rows
from parasim.figures.schedule import Schedule, piece_of_path, schedule, window
from parasim.ignored import ignored_said
from parasim.memory_notes import memory_said
from parasim.planning.cost.bill import Bill, bill
from parasim.sentences import say
from parasim.text import amount, clock, origin
from parasim_core.sim.analysis.critical_path import critical_path
from parasim_core.sim.analysis.failing import failures
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.simulate import simulate
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.traces import mean_rate, varies
from parasim_core.sim.scenario.yaml_reading import to_yaml

ROUNDS = 8
"""Rounds of the timeline."""
_SHORTEST = 0.002
"""Share of the timeline's length that can still be seen."""
PARTS = {
    "compute_s": "computing",
    "exposed_communication_s": "exposed communication",
    "waiting_s": "waiting",
    "offline_s": "offline",
    "failed_s": "failed",
}
"""Figures of a run that its wall-clock consists of, and how they are called."""


def run(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Simulate the scenario: figures, bill and timeline, and the scenario itself with all that it leaves out.

    Parameters
    ----------
    asked : mapping
        ``fields``: the scenario. ``timeline``: whether its timeline is wanted.

    Raises
    ------
    ParaSimError
        If the scenario is wrong or its costs are not known.
    """
    scenario = load(asked["fields"])
    setup, costs = set_up(scenario)
    result = judged(simulate(setup, costs), setup, costs)
    figures = result.figures()
    told = {
        "name": scenario.name,
        "method": scenario.method.name,
        "head": say("run.head", scenario=scenario, wall_clock=result.wall_clock),
        "figures": figures,
        "sent": say("run.communicating", uploaded=figures["uploaded_bytes"], downloaded=figures["downloaded_bytes"]),
        "groups": result.groups(),
        "bill": bill_told(bill(result, {}), scenario),
        "notes": [*memory_said(result.provenance), *ignored_said(result.provenance)],
        "origin": origin(result.provenance),
    }
    if not asked.get("timeline"):
        return told
    return told | {
        "timeline": timeline(result),
        "scenario": scenario.model_dump(mode="json"),
        "yaml": to_yaml(asked["fields"]),
        "rates": [[_rate(group.uplink), _rate(group.down)] for group in scenario.fleet],
    }


def bill_told(own: Bill, scenario: Scenario) -> dict[str, Any]:
    """Write a bill: its items and their sum [USD], the energy, and which prices are assumptions."""
    names = {"gpus": "devices", "links": "links", "upload": "upload", "download": "download"}
    items = {name: getattr(own, field) for field, name in names.items()} | {"electricity": own.electricity}
    assumed = [
        f"{name}.{field} {value}"
        for name, section in (("prices", scenario.prices), ("power", scenario.power))
        for field, value in section.model_dump(mode="json").items()
        if field not in section.model_fields_set
    ]
    return {"items": items, "total": own.total, "kilowatt_hours": own.kilowatt_hours, "assumed": assumed}


def _rate(link: Any) -> float | None:
    return None if varies(link) else mean_rate(link)


def timeline(result: Result) -> dict[str, Any]:
    """Rows of the first rounds: spans [s], the critical path through them, and where the picture ends [s]."""
    spans = result.timeline.spans
    path = [piece_of_path(spans[p.span], p.holder.value, p.start, p.end) for p in critical_path(result).pieces]
    end = window(spans, ROUNDS)
    shown = schedule(spans, path, result.counts, end, result.scenario, result.presence, failures(result))
    rows = [row for row in chart_rows(shown, _SHORTEST * end) if row.actor is not None]
    return {
        "end": end,
        "rounds": ROUNDS if end < result.wall_clock else result.scenario.rounds,
        "clients": f"{sum(shown.counts[row.actor] for row in rows if row.actor is not None and row.actor >= 0):,}",
        "all": f"{shown.clients:,}",
        "rows": [
            {"name": row.name, "spans": _spans(shown, row.actor or 0), "path": _path(shown, row.actor or 0)}
            for row in rows
        ],
    }


def _spans(shown: Schedule, actor: int) -> list[list[Any]]:
    """What one actor does: kind, start and end [s], and what is said of it."""
    own = [span for span in shown.spans if span.client == actor and span.start < shown.end and span.end > span.start]
    return [
        [
            span.kind.value,
            span.start,
            min(span.end, shown.end),
            span.round,
            f"{span.kind.value}, round {span.round}: {clock(span.start)} to {clock(span.end)}"
            + (f", {amount(span.size)}" if span.size else ""),
        ]
        for span in own
    ]


def _path(shown: Schedule, actor: int) -> list[list[Any]]:
    """Pieces of the critical path that one actor holds, by the kind of the span [s]."""
    return [
        [span.kind.value, start, min(end, shown.end)]
        for span, start, end in shown.path
        if span.client == actor and start < shown.end
    ]
