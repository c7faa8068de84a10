"""`paraSim plan --sensitivity`: what the uncertainty of each input does to the runtime.

Each input goes to the ends of its band, one at a time (the bars of a tornado chart), and all go through their bands
together (Sobol indices). The former is simulated; the latter is replayed where that is exact, and estimated elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from parasim.api import Source
from parasim.planning import sobol
from parasim.planning.answer import Answer, Check, Plan
from parasim.planning.bands import band, called, unit_of, written_band
from parasim.planning.setting import own_method, parsed, setting
from parasim.text import clock, origin
from sim.errors import ScenarioError
from sim.fleet import Fleet
from sim.studies.conditions import Floats, Variants
from sim.studies.inputs import Input, Inputs, Runtimes, speed_band
from sim.studies.pool import cores, in_order
from sim.studies.replay import Recording, record

_SERIAL_BELOW_SPANS = 20_000
"""Runs of fewer spans in total are not worth starting worker processes."""
_AGREES = 1e-9
_COLUMNS = ("input", "band", "at its low", "at its high", "alone", "with others")


def sensitivity(
    source: Source | None, overrides: Sequence[str], methods: Sequence[str], jobs: int | None = None
) -> Plan:
    """Find what each input's uncertainty does to the runtime.

    Parameters
    ----------
    source : path, mapping, Scenario or None
        What to plan for, with its `uncertainty`; the paper's setting if None.
    overrides : sequence of str
        Such as ``uncertainty.uplink=0.5``.
    methods : sequence of str
        Names of methods; the scenario's own if empty.
    jobs : int or None
        Worker processes; all cores if None.

    Returns
    -------
    Plan
        An answer per method and input, the widest bar first. Its value is the swing of the wall-clock, which is the
        width of the bar [s]; its checks are at the ends of the input's band, in `more["input_unit"]`.

    Raises
    ------
    ParaSimError
        If the scenario is wrong, everything in it is certain, a method cannot run it, or SALib is missing.
    """
    sobol.check_installed()
    methods = methods or [own_method(source, overrides)]
    tornados = [_tornado(setting(source, overrides, method), method, jobs) for method in methods]
    bars = [(tornado, bar) for tornado in tornados for bar in tornado.bars]

    def draw(directory: Path) -> Sequence[Path]:
        from parasim.figures import tornado

        panels = [
            tornado.Panel(
                one.method,
                one.base,
                [tornado.Bar(bar.name, *bar.ends, bar.low, bar.high, bar.alone, bar.total) for bar in one.bars],
            )
            for one in tornados
        ]
        return tornado.draw_tornado(panels, directory)

    return Plan(
        question="What the uncertainty of each input does to the runtime",
        answers=[_answer(tornado, bar) for tornado, bar in bars],
        columns=_COLUMNS,
        rows=[_row(bar) for _, bar in bars],
        notes=[note for tornado in tornados for note in _notes(tornado)],
        provenance={
            **{one.method: origin({"compute": one.recording.costs.provenance()}) for one in tornados},
            "uncertainty": _bands(tornados[0].recording),
        },
        draw=draw,
    )


@dataclass(frozen=True)
class _Bar:
    """What one input does.

    Attributes
    ----------
    input : Input
        Which.
    name : str
        What people call it.
    ends : tuple of str
        Low and high end of its band, as people write them.
    low, high : float
        Wall-clock at either end, event-simulated [s].
    agrees : tuple of bool
        Whether the replay says the same, or does not claim to be exact.
    alone, total, error : float
        Sobol indices, first-order and total, and half the width of the wider one's interval.
    """

    input: Input
    name: str
    ends: tuple[str, str]
    low: float
    high: float
    agrees: tuple[bool, bool]
    alone: float
    total: float
    error: float

    @property
    def width(self) -> float:
        """How far apart the ends are [s]."""
        return abs(self.high - self.low)


@dataclass(frozen=True)
class _Tornado:
    """What all inputs of one method do.

    Attributes
    ----------
    method : str
        The method.
    recording : Recording
        Its run as the scenario says.
    bars : tuple of _Bar
        The widest first.
    indices : Indices
        What the bars' indices rest on.
    exact : bool
        Whether these were exact replays.
    off : float
        By how much what stands for the simulation was off at most, at the ends of the bars, as a share.
    """

    method: str
    recording: Recording
    bars: tuple[_Bar, ...]
    indices: sobol.Indices
    exact: bool
    off: float

    @property
    def base(self) -> float:
        """Wall-clock as the scenario says [s]."""
        return self.recording.result.wall_clock


def _tornado(data: dict[str, Any], method: str, jobs: int | None) -> _Tornado:
    recording = record(*parsed(data))
    inputs = Inputs.of(recording)
    if not inputs.inputs:
        raise ScenarioError("--sensitivity: everything is certain; the section uncertainty gives inputs a band")
    ends = inputs.variants(inputs.ends())
    simulated = _simulated(recording, ends, jobs)
    replayed = recording.replay(ends)
    runtimes = Runtimes(inputs)
    indices = sobol.indices(runtimes, inputs.bounds(), recording.setup.scenario.seed)
    standing_in = replayed.wall_clock if runtimes.exact else recording.estimate(ends)
    agrees = ~replayed.replayed | (np.abs(replayed.wall_clock - simulated) <= _AGREES * simulated)
    count = len(inputs.inputs)
    fleet = Fleet(recording.setup.scenario.fleet)
    bars = [
        _Bar(
            one,
            called(one, fleet),
            written_band(one),
            float(simulated[number]),
            float(simulated[count + number]),
            (bool(agrees[number]), bool(agrees[count + number])),
            float(indices.alone[number]),
            float(indices.total[number]),
            float(max(indices.alone_error[number], indices.total_error[number])),
        )
        for number, one in enumerate(inputs.inputs)
    ]
    off = float(np.max(np.abs(standing_in / simulated - 1))) if simulated.all() else 0.0
    bars.sort(key=lambda bar: -bar.width)
    return _Tornado(method, recording, tuple(bars), indices, runtimes.exact, off)


def _simulated(recording: Recording, variants: Variants, jobs: int | None) -> Floats:
    """Simulate what-ifs event by event."""
    rows = [variants[row : row + 1] for row in range(len(variants))]
    few = len(recording.result.timeline.spans) * len(rows) < _SERIAL_BELOW_SPANS
    workers = 1 if few else min(jobs or cores(), len(rows))
    return np.array(list(in_order(partial(_wall_clock, recording), rows, workers=workers)))


def _wall_clock(recording: Recording, variant: Variants) -> float:
    return recording.simulate(variant).wall_clock


def _answer(tornado: _Tornado, bar: _Bar) -> Answer:
    low, high = band(bar.input)
    return Answer(
        tornado.method,
        True,
        bar.width,
        "s",
        tornado.base,
        _because(tornado, bar),
        [Check(low, bar.low, holds=bar.agrees[0]), Check(high, bar.high, holds=bar.agrees[1])],
        {
            "value_is": "swing of the wall-clock from one end of the input's band to the other",
            "input": bar.name,
            "input_unit": unit_of(bar.input),
            "input_value": bar.input.value,
            "band": [low, high],
            "wall_clock_s": [bar.low, bar.high],
            "first_order": bar.alone,
            "total": bar.total,
            "index_error": bar.error,
        },
    )


def _because(tornado: _Tornado, bar: _Bar) -> str:
    if bar.width <= _AGREES * tornado.base:
        return "changes nothing" if bar.total < 1e-6 else "only together with others"
    # Adding 0 turns a negative zero into one without a sign.
    low, high = (round(time / tornado.base - 1, 3) + 0.0 for time in (bar.low, bar.high))
    return f"{low:+.1%} to {high:+.1%}"


def _row(bar: _Bar) -> tuple[str, ...]:
    band = f"{bar.ends[0]} to {bar.ends[1]}"
    return (bar.name, band, clock(bar.low), clock(bar.high), _share(bar.alone), _share(bar.total))


def _share(index: float) -> str:
    # Estimates of what is 0 scatter about it.
    return f"{max(index, 0.0):.1%}"


def _notes(tornado: _Tornado) -> list[str]:
    indices, name = tornado.indices, tornado.method
    error = max(float(indices.alone_error.max()), float(indices.total_error.max()))
    means = "exact replays" if tornado.exact else "estimates, as the server's links are shared"
    agreement = (
        "equal to 1e-9" if tornado.exact and tornado.off <= _AGREES else f"up to {tornado.off:.2g} apart, as a share"
    )
    missed = (
        f", not {sobol.PRECISE:.0%}: twice as many runs would be more than {sobol.MOST_RUNS:,}"
        if error > sobol.PRECISE
        else ""
    )
    return [
        f"{name}: both ends of every band were simulated; replay or estimate there and simulation are {agreement}",
        f"{name}: shares of the variance (Sobol, first-order and total) from {indices.runs:,} {means}, "
        f"each within {error:.1%}{missed}; "
        f"runtime {clock(tornado.base)}, standard deviation {clock(indices.deviation)}",
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
    parts = [f"{kind}: {', '.join(names)}" for kind, names in bands.items()]
    return f"{'; '.join(parts)}; what is 0 or unlimited has no band"
