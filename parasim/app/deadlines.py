"""What would meet a deadline: a question to `parasim.plan`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parasim.planning.plan import plan


def deadlines(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Solve for a quantity that meets a deadline, as `paraSim plan --within ... --solve-for ...` does.

    Parameters
    ----------
    asked : mapping
        ``fields``: the scenario. ``within``: the time that there is, such as ``4h``. ``solve_for``: the quantity.
        ``methods``: ``all``, or empty for the scenario's own.

    Raises
    ------
    ParaSimError
        If the scenario or the question is wrong, or a method cannot run it.
    """
    # One process alone, so that stopping it stops all of it.
    answered = plan(
        asked["fields"],
        method=asked["methods"] or None,
        within=asked["within"],
        solve_for=asked["solve_for"],
        jobs=1,
    )
    return {
        "question": answered.question,
        "columns": ["method", *answered.columns, "because"],
        "rows": answered.table,
        "feasible": [answer.feasible for answer in answered.answers],
        "notes": list(answered.notes),
    }
