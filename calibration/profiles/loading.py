"""Profiles: files that say how long computation takes on a device, found by name or path."""

from __future__ import annotations

from contextlib import suppress
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from parasim_core.sim.engine.simulate import Setup
from parasim_core.sim.errors import CostError, nearest, shown
from parasim_core.sim.scenario.safe_parsing import parse_json
from parasim_core.sim.support.atomic_files import is_file, read_text

if TYPE_CHECKING:
    from parasim_core.calibration.profiles.measured import MeasuredProfile
    from parasim_core.calibration.profiles.published import PublishedProfile
    from parasim_core.calibration.profiles.traced import TracedProfile

DEFAULT_PROFILE = "paper-a100"
MAX_PROFILE_BYTES = 16 * 2**20
_SHIPPED = resources.files("parasim_core.calibration") / "profiles"

Profile: TypeAlias = "PublishedProfile | MeasuredProfile | TracedProfile"
"""What is known of a device's computing times; its `costs` are those of one scenario."""


@cache
def shipped_profiles() -> tuple[str, ...]:
    """Names of the profiles that come with paraSim."""
    names = [entry.name for entry in _SHIPPED.iterdir()]
    return tuple(sorted(name.removesuffix(".json") for name in names if name.endswith(".json")))


def covering_profiles(setup: Setup) -> list[str]:
    """Names of the shipped profiles that cover a scenario."""
    covering = []
    for name in shipped_profiles():
        with suppress(CostError):
            load_profile(name).costs(setup)
            covering.append(name)
    return covering


def load_profile(name_or_path: str) -> Profile:
    """Load a shipped profile by name, or a profile file: once, as long as the file stays the same.

    Raises
    ------
    CostError
        If there is none, or it is not understood.
    """
    path = _file_of(name_or_path)
    status = path.stat()
    return _parsed(name_or_path, path.resolve(), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=32)
def _parsed(name_or_path: str, path: Path, modified: int, size: int) -> Profile:
    """Parse a file that is known by its path, its time of change and its size."""
    # Fields of a kind of profile that is not read would take a command's first tenth of a second.
    data = _read(name_or_path, path)
    # A run pays for the kind that it uses.
    if data.get("kind") == "published":
        from parasim_core.calibration.profiles.published import PublishedProfile

        return PublishedProfile.parse(data, name_or_path)
    if data.get("kind") == "measured":
        from parasim_core.calibration.profiles.measured import MeasuredProfile
        from parasim_core.calibration.profiles.self_check import checked_file

        return MeasuredProfile(checked_file(data, name_or_path))
    if data.get("kind") == "traced":
        from parasim_core.calibration.profiles.traced import TracedProfile

        return TracedProfile.parse(data, name_or_path)
    kind = shown(data.get("kind"))
    raise CostError(f"profile {name_or_path}: unknown kind {kind}; allowed are measured, published, traced")


def read_profile(name_or_path: str) -> dict[str, Any]:
    """Read a profile's JSON, by name or path, unvalidated but for its size and shape.

    Raises
    ------
    CostError
        If there is none, it is too large, or no JSON object.
    """
    return _read(name_or_path, _file_of(name_or_path))


def _file_of(name_or_path: str) -> Path:
    if name_or_path in shipped_profiles():
        return Path(str(_SHIPPED / f"{name_or_path}.json"))
    path = Path(name_or_path)
    if not is_file(path):
        raise CostError(
            f"compute.profile: no profile {shown(name_or_path)}; {nearest(name_or_path, shipped_profiles())} "
            "(`paraSim calibrate` measures one)"
        )
    return path


def _read(name_or_path: str, path: Path) -> dict[str, Any]:
    try:
        data = parse_json(read_text(path, MAX_PROFILE_BYTES))
    except ValueError as error:
        raise CostError(f"profile {name_or_path}: no well-formed JSON: {error}") from None
    if not isinstance(data, dict):
        raise CostError(f"profile {name_or_path}: holds no fields")
    return data
