"""`paraSim plan --sensitivity`: what the uncertainty of each input does to the runtime.

Each input goes to the ends of its band, one at a time (the bars of a tornado chart), and all go through their bands
together (Sobol indices). The former is simulated; the latter is replayed where that is exact, estimated where links
are shared, and simulated where no replay holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from parasim.cli.text import amount, clock, origin, signed_share
from parasim.planning.answer import Answer, Check, Plan
from parasim.planning.methods import Case
from parasim.planning.risk import sobol
from parasim.planning.search.how_found import how_found, not_replayable
from parasim.sentences import say
from sim.errors import ScenarioError
from sim.fleet import Fleet
from sim.studies.inputs import Input, Inputs, Runtimes, speed_band
from sim.studies.pool import cores, in_order
from sim.studies.replay import Recording, record
from sim.studies.variants import Floats, Variants

_SERIAL_BELOW_SPANS = 20_000
"""Runs of fewer spans in total are not worth starting worker processes."""
_FIRST_SIMULATED, _MOST_SIMULATED = 64, 4096
"""Base samples and runs of indices, where each run is simulated."""
_AGREES = 1e-9
_CALLED = {
    "speed": "computing speed",
    "payload": "message size",
    "ingress": "server ingress",
    "egress": "server egress",
}


@dataclass(frozen=True)
class InputEffect:
    """What one input does.

    Attributes
    ----------
    input : Input
        Which.
    name : str
        What people call it.
    low, high : float
        Wall-clock at either end of its band, event-simulated [s].
    agrees : tuple of bool
        Whether the replay says the same, or does not claim to be exact.
    alone, total, error : float
        Sobol indices, first-order and total, and half the width of the wider one's interval.
    """

    input: Input
    name: str
    low: float
    high: float
    agrees: tuple[bool, bool]
    alone: float
    total: float
    error: float

    @property
    def swing(self) -> float:
        """How far apart the ends are [s]."""
        return abs(self.high - self.low)

    @property
    def band(self) -> tuple[float, float]:
        """Low and high end of its band, in base units."""
        return self.input.value * (1 - self.input.band), self.input.value * (1 + self.input.band)

    @property
    def unit(self) -> str:
        """Base unit; empty for a factor."""
        if self.input.name in ("speed", "payload"):
            return ""
        return "s" if self.input.name in ("latency", "serialization", "aggregation") else "B/s"

    @property
    def ends(self) -> tuple[str, str]:
        """Low and high end of its band, as people write them."""
        written = {"": "{:.3g} x".format, "s": clock, "B/s": partial(amount, unit="B/s")}[self.unit]
        low, high = self.band
        return written(low), written(high)


@dataclass(frozen=True)
class InputEffects:
    """What all inputs of one method do.

    Attributes
    ----------
    recording : Recording
        Its run as the scenario says.
    inputs : tuple of InputEffect
        The widest swing first.
    indices : Indices
        What their shares rest on.
    exact : bool
        Whether these were exact replays.
    off : float
        By how much what stands for the simulation was off at most, at the ends of the bands, as a share.
    """

    recording: Recording
    inputs: tuple[InputEffect, ...]
    indices: sobol.Indices
    exact: bool
    off: float

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.recording.setup.scenario.method.name

    @property
    def base(self) -> float:
        """Wall-clock as the scenario says [s]."""
        return self.recording.result.wall_clock


def sensitivity(cases: Sequence[Case], jobs: int | None) -> Plan:
    """Find what each input's uncertainty does to the runtime.

    Parameters
    ----------
    cases : sequence of Case
        The scenario, with its `uncertainty`, under each method.
    jobs : int or None
        Worker processes; all cores if None.

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
    effects = [_effects(case, jobs) for case in cases]

    def draw(directory: Path) -> Sequence[Path]:
        from parasim.figures.tornado import Bar, Panel, draw_tornado

        panels = []
        for of in effects:
            bars = [Bar(one.name, *one.ends, one.low, one.high, one.alone, one.total) for one in of.inputs]
            panels.append(Panel(of.method, of.base, bars))
        return draw_tornado(panels, directory)

    return Plan(
        question=say("sensitivity.question"),
        answers=[_answer(of, one) for of in effects for one in of.inputs],
        columns=("input", "band", "at its low", "at its high", "alone", "with others"),
        notes=[note for of in effects for note in _notes(of)],
        provenance={
            **{of.method: origin({"compute": of.recording.costs.provenance()}) for of in effects},
            "uncertainty": _bands(effects[0].recording),
        },
        draw=draw,
    )


def _effects(case: Case, jobs: int | None) -> InputEffects:
    recording = record(case.setup, case.costs)
    inputs = Inputs.of(recording)
    if not inputs.inputs:
        raise ScenarioError("--sensitivity: everything is certain; the section uncertainty gives inputs a band")
    ends = inputs.variants(inputs.ends())
    simulated = _simulated(recording, ends, jobs)
    replayed = recording.replay(ends)
    agrees = ~replayed.replayed | (np.abs(replayed.wall_clock - simulated) <= _AGREES * simulated)
    runtimes = Runtimes(inputs)
    seed, bounds = case.scenario.seed, inputs.bounds()
    if not_replayable(recording):
        run: Callable[[Floats], Floats] = lambda factors: _simulated(recording, inputs.variants(factors), jobs)  # noqa: E731
        indices, exact = sobol.indices(run, bounds, seed, _FIRST_SIMULATED, _MOST_SIMULATED), False
        standing_in = simulated
    else:
        indices, exact = sobol.indices(runtimes, bounds, seed), runtimes.exact
        standing_in = replayed.wall_clock if exact else recording.estimate(ends)
    count, fleet = len(inputs.inputs), Fleet(case.scenario.fleet)
    effects = [
        InputEffect(
            one,
            _called(one, fleet),
            float(simulated[n]),
            float(simulated[count + n]),
            (bool(agrees[n]), bool(agrees[count + n])),
            float(indices.alone[n]),
            float(indices.total[n]),
            float(indices.errors[n]),
        )
        for n, one in enumerate(inputs.inputs)
    ]
    off = float(np.max(np.abs(standing_in / simulated - 1))) if simulated.all() else 0.0
    effects.sort(key=lambda one: -one.swing)
    return InputEffects(recording, tuple(effects), indices, exact, off)


def _called(one: Input, fleet: Fleet) -> str:
    """Name an input, with its group where there are several."""
    if one.group is None:
        return _CALLED.get(one.name, one.name)
    return f"{one.name} of {fleet.name(one.group)}" if len(fleet.groups) > 1 else one.name


def _simulated(recording: Recording, variants: Variants, jobs: int | None) -> Floats:
    """Simulate what-ifs event by event."""
    rows = [variants[row : row + 1] for row in range(len(variants))]
    few = len(recording.result.timeline.spans) * len(rows) < _SERIAL_BELOW_SPANS
    workers = 1 if few else min(jobs or cores(), len(rows))
    return np.array(list(in_order(partial(_wall_clock, recording), rows, workers=workers)))


def _wall_clock(recording: Recording, variant: Variants) -> float:
    return recording.simulate(variant).wall_clock


def _answer(of: InputEffects, one: InputEffect) -> Answer:
    more = {
        "value_is": say("sensitivity.value"),
        "input": one.name,
        "input_unit": one.unit,
        "input_value": one.input.value,
        "band": list(one.band),
        "wall_clock_s": [one.low, one.high],
        "first_order": one.alone,
        "total": one.total,
        "index_error": one.error,
    }
    checks = [Check(value, time, ok) for value, time, ok in zip(one.band, (one.low, one.high), one.agrees, strict=True)]
    # Estimates of what is 0 scatter about it.
    shares = (f"{max(share, 0.0):.1%}" for share in (one.alone, one.total))
    row = (one.name, " to ".join(one.ends), clock(one.low), clock(one.high), *shares)
    if one.swing > _AGREES * of.base:
        low, high = signed_share(one.low / of.base - 1), signed_share(one.high / of.base - 1)
        because = say("sensitivity.from_to", low=low, high=high)
    else:
        because = say("sensitivity.nothing" if one.total < 1e-6 else "sensitivity.with_others")
    return Answer(of.method, True, one.swing, "s", of.base, because, checks, more, row)


def _notes(of: InputEffects) -> list[str]:
    indices, error = of.indices, float(of.indices.errors.max())
    if not_replayable(of.recording) or of.exact:
        how = how_found(of.recording, replayed=True, simulated=False)
    else:
        how = say("found.estimates")
    agreement = "sensitivity.equal" if of.exact and of.off <= _AGREES else "sensitivity.apart"
    missed = say("sensitivity.missed", goal=sobol.PRECISE, most=sobol.MOST_RUNS) if error > sobol.PRECISE else ""
    return [
        say("sensitivity.ends", method=of.method, agreement=say(agreement, off=of.off)),
        say(
            "sensitivity.shares",
            method=of.method,
            runs=indices.runs,
            how=how,
            error=error,
            missed=missed,
            base=of.base,
            deviation=indices.deviation,
        ),
    ]


def _bands(recording: Recording) -> str:
    """Say where each band is from."""
    uncertainty = recording.setup.scenario.uncertainty
    share, source = speed_band(recording)
    bands: dict[str, list[str]] = {source: [f"speed {share:.3g}"]}
    for name in type(uncertainty).model_fields:
        if name != "speed":
            kind = "given" if name in uncertainty.model_fields_set else "assumed"
            bands.setdefault(kind, []).append(f"{name} {getattr(uncertainty, name):g}")
    return say("sensitivity.bands", bands="; ".join(f"{kind}: {', '.join(names)}" for kind, names in bands.items()))
