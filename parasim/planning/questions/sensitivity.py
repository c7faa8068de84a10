"""`paraSim plan --sensitivity`: what the uncertainty of each input does to the runtime.

Each input goes to the ends of its band, one at a time (the bars of a tornado chart), and all go through their bands
together (Sobol indices). The former is simulated; the latter is replayed where that is exact, estimated where links
are shared, and simulated where no replay holds.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np

from parasim.figures.look import USUAL
from parasim.figures.tornado import Bar, Panel, draw_tornado
from parasim.planning.answer import Answer, Check, Plan
from parasim.planning.changes import has_transport
from parasim.planning.methods import Question
from parasim.planning.risk import sobol
from parasim.planning.search.runtimes import how_found
from parasim.planning.search.work import affordable
from parasim.sentences import by_kind, given_or_assumed, say
from parasim.text import amount, clock, signed_share
from parasim_core.sim.analysis.inputs import Input, Inputs, Runtimes, speed_band
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.replay.conditions import Floats
from parasim_core.sim.replay.replay import Recording, record, replay
from parasim_core.sim.scenario.scenario import Scenario

_OF_GROUPS = ("uplink", "downlink", "latency")
_ENDS_ONCE = 2
"""Ends of bands take at most the time that there is, divided by this."""
_FIRST_SIMULATED, _MOST_SIMULATED = 64, 4096
"""Base samples and runs of indices, where each run is simulated."""
_AGREES = 1e-9
_UNITS = {"speed": "", "payload": ""} | dict.fromkeys(("latency", "serialization", "aggregation"), "s")
"""Base units of inputs, empty for factors; of all others, B/s."""


def answer(question: Question) -> Plan:
    """Find what each input's uncertainty does to the runtime.

    Returns
    -------
    Plan
        An answer per method and input, the widest swing first. Its value is the swing of the wall-clock [s]; its
        checks are at the ends of the input's band, in `more["input_unit"]`.

    Raises
    ------
    ScenarioError
        If everything is certain, or SALib is missing.
    """
    sobol.check_installed()
    recordings = [record(case.setup, case.costs) for case in question.cases]
    tornados = [_tornado(recording, question.jobs) for recording in recordings]
    panels = [panel for panel, _, _ in tornados]
    return Plan(
        scenario=question.scenario,
        question=say("sensitivity.question"),
        answers=[answer for _, answers, _ in tornados for answer in answers],
        columns=("input", "band", "at its low", "at its high", "alone", "with others"),
        notes=[*(note for _, _, notes in tornados for note in notes), *_certain(question.scenario)],
        provenance=question.origins | {"uncertainty": _bands(recordings[0])},
        draw=lambda directory, look=USUAL: draw_tornado(panels, directory, look),
    )


def _tornado(recording: Recording, jobs: int | None) -> tuple[Panel, list[Answer], list[str]]:
    scenario, inputs, kept = recording.setup.scenario, Inputs.of(recording), []
    method, fleet = scenario.method.name, Fleet(scenario.fleet)
    runs = 2 * len(inputs.inputs)
    if affordable(recording.result, _ENDS_ONCE * runs) < _ENDS_ONCE * runs:
        inputs = Inputs.of(recording, by_group=False)
        kept.append(say("sensitivity.together", method=method, runs=runs))
    if not inputs.inputs:
        raise ScenarioError("--sensitivity: everything is certain; the section uncertainty gives inputs a band")
    simulated, ends = _simulated_at(inputs, jobs, inputs.ends()), inputs.variants(inputs.ends())
    inputs = replace(inputs, recording=recording.held_against(simulated, *recording.replay(ends)))
    replayed, exact = inputs.recording.replay(ends)
    agrees = ~exact | (np.abs(replayed - simulated) <= _AGREES * simulated)
    indices, notes = _shares(inputs, simulated, jobs)
    notes = [*kept, *notes]
    base, count = recording.result.wall_clock, len(inputs.inputs)
    effects = []
    for n, one in enumerate(inputs.inputs):
        alone, total = (float(indices.alone[n]), float(indices.total[n])) if indices else (math.nan, math.nan)
        times, holds = simulated[n::count].tolist(), agrees[n::count].tolist()
        name, band, unit = (
            _called(one, fleet),
            [one.value * (1 - one.band), one.value * (1 + one.band)],
            "" if one.group is None and one.name in _OF_GROUPS else _UNITS.get(one.name, "B/s"),
        )
        low_end, high_end = (
            clock(end) if unit == "s" else amount(end, unit) if unit else f"{end:.3g} x" for end in band
        )
        low, high = times
        more = {
            "value_is": say("sensitivity.value"),
            "input": name,
            "input_unit": unit,
            "input_value": one.value,
            "band": band,
            "wall_clock_s": times,
            "first_order": alone if indices else None,
            "total": total if indices else None,
            "index_error": float(indices.errors[n]) if indices else None,
        }
        checks = [Check(*each) for each in zip(band, times, holds, strict=True)]
        # Estimates of what is 0 scatter about it.
        written = [f"{max(share, 0.0):.1%}" if indices else "-" for share in (alone, total)]
        row = (name, f"{low_end} to {high_end}", clock(low), clock(high), *written)
        swing, because = abs(high - low), _because(low, high, base, total)
        answer = Answer(method, True, swing, "s", base, because, checks, more, row)
        effects.append((answer, Bar(name, low_end, high_end, low, high, alone, total)))
    effects.sort(key=lambda effect: -(effect[0].value or 0.0))
    panel = Panel(method, base, [bar for _, bar in effects])
    return panel, [answer for answer, _ in effects], notes


def _shares(inputs: Inputs, simulated: Floats, jobs: int | None) -> tuple[sobol.Indices | None, list[str]]:
    """Estimate shares of the variance, and say how, and how far that is off from the simulation at the ends.

    There are none where so many runs would take too long.
    """
    recording, runtimes = inputs.recording, Runtimes(inputs)
    scenario, base = recording.setup.scenario, recording.result.wall_clock
    method, how = scenario.method.name, how_found(recording, simulated=False)
    if recording.not_replayable:
        fewest = _FIRST_SIMULATED * (len(inputs.inputs) + 2)
        most = affordable(recording.result, _MOST_SIMULATED)
        ends = say("sensitivity.simulated", method=method)
        if most < fewest:
            return None, [ends, say("sensitivity.no_shares", method=method, fewest=fewest, how=how)]
        run = partial(_simulated_at, inputs, jobs)
        indices = sobol.indices(run, inputs.bounds(), scenario.seed, _FIRST_SIMULATED, most)
        ends = say("sensitivity.simulated", method=method)
    else:
        most = sobol.MOST_RUNS
        indices = sobol.indices(runtimes, inputs.bounds(), scenario.seed, most_runs=most)
        how = how if runtimes.exact else say("found.estimates")
        off = float(np.max(np.abs(runtimes(inputs.ends()) / simulated - 1))) if simulated.all() else 0.0
        agreement = say(f"sensitivity.{'equal' if runtimes.exact and off <= _AGREES else 'apart'}", off=off)
        ends = say("sensitivity.ends", method=method, agreement=agreement)
    error = float(indices.errors.max())
    missed = say("sensitivity.missed", goal=sobol.PRECISE, most=most) if error > sobol.PRECISE else ""
    shares = say("sensitivity.shares", method=method, base=base, indices=indices, how=how, error=error, missed=missed)
    return indices, [ends, shares]


def _called(one: Input, fleet: Fleet) -> str:
    """Name an input, with its group where there are several."""
    name = say(f"input.{one.name}")
    if one.group is None:
        return say("input.of_all", name=name) if one.name in _OF_GROUPS else name
    return name if len(fleet.groups) == 1 else f"{name} of {fleet.name(one.group)}"


def _simulated_at(inputs: Inputs, jobs: int | None, factors: Floats) -> Floats:
    """Simulate what-ifs event by event, though replay may hold: without its graph, nothing of a recording is."""
    events, variants = replace(inputs.recording, program=None), inputs.variants(factors)
    answers = replay(events, (variants[row : row + 1] for row in range(len(variants))), jobs=jobs)
    return np.concatenate([answer.wall_clock for answer in answers])


def _because(low: float, high: float, base: float, total: float) -> str:
    if abs(high - low) > _AGREES * base:
        return say("sensitivity.from_to", low=signed_share(low / base - 1), high=signed_share(high / base - 1))
    return say("sensitivity.nothing" if not total >= 1e-6 else "sensitivity.with_others")


def _certain(scenario: Scenario) -> list[str]:
    """Say what is not moved."""
    above = any(group.site or group.region for group in scenario.fleet)
    kinds = ["lines of sites and links of regions"] * above + ["TCP"] * has_transport(scenario)
    return [say("sensitivity.certain", kinds=kinds)] if kinds else []


def _bands(recording: Recording) -> str:
    """Say where each band is from."""
    share, source = speed_band(recording)
    uncertainty = recording.setup.scenario.uncertainty
    others = {name: f"{getattr(uncertainty, name):g}" for name in type(uncertainty).model_fields if name != "speed"}
    bands = [(source, f"speed {share:.3g}"), *given_or_assumed(uncertainty, others)]
    return say("sensitivity.bands", bands=by_kind(bands))
