"""Stand-ins for the three libraries: as much of each as is used, which keeps what it is told on the disk.

What a run was told is a list of lines ``[step, name, value, milliseconds]``, one file for each run.
"""

from __future__ import annotations

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

FOLDER = "faked"


def add(path: Path, line: object) -> None:
    """Add a line to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def lines(path: Path) -> list[Any]:
    """Lines of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def module(patch: pytest.MonkeyPatch, name: str, **contents: Any) -> None:
    """Have a module that can be imported and found."""
    made = ModuleType(name)
    made.__spec__ = ModuleSpec(name, None)
    made.__dict__.update(contents)
    patch.setitem(sys.modules, name, made)


class Writer:
    """TensorBoard's."""

    def __init__(self, folder: str, purge_step: int):
        self._path = Path(folder) / FOLDER
        kept = [line for line in lines(self._path) if line[0] < purge_step]
        self._path.unlink(missing_ok=True)
        for line in kept:
            add(self._path, line)

    def add_scalar(self, name: str, value: float, step: int, walltime: float) -> None:
        add(self._path, [step, name, value, walltime * 1000])

    def add_text(self, name: str, text: str, step: int, walltime: float) -> None:
        add(self._path.with_suffix(".config"), text)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


class WandbError(Exception):
    """Of Weights & Biases."""


class WandbRun:
    """A run of Weights & Biases, of which there is one at a time."""

    running = False
    offline, url = True, None

    def __init__(self, **told: Any):
        assert not WandbRun.running
        WandbRun.running = True
        self.dir = told["dir"]
        self._path = Path(told["dir"]) / "wandb" / told["name"] / FOLDER
        add(self._path.with_suffix(".config"), told["config"])
        add(self._path.with_suffix(".id"), told["id"])

    def define_metric(self, name: str, step_metric: str | None = None) -> None:
        pass

    def log(self, values: dict[str, float], step: int) -> None:
        assert values["rounds"] == step
        for name, value in values.items():
            if name not in ("rounds", "simulated_s"):
                add(self._path, [step, name, value, values["simulated_s"] * 1000])

    def finish(self) -> None:
        WandbRun.running = False


class MlflowError(Exception):
    """Of MLflow."""


class Client:
    """MLflow's."""

    def __init__(self, uri: str):
        self._folder = Path(uri.removeprefix("sqlite:///")).parent / "mlflow"

    def get_experiment_by_name(self, name: str) -> None:
        return None

    def create_experiment(self, name: str) -> str:
        return name

    def create_run(self, experiment: str, run_name: str) -> Any:
        return SimpleNamespace(info=SimpleNamespace(run_id=run_name.rpartition(" ")[2]))

    def log_batch(self, run: str, metrics: Any = (), params: Any = ()) -> None:
        assert len(params) <= 100
        for parameter in params:
            add(self._folder / run / f"{FOLDER}.config", parameter)
        for metric in metrics:
            if metric.name != "simulated_s":
                add(self._folder / run / FOLDER, [metric.step, metric.name, metric.value, metric.moment])

    def update_run(self, run: str, status: str) -> None:
        pass

    def set_terminated(self, run: str) -> None:
        pass


def metric(name: str, value: float, moment: int, step: int) -> Any:
    """A metric of MLflow's."""
    return SimpleNamespace(name=name, value=value, moment=moment, step=step)


def install(patch: pytest.MonkeyPatch) -> None:
    """Have all three."""
    module(patch, "tensorboard")
    module(patch, "torch.utils.tensorboard", SummaryWriter=Writer)
    settings = lambda **told: SimpleNamespace(project=None)  # noqa: E731
    module(patch, "wandb", init=WandbRun, Settings=settings, Error=WandbError)
    module(patch, "mlflow", MlflowClient=Client)
    module(patch, "mlflow.entities", Metric=metric, Param=lambda name, value: [name, value])
    module(patch, "mlflow.exceptions", MlflowException=MlflowError)
    for name in ("to_tensorboard", "to_wandb", "to_mlflow"):
        # Whichever library it was that it imported before.
        patch.delitem(sys.modules, f"parasim.loggers.{name}", raising=False)
