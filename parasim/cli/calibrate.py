"""`paraSim calibrate`: measure how long training steps take on this machine."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from parasim.cli.measured import print_explanation
from parasim.cli.options import DeviceKind, PlainFormat, print_json, values_of
from parasim.cli.progress import stages
from parasim.contracts import stamped
from parasim_core.calibration.measuring.plan import OPTIONS, MeasuringPlan
from parasim_core.calibration.profiles.loading import shipped_profiles
from parasim_core.calibration.profiles.points import join_targets
from parasim_core.sim.errors import ScenarioError, UnitError
from parasim_core.sim.scenario.reading import parse_value
from parasim_core.sim.scenario.units import duration
from parasim_core.sim.scenario.validation_messages import validation_message

if TYPE_CHECKING:
    from parasim_core.calibration.measuring.measure import MeasuringProgress

# With loading and merging, one model on a GPU is to take less than 4 minutes.
_BUDGETS = {"cpu": "9min", "cuda": "150s"}


def command(
    model: Annotated[
        str, typer.Option(help="Catalogue name, demo, or a config.json (or its folder); weights are random.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The profile; an unfinished one is continued.")],
    device: Annotated[DeviceKind, typer.Option(help="Where it is measured.")] = "cpu",
    batch_size: Annotated[str | None, typer.Option(help="Sequences per step, such as 1,2,4.")] = None,
    sequence_length: Annotated[str | None, typer.Option(help="Tokens per sequence, such as 256,512.")] = None,
    layers: Annotated[
        str | None, typer.Option(help="Layers per block, such as 0.5,1,2,4; 1,2,4 as far as the model has them.")
    ] = None,
    rank: Annotated[
        str | None, typer.Option(help="Ranks of LoRA, empty for none; 32, or the model's width if that is less.")
    ] = None,
    targets: Annotated[
        str | None,
        typer.Option(
            help="Modules of each adapter with + between them, such as q_proj+v_proj,all-linear; "
            "the usual ones of the model's family if left out."
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Time for measuring, 9min on a CPU and 150s on a GPU if left out; "
            "every point is measured once all the same."
        ),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of PyTorch on a CPU.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawn points.")] = 0,
    name: Annotated[str | None, typer.Option(help="Name of the profile; the file's if left out.")] = None,
    format_: PlainFormat = "table",
) -> None:
    """Measure training steps on this machine, and fit what they cost.

    Interrupted, the same command goes on where it stopped.

    Example: paraSim calibrate --model smollm2-135m --device cpu --batch-size 1,2,4 --out cpu.json
    """
    seconds = budget_seconds(_BUDGETS[device] if budget is None else budget)
    from parasim_core.calibration.measuring.calibrate import Request, calibrate
    from parasim_core.calibration.measuring.configuration import longest_sequence, model_config
    from parasim_core.calibration.measuring.defaults import default_levels
    from parasim_core.calibration.measuring.measured_model import language_model

    chosen = name or out.stem
    if chosen in shipped_profiles() and out.name != f"{chosen}.json":
        raise ScenarioError(f"--name {chosen}: a profile of this name comes with paraSim; give another with --name")
    given = dict(zip(OPTIONS, (batch_size, sequence_length, layers, rank, targets), strict=True))
    levels = {field: _values(OPTIONS[field], text) for field, text in given.items() if text is not None}
    use_threads(threads)
    config = model_config(model)
    defaults = default_levels(device, language_model(model, config), longest_sequence(config))
    request = Request(model, device, _plan(defaults | levels | {"seed": seed}), out, chosen, seconds)
    with stages(out) as report:
        file = calibrate(request, progress=measuring(report))
    if format_ == "json":
        print_json(stamped("calibrate", file.model_dump(mode="json", exclude={"samples"})))
        return
    print_explanation(file)
    print(f"Profile: {out}")


def budget_seconds(budget: str) -> float:
    """Read the time budget of measuring [s].

    Raises
    ------
    ParaSimError
        If it is no duration, or none is left.
    """
    try:
        seconds = duration(budget)
    except UnitError as error:
        raise ScenarioError(f"--budget {error}") from None
    if not seconds:
        raise ScenarioError(f"--budget {budget}: must be longer than nothing")
    return seconds


def _values(option: str, text: str) -> list[Any]:
    """Read a list of the command line; those of adapters may be empty, for none."""
    if not text.strip() and option in ("--rank", "--targets"):
        return []
    words = values_of(option, text)
    # The order of an adapter's modules does not matter.
    return [
        join_targets(tuple(word.split("+"))) if option == "--targets" else parse_value(word, option) for word in words
    ]


def _plan(levels: dict[str, Any]) -> MeasuringPlan:
    """Check the levels; messages name the options that they are from.

    Raises
    ------
    ParaSimError
        If one of them is out of range, or stands twice.
    """
    if not levels["ranks"] or not levels["targets"]:
        levels = levels | {"ranks": [], "targets": []}
    options = OPTIONS | {"seed": "--seed"}
    try:
        plan = MeasuringPlan.model_validate(levels)
    except ValidationError as error:
        said = validation_message(error, MeasuringPlan).strip()
        raise ScenarioError(re.sub(r"^\s*(\w+)(\.\d+)?(?=: )", lambda at: options[at[1]], said, flags=re.M)) from None
    for field, option in OPTIONS.items():
        values = getattr(plan, field)
        if len(set(values)) < len(values):
            raise ScenarioError(f"{option}: a value stands twice in {', '.join(map(str, values))}")
    return plan


def use_threads(count: int | None) -> None:
    """Let PyTorch compute with so many threads, or with as many as it likes.

    Raises
    ------
    ParaSimError
        If this machine has fewer processors.
    """
    import torch

    if count is None:
        return
    processors = os.cpu_count() or count
    if count > processors:
        raise ScenarioError(f"--threads {count}: must be at most {processors}, the processors of this machine")
    torch.set_num_threads(count)


def measuring(report: Callable[..., None]) -> MeasuringProgress:
    """Report measuring as a stage whose steps are seconds: those gone by, and with them those that are left."""
    began = time.monotonic()

    def progress(visits: int, seconds_left: float, label: str) -> None:
        spent = round(time.monotonic() - began)
        report("measuring [s]", spent, spent + round(seconds_left), label)

    return progress
