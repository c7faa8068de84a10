"""A run's inputs, each with the band that it lies in, and what-ifs that move them about in it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from parasim_core.sim.replay.conditions import Floats, Variants
from parasim_core.sim.replay.replay import Recording
from parasim_core.sim.scenario.traces import mean_rate

ASSUMED_SPEED_BAND = 0.1
"""Of computing times whose error nobody knows."""
_AT_ONCE = 8192
"""What-ifs that are written out together, for the sake of memory."""


class Input(NamedTuple):
    """Something that the runtime follows from.

    Attributes
    ----------
    name : str
        Field of the what-ifs that it moves: ``uplink``, ``speed``, ``payload`` ...
    group : int or None
        Position of the group that it belongs to; None for everyone, or the server.
    value : float
        As the scenario has it, in base units; 1 for what is a factor: the speed, the payload, and links of everyone.
    band : float
        How far it may be off, as a share of it.
    """

    name: str
    group: int | None
    value: float
    band: float


@dataclass(frozen=True)
class Inputs:
    """The uncertain inputs of a recorded run.

    Attributes
    ----------
    recording : Recording
        The run.
    inputs : tuple of Input
        Those that have a value and a band.
    """

    recording: Recording
    inputs: tuple[Input, ...]

    @classmethod
    def of(cls, recording: Recording, *, by_group: bool = True) -> Inputs:
        """Find the inputs of a run: those that are 0 or unlimited have no band.

        Parameters
        ----------
        recording : Recording
            The run.
        by_group : bool
            Whether links of each group are inputs of their own; otherwise those of all groups move together.
        """
        found = (one for one in _inputs(recording, by_group) if one.band > 0 and 0 < one.value < math.inf)
        return cls(recording, tuple(found))

    def variants(self, factors: Floats) -> Variants:
        """Write what-ifs.

        Parameters
        ----------
        factors : array of shape (what-ifs, inputs)
            What every input is multiplied by.
        """
        recording = self.recording
        values = recording.conditions.repeated(len(factors))
        for column, one in enumerate(self.inputs):
            for name in ("upload_size", "download_size") if one.name == "payload" else (one.name,):
                where = slice(None) if one.group is None else recording.groups == one.group
                values[name][:, where] *= factors[:, column : column + 1]
        return Variants(**values)

    def ends(self) -> Floats:
        """Factors of what-ifs with one input at an end of its band: first the low ends, then the high ones."""
        bands = np.array([one.band for one in self.inputs])
        return np.concatenate([1 - np.diag(bands), 1 + np.diag(bands)])

    def bounds(self) -> list[list[float]]:
        """Lower and upper end of each input's factor."""
        return [[1 - one.band, 1 + one.band] for one in self.inputs]


class Runtimes:
    """Runtimes of many what-ifs without simulating: by replay as long as all of them are exact, then by estimate."""

    def __init__(self, inputs: Inputs):
        self._inputs = inputs
        self.exact = True

    def __call__(self, factors: Floats) -> Floats:
        """Runtimes, shape (what-ifs,) [s], of factors, shape (what-ifs, inputs)."""
        recording = self._inputs.recording
        parts = [factors[first : first + _AT_ONCE] for first in range(0, len(factors), _AT_ONCE)]
        if self.exact:
            answers = [recording.replay(self._inputs.variants(part)) for part in parts]
            self.exact = all(part.replayed.all() for part in answers)
            if self.exact:
                return np.concatenate([part.wall_clock for part in answers])
        return np.concatenate([recording.estimate(self._inputs.variants(part)) for part in parts])


def speed_band(recording: Recording) -> tuple[float, str]:
    """How far computing times may be off, as a share, and where that is from."""
    given = recording.setup.scenario.uncertainty.speed
    if given is not None:
        return given, "given"
    held_out = recording.costs.provenance().get("held_out")
    if isinstance(held_out, dict) and "p95_error_pct" in held_out:
        error = float(held_out["p95_error_pct"]) / 100
        return min(error, 0.95), "the profile's 95th percentile of held-out errors"
    return ASSUMED_SPEED_BAND, "assumed"


def _inputs(recording: Recording, by_group: bool) -> Iterator[Input]:
    scenario = recording.setup.scenario
    band = scenario.uncertainty
    yield Input("speed", None, 1.0, speed_band(recording)[0])
    yield Input("payload", None, 1.0, band.payload)
    if not by_group:
        yield Input("uplink", None, 1.0, band.uplink)
        yield Input("downlink", None, 1.0, band.downlink)
        yield Input("latency", None, float(recording.conditions.latency.any()), band.latency)
    for index in sorted(set(recording.groups.tolist())) if by_group else ():
        group = scenario.fleet[index]
        yield Input("uplink", index, mean_rate(group.uplink), band.uplink)
        yield Input("downlink", index, mean_rate(group.down), band.downlink)
        yield Input("latency", index, group.latency, band.latency)
    yield Input("ingress", None, recording.conditions.ingress.item(), band.ingress)
    yield Input("egress", None, recording.conditions.egress.item(), band.egress)
    yield Input("serialization", None, scenario.wire.serialization, band.serialization)
    yield Input("aggregation", None, scenario.server.aggregation, band.aggregation)
