"""Sobol indices: the shares of a runtime's variance that its inputs hold, each alone and with all others.

SALib draws the points (Saltelli's scheme over a scrambled Sobol sequence) and estimates the indices with their errors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sim.errors import ScenarioError, install_hint
from sim.studies.conditions import Floats

FIRST = 512
"""Base samples to begin with; each costs a run per input, and two more."""
MOST_RUNS = 50_000
PRECISE = 0.03
"""Half width of the indices' 95 % intervals at which there are enough."""
_NEGLIGIBLE = 1e-12


@dataclass(frozen=True)
class Indices:
    """Sobol indices of all inputs.

    Attributes
    ----------
    alone, total : array of shape (inputs,)
        First-order and total indices.
    alone_error, total_error : array of shape (inputs,)
        Half widths of their 95 % intervals, by bootstrap.
    runs : int
        Number of runs that they took.
    deviation : float
        Standard deviation of the runtime, all inputs drawn evenly from their bands [s].
    """

    alone: Floats
    total: Floats
    alone_error: Floats
    total_error: Floats
    runs: int
    deviation: float

    @property
    def errors(self) -> Floats:
        """Half width of the wider interval of each input, of shape (inputs,)."""
        return np.maximum(self.alone_error, self.total_error)


def check_installed() -> None:
    """Make sure that SALib is there.

    Raises
    ------
    ScenarioError
        If it is not.
    """
    try:
        import SALib.analyze.sobol
        import SALib.sample.sobol  # noqa: F401
    except ImportError as missing:
        raise ScenarioError(f"{install_hint('--sensitivity', 'plan')} ({missing})") from None


def indices(
    run: Callable[[Floats], Floats],
    bounds: Sequence[Sequence[float]],
    seed: int,
    first: int | None = None,
    most_runs: int | None = None,
) -> Indices:
    """Estimate Sobol indices.

    Parameters
    ----------
    run : callable
        Runtimes, shape (runs,) [s], of points of shape (runs, inputs).
    bounds : sequence of (float, float)
        Between which each input is drawn evenly.
    seed : int
        Of the sequence and the bootstrap.
    first, most_runs : int or None
        Base samples to begin with, and runs at most; `FIRST` and `MOST_RUNS` if None.
    """
    from SALib.analyze import sobol as analysis
    from SALib.sample import sobol as sampling

    problem = {"num_vars": len(bounds), "names": [str(n) for n in range(len(bounds))], "bounds": list(bounds)}
    samples = first or FIRST
    while True:
        # Generators, since SALib takes a seed of 0 for none.
        points = sampling.sample(problem, samples, calc_second_order=False, seed=np.random.default_rng(seed))
        times = run(points)
        deviation = float(times.std())
        if deviation <= _NEGLIGIBLE * abs(float(times.mean())):
            nothing = np.zeros(len(bounds))
            return Indices(nothing, nothing, nothing, nothing, len(times), 0.0)
        found = analysis.analyze(problem, times, calc_second_order=False, seed=np.random.default_rng(seed))
        estimated = Indices(found["S1"], found["ST"], found["S1_conf"], found["ST_conf"], len(times), deviation)
        if float(estimated.errors.max()) <= PRECISE or 2 * len(times) > (most_runs or MOST_RUNS):
            return estimated
        samples *= 2
