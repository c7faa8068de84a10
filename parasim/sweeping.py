"""Sweeps: every combination of some fields simulated, a row for each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from parasim.alike_bars import check_told_apart, seen
from parasim.api import load, set_up, several, simulate
from parasim.costs import predicted
from parasim.figures.look import USUAL, Look
from parasim.figures.picture import Picture, picture
from parasim.ignored import doubtful, ignored
from parasim.memory_notes import COLUMN, cell, memory_of_rows, memory_said
from parasim.scenario_changes import field_changes
from parasim.sentences import say
from parasim.text import BAND_COLUMNS, band_figures, origin_said
from parasim_core.calibration.paper.cells import PAPER_MODELS, paper_setting
from parasim_core.calibration.profiles.loading import DEFAULT_PROFILE, read_profile, shipped_profiles
from parasim_core.sim.analysis.sweep import Axis, Row, SweepPoint, grid, run_sweep
from parasim_core.sim.engine.simulate import Setup
from parasim_core.sim.errors import ScenarioError, UnitError
from parasim_core.sim.scenario.reading import Overrides, Source, fields_set, plain_fields
from parasim_core.sim.scenario.traces import rate_text
from parasim_core.sim.scenario.units import quantity
from parasim_core.sim.support.deleted_results import noticing_deletions
from parasim_core.sim.support.frames import frame
from parasim_core.sim.workload.methods import METHODS, with_parameter

if TYPE_CHECKING:
    import pandas as pd

PAPER_METHODS = ("parablock", "fedbcd", "fedit", "fedcybgd")
PAPER_BANDWIDTHS = ("50MB/s", "100MB/s", "150MB/s")
PAPER_BATCH_SIZES = ("2", "4", "8")

_FEW_UPDATES = 10_000
"""Timelines of runs with fewer updates are kept."""
# Fields that are swept by an option of their own.
_OPTIONS = {
    "method": "--method",
    "method.name": "--method",
    "model": "--model",
    "local.batch_size": "--batch-size",
}


Plot = Literal["bar", "line"]
"""What a sweep is drawn as: bars, or lines over the swept quantity."""


class DrawTable(Protocol):
    """Draws a sweep."""

    def __call__(self, table: Table, directory: Path, look: Look, *, kind: Plot) -> Sequence[Path]:
        """Write its files into a directory, and return them."""


@dataclass(frozen=True)
class Table:
    """The rows of a sweep.

    Attributes
    ----------
    rows : list of dict
        One per run: the swept fields, then its figures, as text as in results.csv.
    axes : tuple of Axis
        What was swept.
    points : list of SweepPoint
        The scenario of each row.
    notes : sequence of str
        What else the user should know of what was swept, a sentence each.
    pictures : sequence of Path
        What was drawn of it, if it has a folder.
    draw : callable, optional
        Draws it into a folder, and returns the files.
    """

    rows: list[Row]
    axes: tuple[Axis, ...]
    points: list[SweepPoint]
    notes: Sequence[str] = ()
    pictures: Sequence[Path] = ()
    draw: DrawTable | None = None

    @property
    def memory(self) -> list[str]:
        """What is said of clients' memory, a sentence each: the column of that name, what is alike merged."""
        return memory_of_rows(self.rows, [axis.column for axis in self.axes])

    def summary(self) -> dict[str, Any]:
        """Everything as plain data, numbers as numbers, as `paraSim sweep --format json` prints it."""
        first, columns = self.points[0].data, self._columns()
        return {
            "swept": [asdict(axis) for axis in self.axes],
            "rows": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
            "sets": [{one.field: one.after for one in field_changes(first, point.data)} for point in self.points],
            "notes": [*self.notes],
        }

    def to_dataframe(self) -> pd.DataFrame:
        """Return the rows as a DataFrame of numbers, quantities in base units; ``attrs["units"]`` says which."""
        columns, units = self._columns(), dict[str, str]()
        for name, values in columns.items():
            if found := _quantities(values):
                columns[name], units[name] = found
        rows = ({name: values[row] for name, values in columns.items()} for row in range(len(self.rows)))
        return frame(rows, columns, units)

    def plot(self, kind: Plot = "bar", look: Look = USUAL) -> Picture:
        """Draw the table: as bars, or as lines over the swept quantity. The picture shows itself in a notebook.

        Parameters
        ----------
        kind : str
            ``bar`` or ``line``.
        look : Look
            How it is wanted.

        Raises
        ------
        ParaSimError
            If it is to be lines, and nothing with numbers was swept.
        """
        assert self.draw is not None
        return picture(partial(self.draw, self, kind=kind), look)

    def _columns(self) -> dict[str, list[Any]]:
        """Values by column, those of numbers as such."""
        columns: dict[str, list[Any]] = {}
        for row in self.rows:
            for name, text in row.items():
                columns.setdefault(name, []).append(text)
        return {name: _numbers(texts) for name, texts in columns.items()}


def sweep(
    source: Source | None = None,
    set: Overrides = (),
    *,
    method: str | Sequence[str] = (),
    bandwidth: str | Sequence[str] = (),
    batch_size: str | Sequence[int | str] = (),
    model: str | Sequence[str] = (),
    vary: Mapping[str, str | Sequence[object]] | None = None,
    directory: str | Path | None = None,
    along_numbers: bool = False,
    jobs: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Table:
    """Simulate every combination of some fields.

    Parameters
    ----------
    source : path, mapping, Scenario or None
        The scenario to start from; the paper's setting if None, and its whole Figure 2 if nothing else is said.
    set : mapping, str, or iterable of str or (str, value)
        Fields of it to set first: ``{"fleet.0.uplink": "20MB/s", "rounds": 16}``, or as the command line has them,
        ``["fleet.0.uplink=20MB/s"]``.
    method, bandwidth, batch_size, model : str or sequence
        Values of the method, of every client's up- and downlink, of the batch size and of the model; of a text, with
        commas between them.
    vary : mapping of str to str or sequence
        Values of any other fields, such as ``{"blocks.layers": [1, 2, 4]}``.
    directory : path, optional
        Where results go row by row; an interrupted sweep continues there.
    along_numbers : bool
        Whether something with numbers must be swept, which lines can be drawn along.
    jobs : int or None
        Worker processes; all cores if None.
    progress : callable
        Told the number of runs done and in total.

    Returns
    -------
    Table

    Raises
    ------
    ParaSimError
        Before anything runs, if any of the scenarios is wrong or not covered by its profile, or if nothing tells the
        runs of an axis apart.
    """
    overrides = fields_set(set)
    methods, bandwidths, batch_sizes, models = several(method), several(bandwidth), several(batch_size), several(model)
    others = {field: several(values) for field, values in (vary or {}).items()}
    if source is None:
        models = models or PAPER_MODELS
        if not others:
            methods = methods or PAPER_METHODS
            bandwidths = bandwidths or PAPER_BANDWIDTHS
            batch_sizes = batch_sizes or PAPER_BATCH_SIZES
    _check_varied(others)
    base = _base(source, overrides)
    fields = base({})
    if methods:
        # What is set of the method is meant for those that are swept, and need not suit the scenario's own.
        check_parameters(overrides, methods)
        fields = plain_fields(fields, [("method.name", methods[0])])
    axes = _axes(fields, models, bandwidths, batch_sizes, others, methods)
    points = grid(base, axes)
    if along_numbers:
        numeric_axis(axes)
    runs, provenances, unused, contents, failing, banded = [], [], [], dict[str, None](), False, False
    for point in points:
        setup, costs = set_up(load(point.data, name=_label(point, axes)))
        runs.append(seen(setup))
        contents.update(dict.fromkeys(digests(setup)))
        provenances.append(costs.provenance())
        failing |= setup.opened
        for own in predicted(costs):
            # Here, once: worker processes would each trace for themselves.
            own.trace()
            banded = True
        unused += ignored(setup.scenario, setup.architecture)
    notes = [*check_told_apart(axes, points, runs), *doubtful(provenances), *dict.fromkeys(unused)]
    if banded and any(one.get("profile") == DEFAULT_PROFILE for one in provenances):
        notes.append(say("sweep.two_kinds_of_seconds", profile=DEFAULT_PROFILE))
    with noticing_deletions():
        run, to = partial(figures, failures=failing, banded=banded), None if directory is None else Path(directory)
        rows = run_sweep(points, run, to, contents=[*contents], jobs=jobs, progress=progress)
    return Table(rows, tuple(axes), points, notes)


def figures(data: dict[str, Any], *, failures: bool, banded: bool = False) -> dict[str, object]:
    """Simulate plain data and return one row: the run's figures, the origin of computing times, what memory lacks.

    Parameters
    ----------
    data : dict
        The scenario.
    failures : bool
        With the figures of failures in any case, as other rows have them.
    banded : bool
        With the ends of the band of predicted times in any case, as other rows have them: those of times that are not
        predicted, or of a band without ends, are the wall-clock itself.
    """
    scenario = load(data)
    # An outline takes less memory than a timeline, and more time.
    result = simulate(scenario, timeline=scenario.clients * scenario.rounds < _FEW_UPDATES)
    compute = result.provenance["compute"]
    assert isinstance(compute, dict)
    ends = dict.fromkeys(BAND_COLUMNS, result.wall_clock) | band_figures(result.provenance) if banded else {}
    return {
        **result.figures(failures=failures),
        **ends,
        "compute_origin": origin_said(compute),
        COLUMN: cell(memory_said(result.provenance)),
    }


def numeric_axis(axes: Sequence[Axis]) -> Axis:
    """Return the swept quantity that a line chart runs along: the bandwidth, or the first one with numbers.

    Raises
    ------
    ScenarioError
        If nothing with numbers was swept.
    """
    candidates = [axis for axis in axes if len(axis.values) > 1 and all(map(_is_quantity, axis.values))]
    if not candidates:
        raise ScenarioError("--plot line: sweep a quantity with at least two values, such as --bandwidth 10MB/s,1GB/s")
    return next((axis for axis in candidates if axis.column == "bandwidth"), candidates[0])


def digests(setup: Setup) -> list[str]:
    """SHA-256 of what a scenario only names and somebody may change: traces, sessions, a profile, a model's folder."""
    scenario = setup.scenario
    found = [str(trace["sha256"]) for trace in setup.traces]
    profile = scenario.compute.profile
    if scenario.compute.seconds is None and profile is not None and profile not in shipped_profiles():
        found.append(_sha256(json.dumps(read_profile(profile), sort_keys=True)))
    if scenario.model is not None and Path(scenario.model).exists():
        found.append(_sha256(repr(setup.architecture)))
    return found


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def check_parameters(overrides: Sequence[tuple[str, Any]], methods: Sequence[str]) -> None:
    """Refuse what is set under ``method:`` of a scenario that runs under several methods, if none of them has it.

    Raises
    ------
    ScenarioError
        Naming the methods that have it.
    """
    for field, value in overrides:
        section, _, parameter = field.partition(".")
        known = with_parameter(parameter)
        if section == "method" and parameter and not {*known} & {*methods}:
            whose = f"it is one of {', '.join(known)}"
            raise ScenarioError(f"{field}={value}: {', '.join(methods)}: no such parameter; {whose}")


def _base(source: Source | None, overrides: Sequence[tuple[str, Any]]) -> Callable[[Row], dict[str, Any]]:
    if source is not None:
        fields = plain_fields(source, overrides)
        return lambda labels: fields

    # Rounds and bytes on the wire differ between the paper's models and methods.
    def paper(labels: Row) -> dict[str, Any]:
        model = labels.get("model", PAPER_MODELS[0])
        known = model if model in PAPER_MODELS else PAPER_MODELS[0]
        method = labels.get("method", "parablock")
        return plain_fields(paper_setting(known, method if method in METHODS else "parablock"), overrides)

    return paper


def _axes(
    data: dict[str, Any],
    models: Sequence[str],
    bandwidths: Sequence[str],
    batch_sizes: Sequence[int | str],
    vary: Mapping[str, Sequence[object]],
    methods: Sequence[str],
) -> list[Axis]:
    """Swept fields, the method changing fastest; those not swept keep a column with the scenario's own value."""
    scenario = load(data)
    links = {link for group in scenario.fleet for link in (group.uplink, group.down)}
    own_bandwidth = rate_text(*links) if len(links) == 1 else ""
    columns: list[tuple[str, Sequence[object], tuple[str, ...], str]] = [
        ("model", models, ("model",), scenario.model or ""),
        ("bandwidth", bandwidths, ("fleet.*.uplink", "fleet.*.downlink"), own_bandwidth),
        ("batch_size", batch_sizes, ("local.batch_size",), str(scenario.local.batch_size)),
        *((field, values, (field,), "") for field, values in vary.items()),
        ("method", methods, ("method.name",), scenario.method.name),
    ]
    axes = []
    for column, values, fields, own in columns:
        texts = tuple(str(value) for value in values)
        if len({*texts}) < len(texts):
            raise ScenarioError(f"{column}: a value stands twice in {', '.join(texts)}")
        # A column with the scenario's own value would be wrong where --vary sets that field.
        varied = any(_same_field(field, other) for field in fields for other in vary)
        axes.append(Axis(column, texts, fields) if texts else Axis(column, ("" if varied else own,), ()))
    return axes


def _check_varied(vary: Mapping[str, Sequence[object]]) -> None:
    """Refuse fields that have an option of their own: their column is that option's."""
    for field, values in vary.items():
        if field in _OPTIONS:
            raise ScenarioError(f"--vary {field}: give its values with {_OPTIONS[field]}")
        if not values:
            raise ScenarioError(f"--vary {field}: no values; write it like blocks.layers=1,2,4")


def _same_field(one: str, other: str) -> bool:
    """Tell whether two paths name the same field of some client."""
    pairs = zip(one.split("."), other.split("."), strict=False)
    return all(part == counterpart or part == "*" or counterpart == "*" for part, counterpart in pairs)


def _label(point: SweepPoint, axes: Sequence[Axis]) -> str:
    """Name a run by what is swept."""
    return ", ".join(f"{axis.column} {point.labels[axis.column]}" for axis in axes if axis.fields) or "scenario"


def _numbers(texts: list[str]) -> list[Any]:
    """Values of a column: numbers, if all of them are, whole ones if all of them are."""
    for kind in (int, float):
        try:
            return [kind(text) for text in texts]
        except ValueError:
            pass
    return texts


def _quantities(values: list[Any]) -> tuple[list[float], str] | None:
    """Take apart texts that are all quantities of one unit: the numbers, in it, and the unit."""
    try:
        found = [quantity(value) for value in values if isinstance(value, str)]
    except UnitError:
        return None
    units = {unit for _, unit in found}
    if len(found) < len(values) or len(units) != 1 or "" in units:
        return None
    return [number for number, _ in found], units.pop()


def _is_quantity(text: str) -> bool:
    try:
        return quantity(text)[0] > 0
    except UnitError:
        return False
