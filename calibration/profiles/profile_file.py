"""What all profiles have in common: a name, errors that name the field that is wrong, and one device."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, ValidationError

from parasim_core.sim.errors import CostError
from parasim_core.sim.scenario.fields import Integer, Line, Number, Section
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.validation_messages import validation_message

Seconds = Annotated[Number, Field(ge=0, le=1e9)]
Count = Annotated[Integer, Field(ge=0, le=2**62)]


class ProfileFile(Section):
    """A file that says how long computation takes on a device."""

    name: Line

    @classmethod
    def parse(cls, data: Any, source: str) -> Self:
        """Validate plain data.

        Raises
        ------
        CostError
            Naming each field that is not understood.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise CostError(f"profile {source}:{validation_message(error, cls)}") from None


WAYS_OUT = "or give compute.device, for which times are predicted (`paraSim list devices`), or compute.seconds"
"""What else there is where a profile covers no more."""


def most_gpus(scenario: Scenario) -> int:
    """GPUs that a client of a scenario has at most: profiles are of one."""
    return max(group.gpus for group in scenario.fleet)


def other_devices(scenario: Scenario, own: str) -> list[str]:
    """Devices that a scenario names beside a profile's own, in whatever capitals, in the order of their names."""
    return sorted(name for name in scenario.devices if name.lower() != own.lower())
