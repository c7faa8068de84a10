"""Shape of what `paraSim diff` says of two results."""

from __future__ import annotations

from typing import Any

from parasim.contracts.shapes import Stamped
from parasim_core.sim.scenario.fields import Section


class DiffSide(Section):
    """One of the two that are compared."""

    source: str
    """As it was given."""
    parasim_version: str
    """Version that made it; this one for a scenario, which is simulated."""
    scenario: dict[str, Any]
    """As it was given; of a sweep, that of the first row."""


class FieldDifference(Section):
    """A field of the scenario that differs."""

    field: str
    """Its path, as `--set` takes it."""
    a: Any
    """Its value with its unit; null if there is no such field."""
    b: Any


class FigureDifference(Section):
    """A figure that differs."""

    name: str
    """As in the results."""
    unit: str
    """`s`, `B`, `B/s`, `USD` or empty."""
    a: float | str | bool | None
    """In base units; null if there is none."""
    b: float | str | bool | None
    change: float | None
    """b less a; null where that is no number."""


class PathDifference(Section):
    """What a resource holds of the two critical paths."""

    resource: str
    group: str
    """Whose; empty if nobody's alone."""
    a_s: float
    """[s]."""
    b_s: float
    """[s]."""
    change_s: float
    """b less a [s]; all of them together are the change of the wall-clock."""


class RowDifference(Section):
    """A row of a sweep, an answer of a plan, or a method of a training that differs."""

    of: dict[str, str]
    """Which one."""
    only_in: str | None
    """`a` or `b`; null if it is in both."""
    figures: list[FigureDifference]
    """Those that differ."""


class DiffResult(Stamped):
    """What `paraSim diff --format json` prints."""

    kind: str
    """What is compared: `run`, `sweep`, `plan` or `train`."""
    a: DiffSide
    b: DiffSide
    scenario_changes: list[FieldDifference]
    figures: list[FigureDifference]
    """Of two runs, all of them."""
    critical_path: list[PathDifference]
    """Of two runs, the largest change first."""
    rows: list[RowDifference]
    """Of all others, those that differ."""
    same_rows: int
    """How many do not."""
    sentences: list[str]
    """For people."""
