"""Explaining a run: simulated, followed back from its end, and simulated again with what would shorten it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from parasim.api import Overrides, Source, judged, load, set_up
from parasim.figures.look import USUAL, Look
from parasim.outputs.explanations import leave_explanation
from parasim_core.sim.analysis.explain import Explanation
from parasim_core.sim.analysis.explain import explain as explain_setup


def explain(source: Source, set: Overrides = (), *, out: str | Path | None = None, look: Look = USUAL) -> Explanation:
    """Simulate a scenario, find its critical path, and try what would shorten it.

    Parameters
    ----------
    source, set, look
        As of `parasim.simulate`.
    out : path, optional
        A folder for the explanation, the timeline and its picture.

    Raises
    ------
    ParaSimError
        As of `parasim.simulate`.
    """
    setup, costs = set_up(load(source, set))
    explained = explain_setup(setup, costs)
    explanation = replace(explained, result=judged(explained.result, setup, costs))
    if out is not None:
        leave_explanation(explanation, Path(out), look)
    return explanation
