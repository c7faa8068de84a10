"""`paraSim diff`: what differs between two results in scenario and answer, and why, by their critical paths."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from parasim.compared_results import ComparedResult, Figures, Held, Label, held_of, read_compared
from parasim.scenario_changes import FieldChange, field_changes
from parasim.sentences import say
from parasim_core.sim.errors import ParaSimError, ScenarioError
from parasim_core.sim.scenario.reading import STANDARD_INPUT, called
from parasim_core.sim.scenario.scenario import Scenario

RUN_FIGURES = {
    "wall_clock_s": "wall-clock",
    "compute_s": "computing",
    "exposed_communication_s": "exposed communication",
    "hidden_communication_s": "hidden communication",
    "waiting_s": "waiting",
    "offline_s": "offline",
    "failed_s": "failed",
    "uploaded_bytes": "uploaded",
    "downloaded_bytes": "downloaded",
    "wasted_compute_s": "wasted computing",
    "wasted_bytes": "wasted",
    "short_rounds": "short rounds",
    "lost_updates": "lost updates",
    "late_updates": "late updates",
    "rounds": "rounds",
    "clients": "clients",
}
"""Figures of a run, and what they are called."""
_ROW_FIGURES = {
    "sweep": ("wall_clock_s", "compute_s", "exposed_communication_s", "uploaded_bytes", "downloaded_bytes"),
    "plan": ("feasible", "value", "wall_clock_s"),
    "train": ("wall_clock_s", "exposed_communication_s", "eval_loss", "accuracy", "uploaded_bytes", "downloaded_bytes"),
}
"""Figures of rows that are compared."""
SAME = 1e-9
"""Share by which what is computed on another machine may differ."""
_WORTH_NAMING = 0.05
"""Share of all changes on the critical path that one must have to be named in a sentence."""
_MOST_NAMED = 4


class Changed(NamedTuple):
    """A figure of both.

    Attributes
    ----------
    name, unit : str
        As in the results, and ``s``, ``B``, ``B/s``, ``USD`` or nothing.
    before, after : number, str, bool or None
        In base units; None if there is none.
    """

    name: str
    unit: str
    before: Any
    after: Any

    @property
    def change(self) -> float | None:
        """Of numbers, one less the other."""
        numbers = (self.before, self.after)
        if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers):
            return None
        return float(self.after - self.before)

    @property
    def differs(self) -> bool:
        """Whether it is another one, beyond rounding."""
        if self.change is not None:
            return not math.isclose(self.before, self.after, rel_tol=SAME, abs_tol=0.0)
        return bool(self.before != self.after)


class RowChange(NamedTuple):
    """A row that differs: what tells it from others, the side that alone has it, if one does, and its figures."""

    of: Label
    only_in: str | None
    figures: list[Changed]


@dataclass(frozen=True)
class Difference:
    """What differs between two results.

    Attributes
    ----------
    a, b : ComparedResult
        The two.
    fields : list of FieldChange
        In the scenario, defaults included.
    figures : list of Changed
        Of two runs, all figures that both have.
    path : list of Changed
        Of two runs, what holds their critical paths, the largest change first; `name` is ``resource of group``.
    rows : list of RowChange
        Of all others, the rows that differ.
    same_rows : int
        How many do not.
    sentences : list of str
        For people.
    """

    a: ComparedResult
    b: ComparedResult
    fields: list[FieldChange]
    figures: list[Changed]
    path: list[tuple[tuple[str, str], Changed]]
    rows: list[RowChange]
    same_rows: int
    sentences: list[str]

    def summary(self) -> dict[str, Any]:
        """Everything as plain data, as `paraSim diff --format json` prints it."""
        sides = {
            name: {"source": side.source, "parasim_version": side.version, "scenario": dict(side.scenario)}
            for name, side in (("a", self.a), ("b", self.b))
        }
        path = [
            {"resource": resource, "group": group, "a_s": one.before, "b_s": one.after, "change_s": one.change}
            for (resource, group), one in self.path
        ]
        rows = [
            {"of": dict(row.of), "only_in": row.only_in, "figures": [*map(_figure, row.figures)]} for row in self.rows
        ]
        return {
            "kind": self.a.kind,
            **sides,
            "scenario_changes": [{"field": one.field, "a": one.before, "b": one.after} for one in self.fields],
            "figures": [*map(_figure, self.figures)],
            "critical_path": path,
            "rows": rows,
            "same_rows": self.same_rows,
            "sentences": self.sentences,
        }


def diff(a: str | Path, b: str | Path) -> Difference:
    """Compare two results, or scenarios, which are simulated.

    Parameters
    ----------
    a, b : str or path
        Folders that ``--out`` named, results as JSON, or scenarios; ``-`` for one of them from standard input.

    Raises
    ------
    ParaSimError
        If one is neither, a scenario is wrong, or they are of different kinds.
    """
    a, b = str(a), str(b)
    if a == b == STANDARD_INPUT:
        raise ScenarioError("-: only one of the two can be standard input")
    one, other = read_compared(a), read_compared(b)
    if one.kind != other.kind:
        kinds = f"{called(a)} is a {one.kind}, {called(b)} a {other.kind}"
        raise ScenarioError(f"{kinds}: compare two results of one kind")
    fields = field_changes(_whole(one), _whole(other))
    if one.kind != "run":
        rows, same = _row_changes(one, other)
        return Difference(one, other, fields, [], [], rows, same, [_rows_said(one, other, rows, same)])
    figures = [_changed(name, one.figures, other.figures) for name in RUN_FIGURES if name in one.figures]
    figures = [one for one in figures if one.after is not None]
    path, said = _why(one, other, fields)
    return Difference(one, other, fields, figures, path, [], 0, said)


def _whole(side: ComparedResult) -> dict[str, Any]:
    """Scenario of a result with its defaults: one that gives a default and one that leaves it out are the same."""
    return Scenario.parse(dict(side.scenario), called(side.source)).model_dump(mode="json")


def _changed(name: str, before: Figures, after: Figures) -> Changed:
    unit = "s" if name.endswith("_s") else "B" if name.endswith("_bytes") else ""
    if name == "value":
        unit = str((before or after)["unit"])
    return Changed(name, unit, before.get(name), after.get(name))


def _figure(one: Changed) -> dict[str, Any]:
    return {"name": one.name, "unit": one.unit, "a": one.before, "b": one.after, "change": one.change}


def _why(
    one: ComparedResult, other: ComparedResult, fields: list[FieldChange]
) -> tuple[list[tuple[tuple[str, str], Changed]], list[str]]:
    """Hold the critical paths of two runs against one another, and say what that tells."""
    wall_clock = _changed("wall_clock_s", one.figures, other.figures)
    change = wall_clock.change or 0.0
    said = [_headline(wall_clock)]
    if not fields:
        said.append(say("diff.same_scenario" if not wall_clock.differs else "diff.other_version", a=one, b=other))
    held: list[Held] = []
    for side in (one, other):
        try:
            own, again = held_of(side)
        except ParaSimError as error:
            return [], [*said, say("diff.not_simulated", source=called(side.source), error=error)]
        held.append(own)
        told = side.figures["wall_clock_s"]
        if not math.isclose(told, again, rel_tol=SAME):
            said.append(say("diff.not_again", source=called(side.source), told=told, again=again))
    path = [*_path_changes(*held)]
    moved = math.fsum(abs(each.change or 0.0) for _, each in path)
    largest = [each for each in path if abs(each[1].change or 0.0) >= _WORTH_NAMING * moved][:_MOST_NAMED]
    if change and largest:
        said.append(say("diff.why", parts=[_part(*each) for each in largest]))
    return path, said


def _path_changes(before: Held, after: Held) -> Iterator[tuple[tuple[str, str], Changed]]:
    names = dict.fromkeys([*before, *after])
    path = [(name, Changed(said(*name), "s", before.get(name, 0.0), after.get(name, 0.0))) for name in names]
    yield from sorted(path, key=lambda each: -abs(each[1].change or 0.0))


def said(resource: str, group: str) -> str:
    """Name a resource with whose it is."""
    return f"{resource} of {group}" if group else resource


def _part(name: tuple[str, str], one: Changed) -> str:
    change = one.change or 0.0
    return say(f"diff.{'more' if change > 0 else 'less'}", resource=said(*name), seconds=abs(change))


def _headline(wall_clock: Changed) -> str:
    if not wall_clock.differs:
        return say("diff.as_long", wall_clock=wall_clock.before)
    change = wall_clock.change or 0.0
    share = abs(change) / wall_clock.before if wall_clock.before else math.inf
    longer = "longer" if change > 0 else "shorter"
    return say(f"diff.{longer}", before=wall_clock.before, after=wall_clock.after, seconds=abs(change), share=share)


def _row_changes(one: ComparedResult, other: ComparedResult) -> tuple[list[RowChange], int]:
    """Rows that differ or that one alone has, and how many are the same."""
    changes: list[RowChange] = []
    varied = {name for side in (one, other) for name in _varied(side)}
    olds, news = ({_kept(label, varied): row for label, row in side.rows.items()} for side in (one, other))
    for label in dict.fromkeys([*olds, *news]):
        before, after = olds.get(label), news.get(label)
        figures = [_changed(name, before or {}, after or {}) for name in _ROW_FIGURES[one.kind]]
        differing = [figure for figure in figures if figure.differs]
        if before is None or after is None:
            changes.append(RowChange(label, "b" if before is None else "a", differing))
        elif differing:
            changes.append(RowChange(label, None, differing))
    return changes, len({*olds, *news}) - len(changes)


def _varied(side: ComparedResult) -> set[str]:
    """Columns that tell rows of one side apart; what is the same in all of them is the scenario's own."""
    values: dict[str, set[str]] = {}
    for label in side.rows:
        for name, value in label:
            values.setdefault(name, set()).add(value)
    return {name for name, own in values.items() if len(own) > 1 or side.kind != "sweep"}


def _kept(label: Label, names: set[str]) -> Label:
    return tuple((name, value) for name, value in label if name in names)


def _rows_said(one: ComparedResult, other: ComparedResult, rows: list[RowChange], same: int) -> str:
    counts = {side: sum(row.only_in == side for row in rows) for side in ("a", "b", None)}
    told = say("diff.rows", differ=counts[None], same=same, a=counts["a"], b=counts["b"])
    return told if one.question == other.question else say("diff.questions", told=told, a=one, b=other)
