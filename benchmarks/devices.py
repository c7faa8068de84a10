"""How far predictions carry: between threads and precisions of this machine, and for published runs.

First, one traced step of a small Llama is timed with one and two threads and in float32 and bfloat16, with this
machine's own matrix rate and bandwidth measured for each; the time of every column is predicted from the first one's
by the ratio of predictions. Second, on request, a picture of all published rows beside their predictions.

    python benchmarks/devices.py
    python benchmarks/devices.py --figure docs/figures/devices-parity
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Run as a script, Python looks for modules beside this file and not in the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from parasim.figures.devices import draw_devices
from parasim_core.calibration.devices.catalogue import CatalogueDevice
from parasim_core.calibration.devices.operators import Operators, one_step
from parasim_core.calibration.devices.prediction import scale
from parasim_core.calibration.devices.published import shipped_rows
from parasim_core.calibration.devices.validation import validate
from parasim_core.calibration.memory.shapes import ShapeModel, TracedStep, filled_batch
from parasim_core.sim.workload.blocks import partition
from parasim_core.sim.workload.methods import Trains
from parasim_core.train.data.evaluate import model_loss
from parasim_core.train.models.blocks import block_parameters
from parasim_core.train.models.building import placed, random_model
from parasim_core.train.update.local import LocalSettings, train_locally
from parasim_demonstration.models import demo_config

STEPS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", type=Path, metavar="FILE", help="only the picture, FILE.png and FILE.svg")
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    if chosen.figure:
        print("Files:", *draw_devices(validate(shipped_rows()), chosen.figure))
        return
    compare_here(chosen.repeats)


def compare_here(repeats: int) -> None:
    reference: tuple[Operators, CatalogueDevice, float] | None = None
    print("threads  precision    measured   scaled from the first    error")
    for precision in ("float32", "bfloat16"):
        for threads in (1, 2):
            torch.set_num_threads(threads)
            own, operators = this_machine(precision), traced(precision)
            seconds = measured(precision, repeats)
            reference = reference or (operators, own, seconds)
            scaled = scale(reference[2], reference[:2], (operators, own)).seconds
            error = 100 * (scaled / seconds - 1)
            print(f"{threads:>7}  {precision:<10} {seconds:>7.3f} s {scaled:>13.3f} s {error:>+18.0f} %", flush=True)


def small_llama(precision: str) -> ShapeModel:
    return ShapeModel("small Llama", precision, config=demo_config().to_dict())


def traced(precision: str) -> Operators:
    shapes = small_llama(precision)
    return one_step(shapes.trace(step_of(shapes)).operators)


def step_of(shapes: ShapeModel) -> TracedStep:
    return TracedStep(Trains.BLOCK, partition(shapes.architecture, 2)[1], 4, 256)


def measured(precision: str, repeats: int) -> float:
    """Fastest seconds per step: others on the machine can only slow it down."""
    shapes = small_llama(precision)
    step = step_of(shapes)
    assert step.block is not None
    built: Any = random_model(shapes.config, seed=0)
    built.config.use_cache = False
    placed(built, "cpu", getattr(torch, precision))
    part = block_parameters(built, step.block)
    batches = [filled_batch(shapes.config, step)] * STEPS
    settings = LocalSettings(learning_rate=1e-5, steps=STEPS)
    updates = (train_locally(built, part, batches, model_loss, settings) for _ in range(repeats + 1))
    return min(update.seconds for update in updates) / STEPS


def this_machine(precision: str) -> CatalogueDevice:
    """Rates of this machine with the threads that torch is set to."""
    square = torch.randn(1024, 1024).to(getattr(torch, precision))
    long = torch.randn(1 << 24)
    out = torch.empty_like(long)
    short = torch.randn(8)
    rate = 2 * 1024**3 / fastest(lambda: square @ square)
    bandwidth = 2 * long.nbytes / fastest(lambda: torch.add(long, 1.0, out=out))
    launch = fastest(lambda: [short + short for _ in range(1000)]) / 1000
    return CatalogueDevice(
        "this machine", 1.0, precision, bandwidth, launch, {precision: rate, "float32": rate}, "measured"
    )


def fastest(work: Callable[[], object], repeats: int = 15) -> float:
    """Shortest of several runs [s]."""
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best


if __name__ == "__main__":
    main()
