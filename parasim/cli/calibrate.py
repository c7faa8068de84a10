"""`paraSim calibrate`: measure how long training steps take on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from parasim.cli.options import PlainFormat

if TYPE_CHECKING:
    from calibration.measure import Progress
    from calibration.measured_file import MeasuredFile
    from calibration.plan import Plan


_ADAPTERS = ("--rank", "--targets")
_Value = TypeVar("_Value")


class DeviceKind(StrEnum):
    """Kind of device."""

    CPU = "cpu"
    CUDA = "cuda"


def command(
    model: Annotated[
        str, typer.Option(help="Catalogue name, demo, or a config.json (or its folder); weights are random.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The profile; an unfinished one is continued.")],
    device: Annotated[DeviceKind, typer.Option(help="Where it is measured.")] = DeviceKind.CPU,
    batch_size: Annotated[str | None, typer.Option(help="Sequences per step, such as 1,2,4.")] = None,
    sequence_length: Annotated[str | None, typer.Option(help="Tokens per sequence, such as 256,512.")] = None,
    layers: Annotated[str, typer.Option(help="Layers per block, such as 0.5,1,2,4.")] = "1,2,4",
    rank: Annotated[str, typer.Option(help="Ranks of LoRA; empty for none.")] = "32",
    targets: Annotated[
        str, typer.Option(help="Modules of each adapter with + between them, such as q_proj+v_proj,all-linear.")
    ] = "q_proj+v_proj",
    budget: Annotated[
        str, typer.Option(help="Time for measuring; every point is measured once all the same.")
    ] = "9min",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of PyTorch on a CPU.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawn points.")] = 0,
    name: Annotated[str | None, typer.Option(help="Name of the profile; the file's if left out.")] = None,
    format_: Annotated[PlainFormat, typer.Option("--format", help="What is printed.")] = PlainFormat.TABLE,
) -> None:
    """Measure real training steps on this machine, fit what they cost, and say how wrong the fit is.

    Interrupted, the same command goes on where it stopped.

    Example: paraSim calibrate --model smollm2-135m --device cpu --batch-size 1,2,4 --out cpu.json
    """
    from calibration.plan import DEFAULT_LEVELS

    seconds = budget_seconds(budget)
    batches, lengths = (",".join(map(str, levels)) for levels in DEFAULT_LEVELS[device.value])
    plan = _plan(
        {
            "--batch-size": batches if batch_size is None else batch_size,
            "--sequence-length": lengths if sequence_length is None else sequence_length,
            "--layers": layers,
            "--rank": rank,
            "--targets": targets,
        },
        seed,
    )
    _calibrate(model, device, plan, out, name or out.stem, seconds, threads, format_)


def budget_seconds(budget: str) -> float:
    """Read the time budget of measuring [s].

    Raises
    ------
    ParaSimError
        If it is no duration, or none is left.
    """
    from sim.errors import ScenarioError
    from sim.units import duration

    seconds = duration(budget)
    if not seconds:
        raise ScenarioError(f"--budget {budget}: must be longer than nothing")
    return seconds


def _plan(options: dict[str, str], seed: int) -> Plan:
    """Read the lists of the command line: those of adapters may be empty, for none."""
    from pydantic import ValidationError

    from calibration.plan import Plan
    from sim.complaints import explain
    from sim.errors import ScenarioError

    def values(option: str, read: Callable[[str], _Value], like: str = "1,2,4") -> list[_Value]:
        text = options[option]
        if not text.strip() and option not in _ADAPTERS:
            raise ScenarioError(f"{option}: is empty; leave it out for the default")
        try:
            # An adapter's modules are names, in which nothing can be wrong here but that there are none.
            found = [read(word) for word in text.split(",")] if text.strip() else []
        except ValueError:
            raise ScenarioError(f"{option} {text!r}: write it like {like}") from None
        if len(set(found)) < len(found):
            raise ScenarioError(f"{option} {text!r}: a value stands there twice")
        return found

    adapters = values("--targets", _modules, "q_proj+v_proj,all-linear")
    ranks = values("--rank", int)
    try:
        return Plan.model_validate(
            {
                "batch_sizes": values("--batch-size", int),
                "sequence_lengths": values("--sequence-length", int),
                "layers": values("--layers", float),
                "ranks": ranks if adapters else [],
                "targets": adapters if ranks else [],
                "seed": seed,
            }
        )
    except ValidationError as error:
        raise ScenarioError(f"calibrate:{explain(error, Plan)}") from None


def _modules(word: str) -> str:
    """Read an adapter's modules, in an order of their own."""
    from calibration.points import join_targets, split_targets

    names = split_targets(word.strip())
    if isinstance(names, tuple) and not all(name.strip() for name in names):
        raise ValueError(word)
    return join_targets(names if isinstance(names, str) else tuple(name.strip() for name in names))


def use_threads(count: int | None) -> None:
    """Let PyTorch compute with so many threads, or with as many as it likes.

    Raises
    ------
    ParaSimError
        If this machine has fewer processors.
    """
    import os

    import torch

    from sim.errors import ScenarioError

    if count is None:
        return
    processors = os.cpu_count() or count
    if count > processors:
        raise ScenarioError(f"--threads {count}: must be at most {processors}, the processors of this machine")
    torch.set_num_threads(count)


def _calibrate(
    model: str,
    device: DeviceKind,
    plan: Plan,
    out: Path,
    name: str,
    seconds: float,
    threads: int | None,
    format_: PlainFormat,
) -> None:
    from sim.errors import CostError, needs

    try:
        from calibration.calibrate import Request, calibrate
    except ImportError as missing:
        raise CostError(f"{needs('calibrating', 'train')} ({missing})") from None

    use_threads(threads)
    request = Request(model, device.value, plan, out, name, seconds)
    try:
        with measuring() as progress:
            file = calibrate(request, progress=progress)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"what was measured is in {out}; the same command continues") from None
    _print(file, out, format_)


@contextmanager
def measuring() -> Iterator[Progress]:
    """Show on a terminal what is measured and how long it will take, and nothing elsewhere."""
    import sys

    if not sys.stderr.isatty():
        yield lambda visits, seconds_left, label: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    from parasim.cli.text import clock

    columns = (TextColumn("measuring"), BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True, markup=False), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        spent = bar.tasks[task]

        def update(visits: int, seconds_left: float, label: str) -> None:
            elapsed = spent.elapsed or 0.0
            share = elapsed / (elapsed + seconds_left) if elapsed + seconds_left else 1.0
            # Of merging stacks, which takes seconds, nothing is estimated.
            left = f"{clock(seconds_left)} left, " if seconds_left else ""
            bar.update(task, completed=share, description=f"{left}{label}")

        yield update


def _print(file: MeasuredFile, out: Path, format_: PlainFormat) -> None:
    import json

    if format_ is PlainFormat.JSON:
        print(json.dumps(file.model_dump(mode="json", exclude={"samples"}), indent=2))
        return
    from parasim.cli.measured import print_explanation

    print_explanation(file)
    print(f"Profile: {out}")
