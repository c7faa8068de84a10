r"""What a local update costs beside a hand-written loop, LoRA, full fine-tuning, BAdam, and what it must cost.

Everything compared in a row runs in turns within one process, forwards and backwards, and the row shows the
median of the paired ratios. A local update is timed from outside, with all that `train_locally` does around its
steps (copies, optimizer, delta, restoring); what it is compared with is timed for its steps and optimizer only, and
put back to the same start before each turn, outside the time. One thread on a CPU is timed in CPU seconds, which
other programs on the machine disturb least, everything else in wall-clock seconds.

The floor of a step is the number of operations that it cannot avoid (traced, see `benchmarks.floor`) at the rate at
which the device multiplies matrices, which is measured in the same run: the fastest of the model's own products.

    python benchmarks/local_training.py
    python benchmarks/local_training.py --device cuda --layers 32 --block-layers 2 --batch-size 4 --sequence-length 512
    python benchmarks/local_training.py --parts floor --model smollm2-135m --block-layers 2 --sequence-length 128
    python benchmarks/local_training.py --parts floor --model llama-3-8b --device cuda --block-layers 2 \
        --batch-size 4 --sequence-length 1024 --compile
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

# Run as a script, Python looks for modules beside this file and not in the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.contenders import Batches, Run, badam, bare_peft, local_update, plain_loop
from benchmarks.floor import matrix_products, matrix_rates, timing_on, unavoidable_flops
from parasim_core.calibration.measuring.configuration import model_config
from parasim_core.calibration.measuring.measured_model import build_model
from parasim_core.calibration.memory.shapes import ShapeModel, TracedStep
from parasim_core.sim.errors import ParaSimError, ScenarioError
from parasim_core.sim.scenario.sections import Lora
from parasim_core.sim.workload.architecture import catalogue_names, from_config
from parasim_core.sim.workload.blocks import ALL_LINEAR, Block, partition
from parasim_core.sim.workload.methods import Trains
from parasim_core.train.models.adapters import Adapter
from parasim_core.train.models.blocks import block_parameters, compile_layers
from parasim_core.train.models.building import base_dtype, placed, random_model
from parasim_core.train.models.files import load_model
from parasim_core.train.update.timing import now
from parasim_demonstration.models import demo_config


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what is measured (all)")
    parser.add_argument(
        "--model", help="a catalogue name (random weights), or as train.model_files.load_model reads it (a small Llama)"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--layers", type=int, default=8, help="layers of the default model (8)")
    parser.add_argument("--block-layers", type=float, default=1, help="layers per block (1)")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--sequence-length", type=int, default=32)
    parser.add_argument("--steps", type=int, default=12, help="AdamW steps per local update (12)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rank", type=int, default=8, help="LoRA rank (8)")
    parser.add_argument("--targets", nargs="+", default=["q_proj", "v_proj"], help=f"modules, or {ALL_LINEAR}")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--blocks", type=int, nargs="+", help="blocks to hold against the floor (all)")
    parser.add_argument("--compile", action="store_true", help="let torch.compile make the layers faster")
    chosen = parser.parse_args()
    if chosen.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error(f"--device {chosen.device}: PyTorch finds no CUDA device here")
    return chosen


def build(chosen: argparse.Namespace) -> Any:
    if chosen.model and chosen.model.lower() in catalogue_names():
        return build_model(chosen.model, model_config(chosen.model), torch.device(chosen.device))
    if chosen.model:
        return load_model(chosen.model, device=chosen.device)
    ready: Any = random_model(demo_config(layers=chosen.layers), seed=0)
    ready.config.use_cache = False
    return placed(ready, chosen.device, base_dtype(chosen.device))


def draw(chosen: argparse.Namespace, vocabulary: int) -> Batches:
    shape = (chosen.steps, chosen.batch_size, chosen.sequence_length)
    tokens = torch.randint(0, vocabulary, shape, generator=torch.Generator().manual_seed(0))
    return [{"input_ids": batch, "labels": batch} for batch in tokens.to(chosen.device)]


def in_turns(runs: Mapping[str, Run], chosen: argparse.Namespace) -> dict[str, list[float]]:
    """Time [s] of every run in every repeat; the first, which warms up, does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(chosen.repeats + 1):
        for name in list(runs) if repeat % 2 else reversed(list(runs)):
            seconds[name].append(timed(runs[name], chosen))
    return {name: times[1:] for name, times in seconds.items()}


def timed(run: Run, chosen: argparse.Namespace) -> float:
    device = torch.device(chosen.device)
    run.start_over()
    began = now(device)
    run.steps()
    return now(device) - began


def paired(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


def report(label: str, ratio: float, bound: float) -> None:
    print(f"{label:<58}{ratio:8.3f}{bound:8.2f}   {'holds' if ratio <= bound else 'MISSED'}")


def loops(chosen: argparse.Namespace, model: nn.Module, blocks: Sequence[Block], batches: Batches) -> None:
    """A local update against the same steps written by hand, and against BAdam's."""
    middle = blocks[len(blocks) // 2]
    for label, block in ((f"block {middle.index}", middle), ("full model", None)):
        # All on one model: where a copy lies in memory changes its speed by several per cent.
        part = block_parameters(model, block) if block else dict(model.named_parameters())
        runs = {
            "ours": local_update(model, part, batches),
            "loop": plain_loop(model, part, batches),
            "twin": plain_loop(model, part, batches),
        }
        times = in_turns(runs, chosen)
        report(f"local update / hand-written loop, {label}", paired(times["ours"], times["loop"]), 1.03)
        noise = paired(times["twin"], times["loop"])
        print(f"{'the same loop / itself: what noise alone does':<58}{noise:8.3f}")
    other = copy.deepcopy(model)
    theirs = badam(other, block_parameters(other, middle), batches)
    if theirs is None:
        print("local update / badam: skipped, the package badam is not installed")
        return
    times = in_turns(
        {"ours": local_update(model, block_parameters(model, middle), batches), "badam": theirs},
        chosen,
    )
    report(f"local update / badam, block {middle.index}", paired(times["ours"], times["badam"]), 1.0)


def methods(chosen: argparse.Namespace, model: nn.Module, blocks: Sequence[Block], batches: Batches) -> None:
    """Block training against LoRA and full fine-tuning, at every block position."""
    targets = ALL_LINEAR if chosen.targets == [ALL_LINEAR] else tuple(chosen.targets)
    lora = Lora(rank=chosen.rank, targets=targets)
    adapted = copy.deepcopy(model)
    adapter = Adapter(adapted, lora, seed=0)
    ours = local_update(adapted, adapter.part, batches)
    pair = {"ours": ours, "peft": bare_peft(copy.deepcopy(model), lora, batches)}
    times = in_turns(pair, chosen)
    report("LoRA local update / peft in a bare loop", paired(times["ours"], times["peft"]), 1.03)

    # Many contenders: a quarter of the steps each, which weighs what happens once per update four times.
    few = batches[: max(1, len(batches) // 4)]
    runs = {
        "LoRA": local_update(adapted, adapter.part, few),
        "full": local_update(model, dict(model.named_parameters()), few),
    }
    for block in blocks:
        runs[f"block {block.index}"] = local_update(model, block_parameters(model, block), few)
    times = in_turns(runs, chosen)
    against_lora = {name: paired(times[name], times["LoRA"]) for name in runs if name.startswith("block")}
    slowest = max(against_lora, key=lambda name: against_lora[name])
    report(f"block / LoRA, slowest position ({slowest})", against_lora[slowest], 1.0)
    means = [statistics.mean(each) for each in zip(*(times[name] for name in against_lora), strict=True)]
    report("mean over blocks / full fine-tuning", paired(means, times["full"]), 0.75)
    print("\nmilliseconds per step (median): ratio to LoRA")
    for name, seconds in times.items():
        step = statistics.median(seconds) / len(few) * 1e3
        print(f"  {name:<10}{step:9.2f}{paired(seconds, times['LoRA']):9.3f}")


def floors(chosen: argparse.Namespace, model: nn.Module, blocks: Sequence[Block], batches: Batches) -> None:
    """Steps of every block position against the floor that their operations set."""
    device = torch.device(chosen.device)
    dtype = next(model.parameters()).dtype
    products = matrix_products(model, chosen.batch_size * chosen.sequence_length)
    rates = matrix_rates(products, dtype, device, partial(now, device))
    fastest = max(rates, key=lambda product: rates[product])
    rate = rates[fastest]
    print(
        f"\n{str(dtype).removeprefix('torch.')} products of the model's shapes (rows x inner x columns), GFLOP/s, "
        f"{timing_on(device).label}:"
    )
    for product, reached in rates.items():
        print(
            f"  {' x '.join(map(str, product)):<24}{reached / 1e9:12.1f}{'  <- the rate' if product == fastest else ''}"
        )
    compared = [block for block in blocks if not chosen.blocks or block.index in chosen.blocks]
    operations = traced(chosen, model, compared)
    runs = {str(block.index): local_update(model, block_parameters(model, block), batches) for block in compared}
    times = in_turns(runs, chosen)
    print(f"\n{'block':<8}{'GFLOP':>12}{'floor ms':>12}{'measured ms':>14}{'share of floor speed':>24}")
    for name, seconds in times.items():
        step, floor = statistics.median(seconds) / len(batches), operations[int(name)] / rate
        print(f"{name:<8}{operations[int(name)] / 1e9:12.2f}{floor * 1e3:12.2f}{step * 1e3:14.2f}{floor / step:24.1%}")


def traced(chosen: argparse.Namespace, model: Any, blocks: Sequence[Block]) -> dict[int, float]:
    """Operations of a step of each of these blocks that it cannot avoid."""
    precision = str(next(model.parameters()).dtype).removeprefix("torch.")
    with tempfile.TemporaryDirectory() as folder:
        model.config.save_pretrained(folder)
        shapes = ShapeModel(folder, precision)
    found = {}
    for block in blocks:
        step = TracedStep(Trains.BLOCK, block, chosen.batch_size, chosen.sequence_length)
        found[block.index] = unavoidable_flops(shapes.trace(step).operators)
    return found


def main() -> None:
    chosen = options()
    torch.set_num_threads(chosen.threads)
    model = build(chosen)
    blocks = partition(from_config(model.config.to_dict(), chosen.model or "small Llama"), chosen.block_layers)
    if chosen.blocks and not 0 <= min(chosen.blocks) <= max(chosen.blocks) < len(blocks):
        raise ScenarioError(f"--blocks {' '.join(map(str, chosen.blocks))}: there are blocks 0 to {len(blocks) - 1}")
    batches = draw(chosen, model.config.vocab_size)
    count = sum(parameter.numel() for parameter in model.parameters())
    device = torch.cuda.get_device_name() if chosen.device.startswith("cuda") else f"{chosen.threads} CPU thread(s)"
    print(
        f"{chosen.model or 'small Llama'}: {count / 1e6:.1f} M parameters, {len(blocks)} blocks; {device}, "
        f"torch {torch.__version__}\n{chosen.batch_size} x {chosen.sequence_length} tokens, {chosen.steps} steps per "
        f"update, LoRA rank {chosen.rank} on {', '.join(chosen.targets)}\n"
    )
    if chosen.compile:
        compile_layers(model)
    if {"loops", "methods"} & set(chosen.parts):
        print(f"{'median of paired ratios':<58}{'ratio':>8}{'bound':>8}")
    for part, measure in PARTS.items():
        if part in chosen.parts:
            measure(chosen, model, blocks, batches)


PARTS = {"loops": loops, "methods": methods, "floor": floors}

if __name__ == "__main__":
    try:
        main()
    except ParaSimError as error:
        sys.exit(f"{Path(__file__).name}: error: {error}")
