"""Sobol indices: the shares of a runtime's variance that its inputs hold, each alone and with all others.

SALib draws the points (Saltelli's scheme over a scrambled Sobol sequence) and estimates the indices with their errors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from parasim_core.sim.errors import ScenarioError, install_hint
from parasim_core.sim.replay.conditions import Floats

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
    errors : array of shape (inputs,)
        Half widths of the wider one of their 95 % intervals, by bootstrap.
    runs : int
        Number of runs that they took.
    deviation : float
        Standard deviation of the runtime, all inputs drawn evenly from their bands [s].
    """

    alone: Floats
    total: Floats
    errors: Floats
    runs: int
    deviation: float


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
    first: int = FIRST,
    most_runs: int = MOST_RUNS,
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
    first, most_runs : int
        Base samples to begin with, and runs at most.
    """
    from SALib.analyze import sobol as analysis
    from SALib.sample import sobol as sampling

    problem = {"num_vars": len(bounds), "names": [str(n) for n in range(len(bounds))], "bounds": list(bounds)}
    samples = first
    while True:
        # Generators, since SALib takes a seed of 0 for none.
        points = sampling.sample(problem, samples, calc_second_order=False, seed=np.random.default_rng(seed))
        times = run(points)
        deviation = float(times.std())
        if deviation <= _NEGLIGIBLE * abs(float(times.mean())):
            nothing = np.zeros(len(bounds))
            return Indices(nothing, nothing, nothing, len(times), 0.0)
        found = analysis.analyze(problem, times, calc_second_order=False, seed=np.random.default_rng(seed))
        errors = np.maximum(found["S1_conf"], found["ST_conf"])
        estimated = Indices(found["S1"], found["ST"], errors, len(times), deviation)
        if float(errors.max()) <= PRECISE or 2 * len(times) > most_runs:
            return estimated
        samples *= 2
