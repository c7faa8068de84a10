"""What the files of all kinds of profiles share."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, ValidationError

from sim.errors import CostError
from sim.scenario.fields import Line, Number, Section
from sim.scenario.validation_messages import validation_message

MEASURED, PUBLISHED = "measured", "published"
"""Kinds of profiles."""
Seconds = Annotated[Number, Field(ge=0, le=1e9)]


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
