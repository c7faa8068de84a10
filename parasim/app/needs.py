"""What a local update needs of memory, held against devices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parasim.footprints import memory


def needs(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Trace what the scenario's method needs, as `paraSim memory --format json` does.

    Parameters
    ----------
    asked : mapping
        ``fields``: the scenario. ``devices``: names of devices beside those of the fleet.

    Raises
    ------
    ParaSimError
        If the scenario is wrong or names no model, a device is not known, or torch is missing.
    """
    return memory(asked["fields"], device=asked["devices"]).summary()
