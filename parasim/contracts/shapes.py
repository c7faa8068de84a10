"""What all contracts begin with, and how a JSON Schema is made of their shapes."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from parasim.contracts import CONTRACTS
from parasim_core.sim.scenario.fields import SchemaOfFields, Section


class Stamped(Section):
    """What every result begins with."""

    contract: str
    """Name of the contract, as `paraSim list schema --of` takes it."""
    contract_version: int
    """Version of the contract: raised when a field goes or changes its meaning."""
    parasim_version: str
    """Version of paraSim that made the result."""


class OfScenario(Stamped):
    """What every result about a scenario begins with."""

    scenario: dict[str, Any]
    """The scenario as it was given, overrides applied and defaults left out; `paraSim list schema` says what may stand
    in it. Saved to a file, it can be run again; files that it names are relative to the folder of the command."""


class Loose(Section, extra="allow"):
    """An object that may hold more than is described."""


def contract_schema(name: str) -> dict[str, Any]:
    """JSON Schema of a contract.

    Parameters
    ----------
    name : str
        A key of `CONTRACTS`.
    """
    contract = CONTRACTS[name]
    shape: type[Section] = getattr(import_module(f"parasim.contracts.{contract.module}"), contract.shape)
    schema = shape.model_json_schema(schema_generator=SchemaOfFields)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = f"paraSim {name}, version {contract.version}"
    schema["properties"]["contract"]["const"] = name
    schema["properties"]["contract_version"]["const"] = contract.version
    return schema
