"""Predicted peak memory beside the measured one.

Every case runs in a process of its own: a model with random weights takes eight AdamW steps through
`train.update.local.train_locally`, and the peak is read from the allocator (CUDA) or the operating system (CPU:
resident size, less what the process held before it built the model: libraries warmed up, free memory given back). The
prediction traces the same step without running it. Errors are the prediction's, in percent of what was measured.

The prediction is what the tensors need. glibc keeps freed blocks of up to 32 MiB for later use, in holes that later
tensors do not always fit. On a CPU everything is therefore measured twice: with an allocator that gives memory back
(MALLOC_MMAP_THRESHOLD_=65536), and with the default one, three times and the median taken, which shows what that one
adds. With `--preload` also with another one, such as tcmalloc, which keeps freed memory without wasting it.

    python benchmarks/memory.py
    python benchmarks/memory.py --preload /usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4
    python benchmarks/memory.py --device cuda --case llama-3-8b block:2:0 4 512 --case llama-3-8b lora 4 512
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

# Run as a script, Python looks for modules beside this file and not in the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from parasim_core.calibration.measuring.measured_model import build_model
from parasim_core.calibration.memory.peaks import CUDA_GRANULARITY, PAGE
from parasim_core.calibration.memory.shapes import ShapeModel, TracedStep, filled_batch
from parasim_core.sim.errors import ParaSimError, ScenarioError
from parasim_core.sim.scenario.sections import Lora
from parasim_core.sim.workload.blocks import ALL_LINEAR, Block, partition
from parasim_core.sim.workload.methods import Trains
from parasim_core.train.data.evaluate import model_loss
from parasim_core.train.models.blocks import checkpoint_activations
from parasim_core.train.models.building import base_dtype
from parasim_core.train.update.local import LocalSettings, train_locally
from parasim_core.train.update.trained_part import trained_part
from parasim_demonstration.models import demo_config

REPEATS = 3
STEPS = 8
"""Of a measured update: after so many, the holes that freed blocks leave hardly grow any more."""
SMALL_LLAMA = "small-llama"
Case = tuple[str, str, int, int]
CASES: tuple[Case, ...] = (
    (SMALL_LLAMA, "block:1:0", 8, 256),
    (SMALL_LLAMA, "block:2:3", 16, 128),
    (SMALL_LLAMA, "everything", 8, 256),
    (SMALL_LLAMA, "lora", 8, 256),
    ("smollm2-135m", "block:2:0", 2, 128),
    ("smollm2-135m", "block:2:7", 2, 128),
    ("smollm2-135m", "block:0.5:20", 2, 128),
    ("smollm2-135m", "lora", 1, 128),
    ("smollm2-135m", "lora-b", 1, 128),
    ("smollm2-135m", f"lora+{ALL_LINEAR}", 1, 128),
    ("smollm2-135m", "everything", 1, 128),
    ("smollm2-135m", "block:2:0+checkpointing", 2, 128),
    ("gpt2", "block:1:0", 2, 256),
    ("gpt2", "everything", 1, 64),
    ("vit-b16", "block:2:0", 2, 1),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--case",
        nargs=4,
        action="append",
        metavar=("MODEL", "TRAINS", "BATCH", "TOKENS"),
        help="TRAINS: block:LAYERS:INDEX, lora, lora-b, everything; with +checkpointing or +all-linear",
    )
    parser.add_argument("--preload", metavar="LIBRARY", help="measure with this allocator, too (LD_PRELOAD)")
    parser.add_argument("--measure", action="store_true", help="measure the one case here, and print its bytes")
    chosen = parser.parse_args()
    if chosen.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error(f"--device {chosen.device}: PyTorch finds no CUDA device here")
    try:
        cases = [(m, t, int(b), int(s)) for m, t, b, s in chosen.case] if chosen.case else CASES
    except ValueError:
        parser.error("--case: BATCH and TOKENS must be whole numbers")
    for case in cases if chosen.case else ():
        # What is wrong with one of them is said before any of them runs.
        step_of(case, shapes_of(case, "float32"))
    if chosen.measure:
        print(json.dumps(measure(cases[0], chosen.device)))
    else:
        compare(cases, chosen.device, chosen.preload)


def compare(cases: Any, device: str, preload: str | None) -> None:
    """Print a row for every case, and how far the predictions are off."""
    allocators = ["returning", "default"] if device == "cpu" else ["default"]
    if preload:
        allocators.append(preload)
    errors: dict[str, list[float]] = {allocator: [] for allocator in allocators}
    titles = "".join(f"{Path(allocator).name[:22]:>22}" for allocator in allocators)
    print(f"{'model':<14} {'trains':<26} {'batch':>5} {'tokens':>6}{'predicted':>14}{titles}")
    for case in cases:
        model, trains, batch_size, tokens = case
        predicted = predict(case, device)
        row = f"{model:<14} {trains:<26} {batch_size:>5} {tokens:>6}{predicted / 2**20:>10.0f} MiB"
        for allocator in allocators:
            repeats = REPEATS if allocator == "default" and device == "cpu" else 1
            measured = statistics.median(measure_apart(case, device, allocator) for _ in range(repeats))
            errors[allocator].append(100 * (predicted / measured - 1))
            row += f"{measured / 2**20:>10.0f} MiB {errors[allocator][-1]:>+6.1f}%"
        print(row, flush=True)
    for allocator, found in errors.items():
        sizes = sorted(map(abs, found))
        print(
            f"{allocator}: {len(sizes)} cases, median |error| {statistics.median(sizes):.1f} %, "
            f"mean {statistics.mean(sizes):.1f} %, largest {sizes[-1]:.1f} %"
        )


def predict(case: Case, device: str) -> int:
    """What the tensors need [B]."""
    precision = str(base_dtype(device)).removeprefix("torch.")
    model = shapes_of(case, precision)
    granularity = CUDA_GRANULARITY if device.startswith("cuda") else PAGE
    return model.trace(step_of(case, model), granularity=granularity).peak.total


def shapes_of(case: Case, precision: str) -> ShapeModel:
    return ShapeModel(case[0], precision, config=demo_config().to_dict() if case[0] == SMALL_LLAMA else None)


def step_of(case: Case, model: ShapeModel) -> TracedStep:
    _, trains, batch_size, tokens = case
    what, *options = trains.split("+")
    kind, *place = what.split(":")
    if kind not in (Trains.BLOCK, Trains.LORA, Trains.LORA_B, Trains.EVERYTHING):
        raise ScenarioError(f"--case {trains}: write it like block:2:0, lora, lora-b or everything")
    block = block_of(trains, place, model) if kind == Trains.BLOCK else None
    lora = Lora(targets=ALL_LINEAR) if ALL_LINEAR in options else Lora()
    return TracedStep(Trains(kind), block, batch_size, tokens, lora=lora, checkpointing="checkpointing" in options)


def block_of(trains: str, place: list[str], model: ShapeModel) -> Block:
    try:
        layers, index = float(place[0]), int(place[1])
    except (ValueError, IndexError):
        raise ScenarioError(f"--case {trains}: write it like block:LAYERS:INDEX") from None
    blocks = partition(model.architecture, layers)
    if not 0 <= index < len(blocks):
        raise ScenarioError(
            f"--case {trains}: {model.architecture.name} has blocks 0 to {len(blocks) - 1} of that width"
        )
    return blocks[index]


def measure_apart(case: Case, device: str, allocator: str) -> int:
    environment = dict(os.environ)
    if allocator == "returning":
        environment["MALLOC_MMAP_THRESHOLD_"] = "65536"
    elif allocator != "default":
        environment["LD_PRELOAD"] = allocator
    command = [sys.executable, __file__, "--measure", "--device", device, "--case", *map(str, case)]
    answer = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True)
    return int(answer.stdout.splitlines()[-1])


def measure(case: Case, device: str) -> int:
    """Peak memory of an update [B], above what the process held before there was a model."""
    shapes = shapes_of(case, "float32")
    step = step_of(case, shapes)
    # An adapter, so that its library is loaded too.
    tiny = TracedStep(Trains.LORA, batch_size=2, sequence_length=16)
    local_update(demo_config(), tiny, device)
    gc.collect()
    if device == "cpu":
        # Otherwise what it left free would be used again, and missing from the measured peak.
        ctypes.CDLL(None).malloc_trim(0)
    before = resident() if device == "cpu" else torch.cuda.memory_allocated(device)
    forget_peak(device)
    local_update(shapes.config, step, device)
    return (resident("VmHWM") if device == "cpu" else torch.cuda.max_memory_allocated(device)) - before


def local_update(config: Any, step: TracedStep, device: str) -> None:
    model = build_model(str(config.model_type), config.to_dict(), torch.device(device))
    if device != "cpu":
        forget_peak(device)
    if step.checkpointing:
        checkpoint_activations(model)
    blocks = None if step.block is None else [step.block]
    part = trained_part(step.trains, model, blocks, step.lora, seed=0).part(0)
    batches = [{name: tensor.to(device) for name, tensor in filled_batch(config, step).items()}] * STEPS
    train_locally(model, part, batches, model_loss, LocalSettings(learning_rate=1e-5, steps=STEPS))


def resident(which: str = "VmRSS") -> int:
    """Resident size of this process [B], now or (``VmHWM``) at its highest."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(which))


def forget_peak(device: str) -> None:
    if device == "cpu":
        Path("/proc/self/clear_refs").write_text("5")
    else:
        torch.cuda.reset_peak_memory_stats(device)


if __name__ == "__main__":
    try:
        main()
    except ParaSimError as error:
        sys.exit(f"{Path(__file__).name}: error: {error}")
