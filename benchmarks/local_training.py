"""What a local update costs beside a hand-written loop, LoRA, full fine-tuning and BAdam.

Everything compared in a row runs in turns within one process, forwards and backwards, and the row shows the
median of the paired ratios. A local update is timed from outside, with all that `train_locally` does around its
steps (copies, optimizer, delta, restoring); what it is compared with is timed for its steps and optimizer only, and
put back to the same start before each turn, outside the time. One thread on a CPU is timed in CPU seconds, which
other programs on the machine disturb least, everything else in wall-clock seconds.

    python benchmarks/local_training.py
    python benchmarks/local_training.py --device cuda --layers 32 --block-layers 2 --batch-size 4 --sequence-length 512
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

# Run as a script, Python looks for modules beside this file and not in the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sim.architecture import from_config
from sim.blocks import ALL_LINEAR, Block, partition
from train.adapters import Adapter, LoraSettings
from train.blocks import Part, activate, block_parameters, install, snapshot
from train.local import LocalSettings, train_locally
from train.models import demo_config, load_model, random_model

RATE = 1e-5
Batches = Sequence[dict[str, Tensor]]


@dataclass(frozen=True)
class Run:
    """One contender: what is timed, and what puts it back to its start beforehand."""

    steps: Callable[[], None]
    start_over: Callable[[], None]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="as train.models.load_model reads it (default: the demo's Llama)")
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
    return parser.parse_args()


def build(chosen: argparse.Namespace) -> Any:
    if chosen.model:
        return load_model(chosen.model, device=chosen.device)
    ready: Any = random_model(demo_config(layers=chosen.layers), seed=0)
    ready.config.use_cache = False
    return ready.to(chosen.device, torch.bfloat16 if chosen.device.startswith("cuda") else torch.float32)


def draw(chosen: argparse.Namespace, vocabulary: int) -> Batches:
    shape = (chosen.steps, chosen.batch_size, chosen.sequence_length)
    tokens = torch.randint(0, vocabulary, shape, generator=torch.Generator().manual_seed(0))
    return [{"input_ids": batch, "labels": batch} for batch in tokens.to(chosen.device)]


def model_loss(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    loss: Tensor = model(**batch).loss
    return loss


def local_update(model: nn.Module, part: Part, batches: Batches) -> Run:
    settings = LocalSettings(RATE, len(batches))

    def steps() -> None:
        train_locally(model, part, batches, model_loss, settings)

    return Run(steps, start_over=lambda: None)


def plain_loop(model: nn.Module, part: Part, batches: Batches) -> Run:
    """What anyone would write for one update; in bfloat16 with a master copy, like the update it stands beside."""
    parameters: list[Any] = list(part.values())
    narrow = parameters[0].dtype != torch.float32

    def steps() -> None:
        activate(model, part)
        model.train()
        masters = [nn.Parameter(one.detach().float()) for one in parameters] if narrow else parameters
        optimizer = torch.optim.AdamW(masters, lr=RATE, weight_decay=0, fused=True)
        for batch in batches:
            model(**batch).loss.backward()
            if narrow:
                for parameter, master in zip(parameters, masters, strict=True):
                    master.grad, parameter.grad = parameter.grad.float(), None
            optimizer.step()
            optimizer.zero_grad()
            if narrow:
                with torch.no_grad():
                    for parameter, master in zip(parameters, masters, strict=True):
                        parameter.copy_(master)

    return from_here(part, steps)


def bare_peft(model: nn.Module, lora: LoraSettings, batches: Batches) -> Run:
    from peft import LoraConfig, get_peft_model

    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    config = LoraConfig(r=lora.rank, lora_alpha=round(lora.scaling * lora.rank), target_modules=targets)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft's own affair with transformers
        adapted = get_peft_model(model, config).train()
    part = {name: parameter for name, parameter in adapted.named_parameters() if parameter.requires_grad}

    def steps() -> None:
        optimizer = torch.optim.AdamW(part.values(), lr=RATE, weight_decay=0, fused=True)
        for batch in batches:
            adapted(**batch).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    return from_here(part, steps)


def badam(model: nn.Module, part: Part, batches: Batches) -> Run | None:
    """BAdam's optimizer on the same block, switched to it beforehand; None where the package is absent."""
    try:
        from badam import BlockOptimizer  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        return None
    model.train()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # it warns that the base weights are not bfloat16
        optimizer = BlockOptimizer(
            base_optimizer=torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0, fused=True),
            named_parameters_list=list(model.named_parameters()),
            block_prefix_list=[list(part)],
            switch_block_every=10**9,
            switch_mode="ascending",
            verbose=0,
        )

    def steps() -> None:
        for batch in batches:
            model(**batch).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    return from_here(part, steps)


def from_here(part: Part, steps: Callable[[], None]) -> Run:
    """A contender that leaves its part trained, which goes back to its present values each time."""
    values = snapshot(part)
    return Run(steps, start_over=lambda: install(part, values))


def in_turns(runs: Mapping[str, Run], chosen: argparse.Namespace) -> dict[str, list[float]]:
    """Time [s] of every run in every repeat; the first, which warms up, does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(chosen.repeats + 1):
        for name in list(runs) if repeat % 2 else reversed(list(runs)):
            seconds[name].append(timed(runs[name], chosen))
    return {name: times[1:] for name, times in seconds.items()}


def timed(run: Run, chosen: argparse.Namespace) -> float:
    alone = chosen.device == "cpu" and chosen.threads == 1
    clock = time.process_time if alone else time.perf_counter
    run.start_over()
    wait(chosen.device)
    began = clock()
    run.steps()
    wait(chosen.device)
    return clock() - began


def wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def paired(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


def report(label: str, ratio: float, bound: float) -> None:
    print(f"{label:<58}{ratio:8.3f}{bound:8.2f}   {'holds' if ratio <= bound else 'MISSED'}")


def loops(chosen: argparse.Namespace, model: nn.Module, blocks: Sequence[Block], batches: Batches) -> None:
    """A local update against the same steps written by hand, and against BAdam's."""
    other = copy.deepcopy(model)
    middle = blocks[len(blocks) // 2]
    for label, block in ((f"block {middle.index}", middle), ("full model", None)):
        parts = [block_parameters(one, block) if block else dict(one.named_parameters()) for one in (model, other)]
        runs = {
            "ours": local_update(model, parts[0], batches),
            "loop": plain_loop(other, parts[1], batches),
        }
        if block is not None:
            twin = copy.deepcopy(other)
            runs["twin"] = plain_loop(twin, block_parameters(twin, block), batches)
        times = in_turns(runs, chosen)
        report(f"local update / hand-written loop, {label}", paired(times["ours"], times["loop"]), 1.03)
        if block is not None:
            noise = paired(times["twin"], times["loop"])
            print(f"{'the same loop / itself: what noise alone does':<58}{noise:8.3f}")
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
    lora = LoraSettings(chosen.rank, targets=targets)
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


def main() -> None:
    chosen = options()
    torch.set_num_threads(chosen.threads)
    model = build(chosen)
    blocks = partition(from_config(model.config.to_dict(), chosen.model or "small Llama"), chosen.block_layers)
    batches = draw(chosen, model.config.vocab_size)
    count = sum(parameter.numel() for parameter in model.parameters())
    device = torch.cuda.get_device_name() if chosen.device.startswith("cuda") else f"{chosen.threads} CPU thread(s)"
    print(
        f"{chosen.model or 'small Llama'}: {count / 1e6:.1f} M parameters, {len(blocks)} blocks; {device}, "
        f"torch {torch.__version__}\n{chosen.batch_size} x {chosen.sequence_length} tokens, {chosen.steps} steps per "
        f"update, LoRA rank {chosen.rank} on {', '.join(chosen.targets)}\n"
    )
    print(f"{'median of paired ratios':<58}{'ratio':>8}{'bound':>8}")
    loops(chosen, model, blocks, batches)
    methods(chosen, model, blocks, batches)


if __name__ == "__main__":
    main()
