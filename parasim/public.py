"""The public API: what the subcommands of `paraSim` do, with the names of their options, from Python.

Where a function is given a folder (`out`), it leaves there what the subcommand's ``--out`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from parasim import api
from parasim.figures.look import USUAL, Look

if TYPE_CHECKING:
    from parasim.comparison import Clock, Report
    from parasim.planning.answer import Plan
    from parasim.seeds import SeededComparison
    from parasim.sweeping import Plot, Table
    from parasim.training import TrainedComparison
    from parasim_core.sim.analysis.explain import Explanation
    from parasim_core.sim.engine.result import Result
    from parasim_core.sim.scenario.reading import Overrides, Source

Names = str | Sequence[str]
"""One name, several with commas between them, or a sequence of them."""


def simulate(
    source: Source,
    set: Overrides = (),
    *,
    out: str | Path | None = None,
    timeline: bool = True,
    collapse: bool = False,
    look: Look = USUAL,
) -> Result:
    """Simulate a scenario.

    Parameters
    ----------
    source : path, mapping or Scenario
        What to simulate.
    set : mapping, str, or iterable of str or (str, value)
        Fields of it to set first: ``{"fleet.0.uplink": "20MB/s", "rounds": 16}``, or as the command line has them,
        ``["fleet.0.uplink=20MB/s"]``.
    out : path, optional
        A folder for figures, timeline and pictures.
    timeline : bool
        Whether the result has a timeline. Without one, its figures are the same and take a small part of the memory.
    collapse : bool
        In `out`, one set of timeline rows per group of alike clients.
    look : Look
        How pictures are wanted.

    Raises
    ------
    ParaSimError
        If the scenario is wrong, its costs are not known, or `out` cannot be written.
    """
    result = api.simulate(source, set, timeline=timeline)
    if out is not None:
        from parasim.outputs import leave_simulation

        leave_simulation(result, Path(out), timeline=timeline, collapse=collapse, look=look)
    return result


def explain(source: Source, set: Overrides = (), *, out: str | Path | None = None, look: Look = USUAL) -> Explanation:
    """Simulate a scenario, find its critical path, and try what would shorten it.

    Parameters
    ----------
    source, set, look
        As of `simulate`.
    out : path, optional
        A folder for the explanation, the timeline and its picture.

    Raises
    ------
    ParaSimError
        As of `simulate`.
    """
    from parasim.explanation import explain as run

    explanation = run(source, set)
    if out is not None:
        from parasim.outputs import leave_explanation

        leave_explanation(explanation, Path(out), look)
    return explanation


def sweep(
    source: Source | None = None,
    set: Overrides = (),
    *,
    method: Names = (),
    bandwidth: Names = (),
    batch_size: str | Sequence[int | str] = (),
    model: Names = (),
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
        As of `simulate`; what is set is set before anything is swept.
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
    from parasim.outputs import draw_sweep, leave_sweep
    from parasim.sweeping import sweep as run

    table = run(
        source,
        set,
        method=method,
        bandwidth=bandwidth,
        batch_size=batch_size,
        model=model,
        vary=vary,
        directory=out,
        along_numbers=plot == "line",
        jobs=jobs,
        progress=progress,
    )
    table = replace(table, draw=draw_sweep)
    return table if out is None else replace(table, pictures=leave_sweep(table, Path(out), plot, look))


def plan(
    source: Source | None = None,
    set: Overrides = (),
    *,
    method: Names | None = None,
    within: str | float | None = None,
    solve_for: str | None = None,
    hide_communication: bool = False,
    break_even: Names | None = None,
    budget: str | None = None,
    confidence: str | float | None = None,
    sensitivity: bool = False,
    out: str | Path | None = None,
    look: Look = USUAL,
    jobs: int | None = None,
    report: Report = lambda what, done, total: None,
) -> Plan:
    """Plan backwards: ask one question, whose answers are checked by simulation.

    The questions are `solve_for` with `within`, `hide_communication`, `break_even`, `budget`, `confidence` (alone, or
    with `within` or `solve_for`), and `sensitivity`.

    Parameters
    ----------
    source : path, mapping, Scenario or None
        What to plan for; the paper's setting with Llama 3-8B if None.
    set, look
        As of `simulate`.
    method : str, sequence of str or None
        Methods to answer for, or ``all``; the scenario's own if None.
    within : str, float or None
        The deadline, such as ``25min`` (a float is seconds) or ``Friday 18:00``.
    solve_for : str or None
        What is to meet the deadline, such as ``bandwidth``.
    hide_communication : bool
        At which bandwidth all communication is hidden.
    break_even : str, sequence of str or None
        Where one of these two methods overtakes the other.
    budget : str or None
        What an amount such as ``500USD`` buys.
    confidence : str, float or None
        The deadline met with this probability, or, with `within`, the probability to meet that one.
    sensitivity : bool
        What each input's uncertainty does to the runtime.
    out : path, optional
        A folder for the plan, its table and its picture.
    jobs : int or None
        Worker processes; all cores if None.
    report : callable
        Told what is being done, how much of it, and of how much.

    Raises
    ------
    ParaSimError
        If it is not one question, the scenario is wrong, or a method cannot run it.
    """
    from parasim.planning.plan import plan as answer

    found = answer(
        source,
        set,
        method=method,
        within=within,
        solve_for=solve_for,
        hide_communication=hide_communication,
        break_even=break_even,
        budget=budget,
        confidence=confidence,
        sensitivity=sensitivity,
        jobs=jobs,
        report=report,
    )
    if out is None:
        return found
    from parasim.outputs import leave_plan

    return replace(found, files=leave_plan(found, Path(out), look))


def train(
    source: Source | None = None,
    set: Overrides = (),
    *,
    out: str | Path,
    method: Names = (),
    clock: Clock = "measured",
    target_loss: float | None = None,
    epochs: float | None = None,
    deltas: bool = False,
    devices: Names = (),
    log: Names = (),
    look: Look = USUAL,
    report: Report = lambda what, done, total: None,
) -> TrainedComparison:
    """Train methods with a real model, going on where an earlier call was interrupted or had fewer rounds.

    Inside `parasim.on_ray`, the clients of a run are trained by workers of that cluster.

    Parameters
    ----------
    source : path, mapping, Scenario or None
        A scenario with a `train` section; the demonstration if None.
    set, look
        As of `simulate`.
    out : path
        The folder where everything goes: metrics, models, checkpoints and pictures. It belongs to one set of settings:
        other methods may be added to it.
    method : str or sequence of str
        What to compare; the scenario's own method if empty, those of the paper's Figure 2 for the demonstration.
    clock : str
        Simulated seconds of a local update: `measured` as it trains, predicted by the scenario's `profile` (or its
        given seconds), or `both`.
    target_loss : float, optional
        Held-out loss [nats] with which a method's training is over.
    epochs : float, optional
        How many times clients go over their examples, on average: what decides about the number of rounds.
    deltas : bool
        Also keep what was sent of every update, as safetensors with its measured seconds.
    devices : str or sequence of str
        Train on several at a time, such as ``cuda:0,cuda:1``; with ``clock="profile"``.
    log : str or sequence of str
        Loggers that are told every round: `tensorboard`, `wandb`, `mlflow`.
    report : callable
        Told what is being done, the steps done and in total.

    Raises
    ------
    ParaSimError
        If anything is wrong with scenario, data or model, the folder belongs to other settings or another process
        trains in it, training diverges, or results cannot be written.
    """
    from parasim.outputs import leave_training
    from parasim.training import train as run

    training = run(
        source,
        set,
        directory=out,
        method=method,
        clock=clock,
        target_loss=target_loss,
        epochs=epochs,
        deltas=deltas,
        devices=devices,
        log=log,
        report=report,
    )
    return replace(training, pictures=leave_training(training, Path(out), look))


def train_seeds(
    source: Source | None = None,
    set: Overrides = (),
    *,
    seeds: int,
    out: str | Path,
    look: Look = USUAL,
    **told: object,
) -> SeededComparison:
    """Train methods as `train` does, from the scenario's seed and those that follow it.

    Parameters
    ----------
    source, set, look
        As of `train`.
    seeds : int
        How many, at least 2. With more of them than before, only those that are new are trained.
    out : path
        The folder where everything goes: each seed's training, the mean and the standard deviation of the metrics over
        them, and a picture of these.
    told
        Whatever else `train` can be told.

    Raises
    ------
    ParaSimError
        As of `train`; if there are fewer than two seeds, or the folder holds a training without seeds.
    """
    from parasim.outputs import leave_seeds
    from parasim.seeds import train_seeds as run

    training = run(source, set, seeds=seeds, directory=out, **told)  # type: ignore[arg-type]
    return replace(training, pictures=leave_seeds(training, Path(out), look))
