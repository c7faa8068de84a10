"""What a federated round costs beside the clients' training steps.

Every method trains the demonstration model with ten clients in one process, and the processor time of each part is
added up. *Steps* is forward, backward and AdamW. *Delta, aggregation, correction* is what makes of them a federated
round: the working copy and the delta of every update, the mean and the new version, what clients receive, and the
weights that the model is shown for the next client. *Rest* is batches, checks, copying the base model once, and the
simulator. Evaluation is left out.

    python benchmarks/rounds.py
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Run as a script, Python looks for modules beside this file and not in the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.train.federated.learner import TorchLearner
from parasim_core.train.federated.versions import Versions
from parasim_core.train.runs.run import train_method
from parasim_core.train.runs.settings import TrainSettings
from parasim_core.train.runs.workbench import build
from parasim_core.train.update import local

METHODS = ("parablock", "fedbcd", "fedcybgd", "fedit", "ffa-lora", "full-ft")
BOUND = 0.02


class Stopwatch:
    """Adds up the processor time of functions, without what others of them take inside."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def watch(self, owner: Any, name: str, part: str) -> None:
        """Count what a function takes as a part."""
        timed: Callable[..., Any] = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            self._inner.append(0.0)
            began = time.process_time()
            try:
                return timed(*args, **kwargs)
            finally:
                took = time.process_time() - began
                self.seconds[part] += took - self._inner.pop()
                self._inner[-1] += took

        setattr(owner, name, watched)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=8, help="AdamW steps per local update (8)")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    fields = {
        "model": "demo",
        "rounds": chosen.rounds,
        "blocks": {"count": 4},
        "local": {"steps": chosen.steps, "batch_size": chosen.batch_size, "sequence_length": 64},
        "compute": {"seconds": 1},
        "fleet": [{"count": 10, "uplink": "10MB/s"}],
    }
    settings = TrainSettings.parse({"evaluation": {"every": chosen.rounds}})
    bench = build(Scenario.parse(fields), settings)
    watch = Stopwatch()
    watch.watch(local, "_descend", "steps")
    watch.watch(local, "_measure", "federated")
    for owner, name in ((TorchLearner, "aggregate"), (TorchLearner, "receive"), (Versions, "show")):
        watch.watch(owner, name, "federated")
    watch.watch(Versions, "show_private", "federated")
    watch.watch(bench.task, "evaluate", "evaluation")
    watch.watch(sys.modules[__name__], "train_method", "rest")
    print(f"torch {torch.__version__}, {chosen.threads} thread(s), {chosen.rounds} rounds of {chosen.steps} steps")
    print(f"{'method':<12}{'steps':>10}{'delta, aggregation, correction':>34}{'rest':>9}")
    for name in METHODS:
        watch.seconds.clear()
        train_method(Scenario.parse({**fields, "method": name}), settings, bench, None, costs=None)
        spent = {part: watch.seconds[part] for part in ("steps", "federated", "rest")}
        shares = {part: seconds / sum(spent.values()) for part, seconds in spent.items()}
        verdict = "holds" if shares["federated"] < BOUND else "MISSED"
        print(
            f"{name:<12}{spent['steps']:>8.1f} s{shares['federated']:>17.2%} (bound {BOUND:.0%}) {verdict:<6}"
            f"{shares['rest']:>9.2%}"
        )


if __name__ == "__main__":
    main()
