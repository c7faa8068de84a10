"""What an explained run leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parasim.contracts import stamped
from parasim.deadlines import times_of
from parasim.explanation import summary, write_path
from parasim.figures.gantt import draw_gantt
from parasim.figures.look import USUAL, Look
from parasim.outputs.runs import simulated
from parasim.reporting.record import leave_record
from parasim_core.sim.analysis.explain import Explanation
from parasim_core.sim.analysis.failing import write_failures
from parasim_core.sim.support.atomic_files import write_json


def explained(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as `paraSim explain --format json` prints it."""
    run = explanation.result
    return stamped("explain", summary(explanation) | times_of(run.scenario.starts, None, run.wall_clock), run.scenario)


def leave_explanation(explanation: Explanation, out: Path, look: Look = USUAL) -> list[Path]:
    """Write the critical path, the timeline with its picture, ``explanation.json`` and ``result.json``.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    names = ("critical_path.csv", "timeline.csv", "explanation.json", "result.json")
    path, timeline, why, run = files = [out / name for name in names]
    write_path(explanation, path)
    explanation.result.write_timeline(timeline)
    write_json(why, explained(explanation))
    write_json(run, simulated(explanation.result))
    files += write_failures(explanation.result, out)
    files += draw_gantt(explanation.result, explanation.path, out, look=look)
    leave_record(out, "explain", explanation.result.scenario, files)
    return files
