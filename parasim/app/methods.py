"""The scenario under every method that can run it: what each one's wall-clock consists of, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parasim.alike_bars import seen, share_seconds
from parasim.api import load
from parasim.app.running import PARTS
from parasim.planning.cost.bill import bill
from parasim.planning.methods import Case, by_method, uneven_rounds
from parasim_core.sim.engine.simulate import simulate
from parasim_core.sim.errors import ParaSimError


def methods(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Simulate the scenario under every method.

    Parameters
    ----------
    asked : mapping
        ``fields``: the scenario.

    Raises
    ------
    ParaSimError
        If the scenario's own method cannot run it.
    """
    scenario = load(asked["fields"])
    cases, refused = by_method(scenario, "all", Case.of)
    bars = []
    for name, case in cases.items():
        try:
            result = simulate(case.setup, case.costs)
        except ParaSimError as error:
            if name == scenario.method.name:
                raise
            refused[name] = str(error)
            continue
        figures: Mapping[str, Any] = result.figures()
        bars.append(
            {
                "method": name,
                "parts": [figures.get(part, 0.0) for part in PARTS],
                "wall_clock_s": result.wall_clock,
                "hidden_s": figures["hidden_communication_s"],
                "uploaded_bytes": figures["uploaded_bytes"],
                "downloaded_bytes": figures["downloaded_bytes"],
                "cost": bill(result, {}).total,
                "origin": case.costs.provenance()["origin"],
            }
        )
    notes = uneven_rounds(cases)
    if share_seconds(seen(case.setup) for case in cases.values()):
        notes.append("compute.seconds is the same for several methods: they differ in what is sent alone.")
    return {"parts": list(PARTS.values()), "bars": bars, "refused": refused, "notes": notes}
