"""Steps of a training that PyTorch's profiler recorded (Kineto's Chrome trace), as a profile of computing times."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

from parasim_core.calibration.profiles.traced import TracedProfile, TracedSetting
from parasim_core.sim.engine.simulate import Setup
from parasim_core.sim.errors import ScenarioError, brief, shown_path
from parasim_core.sim.support.atomic_files import read_bytes

_LARGEST = 2**30
"""Size of a trace that is read, unpacked [B]."""
_STEP = "ProfilerStep#"
_HOW = (
    "record several steps with torch.profiler.profile(...) as profiler, call profiler.step() after each, and write "
    "them with profiler.export_chrome_trace(...)"
)


def traced_profile(path: Path, setup: Setup, name: str) -> TracedProfile:
    """Read the steps of a trace.

    Parameters
    ----------
    path : Path
        What ``export_chrome_trace`` wrote: ``.json``, compressed or not.
    setup : Setup
        The run whose steps they were: what the profile covers.
    name : str
        Of the profile.

    Raises
    ------
    ParaSimError
        If the file is no such trace or holds no steps, or the run names no model.
    """
    data, digest = _read(path)
    try:
        events: list[dict[str, Any]] = data["traceEvents"]
        # The same steps are there as a GPU saw them, under another category.
        steps = [
            (float(event["ts"]), float(event["dur"]) * 1e-6)
            for event in events
            if str(event.get("name", "")).startswith(_STEP)
            and event.get("ph") == "X"
            and event.get("cat") == "user_annotation"
        ]
        gpus = data.get("deviceProperties") or []
        device = {"name": str(gpus[0]["name"]), "kind": "cuda"} if gpus else {"name": "cpu", "kind": "cpu"}
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ScenarioError(f"{shown_path(path)}: is no trace of PyTorch's profiler ({type(error).__name__})") from None
    if not steps:
        raise ScenarioError(f"{shown_path(path)}: holds no steps; {_HOW}")
    described = {
        "name": name,
        "kind": "traced",
        "device": device,
        "source": f"{path.name}, sha256 {digest[:16]}, {len(steps)} steps by PyTorch's profiler",
        "step_seconds": [seconds for _, seconds in sorted(steps)],
        "covers": TracedSetting.of(setup).model_dump(),
    }
    return TracedProfile.parse(described, name)


def _read(path: Path) -> tuple[dict[str, Any], str]:
    """Read a trace, and the digest of its file."""
    where = shown_path(path)
    try:
        packed = text = read_bytes(path, _LARGEST)
        if packed.startswith(b"\x1f\x8b"):
            with gzip.open(path) as file:
                text = file.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise ScenarioError(f"{where}: is larger than {_LARGEST // 2**20} MiB when it is unpacked")
        data = json.loads(text)
    except OSError as error:
        raise ScenarioError(f"{where}: cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError, zlib.error, RecursionError) as error:
        raise ScenarioError(f"{where}: is no trace of PyTorch's profiler: {brief(str(error))}") from None
    if not isinstance(data, dict):
        raise ScenarioError(f"{where}: is no trace of PyTorch's profiler: it holds no object")
    return data, hashlib.sha256(packed).hexdigest()
