"""What a plan leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parasim.contracts import stamped
from parasim.figures.look import USUAL, Look
from parasim.planning.answer import Plan
from parasim.reporting.record import leave_record
from parasim_core.sim.support.atomic_files import write_json, write_rows

_COLUMNS = ("feasible", "value", "unit", "wall_clock_s")


def planned(plan: Plan) -> dict[str, Any]:
    """Return a plan as `paraSim plan --format json` prints it."""
    return stamped("plan", {"asked": dict(plan.asked), **plan.summary()}, plan.scenario)


def leave_plan(plan: Plan, out: Path, look: Look = USUAL) -> list[Path]:
    """Write ``plan.json``, which holds what was found, the table as ``plan.csv``, and the picture.

    Raises
    ------
    OutputError
        If they cannot be written.
    """
    files = [out / "plan.json", out / "plan.csv"]
    write_json(files[0], planned(plan))
    rows = [(one.method, *(getattr(one, column) for column in _COLUMNS), *one.row, one.because) for one in plan.answers]
    write_rows(files[1], ("method", *_COLUMNS, *plan.columns, "because"), rows)
    files += plan.draw(out, look) if plan.draw is not None else ()
    leave_record(out, "plan", plan.scenario, files)
    return files
