"""Fields that may be one of several kinds of things: whoever gives none of them is told all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from parasim_core.sim.errors import ParaSimError
from parasim_core.sim.scenario.reading import load
from parasim_core.train.runs.settings import TrainSettings
from tests.generated.draw import REGION, SCHEMA, Data, Path, resolved

AROUND: Data = {
    "clients": 1,
    "name": "one",
    "uplink": "1MB/s",
    "gpu_hour": "1USD",
    "trace": "trace.csv",
}
"""Other fields that a section cannot do without."""


def branches_of(schema: Data) -> list[Data]:
    """The kinds of things that a field may be; a quantity, which is text or a number, is one kind."""
    schema = resolved(schema)
    if "anyOf" not in schema or "examples" in schema:
        return [schema]
    return [one for branch in schema["anyOf"] for one in branches_of(branch) if one.get("type") != "null"]


def unions(schema: Data, path: Path = ()) -> Iterator[tuple[Path, list[Data]]]:
    """All fields of several kinds."""
    found = branches_of(schema)
    # A method is a name or a mapping with a name: what is none of the names is told the names.
    if len({json.dumps(kind_of(branch)) for branch in found}) > 1 and path != ("method",):
        yield path, found
    for branch in found:
        for field, below in branch.get("properties", {}).items():
            yield from unions(below, (*path, field))
        for below in branch.get("patternProperties", {}).values():
            yield from unions(below, (*path, REGION))
        if resolved(branch.get("items", {})).get("properties"):
            yield from unions(branch["items"], (*path, 0))


def kind_of(branch: Data) -> list[str]:
    """Words by which a kind of thing is known in a message: the texts that it may be, or what it is made of."""
    if "const" in branch or "enum" in branch:
        return branch.get("enum", [branch.get("const")])
    if "examples" in branch:
        return ["write"]
    if branch["type"] == "boolean":
        return ["true", "false"]
    return [{"array": "a list", "object": "a mapping", "string": "text"}.get(branch["type"], f"a {branch['type']}")]


UNIONS = {".".join(map(str, path)): (path, found) for path, found in unions(SCHEMA)}
WRONG: dict[str, Any] = {"text": "nonsense!", "number": -3.5, "boolean": True, "array": [[None]], "object": {"z": 1}}


def taken(found: list[Data]) -> set[str | None]:
    """Kinds of which a field takes some: what is wrong with one of them is said in its own words."""
    return {form.get("type") for branch in found for form in (branch, *branch.get("anyOf", ()))} - {"string"}


@pytest.mark.parametrize(
    ("field", "kind"),
    [(field, kind) for field, (_, found) in UNIONS.items() for kind in WRONG if kind not in taken(found)],
)
def test_who_gives_none_of_the_kinds_that_a_field_takes_is_told_all_of_them(field: str, kind: str):
    path, found = UNIONS[field]
    data: Any = WRONG[kind]
    for above, part in reversed([*zip([None, *path], path, strict=False)]):
        data = [data] if part == 0 else {**(AROUND if above in (0, "site") else {}), part: data}
        if part == "start":
            data["trace"] = AROUND["trace"]
    with pytest.raises(ParaSimError) as refused:
        TrainSettings.parse(load({"model": "demo", **data}).train)
    line = next(line for line in str(refused.value).split("\n") if str(path[-1]) in line)
    assert all(word in line for branch in found for word in kind_of(branch)), line


def test_which_fields_these_are():
    assert {"blocks.schedule", "lora.targets", "compute.seconds", "fleet.0.uplink", "fleet.0.uplink.start"} <= {*UNIONS}
    assert {"participation.deadline", "train.learning_rate", "server.egress", "fleet.0.site.downlink"} <= {*UNIONS}
