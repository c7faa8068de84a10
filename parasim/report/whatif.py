"""What a page's sliders move: bars for every bandwidth and batch size, computed beforehand.

A run is recorded once for each batch size and method, and every bandwidth is a what-if of that recording, replayed
where that is exact and simulated where the server's links are shared (`sim.studies.replay`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from parasim.api import load, set_up
from parasim.report.charts import Bar, Part, bars, joined
from parasim.report.page import Figure, Table
from parasim.sweeping import PAPER_METHODS
from parasim.text import amount, clock
from sim.errors import ParaSimError
from sim.scenario import Scenario
from sim.studies.conditions import Variants
from sim.studies.replay import Answers, Recording, record

FACTORS = 2.0 ** np.linspace(-2, 2, 17)
"""Multiples of the recorded bandwidths, from a quarter to four times."""
BATCH_SIZES = (1, 2, 4, 8, 16, 32)
MOST_WORK = 1_000_000
"""Spans that may be simulated or replayed for a page; some ten seconds."""

COMPUTING = Part("computing", "compute")
REST = Part("communicating, waiting, offline", "waiting")


class Cell(NamedTuple):
    """One bar at one place of the sliders.

    Attributes
    ----------
    lengths : sequence of float
        Of its parts [s].
    origin : str
        Where its computing times come from.
    """

    lengths: Sequence[float]
    origin: str


@dataclass(frozen=True)
class Slider:
    """A slider: what it moves, what is written at each of its places, and where it stands at first."""

    name: str
    places: Sequence[str]
    start: int


@dataclass(frozen=True)
class WhatIf:
    """Bars that sliders move.

    Attributes
    ----------
    sliders : sequence of Slider
        One or two.
    parts : sequence of Part
        What bars consist of.
    names : sequence of str
        The bars.
    cells : sequence of sequence of sequence of Cell
        By place of the first slider, of the second (a single one if there is none), and bar; None where no profile
        covers it.
    """

    sliders: Sequence[Slider]
    parts: Sequence[Part]
    names: Sequence[str]
    cells: Sequence[Sequence[Sequence[Cell | None]]]

    @property
    def longest(self) -> float:
        """The longest of all bars, to which all are drawn [s]."""
        return max(sum(cell.lengths) for row in self.cells for bars in row for cell in bars if cell is not None)

    def figure(self) -> Figure:
        """Draw the bars as they are before anything is moved."""
        first = self.sliders[0].start
        second = self.sliders[1].start if len(self.sliders) > 1 else 0
        shown = [self._texts(cell) for cell in self.cells[first][second]]
        rows = [
            Bar(name, [0.0] * len(self.parts) if cell is None else cell.lengths, texts[-2])
            for name, cell, texts in zip(self.names, self.cells[first][second], shown, strict=True)
        ]
        head = ("", *(part.name for part in self.parts), "wall-clock", "computing times are")
        table = Table(head, [(name, *texts) for name, texts in zip(self.names, shown, strict=True)])
        description = "Wall-clock of each bar at the places of the sliders above; the table below has the numbers."
        return bars("Wall-clock", description, self.parts, rows, table, longest=self.longest)

    def plain(self) -> dict[str, Any]:
        """Return what the page's script needs: lengths of the parts as shares of the longest bar, and texts."""
        longest = self.longest or 1.0
        return {
            "places": [slider.places for slider in self.sliders],
            "names": self.names,
            "cells": [
                [
                    [
                        [
                            [] if cell is None else [round(100 * part / longest, 3) for part in cell.lengths],
                            self._texts(cell),
                        ]
                        for cell in bars
                    ]
                    for bars in row
                ]
                for row in self.cells
            ],
        }

    def _texts(self, cell: Cell | None) -> list[str]:
        if cell is None:
            return [*("-" for _ in self.parts), "not covered", "no profile covers it"]
        return [*map(clock, cell.lengths), clock(sum(cell.lengths)), cell.origin]


def what_ifs(scenario: Scenario) -> tuple[WhatIf | None, list[str]]:
    """Compute bars for every bandwidth and batch size, for the scenario's method and those of the paper.

    Parameters
    ----------
    scenario : Scenario
        Where the sliders stand at first.

    Returns
    -------
    tuple of WhatIf and list of str
        None if that would take too long; and what is to be said about how it was computed.

    Raises
    ------
    ParaSimError
        If the scenario cannot be simulated here.
    """
    own_method, own_batch = scenario.method.name, scenario.local.batch_size
    recording = record(*set_up(scenario))
    answers = recording.replay(_variants(recording))
    work = len(recording.result.timeline.spans) * (1 if answers.replayed.all() else 1 + len(FACTORS))
    methods, batches, notes = _choice(scenario, work)
    if work > MOST_WORK:
        return None, ["The run is too long for bandwidths to be tried while this page is made."]
    answered: dict[tuple[int, str], tuple[Recording, Answers]] = {}
    left_out: dict[str, str] = {}
    for batch in batches:
        for method in methods:
            try:
                changed = load(scenario, [f"method.name={method}", f"local.batch_size={batch}"])
                run = record(*set_up(changed))
                answered[batch, method] = run, run.answer(_variants(run))
            except ParaSimError as error:
                left_out.setdefault(method, str(error))
    methods = [method for method in methods if any(key[1] == method for key in answered)]
    batches = [batch for batch in batches if any(key[0] == batch for key in answered)]
    notes += [f"{method} is not shown: {left_out[method]}." for method in left_out if method not in methods]
    cells = [
        [[_cell(answered.get((batch, method)), place) for method in methods] for batch in batches]
        for place in range(len(FACTORS))
    ]
    sliders = [Slider(*_bandwidths(scenario), int(np.argmin(abs(FACTORS - 1))))]
    if len(batches) > 1:
        sliders.append(Slider("Batch size", [str(batch) for batch in batches], batches.index(own_batch)))
    replayed = sum(int(answer.replayed.sum()) for _, answer in answered.values())
    notes.insert(0, _how(replayed, len(answered) * len(FACTORS) - replayed))
    if len(methods) > 1:
        turns = "; fedcybgd, that number of turns" if "fedcybgd" in methods else ""
        notes.insert(1, f"Other methods than {own_method} run the same number of rounds{turns}.")
    return WhatIf(sliders, (COMPUTING, REST), methods, cells), notes


def _choice(scenario: Scenario, work: int) -> tuple[list[str], list[int], list[str]]:
    """Methods and batch sizes to try: as many as the scenario tells apart, and as there is time for."""
    own_method, own_batch = scenario.method.name, scenario.local.batch_size
    methods = list(dict.fromkeys([own_method, *PAPER_METHODS]))
    batches = sorted({own_batch, *BATCH_SIZES})
    notes = []
    if scenario.compute.seconds is not None:
        methods, batches = [own_method], [own_batch]
        notes.append(
            "The scenario gives the seconds of computing, so that other methods and batch sizes are not known."
        )
    elif scenario.payload is not None:
        methods = [own_method]
        notes.append("The scenario gives the sizes of messages, so that those of other methods are not known.")
    if work * len(methods) * len(batches) > MOST_WORK:
        methods = [own_method]
        if work * len(batches) > MOST_WORK:
            batches = [own_batch]
        notes.append("The run is too long for more methods or batch sizes to be tried while this page is made.")
    return methods, batches, notes


def _variants(recording: Recording) -> Variants:
    factors = FACTORS[:, None]
    return Variants(uplink=recording.conditions.uplink * factors, downlink=recording.conditions.downlink * factors)


def _cell(answered: tuple[Recording, Answers] | None, place: int) -> Cell | None:
    if answered is None:
        return None
    recording, answers = answered
    # How long is computed does not depend on the links; everything else of a client's time does.
    computing = recording.result.mean("compute")
    compute: Any = recording.result.provenance["compute"]
    return Cell((computing, float(answers.wall_clock[place]) - computing), compute["origin"])


def _bandwidths(scenario: Scenario) -> tuple[str, list[str]]:
    """What the slider of bandwidths is called, and its places."""
    links = {bandwidth for group in scenario.fleet for bandwidth in (group.uplink, group.down)}
    if len(links) == 1:
        [link] = links
        return "Bandwidth of every client", [f"{amount(float(f'{link * factor:.3g}'))}/s" for factor in FACTORS]
    return "Bandwidth of every client", [f"× {factor:.2g}" for factor in FACTORS]


def _how(replayed: int, simulated: int) -> str:
    ways = []
    if replayed:
        ways.append(f"{replayed:,} by exact replay of recorded runs")
    if simulated:
        ways.append(f"{simulated:,} by event simulation, because the server's links are shared")
    count = f"{replayed + simulated:,} what-ifs, computed when this page was made: {joined(ways)}."
    return f"{count} Computing is the mean client's."
