"""What a page's sliders move: bars for every bandwidth and batch size, computed beforehand.

A run is recorded once for each batch size and method, and every bandwidth is a what-if of that recording, replayed
where that is exact and simulated elsewhere (`sim.replay.replay`).
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np

from parasim.api import load, set_up
from parasim.figures import style
from parasim.figures.bars import BarPart
from parasim.reporting.page import Slider, WhatIf, WhatIfBar
from parasim.sentences import listed, say
from parasim.sweeping import PAPER_METHODS
from parasim.text import amount, origin_said
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.lines import access, are_plain, lines
from parasim_core.sim.engine.result import Result
from parasim_core.sim.errors import ParaSimError
from parasim_core.sim.network.capacity import Varying
from parasim_core.sim.replay.conditions import Variants, shared_or_varying
from parasim_core.sim.replay.replay import Answers, Recording, record
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.seconds import given_batch_sizes, leaves

FACTORS = 2.0 ** np.linspace(-2, 2, 17)
"""Multiples of the recorded bandwidths, from a quarter to four times."""
BATCH_SIZES = (1, 2, 4, 8, 16, 32)
MOST_WORK = 1_000_000
"""Spans that may be simulated or replayed for a page; some ten seconds."""

_CHANGE = 0.1
"""Work of a change of a link's capacity, beside that of a span."""

PARTS = (BarPart("computing", style.COMPUTE), BarPart("exposed communication, waiting, offline", style.WAITING))


def what_ifs(scenario: Scenario) -> tuple[WhatIf | None, list[str]]:
    """Compute bars for every bandwidth and batch size, for the scenario's method and those of the paper.

    Parameters
    ----------
    scenario : Scenario
        Where the sliders stand at first.

    Returns
    -------
    tuple of WhatIf and list of str
        None if that would take too long, or who waits for whom depends on the links; and what is to be said about it.

    Raises
    ------
    ParaSimError
        If the scenario cannot be simulated on this machine.
    """
    own_method, own_batch = scenario.method.name, scenario.local.batch_size
    recording = record(*set_up(scenario))
    if not recording.setup.traits.causes_fixed:
        because = f"whom {own_method} waits for depends on the links, and with it how long each client computes"
        return None, [f"No bars for other bandwidths: {because}."]
    variants, ends = _variants(recording), [0, len(FACTORS) - 1]
    answers = recording.replay(variants)
    work = len(recording.result.timeline.spans)
    if not answers.replayed.all():
        work = (work + int(_changes(scenario, recording.result) * _CHANGE)) * (1 + len(FACTORS))
    methods, batches, notes = _choice(scenario, work)
    if work > MOST_WORK:
        return None, ["The run is too long to replay it for other bandwidths while this page is made."]
    simulated = [recording.simulate(variants, end).wall_clock for end in ends]
    doubt = recording.held_against(simulated, answers.wall_clock[ends], answers.replayed[ends]).not_replayable
    if doubt and doubt != shared_or_varying(scenario):
        return None, [f"No bars for other bandwidths: {doubt}."]
    answered: dict[tuple[int, str], list[WhatIfBar]] = {}
    left_out: dict[str, str] = {}
    replayed = 0
    for batch, method in product(batches, methods):
        try:
            run = record(*set_up(load(scenario, [f"method.name={method}", f"local.batch_size={batch}"])))
            answers = run.answer(_variants(run))
            answered[batch, method] = _cells(run, answers)
            replayed += int(answers.replayed.sum())
        except ParaSimError as error:
            left_out.setdefault(method, str(error))
    methods = [method for method in methods if any(key[1] == method for key in answered)]
    batches = [batch for batch in batches if any(key[0] == batch for key in answered)]
    notes = [_how(replayed, len(answered) * len(FACTORS) - replayed), *notes]
    notes += [f"{method} is not shown: {left_out[method]}." for method in left_out if method not in methods]
    if not are_plain(scenario):
        notes.insert(1, say("links.kept_as_is"))
    if len(methods) > 1:
        turns = "; fedcybgd, that number of turns" if "fedcybgd" in methods else ""
        notes.insert(1, f"Other methods than {own_method} run the same number of rounds{turns}.")
    unknown = [None] * len(FACTORS)
    by_place = [[answered.get((batch, method), unknown) for method in methods] for batch in batches]
    cells = [[[bar[place] for bar in bars] for bars in by_place] for place in range(len(FACTORS))]
    sliders = [_bandwidths(scenario)]
    if len(batches) > 1:
        sliders.append(Slider("Batch size", [str(batch) for batch in batches], batches.index(own_batch)))
    return WhatIf(sliders, PARTS, methods, cells), notes


def _choice(scenario: Scenario, work: int) -> tuple[list[str], list[int], list[str]]:
    """Methods and batch sizes to compute: as many as the scenario tells apart, and as there is time for."""
    own_method, own_batch = scenario.method.name, scenario.local.batch_size
    methods = list(dict.fromkeys([own_method, *PAPER_METHODS]))
    batches = sorted({own_batch, *BATCH_SIZES})
    notes = []
    if (given := scenario.compute.seconds) is not None:
        named = {key for keys, _ in leaves(given) for key in keys}
        methods = [method for method in methods if method == own_method or method in named]
        # A bar that stands still while the slider moves would pass for a result.
        sizes = (set(given_batch_sizes(given, method, scenario.model)) for method in methods)
        batches = sorted(set.intersection(*sizes) | {own_batch})
        notes.append("The scenario gives the seconds of computing; other methods and batch sizes are not known.")
    if scenario.payload is not None and len(methods) > 1:
        methods = [own_method]
        notes.append("The scenario gives the sizes of messages; those of other methods are not known.")
    if work * len(methods) * len(batches) > MOST_WORK:
        methods = [own_method]
        if work * len(batches) > MOST_WORK:
            batches = [own_batch]
        notes.append("The run is too long to replay more methods or batch sizes while this page is made.")
    return methods, batches, notes


def _variants(recording: Recording) -> Variants:
    factors = FACTORS[:, None]
    return Variants(uplink=recording.conditions.uplink * factors, downlink=recording.conditions.downlink * factors)


def _changes(scenario: Scenario, result: Result) -> float:
    """How often capacities change in a run, if all links are in use throughout."""
    fleet = Fleet.of(scenario)
    capacities = [access(scenario, fleet, client) for client in result.counts]
    capacities += [line.capacities for line in lines(scenario)]
    links = [link for both in capacities for link in both if isinstance(link, Varying)]
    periods = (link.course.period or math.inf for link in links)
    rows = (len(link.course.times) for link in links)
    return sum(row * max(1.0, result.wall_clock / period) for row, period in zip(rows, periods, strict=True))


def _cells(recording: Recording, answers: Answers) -> list[WhatIfBar]:
    # How long is computed does not depend on the links; everything else of a client's time does.
    computing = recording.result.mean("compute")
    compute: Any = recording.result.provenance["compute"]
    return [
        WhatIfBar((computing, float(wall_clock) - computing), origin_said(compute)) for wall_clock in answers.wall_clock
    ]


def _bandwidths(scenario: Scenario) -> Slider:
    # Steps and traces are no numbers to write at a slider, nor is one number that of links that differ.
    [link, *others] = {bandwidth for group in scenario.fleet for bandwidth in (group.uplink, group.down)}
    if isinstance(link, float) and not others:
        places = [f"{amount(float(f'{link * factor:.3g}'))}/s" for factor in FACTORS]
    else:
        places = [f"× {factor:.2g}" for factor in FACTORS]
    return Slider(say("links.slider"), places, int(np.argmin(abs(FACTORS - 1))))


def _how(replayed: int, simulated: int) -> str:
    ways = [f"{replayed:,} by exact replay of recorded runs"] if replayed else []
    ways += [f"{simulated:,} by event simulation, where a replay is not exact"] if simulated else []
    count = f"{replayed + simulated:,} what-ifs, computed when this page was made: {listed(ways)}."
    return f"{count} Computing is the mean client's."
