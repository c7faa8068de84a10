"""`paraSim plan --budget`: what can be had for the money, from the cheapest run to the fastest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from parasim.cli.text import clock, origin
from parasim.planning.answer import Answer, Check, Plan
from parasim.planning.cost.choices import OWN, Candidate, Outcome, Refused, at_speed, candidates, run
from parasim.planning.methods import Case
from parasim.sentences import rounded, say
from sim.errors import CostError
from sim.scenario import Scenario
from sim.studies.pool import cores, in_order
from sim.units import format_money, format_power, format_price_of_traffic

_SERIAL_BELOW = 64
"""Fewer runs than this are not worth starting worker processes."""
_BATCH = 4
_NOTHING = "none"
"""Stands for a method where no run is affordable."""


def budget(own: Case, cases: Sequence[Case], refused: Mapping[str, str], limit: float, jobs: int | None) -> Plan:
    """Find what is cheapest, what is fastest within a budget, and every good compromise between them.

    Parameters
    ----------
    own : Case
        The scenario with its own method, its prices and choices.
    cases : sequence of Case
        The scenario under each method that may be chosen.
    refused : mapping of str to str
        Methods that cannot run it, with the reasons.
    limit : float
        The budget of one run [USD].
    jobs : int or None
        Worker processes; all cores if None.

    Returns
    -------
    Plan
        An answer for each run of the Pareto front within the budget, the cheapest first; its value is the cost. If
        nothing is, one answer that is not feasible, named `none`, with what the cheapest run would cost.

    Raises
    ------
    ParaSimError
        If the scenario's choices are wrong, or no run can be had.
    """
    notes = [say("budget.method_left_out", method=method, reason=reason) for method, reason in refused.items()]
    outcomes = _simulated([one for case in cases for one in candidates(case, notes)], notes, jobs)
    front = pareto_front(outcomes)
    affordable = [outcome for outcome in front if outcome.cost <= limit]

    def draw(directory: Path) -> Sequence[Path]:
        from parasim.figures.pareto import Mark, draw_pareto

        def marks(runs: Sequence[Outcome]) -> list[Mark]:
            return [Mark(run.candidate.method, _choices(run.candidate), run.cost, run.wall_clock) for run in runs]

        return draw_pareto(marks(outcomes), marks(front), limit, directory)

    return Plan(
        question=say("budget.question", limit=limit),
        answers=list(_answers(front, affordable, limit, len(outcomes))),
        columns=("block", "device", "links", "wall-clock", "cost", "energy"),
        notes=[*_beyond(front, limit), *notes, *_conditions(own.scenario, affordable or front[:1])],
        provenance=_provenance(own, outcomes),
        draw=draw,
    )


def pareto_front(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Keep what nothing else beats or equals in both cost and wall-clock, the cheapest first."""
    front: list[Outcome] = []
    for outcome in sorted(outcomes, key=lambda one: (one.cost, one.wall_clock)):
        if not front or outcome.wall_clock < front[-1].wall_clock:
            front.append(outcome)
    return front


def _described(candidate: Candidate) -> str:
    """Say what a run is: ``parablock, 2 layers, h100, 1 Gbit/s``."""
    return f"{candidate.method}, {_choices(candidate)}"


def _choices(candidate: Candidate) -> str:
    return ", ".join(filter(None, [_width(candidate), candidate.device, candidate.links]))


def _width(candidate: Candidate) -> str:
    if candidate.layers is None:
        return ""
    return "half a layer" if candidate.layers == 0.5 else f"{candidate.layers:g} layer{'s' * (candidate.layers > 1)}"


def _simulated(todo: Sequence[Candidate], notes: list[str], jobs: int | None) -> list[Outcome]:
    """Simulate all candidates; note those that cannot be.

    Raises
    ------
    CostError
        If none of them can be.
    """
    workers = min(jobs or cores(), len(todo) // _BATCH) if len(todo) >= _SERIAL_BELOW else 1
    outcomes: list[Outcome] = []
    refused: list[Refused] = []
    for one in in_order(run, todo, workers=workers, batch=_BATCH):
        outcomes.append(one) if isinstance(one, Outcome) else refused.append(one)
    lines = list(_left_out(refused))
    if not outcomes:
        raise CostError("no run that could be had: " + "; ".join(lines))
    notes += lines
    return outcomes


def _left_out(refused: Sequence[Refused]) -> Iterator[str]:
    """Say what cannot be had: the devices of each reason and run together, and the runs of those together."""
    devices: dict[tuple[str, str], dict[str, None]] = {}
    for one in refused:
        who = ", ".join([one.candidate.method, *filter(None, [_width(one.candidate)])])
        where = say("budget.own_devices") if one.candidate.device == OWN else one.candidate.device
        devices.setdefault((one.reason, who), {})[where] = None
    runs: dict[tuple[str, str], list[str]] = {}
    for (reason, who), names in devices.items():
        runs.setdefault((reason, ", ".join(names)), []).append(who)
    for (reason, where), whose in runs.items():
        yield say("budget.left_out", devices=where, runs="; ".join(whose), reason=reason)


def _answers(front: Sequence[Outcome], affordable: Sequence[Outcome], limit: float, runs: int) -> Iterator[Answer]:
    if not affordable:
        least = front[0]
        because = say("budget.cheapest_run", runs=runs, cost=least.cost, run=_described(least.candidate))
        check = Check(least.cost, least.wall_clock, holds=False)
        more: dict[str, object] = {
            "cheapest": {"method": least.candidate.method, "wall_clock_s": least.wall_clock, **_more(least)}
        }
        row = ("-", "-", "-", "-", say("budget.at_least", cost=least.cost), "-")
        yield Answer(_NOTHING, False, None, "USD", None, because, [check], more, row)
    for position, outcome in enumerate(affordable):
        before = affordable[position - 1] if position else None
        reasons = []
        if before is None:
            reasons.append(say("budget.cheapest", runs=runs))
        if outcome is affordable[-1]:
            reasons.append(say("budget.fastest"))
        if before is not None:
            saved, paid = before.wall_clock - outcome.wall_clock, outcome.cost - before.cost
            reasons.append(say("budget.saves", saved=saved, paid=paid))
        candidate, bill = outcome.candidate, outcome.bill
        energy = rounded(bill.kilowatt_hours, "kWh")
        chosen = (_width(candidate), candidate.device, candidate.links)
        row = (*chosen, clock(outcome.wall_clock), rounded(outcome.cost, "USD"), energy)
        checks = [Check(one.cost, one.wall_clock, holds=one.cost <= limit) for one in front[position : position + 2]]
        because, more = ", ".join(reasons), _more(outcome)
        yield Answer(candidate.method, True, outcome.cost, "USD", outcome.wall_clock, because, checks, more, row)


def _more(outcome: Outcome) -> dict[str, object]:
    candidate, bill, speed = outcome.candidate, outcome.bill, outcome.candidate.speed
    more: dict[str, object] = {
        "layers": candidate.layers,
        "device": candidate.device,
        "links": candidate.links,
        "energy_j": bill.energy,
        "cost_usd": {part: getattr(bill, part) for part in ("gpus", "links", "upload", "download", "electricity")},
    }
    if speed is not None:
        slow, fast = at_speed(candidate, speed.low), at_speed(candidate, speed.high)
        more["device_speed"] = {
            "value": speed.seconds,
            "low": speed.low,
            "high": speed.high,
            "origin": speed.origin,
            "wall_clock_s": [fast.wall_clock, slow.wall_clock],
            "cost_usd": sorted([fast.cost, slow.cost]),
        }
    return more


def _beyond(front: Sequence[Outcome], limit: float) -> list[str]:
    """Say what more money, or none at all, would buy."""
    fastest = front[-1]
    if fastest.cost <= limit or front[0].cost > limit:
        return []
    run = _described(fastest.candidate)
    return [say("budget.beyond", cost=fastest.cost, wall_clock=fastest.wall_clock, run=run)]


def _conditions(scenario: Scenario, shown: Sequence[Outcome]) -> list[str]:
    """Say what the figures rest on."""
    guessed = {one.candidate.device: one.candidate.speed for one in shown if one.candidate.speed is not None}
    speeds = [say("budget.speed", device=name, **vars(speed)) for name, speed in guessed.items()]
    billed = say(f"budget.billed_{scenario.prices.billed.replace('-', '_')}")
    return [
        say("budget.all_simulated"),
        say("budget.conditions", billed=billed),
        say("budget.same_rounds"),
        *([say("budget.speeds", speeds=speeds)] if speeds else []),
    ]


def _provenance(own: Case, outcomes: Sequence[Outcome]) -> dict[str, str]:
    scenario = own.scenario
    guessed = {one.candidate.device: one.candidate.speed for one in outcomes if one.candidate.speed is not None}
    given = [device.name for device in scenario.choices.devices if device.speed is not None]
    speeds = [say("budget.origin_of_speed", **vars(speed)) for speed in guessed.values()]
    speeds += [say("budget.given_speeds", devices=given)] if given else []
    kind = {field: "given" if field in scenario.model_fields_set else "assumed" for field in ("power", "choices")}
    watts = {"compute": format_power(scenario.power.compute), "idle": format_power(scenario.power.idle)}
    return {
        "compute": origin({"compute": own.costs.provenance()}),
        "prices": _prices(scenario),
        "power": say("budget.power", kind=kind["power"], **watts),
        "choices": say("budget.choices", kind=kind["choices"]),
        "speeds": "; ".join(speeds) or say("budget.no_devices"),
    }


def _prices(scenario: Scenario) -> str:
    parts: dict[str, list[str]] = {}
    for kind, given in (("given", True), ("assumed", False)):
        for name in ("gpu_hour", "upload", "download", "link_month", "kilowatt_hour"):
            if (name in scenario.prices.model_fields_set) is given:
                write = format_price_of_traffic if name in ("upload", "download") else format_money
                parts.setdefault(kind, []).append(f"{name} {write(getattr(scenario.prices, name))}")
    return "; ".join(f"{kind}: {', '.join(written)}" for kind, written in parts.items())
