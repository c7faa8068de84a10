"""Which files are about the same client."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from parasim.importing.figures import Client, Source, client_of
from parasim.importing.measurement import public
from parasim_core.sim.errors import brief


@dataclass
class _Group:
    """Files about one client."""

    name: str = ""
    sources: list[Source] = field(default_factory=list)


def clients_of(sources: Sequence[Source], *, varying: bool) -> list[Client]:
    """Put together what files say of each client.

    Parameters
    ----------
    sources : sequence of Source
        In the order in which clients come out.
    varying : bool
        Whether rates are followed over time.

    Raises
    ------
    ScenarioError
        If files contradict one another.
    """
    place = {id(source): number for number, source in enumerate(sources)}
    groups = _groups(sources)
    for group in groups:
        group.sources.sort(key=lambda source: place[id(source)])
    groups.sort(key=lambda group: place[id(group.sources[0])])
    taken: set[str] = set()
    return [client_of(_unique(_name(group), taken), group.sources, varying=varying) for group in groups]


def _groups(sources: Sequence[Source]) -> list[_Group]:
    """Files by client: those that the user or the files name alike, then those about the same machine and far end."""
    by_name: dict[str, _Group] = {}
    unnamed: list[Source] = []
    for source in sources:
        name = source.name or source.measurement.name
        if name:
            by_name.setdefault(name, _Group(name)).sources.append(source)
        else:
            unnamed.append(source)
    groups = list(by_name.values())
    # Those with rates first: a ping joins whom it is about.
    for source in sorted(unnamed, key=lambda one: not _has_rates(one)):
        group = _same_client(source, groups)
        if group is None:
            group = _Group()
            groups.append(group)
        group.sources.append(source)
    return groups


def _name(group: _Group) -> str:
    """Name of a client: as given, else of the machine that its files are about, else of its first file with rates."""
    if group.name:
        return group.name
    known = [source.measurement.machine for source in group.sources if source.measurement.machine]
    machines = sorted(name for name in frozenset.intersection(*known) if not public(name)) if len(known) > 1 else []
    first = next(filter(_has_rates, group.sources), group.sources[0])
    return brief(machines[0] if machines else first.path.stem, 100) or "client"


def _has_rates(source: Source) -> bool:
    return source.measurement.uplink is not None or source.measurement.downlink is not None


def _same_client(source: Source, groups: Sequence[_Group]) -> _Group | None:
    """Group that a file belongs to by what it says.

    That is the one from the same machine to the same far end. One machine may measure many others, and behind many
    routers there is the same private address, so that less is not enough. A ping tells only the far end: it belongs to
    the one client that was measured up to there.
    """
    one = source.measurement
    if one.machine:
        for group in groups:
            others = [other.measurement for other in group.sources]
            known = [other.server for other in others if other.server]
            same_end = not one.server or all(one.server & server for server in known)
            if any(one.machine & other.machine for other in others) and same_end:
                return group
    if one.machine or _has_rates(source):
        return None
    there = [group for group in groups if any(one.server & other.measurement.server for other in group.sources)]
    return there[0] if len(there) == 1 else None


def _unique(name: str, taken: set[str]) -> str:
    """Return a name that no other client has."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name} {number}"
    taken.add(found)
    return found
