"""What a plan starts from: a scenario's fields per method, and which of its quantities can be varied how far."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from calibration.paper import PAPER_MODELS, paper_setting
from parasim.api import Source, set_up
from sim import scenario_file
from sim.costs import Costs
from sim.errors import CostError, ParaSimError, ScenarioError, nearest
from sim.methods import METHODS, Trains
from sim.scenario import Scenario
from sim.scenario_file import parse_override, with_field
from sim.simulate import Setup
from sim.studies.sweep import split_values

Methods = str | Sequence[str]
"""Names in a list, or with commas between them."""
MOST_BATCH = 4096
"""Batch sizes above this are not looked for."""


def setting(source: Source | None, overrides: Iterable[str] = (), method: str | None = None) -> dict[str, Any]:
    """Fields of a scenario under one method, as plain data.

    Parameters
    ----------
    source : path, mapping, Scenario or None
        Where they come from; the ParaBlock paper's setting for Llama 3-8B if None, as many rounds for every method.
    overrides : iterable of str
        Such as ``fleet.0.uplink=20MB/s``.
    method : str or None
        Replaces the scenario's own method.

    Raises
    ------
    ScenarioError
        If the scenario cannot be read, or an override names no field.
    """
    if source is None:
        # The paper's fewer rounds of full fine-tuning would not compare with those of the others.
        data = paper_setting(PAPER_MODELS[0])
    elif isinstance(source, Scenario):
        data = source.model_dump(mode="json", exclude_unset=True)
    else:
        data = scenario_file.read(source) if isinstance(source, str | Path) else dict(source)
    for override in overrides:
        data = with_field(data, *parse_override(override))
    return data if method is None else with_field(data, "method.name", method)


def parsed(data: dict[str, Any]) -> tuple[Setup, Costs]:
    """Work out a scenario's plain data, with its costs.

    Raises
    ------
    ParaSimError
        If the scenario is wrong or its costs are not known.
    """
    return set_up(Scenario.parse(data))


def own_method(source: Source | None, overrides: Iterable[str] = ()) -> str:
    """Name of the method that the scenario itself runs."""
    return Scenario.parse(setting(source, overrides)).method.name


def named_methods(option: str, methods: Methods) -> tuple[str, ...]:
    """Read a list of methods.

    Parameters
    ----------
    option : str
        Where it was given.
    methods : str or sequence of str
        The list.

    Raises
    ------
    ScenarioError
        If it is empty, or a name is unknown or stands twice.
    """
    names = split_values(methods) if isinstance(methods, str) else tuple(methods)
    if not names:
        raise ScenarioError(f"{option} {methods!r}: holds no methods; separate them with commas")
    for name in names:
        if name not in METHODS:
            raise ScenarioError(f"{option}: unknown method {name!r}; {nearest(name, METHODS)}")
    if len(set(names)) < len(names):
        raise ScenarioError(f"{option}: a method stands twice in {', '.join(names)}")
    return names


def covered(
    source: Source | None, overrides: Sequence[str] = (), tried: Callable[[dict[str, Any]], object] = parsed
) -> tuple[list[str], dict[str, str]]:
    """Divide all registered methods into those that a scenario can run, and the reasons of the others.

    Parameters
    ----------
    source, overrides
        As in `setting`.
    tried : callable
        Works out plain data, or raises what stands in the way.

    Raises
    ------
    ParaSimError
        If no method can run it.
    """
    runs: list[str] = []
    refused: dict[str, str] = {}
    own = own_method(source, overrides)
    for method in METHODS:
        try:
            tried(setting(source, overrides, method))
        except ParaSimError as error:
            # What is wrong with the scenario's own method is wrong with the scenario.
            if method == own:
                raise
            refused[method] = str(error)
        else:
            runs.append(method)
    return runs, refused


def is_covered(data: dict[str, Any]) -> bool:
    """Tell whether the seconds or the profile that a scenario names cover its computation."""
    try:
        parsed(data)
    except CostError:
        return False
    return True


def batch_sizes(data: dict[str, Any]) -> list[int]:
    """Batch sizes that the scenario's profile covers; only its own where seconds are given, which none changes."""
    scenario = Scenario.parse(data)
    own = scenario.local.batch_size
    if scenario.compute.seconds is not None:
        return [own]

    def covers(size: int) -> bool:
        return is_covered(with_field(data, "local.batch_size", size))

    least = most = own
    while least > 1 and covers(least - 1):
        least -= 1
    while most < MOST_BATCH and covers(most + 1):
        most += 1
    return list(range(least, most + 1))


def origins(data: Mapping[str, dict[str, Any]], sizes: Iterable[int]) -> list[str]:
    """Say for each method at which batch sizes its computing times are fitted, predicted and so on.

    Parameters
    ----------
    data : mapping of str to dict
        Each method's scenario.
    sizes : iterable of int
        Batch sizes that the profile covers. Nothing is said if there is only one.
    """
    sizes = list(sizes)
    methods_of: dict[str, list[str]] = {}
    for method, fields in data.items():
        found: dict[str, list[str]] = {}
        for size in sizes:
            origin = parsed(with_field(fields, "local.batch_size", size))[1].provenance()["origin"]
            found.setdefault(str(origin), []).append(str(size))
        said = ", ".join(f"{origin} at batch size {', '.join(own)}" for origin, own in found.items())
        methods_of.setdefault(said, []).append(method)
    if len(sizes) < 2:
        return []
    return [f"Computing times of {' and '.join(methods)}: {said}." for said, methods in methods_of.items()]


def block_widths(setup: Setup) -> list[float]:
    """Layers per block that a scenario could have: none if its method does not train blocks, or one per client."""
    if setup.method.trains is not Trains.BLOCK or setup.traits.takes_turns:
        return []
    if setup.architecture is None:
        raise ScenarioError("block width: the scenario names no model, whose layers a block could have")
    return [0.5, *map(float, range(1, len(setup.architecture.layers) + 1))]


def with_clients(data: dict[str, Any], clients: int) -> dict[str, Any]:
    """Change the number of clients, the groups keeping their shares as nearly as whole clients allow."""
    groups = Scenario.parse(data).fleet
    own = sum(group.count for group in groups)
    # Largest remainders: the groups whose shares were cut most get the clients that are left.
    shares = [group.count * clients / own for group in groups]
    counts = [int(share) for share in shares]
    by_remainder = sorted(range(len(groups)), key=lambda index: (counts[index] - shares[index], index))
    for index in by_remainder[: clients - sum(counts)]:
        counts[index] += 1
    changed = [group.model_copy(update={"count": count}) for group, count in zip(groups, counts, strict=True) if count]
    return data | {"fleet": [group.model_dump(mode="json", exclude_unset=True) for group in changed]}
