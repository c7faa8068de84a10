"""The machine that this runs on: its device and the software, as profiles name them."""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import psutil  # type: ignore[import-untyped]
import torch

from parasim_core.calibration.profiles.measured_file import MeasuredDevice, MeasuredVersions
from parasim_core.sim.errors import CostError
from parasim_core.train.update.timing import clock_for

DeviceKind = Literal["cpu", "cuda"]
_GROUP = Path("/sys/fs/cgroup")
_PATIENCE = 10.0  # [s]


def usable(kind: DeviceKind) -> torch.device:
    """Find a device of a kind.

    Raises
    ------
    CostError
        If there is none.
    """
    if kind == "cuda" and not torch.cuda.is_available():
        raise CostError("--device cuda: PyTorch finds no CUDA device here; allowed is cpu")
    return torch.device(kind)


def this_device(kind: DeviceKind, threads: int) -> MeasuredDevice:
    """Describe this machine's device, as profiles name it.

    Parameters
    ----------
    kind : {"cpu", "cuda"}
        Which.
    threads : int
        Threads that PyTorch computes with on a CPU.

    Raises
    ------
    CostError
        If there is none.
    """
    device, driver = usable(kind), ""
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        name, memory, threads, driver = found.name, found.total_memory, 0, _driver_version()
    else:
        name = f"{_processor()}, {threads} thread{'s' if threads > 1 else ''}"
        memory = psutil.virtual_memory().total
    clock = clock_for(device, threads)
    return MeasuredDevice(name=name, kind=kind, threads=threads, clock=clock, driver=driver, memory_bytes=memory)


def _processor() -> str:
    """Name of the processor; the kernel knows more than Python."""
    information = Path("/proc/cpuinfo")
    text = information.read_text(encoding="utf-8", errors="replace") if information.is_file() else ""
    found = re.search(r"^model name\s*:(.*)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def _driver_version() -> str:
    """Version of the NVIDIA driver; empty where its tool is missing."""
    question = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(question, capture_output=True, text=True, timeout=_PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    # A line for each GPU.
    return answer.stdout.strip().partition("\n")[0].strip()


def software_versions() -> MeasuredVersions:
    """Versions of what a profile depends on; empty where something is not installed."""
    found = dict.fromkeys(("parasim", "transformers", "peft"), "")
    for package in found:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    cuda = str(torch.version.cuda or "")
    return MeasuredVersions(python=platform.python_version(), torch=str(torch.__version__), cuda=cuda, **found)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let PyTorch compute with so many threads on the CPU for a while; with as many as before if 0."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def available_bytes() -> int:
    """Memory that new work may take on this machine [B], or in this container where that is less."""
    there = int(psutil.virtual_memory().available)
    left = _left_in_group()
    return there if left is None else min(there, left)


def _left_in_group() -> int | None:
    """What a limit of control groups (version 2) leaves [B]: beyond it Linux kills, whatever the machine has."""
    try:
        limit, used, stat = (
            (_GROUP / f"memory.{name}").read_text(encoding="ascii").strip() for name in ("max", "current", "stat")
        )
        # Files that were read count as used, but give way.
        files = next(int(line.split()[1]) for line in stat.splitlines() if line.startswith("inactive_file "))
        return None if limit == "max" else max(0, int(limit) - int(used) + files)
    except (OSError, ValueError, StopIteration):
        return None
