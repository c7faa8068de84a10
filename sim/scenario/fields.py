"""What the fields of a scenario's sections are made of: numbers, text, and quantities that carry their units."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from inspect import cleandoc, getsource
from itertools import pairwise
from textwrap import dedent
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

from parasim_core.sim.errors import nearest, shown
from parasim_core.sim.scenario import calendar, units
from parasim_core.sim.scenario.safe_parsing import MAX_DEPTH, TOO_DEEP, check_characters


def quantity(read: units.QuantityKind, write: Callable[[float], str], example: str) -> tuple[Any, ...]:
    """Pydantic's machinery for a quantity: read with its unit, written back with one, a string in the schema."""
    zero = {"const": 0} if read.least[0] == 0 else None
    number = {"type": "number", "minimum": 0, "maximum": read.largest} if read.bare_is_base_unit else zero
    text = {"type": "string", "pattern": read.pattern, "maxLength": units.LONGEST_TEXT}
    schema = {"anyOf": [text, number] if number else [text], "examples": [example]}
    return BeforeValidator(read), PlainSerializer(write, when_used="json"), WithJsonSchema(schema)


def is_number(value: Any) -> Any:
    """Refuse what pydantic would take for a number."""
    # Pydantic would take true for 1, "32" and bytes for 32, which the schema refuses.
    if isinstance(value, bool | str | bytes):
        raise ValueError(f"must be a number, not {shown(value)}")
    return value


def one_of(what: str, *kinds: type, words: Sequence[str] = ()) -> BeforeValidator:
    """Refuse what no branch of a union takes, and say all that the union does.

    What is wrong within a list or a mapping, its branch says.

    Parameters
    ----------
    what : str
        All that may be given, for messages.
    *kinds : type
        Of values that are no text.
    words : sequence of str
        Texts that may be given.
    """

    def check(value: Any) -> Any:
        # To Python, true is a whole number.
        of_kind = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
        if value in words if isinstance(value, str) else of_kind:
            return value
        hint = nearest(value, words) if isinstance(value, str) and words else ""
        hint = f"; {hint}" if hint.startswith("did") else ""
        raise ValueError(f"must be {what}, not {shown(value)}{hint}")

    return BeforeValidator(check)


_UNPRINTABLE = (
    r"[\u0000-\u001f\u007f-\u00a0\u00ad\u061c\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\ufff9-\ufffb]"
)
"""What is no text on one line: control characters, spaces that look like the plain one, marks that turn text around."""


def is_one_line(text: str) -> bool:
    """Whether a text is printable and on one line: nothing at all, or more than blanks."""
    return re.search(_UNPRINTABLE, text) is None and not (text and text.isspace())


def _one_line(text: str) -> str:
    if not is_one_line(text):
        raise ValueError(f"must be one line of printable text, not {shown(text)}")
    return text


def _plain(value: Any, depth: int = 0) -> Any:
    """Refuse what no file of a scenario could hold, and what could not be saved."""
    if depth > MAX_DEPTH:
        raise ValueError(TOO_DEEP)
    if isinstance(value, dict):
        for key, below in value.items():
            if not isinstance(key, str):
                raise ValueError(f"the name of a field must be text, not {shown(key)}")
            _plain(key, depth + 1)
            _plain(below, depth + 1)
    elif isinstance(value, list | tuple):
        for entry in value:
            _plain(entry, depth + 1)
    elif isinstance(value, str):
        check_characters(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"must be finite, not {shown(value)}")
    elif not isinstance(value, bool | int | float | None):
        raise ValueError(f"must be text, a number, true, false, a list or a mapping of fields, not {shown(value)}")
    return value


PlainFields = Annotated[dict[str, Any], AfterValidator(_plain)]
"""Fields that somebody else checks: whatever a file may hold."""
Integer = Annotated[int, BeforeValidator(is_number)]
Whole = Annotated[Integer, Field(le=10**15)]
"""Beyond its bound, products of several would be no numbers that can be computed with."""
Number = Annotated[float, BeforeValidator(is_number)]
_ON_ONE_LINE = AfterValidator(_one_line), Field(json_schema_extra={"pattern": rf"^(?! +$)(?![\s\S]*{_UNPRINTABLE})"})
OneLine = Annotated[str, Field(min_length=1, max_length=4096), *_ON_ONE_LINE]
"""A name or a path."""
Line = Annotated[str, Field(max_length=200), *_ON_ONE_LINE]
"""Text, which may be empty."""
Name = Annotated[str, Field(min_length=1, max_length=200), *_ON_ONE_LINE]


def _checked(read: Callable[[str], object]) -> AfterValidator:
    """Check text that is kept as it was written."""

    def check(text: str) -> str:
        read(text)
        return text

    return AfterValidator(check)


def _text(read: Callable[[str], object], pattern: str, *examples: str) -> tuple[Any, ...]:
    """Text that is checked, and kept as it was written."""
    schema = {"type": "string", "pattern": pattern, "examples": [*examples]}
    return _checked(read), WithJsonSchema(schema)


_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_EXAMPLES = ("2026-12-04T18:00", "2026-12-04T18:00 Europe/Berlin")
Moment = Annotated[
    OneLine, *_text(calendar.read_moment, rf"^{_DATE}(?:[T ][0-9:.]+\S*)?(?: [A-Za-z]\S*)?$", *_EXAMPLES)
]
"""A time of the calendar."""
TimeOfDay = Annotated[
    OneLine, *_text(calendar.read_time, "^(?:[01]?[0-9]|2[0-3]):[0-5][0-9]$|^24:00$", "22:00", "6:00")
]
Zone = Annotated[OneLine, *_text(calendar.read_zone, r"^[A-Za-z]\S*$", "Europe/Berlin", "Asia/Tokyo")]
"""A time zone."""
Bandwidth = Annotated[float, *quantity(units.bandwidth, units.format_bandwidth, "100MB/s")]
Duration = Annotated[float, *quantity(units.duration, lambda seconds: f"{seconds!r}s", "10ms")]
Size = Annotated[float, *quantity(units.size, units.format_size, "872MB")]
Money = Annotated[float, *quantity(units.money, units.format_money, "2.5USD")]
PriceOfTraffic = Annotated[float, *quantity(units.price_of_traffic, units.format_price_of_traffic, "0.05USD/GB")]
Power = Annotated[float, *quantity(units.power, units.format_power, "400W")]


class SchemaOfFields(GenerateJsonSchema):
    """Writes the bounds of `Whole` and `Number` as JSON Schema names them, and the docstrings below fields.

    Pydantic writes bounds for plain numbers; behind a validator, they come out under its own names (``ge``), which
    JSON Schema does not know and validators therefore pass over. It reads docstrings too, but whenever a class is made,
    which takes a tenth of the time that the command line needs to begin.
    """

    def generate_inner(self, schema: Any) -> JsonSchemaValue:
        """Write one part of the schema."""
        written: JsonSchemaValue = {}
        for key, value in super().generate_inner(schema).items():
            keyword = self.ValidationsMapping.numeric.get(key, key)
            # Of a bound of the type and one of the field, the field's is the closer one.
            closest = {"maximum": min, "minimum": max}.get(keyword)
            written[keyword] = closest(written[keyword], value) if closest and keyword in written else value
        return written

    def tagged_union_schema(self, schema: Any) -> JsonSchemaValue:
        """Write alternatives as other unions are written: their branches exclude one another anyway."""
        return {"anyOf": super().tagged_union_schema(schema)["oneOf"]}

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        """Write one section."""
        written = super().model_schema(schema)
        for ancestor in schema["cls"].__mro__:
            for field, described in written["properties"].items() if issubclass(ancestor, Section) else ():
                if "description" not in described and field in (docstrings := _below_fields(ancestor)):
                    described["description"] = docstrings[field]
        return written


@cache
def _below_fields(section: type) -> dict[str, str]:
    """Docstrings of the fields that a class declares, read from its source; none where there is no source."""
    try:
        source = getsource(section)
    except (OSError, TypeError):
        return {}
    body = ast.parse(dedent(source)).body[0].body  # type: ignore[attr-defined]
    return {
        field.target.id: cleandoc(text.value.value)
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }


class Section(BaseModel):
    """Base of every part of a scenario: frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    alternatives: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Pairs of fields that exclude one another."""

    @model_validator(mode="after")
    def _one_of_each_pair(self) -> Self:
        for one, other in self.alternatives:
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise ValueError(f"give {one} or {other}, not both")
        return self
