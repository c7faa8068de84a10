r"""Which settings would explain the ParaBlock paper's runtimes and memory on its A100s: a search, and an inference.

The paper states neither sequence length nor steps. This searches a grid of settings: sequences padded to the longest
of their batch, or all of one length; attention fused or eager; a processor that asks for an operator in 20 us or in 40
(docs/appendices/devices.md); as many steps a round for both models, or as many in all rounds together (32 and 28);
and, for blocks and for LoRA apart, the batch at once or one sequence after the other with gradients accumulated, and
activations kept or recomputed. For each, a step is traced and priced on an A100 with 80 GB, and held against

- six computing times of a round of blocks (profile paper-a100: two models, two data sets, two batch sizes) and three of
  LoRA, all of which may be off by the prediction's band. A round is so many steps long, and how many nobody knows: what
  counts is whether one number of steps explains all times. MathInstruct's sequences may be shorter than Alpaca's, down
  to half of them: what fits best counts;
- the four memory peaks of Table 8 for these methods, taken as GiB, of the lowest block.

    python benchmarks/paper_runs.py

takes about six minutes of one core.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

# Run as a script, Python looks for modules beside this file and not in the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from parasim.text import console, plain_table
from parasim_core.calibration.devices.catalogue import device
from parasim_core.calibration.devices.prediction import BANDS, asked, busy, repeated
from parasim_core.calibration.memory.alike_layers import trace_step
from parasim_core.calibration.memory.device_peak import device_peak
from parasim_core.calibration.memory.peaks import CUDA_GRANULARITY
from parasim_core.calibration.memory.recipe import Recipe
from parasim_core.calibration.memory.shapes import TracedStep
from parasim_core.calibration.memory.trace import StepTrace
from parasim_core.calibration.profiles.loading import DEFAULT_PROFILE, read_profile
from parasim_core.sim.scenario.sections import Lora
from parasim_core.sim.workload.architecture import architecture, find_config
from parasim_core.sim.workload.blocks import partition
from parasim_core.sim.workload.methods import Trains

GPU = "a100-80gb"
BIG, SMALL = "llama-3-8b", "llama-3.2-3b"
ROUNDS = {BIG: 32, SMALL: 28}
TABLE_8 = {("block", BIG): 23.3, ("block", SMALL): 10.0, ("lora", BIG): 27.0, ("lora", SMALL): 14.3}
"""Peaks that the paper reports of FedBCD, ParaBlock and FedIT [GiB, by inference]."""
TIME_BAND, MEMORY_BAND = BANDS["server"], 1.15
"""Factors either way: of a predicted time; of a predicted peak, as nine in ten published ones are."""
PADDED = 0
"""Length that stands for sequences which are padded to the longest of their batch."""
LENGTHS = (PADDED, 256, 512, 1024, 2048)
MEAN_LONGEST = {1: 217, 2: 298, 4: 384}
"""Mean of the longest of so many sequences of Alpaca-GPT4 with Alpaca's template [tokens]: 999 examples, 4.4 characters
a token, which is an estimate."""
LONGEST = 698
"""Longest of these 999 [tokens]: what memory has to be for."""
MATH_RATIOS = tuple(part / 20 for part in range(10, 21))
HOSTS = {"fast": 1, "slow": 2}
"""Times of 20 us for an operator."""


@dataclass(frozen=True)
class Passes:
    """How a batch is passed.

    Attributes
    ----------
    accumulated : bool
        Whether one sequence at a time, with gradients added up.
    recomputed : bool
        Whether activations are recomputed.
    """

    accumulated: bool
    recomputed: bool

    def __str__(self) -> str:
        kept = "recomputed" if self.recomputed else "kept"
        return f"{'1 by 1' if self.accumulated else 'at once'}, {kept}"


@dataclass(frozen=True)
class Setting:
    """One combination.

    Attributes
    ----------
    length : int
        Tokens per sequence, or `PADDED`.
    attention : {"fused", "eager"}
        How it attends.
    host : {"fast", "slow"}
        How fast a processor asks for operators.
    steps : {"round", "run"}
        What has as many steps in both models.
    passes : mapping of str to Passes
        Of ``block`` and of ``lora``.
    """

    length: int
    attention: str
    host: str
    steps: str
    passes: Mapping[str, Passes]

    def words(self) -> list[str]:
        """Cells of a table."""
        length = "padded" if self.length == PADDED else str(self.length)
        return [length, self.attention, self.host, f"same a {self.steps}", *map(str, self.passes.values())]


@dataclass(frozen=True)
class RoundTime:
    """Computing time of a round that the paper's runtimes imply."""

    kind: str
    model: str
    math: bool
    batch: int
    seconds: float


@dataclass(frozen=True)
class Explanation:
    """How well a setting explains the paper.

    Attributes
    ----------
    setting : Setting
        The setting.
    blocks, everything : float
        Factor either way that the times of blocks, and these with LoRA's, need beside one number of steps.
    steps : float
        That number for Llama 3-8B, by the times of blocks.
    math : float
        How long MathInstruct's sequences are beside Alpaca's, by all times.
    peaks : dict
        Predicted peaks, as `TABLE_8` [GiB].
    """

    setting: Setting
    blocks: float
    everything: float
    steps: float
    math: float
    peaks: dict[tuple[str, str], float]

    def memory(self, *kinds: str) -> float:
        """Factor either way that the predicted peaks of some kinds need."""
        return max(
            max(peak / TABLE_8[kind, model], TABLE_8[kind, model] / peak)
            for (kind, model), peak in self.peaks.items()
            if kind in kinds
        )

    @property
    def far(self) -> float:
        """How far beyond the bands the worst of everything is; at most 1 if nothing is."""
        excess = math.log(self.everything) / math.log(TIME_BAND)
        return max(excess, math.log(self.memory("block", "lora")) / math.log(MEMORY_BAND))


def grid() -> Iterator[Setting]:
    """All combinations."""
    ways = [Passes(*chosen) for chosen in itertools.product((False, True), repeat=2)]
    for shared in itertools.product(LENGTHS, ("fused", "eager"), HOSTS, ("round", "run")):
        for block, lora in itertools.product(ways, ways):
            yield Setting(*shared, {"block": block, "lora": lora})


def implied() -> list[RoundTime]:
    """Times of a round that the published profile holds [s]."""
    fit = read_profile(DEFAULT_PROFILE)["fit"]
    return [
        RoundTime(kind, row["model"], row["dataset"] == "mathinstruct", row["batch_size"], row["seconds"])
        for kind in ("block", "lora")
        for row in fit[f"{kind}_seconds"]
    ]


def explain(setting: Setting, times: Sequence[RoundTime]) -> Explanation:
    """Hold a setting against the paper."""
    by_math = {ratio: {time: steps_of(setting, time, ratio) for time in times} for ratio in MATH_RATIOS}
    best = min(MATH_RATIOS, key=lambda ratio: needed(by_math[ratio].values()))
    blocks = min(([n for time, n in steps.items() if time.kind == "block"] for steps in by_math.values()), key=needed)
    middle = math.sqrt(min(blocks) * max(blocks))
    peaks = {(kind, model): peak(setting, kind, model) / 2**30 for kind, model in TABLE_8}
    return Explanation(setting, needed(blocks), needed(by_math[best].values()), middle, best, peaks)


def needed(steps: Collection[float]) -> float:
    """Factor either way within which numbers are one and the same."""
    return math.sqrt(max(steps) / min(steps))


def steps_of(setting: Setting, time: RoundTime, ratio: float) -> float:
    """Steps of a round of Llama 3-8B with which a time is as implied."""
    whole, half = (step_seconds(setting, time, short) for short in (False, True))
    # A step's time is a line between half of Alpaca's length and all of it.
    step = half + (2 * ratio - 1) * (whole - half) if time.math else whole
    rounds = ROUNDS[time.model] / ROUNDS[BIG] if setting.steps == "run" else 1.0
    return time.seconds / step * rounds


def step_seconds(setting: Setting, time: RoundTime, short: bool) -> float:
    """Predicted time of a step at Alpaca's length, or half of it [s]."""
    passes = setting.passes[time.kind]
    together = 1 if passes.accumulated else time.batch
    length = (setting.length or MEAN_LONGEST[together]) // (2 if short else 1)
    on_gpu, on_cpu = priced(setting.attention, passes.recomputed, time.kind, time.model, time.batch, together, length)
    return max(on_gpu, HOSTS[setting.host] * on_cpu)


@cache
def priced(
    attention: str, recomputed: bool, kind: str, model: str, batch: int, together: int, length: int
) -> tuple[float, float]:
    """Time that keeps the GPU busy in a step, and that its CPU needs to ask for it [s]."""
    trace = traced(attention, recomputed, kind, model, together, length, batch // together)
    # A third batch changes nothing but how often its passes run.
    operators = repeated(trace.operators, batch / together / min(2, batch // together))
    return busy(operators, device(GPU)), asked(operators, recipe_of(attention, kind))


def peak(setting: Setting, kind: str, model: str) -> float:
    """Predicted peak at a batch of 4 [B]."""
    passes = setting.passes[kind]
    together = 1 if passes.accumulated else 4
    length = setting.length or LONGEST
    trace = traced(setting.attention, passes.recomputed, kind, model, together, length, 4 // together, lowest=True)
    return float(device_peak(trace, device(GPU)).allocated)


def recipe_of(attention: str, kind: str) -> Recipe:
    """The trainer's own step of a block, as BAdam's; adapters in float32, as peft's are."""
    own = Recipe(attention="eager" if attention == "eager" else "fused")
    return replace(own, master=False, adapters="float32") if kind == "lora" else own


@cache
def traced(
    attention: str, recomputed: bool, kind: str, model: str, together: int, length: int, batches: int,
    *, lowest: bool = False,
) -> StepTrace:  # fmt: skip
    """A step of the middle block, or the lowest one, or of LoRA on queries and values."""
    blocks = partition(architecture(model), 2)
    block = blocks[0 if lowest else len(blocks) // 2 - 1] if kind == "block" else None
    step = TracedStep(
        Trains.BLOCK if kind == "block" else Trains.LORA,
        block,
        together,
        length,
        min(2, batches),
        lora=Lora(rank=32, targets=("q_proj", "v_proj")),
        checkpointing=recomputed,
        recipe=recipe_of(attention, kind),
    )
    return trace_step(model, find_config(model), "bfloat16", step, granularity=CUDA_GRANULARITY)


def main() -> None:
    found = [explain(setting, implied()) for setting in grid()]
    alike = [one for one in found if len(set(one.setting.passes.values())) == 1]
    counts: dict[str, Callable[[Explanation], bool]] = {
        "times of blocks": lambda one: one.blocks <= TIME_BAND,
        "times of blocks and LoRA": lambda one: one.everything <= TIME_BAND,
        "memory of blocks": lambda one: one.memory("block") <= MEMORY_BAND,
        "memory of LoRA": lambda one: one.memory("lora") <= MEMORY_BAND,
        "memory of both": lambda one: one.memory("block", "lora") <= MEMORY_BAND,
        "all times and memory": lambda one: one.far <= 1,
    }
    print(f"So many settings explain, times within a factor of {TIME_BAND}, memory within {MEMORY_BAND}:\n")
    table = plain_table("", f">of {len(found)}", f">of {len(alike)} that pass blocks and LoRA alike")
    for what, holds in counts.items():
        table.add_row(what, *(str(sum(map(holds, some))) for some in (found, alike)))
    console().print(table)
    print_best("Nearest to everything", found, lambda one: one.far)
    print_best("Nearest to everything, blocks and LoRA passed alike", alike, lambda one: one.far)


def print_best(title: str, found: Sequence[Explanation], key: Callable[[Explanation], float], rows: int = 8) -> None:
    """Print the best few of all explanations: factors that times need, and predicted peaks."""
    print(f"\n{title} (Table 8: blocks {in_gib(TABLE_8, 'block')}, LoRA {in_gib(TABLE_8, 'lora')} GiB):\n")
    titles = ("tokens", "attention", "host", "steps", "blocks", "LoRA")
    table = plain_table(*titles, ">steps a round", ">Math", ">times", ">of blocks", ">GiB blocks", ">GiB LoRA")
    for one in sorted(found, key=key)[:rows]:
        factors = [f"{one.math:.2f}", f"x {one.everything:.2f}", f"x {one.blocks:.2f}"]
        gib = [in_gib(one.peaks, kind) for kind in ("block", "lora")]
        table.add_row(*one.setting.words(), f"{one.steps:.0f}", *factors, *gib)
    console().print(table)


def in_gib(peaks: Mapping[tuple[str, str], float], kind: str) -> str:
    """Write the peaks of both models."""
    return ", ".join(f"{peaks[kind, model]:.1f}" for model in (BIG, SMALL))


if __name__ == "__main__":
    main()
