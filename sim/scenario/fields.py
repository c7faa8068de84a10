"""What the fields of a scenario's sections are made of: numbers, text, and quantities that carry their units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from sim.errors import shown
from sim.scenario import units


def quantity(read: Callable[[Any], float], write: Callable[[float], str], example: str) -> tuple[Any, ...]:
    """Pydantic's machinery for a quantity: read with its unit, written back with one, a string in the schema."""
    number = {"type": "number", "minimum": 0} if read is units.duration else {"const": 0}
    text = {"type": "string", "pattern": r"^\s*\+?[0-9.]+([eE][+-]?[0-9]+)?\s*[A-Za-zµ/]*\s*$"}
    schema = {"anyOf": [text, number], "examples": [example]}
    return BeforeValidator(read), PlainSerializer(write, when_used="json"), WithJsonSchema(schema)


def is_number(value: Any) -> Any:
    """Refuse what pydantic would take for a number."""
    # Pydantic would take true for 1 and "32" for 32, which the schema refuses.
    if isinstance(value, bool | str):
        raise ValueError(f"must be a number, not {shown(value)}")
    return value


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"must be one line of printable text, not {shown(text)}")
    return text


Whole = Annotated[int, BeforeValidator(is_number)]
Number = Annotated[float, BeforeValidator(is_number)]
OneLine = Annotated[str, AfterValidator(_one_line)]
Line = Annotated[OneLine, Field(max_length=200)]
Bandwidth = Annotated[float, *quantity(units.bandwidth, units.format_bandwidth, "100MB/s")]
Duration = Annotated[float, *quantity(units.duration, lambda seconds: f"{seconds!r}s", "10ms")]
Size = Annotated[float, *quantity(units.size, units.format_size, "872MB")]
Money = Annotated[float, *quantity(units.money, units.format_money, "2.5USD")]
PriceOfTraffic = Annotated[float, *quantity(units.price_of_traffic, units.format_price_of_traffic, "0.05USD/GB")]
Power = Annotated[float, *quantity(units.power, units.format_power, "400W")]


class SchemaOfFields(GenerateJsonSchema):
    """Writes the bounds of `Whole` and `Number` as JSON Schema names them.

    Pydantic does so for plain numbers; behind a validator, bounds come out under its own names (``ge``), which JSON
    Schema does not know and validators therefore pass over.
    """

    def generate_inner(self, schema: Any) -> JsonSchemaValue:
        """Write one part of the schema."""
        keywords = self.ValidationsMapping.numeric
        return {keywords.get(key, key): value for key, value in super().generate_inner(schema).items()}


class Section(BaseModel):
    """Base of every part of a scenario: frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    alternatives: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Pairs of fields that exclude one another."""

    @model_validator(mode="after")
    def _one_of_each_pair(self) -> Self:
        for one, other in self.alternatives:
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise ValueError(f"give {one} or {other}, not both")
        return self
