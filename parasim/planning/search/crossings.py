"""Two methods along the bandwidth: their runtimes, and where the faster one changes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from parasim.planning.methods import simulated
from parasim.planning.search.quantities import Quantity
from parasim_core.sim.replay.conditions import Floats
from parasim_core.sim.replay.replay import Recording


@dataclass(frozen=True)
class Crossing:
    """Where the faster of two methods changes.

    Attributes
    ----------
    below, above : float
        Neighbouring bandwidths of four digits, the last before and the first after the change.
    faster_below, faster_above : str
        Names of the faster methods there; empty where both take as long.
    """

    below: float
    above: float
    faster_below: str
    faster_above: str


@dataclass(frozen=True)
class MethodsCompared:
    """Two methods compared along the bandwidth, at one batch size.

    Attributes
    ----------
    recordings : list of Recording
        Their runs.
    bandwidths : array of shape (bandwidths,)
        Of every client, up and down [B/s], or multiples of the links as they are.
    runtimes : array of shape (2, bandwidths)
        Of both methods [s].
    exact : list of bool
        Whether all of a method's runtimes are exact replays; otherwise some were simulated.
    crossings : list of Crossing
        Where the faster one changes, in rising order.
    quantity : Quantity
        What bandwidths are.
    """

    recordings: list[Recording]
    bandwidths: Floats
    runtimes: Floats
    exact: list[bool]
    crossings: list[Crossing]
    quantity: Quantity

    @property
    def methods(self) -> list[str]:
        """Their names."""
        return [recording.setup.scenario.method.name for recording in self.recordings]

    @property
    def batch_size(self) -> int:
        """The batch size."""
        return self.recordings[0].setup.scenario.local.batch_size

    @property
    def compute_origins(self) -> list[str]:
        """Where the computing times of both methods come from, as in results."""
        told: list[Any] = [recording.result.provenance["compute"] for recording in self.recordings]
        return [str(compute["origin"]) for compute in told]

    @cached_property
    def simulated(self) -> dict[float, list[float]]:
        """Both wall-clocks of simulated scenarios [s] by bandwidth: about each change, or at the ends without any."""
        at = [end for one in self.crossings for end in (one.below, one.above)] or self.bandwidths[[0, -1]].tolist()
        scenarios = [recording.setup.scenario for recording in self.recordings]
        return {
            end: [simulated(self.quantity.change(scenario, end)).wall_clock for scenario in scenarios] for end in at
        }
