"""Kill a training with SIGKILL at many points, run it again, and compare every file that it leaves.

Run as a process of its own: it imports everything once and never trains itself, so that it can fork.
"""

from __future__ import annotations

import gc
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import matplotlib.backends.backend_agg  # noqa: F401
import safetensors.torch
import sklearn.datasets
import sklearn.model_selection  # noqa: F401
import transformers
from transformers import ViTForImageClassification  # noqa: F401

from parasim.training import train
from parasim_core.train.federated.learner import TorchLearner
from parasim_core.train.runs.checkpoint import CheckpointError
from parasim_core.train.runs.run import train_method  # noqa: F401

SCENARIO: dict[str, Any] = {
    "rounds": 3,
    "compute": {"seconds": [3, 4, 7]},
    "fleet": [{"count": 3, "uplink": "50kB/s"}],
    "blocks": {"layers": 1},
    "local": {"steps": 1, "batch_size": 4},
    "train": {"data": {"source": "digits"}, "learning_rate": 3e-3, "evaluation": {"every": 3}},
}
METHODS = ("parablock", "parablock-async", "full-ft")
# At least: without rounds, some are begun that come to nothing.
UPDATES = SCENARIO["rounds"] * 3 * len(METHODS)
FAILING: dict[str, Any] = SCENARIO | {
    "seed": 2,
    "fleet": [
        {
            "count": 3,
            "uplink": "50kB/s",
            "dropout": {"rate": 0.3},
            "available": {"share": 0.8, "session": "60s"},
            "failures": {"every": "20s", "repair": "2s"},
            "outages": {"every": "10s", "last": "1s", "transfers": "restart"},
        }
    ],
    "participation": {"quorum": 0.6, "late": "next-round", "short": "wait"},
    "lora": {"targets": ["q_proj", "v_proj"]},
}
FAILING_METHODS = ("parablock", "flora")
"""The same with clients that vanish, fail, and are late."""
Arm = Callable[[], None]


def die() -> None:
    """Leave no chance to clean up."""
    os.kill(os.getpid(), signal.SIGKILL)


def at_update(number: int) -> Arm:
    """Die when the number-th local update begins."""

    def arm() -> None:
        train_update, calls = TorchLearner.train, []

        def wrapped(learner: TorchLearner, client: int, round: int, block: int | None) -> Any:
            calls.append(1)
            if len(calls) == number:
                die()
            return train_update(learner, client, round, block)

        TorchLearner.train = wrapped  # type: ignore[method-assign]

    return arm


def within_write(number: int, share: float) -> Arm:
    """Die when a share of the number-th file of tensors has been written."""

    def arm() -> None:
        save_file, calls = safetensors.torch.save_file, []

        def wrapped(tensors: Any, path: Any, *arguments: Any, **options: Any) -> None:
            save_file(tensors, path, *arguments, **options)
            calls.append(1)
            if len(calls) == number:
                os.truncate(path, int(share * Path(path).stat().st_size))
                die()

        safetensors.torch.save_file = wrapped

    return arm


def at_rename(number: int, *, after: bool) -> Arm:
    """Die just before or just after the number-th checkpoint gets its name."""

    def arm() -> None:
        rename, calls = Path.rename, []

        def wrapped(path: Path, target: Any) -> Any:
            calls.append(1)
            if len(calls) == number and not after:
                die()
            renamed = rename(path, target)
            if len(calls) == number:
                die()
            return renamed

        Path.rename = wrapped  # type: ignore[method-assign, assignment]

    return arm


def at_report(number: int) -> Arm:
    """Die at the number-th report of progress."""

    def arm() -> None:
        global report
        calls: list[str] = []

        def deadly(what: str, done: int, total: int) -> None:
            calls.append(what)
            if len(calls) == number:
                die()

        report = deadly

    return arm


def report(what: str, done: int, total: int) -> None:
    """Take no notice of progress."""


def run(out: Path, arm: Arm | None, scenario: dict[str, Any], methods: tuple[str, ...]) -> bool:
    """Train in a forked process; say whether it was killed."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if arm is not None:
                arm()
            train(scenario, method=methods, out=out, clock="profile", report=report)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), f"the training failed with status {status}"
    return status == signal.SIGKILL


def files(out: Path) -> dict[str, bytes]:
    """Everything a training leaves, but for the folders of checkpoints: those hold measured seconds."""
    found = sorted(path for path in out.rglob("*") if path.is_file() and "checkpoints" not in path.parts)
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


def main() -> None:
    """Kill at seven points, and at four while clients fail."""
    transformers.logging.set_verbosity_error()
    # Every training begins with a garbage collection, most of it over what was imported.
    gc.freeze()
    draw = random.Random(0)
    arms = [at_update(number) for number in draw.sample(range(1, UPDATES + 1), 2)]
    arms += [within_write(number, draw.random()) for number in (1, 5)]
    arms += [at_rename(2, after=True), at_rename(6, after=False)]
    # There is at least one report for every round of every method.
    arms += [at_report(draw.randint(1, SCENARIO["rounds"] * len(METHODS)))]
    killed(arms, SCENARIO, METHODS)
    # At least two clients train in each round.
    least = FAILING["rounds"] * 2 * len(FAILING_METHODS)
    failing = [at_update(draw.randint(2, least))]
    failing += [within_write(3, draw.random()), at_rename(2, after=False), at_rename(5, after=True)]
    killed(failing, FAILING, FAILING_METHODS)


def killed(arms: Sequence[Arm], scenario: dict[str, Any], methods: tuple[str, ...]) -> None:
    """Kill a training at some points, each time from the beginning, and compare what it leaves when it goes on."""
    with tempfile.TemporaryDirectory() as temporary:
        assert not run(Path(temporary) / "whole", None, scenario, methods)
        expected = files(Path(temporary) / "whole")
        for number, arm in enumerate(arms):
            out = Path(temporary) / "killed"
            assert run(out, arm, scenario, methods), f"point {number} was never reached"
            assert not run(out, None, scenario, methods)
            left = files(out)
            differ = [name for name in {*left, *expected} if left.get(name) != expected.get(name)]
            assert not differ, f"point {number}: {differ}"
            shutil.rmtree(out)
    print(f"killed at {len(arms)} points, same bytes in {len(expected)} files")


if __name__ == "__main__":
    try:
        main()
    except (AssertionError, CheckpointError) as failure:
        sys.exit(str(failure) or "failed")
