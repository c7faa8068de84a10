"""`paraSim plan --budget`: what can be had for the money, from the cheapest run to the fastest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from parasim.api import Source
from parasim.planning.answer import Answer, Check, Plan
from parasim.planning.choices import OWN, Candidate, Outcome, Refused, at_speed, candidates, run
from parasim.planning.setting import covered, parsed, setting
from parasim.text import clock, origin
from sim.economy import Prices
from sim.errors import CostError, ScenarioError
from sim.scenario import Scenario
from sim.studies.pool import cores, in_order
from sim.units import format_money, format_power, format_price_of_traffic

_SERIAL_BELOW = 64
"""Fewer runs than this are not worth starting worker processes."""
_BATCH = 4
_COLUMNS = ("block", "device", "links", "wall-clock", "cost", "energy")
_NOTHING = "none"
"""Stands for a method where no run is affordable."""


def budget(
    source: Source | None,
    overrides: Sequence[str],
    methods: Sequence[str],
    limit: float,
    jobs: int | None = None,
) -> Plan:
    """Find what is cheapest, what is fastest within a budget, and every good compromise between them.

    Parameters
    ----------
    source : path, mapping, Scenario or None
        What to plan for, its prices and choices included; the paper's setting if None.
    overrides : sequence of str
        Such as ``prices.gpu_hour=1.5USD``.
    methods : sequence of str
        Names of methods; all that the scenario can run if empty.
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
        If the scenario is wrong, or a method cannot run it.
    """
    if not limit > 0:
        raise ScenarioError(f"--budget {format_money(limit)}: must be more than nothing")
    notes: list[str] = []
    if not methods:
        methods, refused = covered(source, overrides)
        notes += [f"{method} is left out: {reason}" for method, reason in refused.items()]
    data = setting(source, overrides)
    outcomes = _simulated(list(candidates(data, methods, notes)), notes, jobs)
    front = pareto_front(outcomes)
    affordable = [outcome for outcome in front if outcome.cost <= limit]
    setup, costs = parsed(data)
    answers = _answers(front, affordable, limit, len(outcomes))

    def draw(directory: Path) -> Sequence[Path]:
        from parasim.figures.pareto import Mark, draw_pareto

        def marks(runs: Sequence[Outcome]) -> list[Mark]:
            return [
                Mark(one.candidate.method, _besides_method(one.candidate), one.cost, one.wall_clock) for one in runs
            ]

        return draw_pareto(marks(outcomes), marks(front), limit, directory)

    return Plan(
        question=f"What can be had for {dollars(limit)} a run: wall-clock against cost",
        answers=answers,
        columns=_COLUMNS,
        rows=[_row(outcome) for outcome in affordable] or [_row_of_none(front[0])],
        notes=[*_beyond(front, limit), *notes, *_conditions(setup.scenario, affordable or front[:1])],
        provenance=_provenance(setup.scenario, origin({"compute": costs.provenance()}), outcomes),
        draw=draw,
    )


def pareto_front(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Keep what nothing else beats or equals in both cost and wall-clock, the cheapest first."""
    front: list[Outcome] = []
    for outcome in sorted(outcomes, key=lambda one: (one.cost, one.wall_clock)):
        if not front or outcome.wall_clock < front[-1].wall_clock:
            front.append(outcome)
    return front


def describe(candidate: Candidate) -> str:
    """Say what a run is: ``parablock, 2 layers, h100, 1 Gbit/s``."""
    return f"{candidate.method}, {_besides_method(candidate)}"


def _besides_method(candidate: Candidate) -> str:
    return ", ".join(filter(None, [_width(candidate), candidate.device, candidate.links]))


def dollars(amount: float) -> str:
    """Write an amount of money as people read it."""
    return rounded(amount, "USD")


def rounded(amount: float, unit: str) -> str:
    """Write an amount with three digits, or to the whole unit where that is more: never as a power of ten."""
    return f"{amount:,.0f} {unit}" if amount >= 1000 else f"{amount:.3g} {unit}"


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
        where = "the fleet's own devices" if one.candidate.device == OWN else one.candidate.device
        devices.setdefault((one.reason, who), {})[where] = None
    runs: dict[tuple[str, str], list[str]] = {}
    for (reason, who), names in devices.items():
        runs.setdefault((reason, ", ".join(names)), []).append(who)
    for (reason, where), whose in runs.items():
        yield f"left out on {where}: {'; '.join(whose)}, because {reason}"


def _answers(front: Sequence[Outcome], affordable: Sequence[Outcome], limit: float, tried: int) -> list[Answer]:
    if not affordable:
        least = front[0]
        because = f"the cheapest of {tried} runs costs {dollars(least.cost)}: {describe(least.candidate)}"
        check = Check(least.cost, least.wall_clock, holds=False)
        cheapest = {"method": least.candidate.method, "wall_clock_s": least.wall_clock, **_more(least)}
        return [Answer(_NOTHING, False, None, "USD", None, because, [check], {"cheapest": cheapest})]
    answers = []
    for position, outcome in enumerate(affordable):
        beside = (outcome, *front[position + 1 : position + 2])
        answers.append(
            Answer(
                outcome.candidate.method,
                True,
                outcome.cost,
                "USD",
                outcome.wall_clock,
                _because(affordable, position, tried),
                [Check(one.cost, one.wall_clock, holds=one.cost <= limit) for one in beside],
                _more(outcome),
            )
        )
    return answers


def _because(affordable: Sequence[Outcome], position: int, tried: int) -> str:
    reasons = []
    if position == 0:
        reasons.append(f"cheapest of {tried}")
    if position == len(affordable) - 1:
        reasons.append("fastest for the budget")
    if position:
        before, now = affordable[position - 1], affordable[position]
        saved = clock(before.wall_clock - now.wall_clock)
        reasons.append(f"{saved} less for {dollars(now.cost - before.cost)}")
    return ", ".join(reasons)


def _more(outcome: Outcome) -> dict[str, object]:
    candidate, bill = outcome.candidate, outcome.bill
    more: dict[str, object] = {
        "layers": candidate.layers,
        "device": candidate.device,
        "links": candidate.links,
        "energy_j": bill.energy,
        "cost_usd": {part: getattr(bill, part) for part in ("gpus", "links", "upload", "download", "electricity")},
    }
    if candidate.speed is not None:
        slow, fast = at_speed(candidate, candidate.speed.low), at_speed(candidate, candidate.speed.high)
        more["device_speed"] = {
            "value": candidate.speed.seconds,
            "low": candidate.speed.low,
            "high": candidate.speed.high,
            "origin": candidate.speed.origin,
            "wall_clock_s": [fast.wall_clock, slow.wall_clock],
            "cost_usd": sorted([fast.cost, slow.cost]),
        }
    return more


def _row(outcome: Outcome) -> tuple[str, ...]:
    candidate = outcome.candidate
    return (
        _width(candidate),
        candidate.device,
        candidate.links,
        clock(outcome.wall_clock),
        dollars(outcome.cost),
        rounded(outcome.bill.kilowatt_hours, "kWh"),
    )


def _row_of_none(least: Outcome) -> tuple[str, ...]:
    """Tell the least that a run costs from the cost of one that can be had."""
    return "-", "-", "-", "-", f"at least {dollars(least.cost)}", "-"


def _width(candidate: Candidate) -> str:
    if candidate.layers is None:
        return ""
    return "half a layer" if candidate.layers == 0.5 else f"{candidate.layers:g} layer{'s' * (candidate.layers > 1)}"


def _beyond(front: Sequence[Outcome], limit: float) -> list[str]:
    """Say what more money, or none at all, would buy."""
    dearer = [outcome for outcome in front if outcome.cost > limit]
    if not dearer or dearer[0] is front[0]:
        return []
    fastest = dearer[-1]
    return [
        f"beyond the budget: {dollars(fastest.cost)} would buy {clock(fastest.wall_clock)} "
        f"({describe(fastest.candidate)})"
    ]


def _conditions(scenario: Scenario, shown: Sequence[Outcome]) -> list[str]:
    """Say what the figures rest on."""
    billed = {
        "wall-clock": "every client's device is billed from start to end",
        "presence": "devices are billed for the rounds that their client takes part in",
        "compute": "devices are billed while they compute",
    }[scenario.prices.billed]
    notes = [
        f"{billed}; links by the share of a month; memory is held against a lower bound",
        "all methods run the same number of rounds: what is learned in them, and by narrower blocks, differs",
    ]
    guessed = {one.candidate.device: one.candidate.speed for one in shown if one.candidate.speed is not None}
    if guessed:
        speeds = ", ".join(
            f"{name} {speed.seconds:.2g} ({speed.low:.2g} to {speed.high:.2g})" for name, speed in guessed.items()
        )
        notes.append(f"speeds by roofline, a rough guess: {speeds}; with --format json, what this does to each answer")
    return ["every run was simulated event by event, on and off the front", *notes]


def _provenance(scenario: Scenario, compute: str, outcomes: Sequence[Outcome]) -> dict[str, str]:
    guessed = {one.candidate.device: one.candidate.speed for one in outcomes if one.candidate.speed is not None}
    given = [device.name for device in scenario.choices.devices if device.speed is not None]
    speeds = [f"{speed.origin}: {speed.source}" for speed in guessed.values()]
    return {
        "compute": compute,
        "prices": _prices(scenario.prices),
        "power": f"{_origin(scenario, 'power')}: {format_power(scenario.power.compute)} computing, "
        f"{format_power(scenario.power.idle)} idle",
        "choices": f"{_origin(scenario, 'choices')}: devices and links with their prices",
        "speeds": "; ".join([*speeds, *([f"given: {', '.join(given)}"] if given else [])]) or "no other devices",
    }


def _prices(prices: Prices) -> str:
    written = {
        name: (format_price_of_traffic if name in ("upload", "download") else format_money)(getattr(prices, name))
        for name in ("gpu_hour", "upload", "download", "link_month", "kilowatt_hour")
    }
    parts = []
    for kind, wanted in (("given", True), ("assumed", False)):
        of_kind = [f"{name} {text}" for name, text in written.items() if (name in prices.model_fields_set) is wanted]
        parts += [f"{kind}: {', '.join(of_kind)}"] if of_kind else []
    return "; ".join(parts)


def _origin(scenario: Scenario, field: str) -> str:
    return "given" if field in scenario.model_fields_set else "assumed"
