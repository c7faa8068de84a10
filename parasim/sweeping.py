"""Sweeps: every combination of some fields simulated, a row for each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parasim.alike_bars import check_told_apart, seen
from parasim.api import load, set_up, several
from parasim.costs import predicted
from parasim.figures.look import USUAL, Look
from parasim.ignored import doubtful, ignored
from parasim.outputs.sweeps import draw_sweep, leave_sweep
from parasim.sentences import say
from parasim.sweep_table import Plot, Table, figures, numeric_axis
from parasim_core.calibration.paper.cells import PAPER_MODELS, paper_setting
from parasim_core.calibration.profiles.loading import DEFAULT_PROFILE, read_profile, shipped_profiles
from parasim_core.sim.analysis.sweep import Axis, Row, SweepPoint, grid, run_sweep
from parasim_core.sim.engine.simulate import Setup
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.scenario.reading import Overrides, Source, fields_set, plain_fields
from parasim_core.sim.scenario.traces import rate_text
from parasim_core.sim.support.deleted_results import noticing_deletions
from parasim_core.sim.workload.methods import METHODS, with_parameter

if TYPE_CHECKING:
    pass

PAPER_METHODS = ("parablock", "fedbcd", "fedit", "fedcybgd")
PAPER_BANDWIDTHS = ("50MB/s", "100MB/s", "150MB/s")
PAPER_BATCH_SIZES = ("2", "4", "8")

# Fields that are swept by an option of their own.
_OPTIONS = {
    "method": "--method",
    "method.name": "--method",
    "model": "--model",
    "local.batch_size": "--batch-size",
}


def sweep(
    source: Source | None = None,
    set: Overrides = (),
    *,
    method: str | Sequence[str] = (),
    bandwidth: str | Sequence[str] = (),
    batch_size: str | Sequence[int | str] = (),
    model: str | Sequence[str] = (),
    vary: Mapping[str, str | Sequence[object]] | None = None,
    out: str | Path | None = None,
    plot: Plot = "bar",
    look: Look = USUAL,
    jobs: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Table:
    """Simulate every combination of some fields.

    Parameters
    ----------
    source : path, mapping, Scenario or None
        The scenario to start from; the paper's setting if None, and its whole Figure 2 if nothing else is said.
    set, look
        As of `parasim.simulate`; what is set is set before anything is swept.
    method, bandwidth, batch_size, model : str or sequence
        Values of the method, of every client's up- and downlink, of the batch size and of the model; of a text, with
        commas between them.
    vary : mapping of str to str or sequence
        Values of any other fields, such as ``{"blocks.layers": [1, 2, 4]}``.
    out : path, optional
        A folder for the rows and a picture. Rows are written as they come: an interrupted sweep continues there.
    plot : str
        What is drawn in it: ``bar``, or ``line`` over the swept quantity.
    jobs : int or None
        Worker processes; all cores if None.
    progress : callable
        Told the number of runs done and in total.

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
    if plot == "line":
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
        run, to = partial(figures, failures=failing, banded=banded), None if out is None else Path(out)
        rows = run_sweep(points, run, to, contents=[*contents], jobs=jobs, progress=progress)
        table = Table(rows, tuple(axes), points, notes, draw=draw_sweep)
        return table if to is None else replace(table, pictures=leave_sweep(table, to, plot, look))


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
