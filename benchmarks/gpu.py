r"""Everything that is to be measured on a machine with a GPU, in one go: the most important first.

    python benchmarks/gpu.py --out DIR [--wheels WHEELS]
    python benchmarks/gpu.py --out DIR --device cpu --tiny
    python benchmarks/gpu.py --out DIR --plan

Each call takes ten minutes at most (`--within`), and three of them all steps: what an earlier call has done is kept,
and what it was cut in goes on. Every step has a time limit and a folder of its own in DIR; `run.json` there says on
which device, with which driver and versions, when, and how each step ended; `rows.json` holds the steps that the
profiles measured in the form of published rows, and `models.json` their models, for
`paraSim validate devices --rows DIR/rows.json`.

The machine needs PyTorch for its GPU, and no network: models have random weights. Packages that it lacks are named, and
how to get them; as wheels in a folder they are put in a temporary place, and nothing of the machine's is changed.
`--tiny` tries all of it in a few minutes, with small models and short sequences.

This file needs the standard library alone until all packages are there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

WITHIN = 590.0
"""Seconds of one call."""
NOT_NEEDED = {"gguf", "matplotlib", "pandas", "scikit-learn", "threadpoolctl"}
"""Packages that no step imports."""


@dataclass(frozen=True)
class Measurements:
    """What is measured.

    Attributes
    ----------
    models : tuple of str
        Models that are calibrated; the first one is trained in part, too.
    smallest : str
        The one of them whose profile is held against training of all methods.
    levels : str
        Options of `paraSim calibrate`.
    floor, memory : str
        Options of `benchmarks/local_training.py` and of `benchmarks/memory.py`.
    run : str
        Options of `paraSim validate compute`.
    """

    models: tuple[str, ...]
    smallest: str
    levels: str
    floor: str
    memory: str
    run: str


FULL = Measurements(
    models=("llama-3-8b", "smollm2-135m", "llama-3.2-3b", "qwen2.5-1.5b"),
    smallest="smollm2-135m",
    levels="--batch-size 1,2,4,8 --sequence-length 256,512,1024,2048 --layers 1,2,4 --budget 100s",
    floor="--model llama-3-8b --block-layers 2 --blocks 0 8 15 --batch-size 4 --sequence-length 1024 --steps 6 "
    "--repeats 3",
    memory="--case llama-3-8b block:2:0 4 512 --case llama-3-8b lora 4 512 --case smollm2-135m everything 8 512",
    run="",
)
TINY = Measurements(
    models=("demo",),
    smallest="demo",
    levels="--batch-size 1,2,3 --sequence-length 8,16,24 --layers 1,2,4 --rank 4 --budget 1s --threads 1",
    floor="--layers 4 --block-layers 1 --batch-size 1 --sequence-length 24 --steps 3 --repeats 1 --blocks 0 3",
    memory="--case small-llama block:1:0 2 32",
    run="--set rounds=2 --set local.steps=2",
)


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes
    ----------
    name : str
        Its folder.
    command : tuple of str
        What Python runs, within that folder.
    limit : float
        Seconds after which it is stopped.
    """

    name: str
    command: tuple[str, ...]
    limit: float


def plan(measured: Measurements, device: str) -> list[Step]:
    """List the steps, the most important first."""
    first, *others = measured.models

    def calibrated(model: str, limit: float) -> Step:
        command = (
            f"-m parasim calibrate --model {model} --device {device} {measured.levels} --out {profile_name(model)}"
        )
        return Step(f"calibrate-{model}", tuple(command.split()), limit)

    def validated(model: str, methods: str, limit: float) -> Step:
        profile = f"../calibrate-{model}/{profile_name(model)}"
        told = f"--profile {profile} --method {methods} {measured.run} --out ."
        return Step(f"validate-{model}", ("-m", "parasim", "validate", "compute", *told.split()), limit)

    def floor(name: str, option: str, limit: float) -> Step:
        command = (
            f"{ROOT}/benchmarks/local_training.py --parts floor --device {device} --model {first} {measured.floor}"
        )
        return Step(name, (*command.split(), *option.split()), limit)

    trained = [validated(measured.smallest, "parablock,fedbcd,fedit,full-ft,flora", 120)]
    if first != measured.smallest:
        # All of a large model is trained by no single GPU.
        trained.append(validated(first, "parablock,fedit", 150))
    smaller = {model: calibrated(model, 200) for model in others}
    return [
        calibrated(first, 260),
        floor("floor", "", 120),
        floor("floor-compiled", "--compile", 200),
        *(smaller.pop(model) for model in others if model == measured.smallest),
        *trained,
        Step("memory", (str(ROOT / "benchmarks" / "memory.py"), "--device", device, *measured.memory.split()), 110),
        *smaller.values(),
    ]


def profile_name(model: str) -> str:
    """File of a profile in the folder of its step."""
    return f"{model}.json"


def main() -> None:
    chosen = options()
    measured = TINY if chosen.tiny else FULL
    steps = plan(measured, chosen.device)
    if chosen.plan:
        for step in steps:
            print(f"{step.limit:>4.0f} s  {step.name:<24} python {shlex.join(step.command)}")
        return
    began = time.monotonic()
    # Stopped from outside, it takes the step along, which is a group of processes of its own.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("gpu.py: stopped"))
    # Run as a script, Python looks for modules beside this file and not in the repository's root.
    put_first(str(ROOT), str(ROOT / "examples"))
    with tempfile.TemporaryDirectory() as place:
        if chosen.wheels:
            install(chosen.wheels, place)
        if missing := missing_packages():
            fetch = download_command(missing)
            sys.exit(f"gpu.py: packages are missing. Where there is a network: {fetch}; then here: --wheels WHEELS")
        check_device(chosen.device)
        record = Record(chosen.out, chosen.device)
        for step in steps:
            left = chosen.within - (time.monotonic() - began)
            if record.done(step):
                print(f"{step.name}: done before", flush=True)
            elif left < step.limit:
                print(f"{step.name}: needs up to {step.limit:.0f} s, and {left:.0f} are left. Run the same again.")
                break
            else:
                print(f"{step.name}: up to {step.limit:.0f} s", flush=True)
                ended = run(step, chosen.out / step.name)
                record.add(step, ended)
                print(f"{step.name}: {ended['status']} after {ended['seconds']:.0f} s", flush=True)
        record.write_rows(measured.models)
    print(f"Results: {chosen.out}")
    if not all(record.done(step) for step in steps):
        sys.exit(1)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where everything goes, and is kept")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="try it: small models, short sequences")
    parser.add_argument("--plan", action="store_true", help="print the steps and their limits, and run none")
    parser.add_argument("--within", type=float, default=WITHIN, metavar="SECONDS", help="of this call (590)")
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="wheels of packages that this machine lacks")
    chosen = parser.parse_args()
    chosen.out = chosen.out.resolve()
    return chosen


def missing_packages() -> list[str]:
    """Name what paraSim and its trainer need and this machine does not have, or has too old."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    missing = []
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["train"]]:
        name, least = requirement.split(">=")
        try:
            there = _numbers(version(name)) >= _numbers(least)
        except PackageNotFoundError:
            there = False
        if not there and name not in NOT_NEEDED:
            missing.append(requirement)
    return missing


def download_command(packages: Iterable[str]) -> str:
    """Write the command that fetches packages for this machine, on another one."""
    release, kind = f"{sys.version_info[0]}.{sys.version_info[1]}", f"manylinux2014_{platform.machine()}"
    of_here = ["--only-binary=:all:", "--python-version", release, "--platform", kind]
    return shlex.join(["pip", "download", *of_here, "--dest", "WHEELS", *packages])


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text.partition("+")[0])[:2])


def install(wheels: Path, place: str) -> None:
    """Put wheels where this process and those that it starts find them first."""
    files = sorted(map(str, wheels.glob("*.whl")))
    if not files:
        sys.exit(f"gpu.py: --wheels {wheels}: holds no .whl")
    quietly = ["-m", "pip", "install", "-q", "--root-user-action=ignore", "--no-index", "--no-deps", "--target", place]
    if subprocess.run([sys.executable, *quietly, *files]).returncode:
        sys.exit(f"gpu.py: --wheels {wheels}: pip does not install them, see above")
    put_first(place)


def put_first(*folders: str) -> None:
    """Let this process, and those that it starts, find modules in folders first."""
    sys.path[:0] = folders
    os.environ["PYTHONPATH"] = os.pathsep.join([*folders, *filter(None, [os.environ.get("PYTHONPATH")])])


def check_device(device: str) -> None:
    """End with one line where there is no such device."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("gpu.py: --device cuda: PyTorch finds no CUDA device here; try --device cpu --tiny")


def run(step: Step, folder: Path) -> dict[str, Any]:
    """Run a step within its limit; what it prints goes to its folder as it comes."""
    folder.mkdir(parents=True, exist_ok=True)
    began, status = time.monotonic(), "done"
    with (folder / "output.txt").open("w", encoding="utf-8") as output:
        # A group of its own: what it starts itself ends with it.
        child = subprocess.Popen(
            [sys.executable, *step.command],
            cwd=folder,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            if code := child.wait(step.limit):
                status = f"failed with exit status {code}"
        except subprocess.TimeoutExpired:
            status = "stopped at its limit"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    return {"status": status, "seconds": round(time.monotonic() - began, 1)}


class Record:
    """What was run, where and with what: `run.json`, renewed after every step.

    Parameters
    ----------
    folder : Path
        Where it is kept.
    device : str
        What kind of device.
    """

    def __init__(self, folder: Path, device: str):
        from parasim_core.calibration.measuring.this_machine import software_versions, this_device

        self._path = folder / "run.json"
        own = {
            "device": this_device("cuda" if device == "cuda" else "cpu", 1).model_dump(mode="json"),
            "versions": software_versions().model_dump(mode="json"),
        }
        before = json.loads(self._path.read_text("utf-8")) if self._path.exists() else own
        for part, value in own.items():
            if before[part] != value:
                sys.exit(f"gpu.py: --out {folder}: is of another machine: its {part} differs; give another folder")
        self._fields = own | {"steps": before.get("steps", {})}

    def done(self, step: Step) -> bool:
        """Whether a step has come to its end, in this call or in an earlier one."""
        known = self._fields["steps"].get(step.name, {})
        return bool(known.get("status") == "done" and known["command"] == shlex.join(step.command))

    def add(self, step: Step, ended: dict[str, Any]) -> None:
        """Keep how a step ended."""
        from parasim_core.sim.support.atomic_files import write_json

        date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        told = {"command": shlex.join(step.command), "limit_s": step.limit, "date": date}
        self._fields["steps"][step.name] = told | ended
        write_json(self._path, self._fields)

    def write_rows(self, models: Iterable[str]) -> None:
        """Write what finished profiles have measured, as rows like published ones, and the shapes of their models."""
        from benchmarks.gpu_rows import rows_of
        from parasim_core.calibration.profiles.loading import load_profile
        from parasim_core.calibration.profiles.measured import MeasuredProfile
        from parasim_core.sim.support.atomic_files import write_json

        rows, shapes = [], {}
        for model in models:
            path = self._path.parent / f"calibrate-{model}" / profile_name(model)
            if self._fields["steps"].get(f"calibrate-{model}", {}).get("status") == "done":
                profile = load_profile(str(path))
                assert isinstance(profile, MeasuredProfile)
                rows += rows_of(profile.file)
                shapes[profile.file.model.name] = profile.file.model.config
        if rows:
            write_json(self._path.parent / "rows.json", rows)
            write_json(self._path.parent / "models.json", shapes)


if __name__ == "__main__":
    main()
