"""Why the run takes as long as it does: the critical path in words and by resource, and what would help."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parasim.explaining import explain
from parasim.explanation import summary


def reasons(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Explain the run, as `paraSim explain --format json` does.

    Parameters
    ----------
    asked : mapping
        ``fields``: the scenario.

    Raises
    ------
    ParaSimError
        If the scenario is wrong or its costs are not known.
    """
    said = summary(explain(asked["fields"]))
    return {name: said[name] for name in ("sentences", "shares", "claims", "wall_clock_s")}
