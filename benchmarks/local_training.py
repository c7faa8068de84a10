"""What a local update costs beside a hand-written loop, LoRA, full fine-tuning and BAdam.

Everything compared in a row runs in turns within one process, forwards and backwards, and the row shows the
median of the paired ratios. A local update is timed from outside, with all that `train_locally` does around its
steps (snapshot, optimizer, delta, restoring); what it is compared with is timed for its steps and optimizer only.

    python benchmarks/local_training.py
    python benchmarks/local_training.py --device cuda --layers 32 --block-layers 2 --batch-size 4 --sequence-length 512
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

# Run as a script, Python looks for modules beside this file and not in the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sim.architecture import from_config
from sim.blocks import ALL_LINEAR, Block, partition
from train.adapters import Adapter, LoraSettings
from train.blocks import Part, activate, block_parameters
from train.local import LocalSettings, train_locally
from train.models import demo_config, load_model, random_model

RATE = 1e-5
Run = Callable[[], None]
Batches = Sequence[dict[str, Tensor]]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="as train.models.load_model reads it (default: the demo's Llama)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--layers", type=int, default=16, help="layers of the default model (16)")
    parser.add_argument("--block-layers", type=float, default=1, help="layers per block (1)")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--sequence-length", type=int, default=32)
    parser.add_argument("--steps", type=int, default=2, help="AdamW steps per local update (2)")
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--rank", type=int, default=8, help="LoRA rank (8)")
    parser.add_argument("--targets", nargs="+", default=["q_proj", "v_proj"], help=f"modules, or {ALL_LINEAR}")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def build(chosen: argparse.Namespace) -> nn.Module:
    if chosen.model:
        return load_model(chosen.model, device=chosen.device)
    model = random_model(demo_config(layers=chosen.layers), seed=0)
    model.config.use_cache = False
    return model.to(chosen.device, torch.bfloat16 if chosen.device.startswith("cuda") else torch.float32)


def draw(chosen: argparse.Namespace, vocabulary: int) -> Batches:
    shape = (chosen.steps, chosen.batch_size, chosen.sequence_length)
    tokens = torch.randint(0, vocabulary, shape, generator=torch.Generator().manual_seed(0))
    return [{"input_ids": batch, "labels": batch} for batch in tokens.to(chosen.device)]


def model_loss(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    loss: Tensor = model(**batch).loss
    return loss


def local_update(model: nn.Module, part: Part, batches: Batches) -> Run:
    settings = LocalSettings(RATE, len(batches))
    return lambda: void(train_locally(model, part, batches, model_loss, settings))


def plain_loop(model: nn.Module, part: Part, batches: Batches) -> Run:
    """What anyone would write for one update; in bfloat16 with a master copy, like the update it stands beside."""
    parameters = list(part.values())
    narrow = parameters[0].dtype != torch.float32

    def run() -> None:
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

    return run


def bare_peft(model: nn.Module, lora: LoraSettings, batches: Batches) -> Run:
    from peft import LoraConfig, get_peft_model

    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    config = LoraConfig(r=lora.rank, lora_alpha=round(lora.scaling * lora.rank), target_modules=targets)
    adapted = get_peft_model(model, config).train()
    trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]

    def run() -> None:
        optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0, fused=True)
        for batch in batches:
            adapted(**batch).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    return run


def badam(model: nn.Module, part: Part, batches: Batches) -> Run | None:
    """BAdam's optimizer on the same block, switched to it beforehand; None where the package is absent."""
    try:
        from badam import BlockOptimizer
    except ImportError:
        return None
    model.train()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that the base weights are not bfloat16
        optimizer = BlockOptimizer(
            base_optimizer=torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0, fused=True),
            named_parameters_list=list(model.named_parameters()),
            block_prefix_list=[list(part)],
            switch_block_every=10**9,
            switch_mode="ascending",
            verbose=0,
        )

    def run() -> None:
        for batch in batches:
            model(**batch).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    return run


def void(_: object) -> None:
    """Drop a result."""


def in_turns(runs: Mapping[str, Run], repeats: int, device: str) -> dict[str, list[float]]:
    """Time [s] of every run in every repeat; the first, which warms up, does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name in list(runs) if repeat % 2 else reversed(list(runs)):
            seconds[name].append(timed(runs[name], device))
    return {name: times[1:] for name, times in seconds.items()}


def timed(run: Run, device: str) -> float:
    wait(device)
    began = time.perf_counter()
    run()
    wait(device)
    return time.perf_counter() - began


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
        times = in_turns(runs, 2 * chosen.repeats, chosen.device)
        report(f"local update / hand-written loop, {label}", paired(times["ours"], times["loop"]), 1.03)
    theirs = badam(other, block_parameters(other, middle), batches)
    if theirs is None:
        print("local update / badam: skipped, the package badam is not installed")
        return
    times = in_turns(
        {"ours": local_update(model, block_parameters(model, middle), batches), "badam": theirs},
        2 * chosen.repeats,
        chosen.device,
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
    times = in_turns(pair, 2 * chosen.repeats, chosen.device)
    report("LoRA local update / peft in a bare loop", paired(times["ours"], times["peft"]), 1.03)

    runs = {"LoRA": ours, "full": local_update(model, dict(model.named_parameters()), batches)}
    for block in blocks:
        runs[f"block {block.index}"] = local_update(model, block_parameters(model, block), batches)
    times = in_turns(runs, chosen.repeats, chosen.device)
    against_lora = {name: paired(times[name], times["LoRA"]) for name in runs if name.startswith("block")}
    slowest = max(against_lora, key=lambda name: against_lora[name])
    report(f"block / LoRA, slowest position ({slowest})", against_lora[slowest], 1.0)
    means = [statistics.mean(each) for each in zip(*(times[name] for name in against_lora), strict=True)]
    report("mean over blocks / full fine-tuning", paired(means, times["full"]), 0.75)
    print("\nmilliseconds per step (median): ratio to LoRA")
    for name, seconds in times.items():
        step = statistics.median(seconds) / chosen.steps * 1e3
        print(f"  {name:<10}{step:9.2f}{paired(seconds, times['LoRA']):9.3f}")


def main() -> None:
    chosen = options()
    torch.set_num_threads(chosen.threads)
    model: Any = build(chosen)
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
