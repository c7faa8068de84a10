"""`paraSim plan --budget`: what can be had for the money, from the cheapest run to the fastest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from parasim.figures.look import USUAL
from parasim.figures.pareto import draw_pareto
from parasim.planning.answer import Answer, Check, Plan
from parasim.planning.cost.choices import Candidate, Outcome, at_ends, candidates, run
from parasim.planning.methods import Case, Question
from parasim.sentences import by_kind, given_or_assumed, grouped, rounded, say
from parasim.text import clock, origin
from parasim_core.calibration.devices.prediction import Extrapolation
from parasim_core.sim.errors import CostError, ScenarioError
from parasim_core.sim.scenario.economy import Prices
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.units import format_money, format_power, format_price_of_traffic, money
from parasim_core.sim.support.worker_pool import cores, in_order

_SERIAL_BELOW = 64
"""Fewer runs than this are not worth starting worker processes."""
_BATCH = 4
_MOST_RUNS = 4000
"""So many runs are a few minutes' work at most."""


def answer(question: Question) -> Plan:
    """Find what is cheapest, what is fastest within a budget, and every good compromise between them.

    Returns
    -------
    Plan
        An answer for each run of the Pareto front within the budget, the cheapest first; its value is the cost. If
        nothing is, one answer that is not feasible, named `none`, with what the cheapest run would cost.

    Raises
    ------
    ParaSimError
        If it is no amount of money, the scenario's choices are wrong, or no run can be had.
    """
    limit, scenario = money(question.asked), question.scenario
    if not limit > 0:
        raise ScenarioError(f"--budget {format_money(limit)}: must be more than nothing")
    notes = [say("budget.method_left_out", method=method, reason=why) for method, why in question.left_out.items()]
    todo = _candidates(question.cases, notes)
    # Every method says the same of devices that nobody can have.
    notes = [*dict.fromkeys(notes)]
    outcomes = _simulated(todo, notes, question.jobs)
    front = pareto_front(outcomes)
    affordable = [outcome for outcome in front if outcome.cost <= limit]
    # What more money would buy, if there are runs within the budget and beyond it.
    beyond = [say("budget.beyond", run=front[-1])] if 0 < len(affordable) < len(front) else []
    [own] = [case for case in question.cases if case.method == scenario.method.name] or [Case.of(scenario)]
    return Plan(
        scenario=question.scenario,
        question=say("budget.question", limit=limit),
        answers=list(_answers(front, affordable, limit, scenario, len(outcomes))),
        columns=("block", "device", "links", *_fleet("fleet", scenario), "wall-clock", "cost", "energy"),
        notes=[*beyond, *notes, *_conditions(scenario, affordable or front[:1])],
        provenance=_provenance(own, outcomes),
        draw=lambda directory, look=USUAL: draw_pareto(outcomes, front, limit, directory, look),
    )


def _candidates(cases: Sequence[Case], notes: list[str]) -> list[Candidate]:
    """List all runs to choose from: without what is chosen for one group alone where these would be too many."""
    for alone in (True, False):
        told: list[str] = []
        every = (candidate for case in cases for candidate in candidates(case, told, alone=alone))
        todo = [*islice(every, _MOST_RUNS + 1)] if alone else [*every]
        if len(todo) <= _MOST_RUNS:
            break
        told.append(say("budget.all_alike", most=_MOST_RUNS))
    notes += told
    return todo


def pareto_front(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Keep what nothing else beats or equals in both cost and wall-clock, the cheapest first."""
    front: list[Outcome] = []
    for outcome in sorted(outcomes, key=lambda one: (one.cost, one.wall_clock)):
        if not front or outcome.wall_clock < front[-1].wall_clock:
            front.append(outcome)
    return front


def _simulated(todo: Sequence[Candidate], notes: list[str], jobs: int | None) -> list[Outcome]:
    """Simulate all candidates; note those that cannot be.

    Raises
    ------
    CostError
        If none of them can be.
    """
    workers = min(jobs or cores(), len(todo) // _BATCH) if len(todo) >= _SERIAL_BELOW else 1
    found = list(zip(todo, in_order(run, todo, workers=workers, batch=_BATCH), strict=True))
    outcomes = [outcome for _, outcome in found if isinstance(outcome, Outcome)]
    # Told together: the devices of each reason and run, and the runs of those.
    devices = grouped(
        ((why, ", ".join(filter(None, [one.method, one.width]))), _device(one))
        for one, why in found
        if isinstance(why, str)
    )
    runs = grouped(((why, ", ".join(dict.fromkeys(names))), who) for (why, who), names in devices.items())
    lines = [
        say("budget.left_out", devices=where, runs="; ".join(whose), reason=why) for (why, where), whose in runs.items()
    ]
    if not outcomes:
        raise CostError("no run that could be had: " + "; ".join(lines))
    notes += lines
    return outcomes


def _device(candidate: Candidate) -> str:
    return say("budget.own_devices") if not candidate.device.groups else candidate.told(candidate.device)


def _fleet(told: str, scenario: Scenario) -> list[str]:
    """What is said of who takes part, where that is a choice."""
    return [told] if scenario.choices.leave_out or max(scenario.choices.every) > 1 else []


def _answers(
    front: Sequence[Outcome], affordable: Sequence[Outcome], limit: float, scenario: Scenario, runs: int
) -> Iterator[Answer]:
    if not affordable:
        least = front[0]
        because = say("budget.cheapest_run", runs=runs, run=least)
        check = Check(least.cost, least.wall_clock, holds=False)
        cheapest = {"method": least.candidate.method, "wall_clock_s": least.wall_clock, **_more(least)}
        row = ("-", "-", "-", *_fleet("-", scenario), "-", say("budget.at_least", cost=least.cost), "-")
        yield Answer("none", False, None, "USD", None, because, [check], {"cheapest": cheapest}, row)
    for position, outcome in enumerate(affordable):
        reasons, candidate, cost = [], outcome.candidate, outcome.cost
        if position == 0:
            reasons.append(say("budget.cheapest", runs=runs))
        if outcome is affordable[-1]:
            reasons.append(say("budget.fastest"))
        if position:
            before = affordable[position - 1]
            reasons.append(say("budget.saves", saved=before.wall_clock - outcome.wall_clock, paid=cost - before.cost))
        written = (clock(outcome.wall_clock), rounded(cost, "USD"), rounded(outcome.bill.kilowatt_hours, "kWh"))
        chosen = candidate.width, candidate.told(candidate.device), candidate.told(candidate.links)
        row = (*chosen, *_fleet(candidate.fleet or say("budget.everyone"), scenario), *written)
        checks = [Check(one.cost, one.wall_clock, holds=one.cost <= limit) for one in front[position : position + 2]]
        because, more = ", ".join(reasons), _more(outcome)
        yield Answer(candidate.method, True, cost, "USD", outcome.wall_clock, because, checks, more, row)


def _more(outcome: Outcome) -> dict[str, object]:
    candidate, bill, speed = outcome.candidate, outcome.bill, outcome.candidate.speed
    more: dict[str, object] = {
        "layers": candidate.layers,
        "device": candidate.told(candidate.device),
        "links": candidate.told(candidate.links),
        "fleet": candidate.fleet,
        "groups": candidate.groups(),
        "energy_j": bill.energy,
        "cost_usd": {part: cost for part, cost in vars(bill).items() if part != "energy"},
    }
    if speed is not None:
        slow, fast = at_ends(candidate, speed)
        more["device_speed"] = {
            "value": speed.seconds,
            "low": speed.low,
            "high": speed.high,
            "origin": speed.origin,
            "wall_clock_s": [fast.wall_clock, slow.wall_clock],
            "cost_usd": sorted([fast.cost, slow.cost]),
        }
    return more


def _conditions(scenario: Scenario, shown: Sequence[Outcome]) -> list[str]:
    """Say what the figures rest on."""
    speeds = [say("budget.speed", device=device, speed=speed) for device, speed in _guessed(shown).items()]
    billed = say(f"budget.billed_{scenario.prices.billed.replace('-', '_')}")
    hours = say(f"budget.hours_{scenario.prices.hours}")
    conditions = say(
        "budget.conditions", billed=billed, hours=hours, months=say(f"budget.months_{scenario.prices.months}")
    )
    said = [say("budget.all_simulated"), conditions, say("budget.same_rounds")]
    said += [say("budget.less_data")] * bool(_fleet("", scenario))
    said += [say("budget.sites")] * any(group.site is not None for group in scenario.fleet)
    said += [say("budget.regions")] * any(group.region is not None for group in scenario.fleet)
    return [*said, say("budget.speeds", speeds=speeds)] if speeds else said


def _guessed(outcomes: Sequence[Outcome]) -> dict[str, Extrapolation]:
    return {one.candidate.device.name: one.candidate.speed for one in outcomes if one.candidate.speed is not None}


def _provenance(own: Case, outcomes: Sequence[Outcome]) -> dict[str, str]:
    scenario, watts = own.scenario, own.scenario.power
    given = [device.name for device in scenario.choices.devices if device.speed is not None]
    speeds = [say("budget.origin_of_speed", speed=speed) for speed in _guessed(outcomes).values()]
    speeds += [say("budget.given_speeds", devices=given)] if given else []
    kind = {field: "given" if field in scenario.model_fields_set else "assumed" for field in ("power", "choices")}
    drawn = {"compute": format_power(watts.compute), "idle": format_power(watts.idle)}
    return {
        "compute": origin({"compute": own.costs.provenance()}),
        "prices": _prices(scenario.prices),
        "power": say("budget.power", kind=kind["power"], **drawn),
        "choices": say("budget.choices", kind=kind["choices"]),
        "speeds": "; ".join(speeds) or say("budget.no_devices"),
    }


def _prices(prices: Prices) -> str:
    traffic = ("upload", "download")
    written = {
        name: (format_price_of_traffic if name in traffic else format_money)(getattr(prices, name))
        for name in ("gpu_hour", *traffic, "link_month", "kilowatt_hour")
    }
    return by_kind(sorted(given_or_assumed(prices, written), key=lambda part: part[0] == "assumed"))
