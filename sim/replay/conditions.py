"""The numbers of a run that may change without changing who waits for whom: one record, and what-ifs that change it.

Who takes part, which block is trained and what a client has missed follow from the scenario and not from how long
anything takes, so that all what-ifs of a shape whose causes are fixed share the recorded graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from parasim_core.sim.engine.fleet import Fleet, opened_one_by_one
from parasim_core.sim.errors import ScenarioError, nearest
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.traces import mean_rate, varies

Floats = NDArray[np.float64]

PER_CLIENT = ("uplink", "downlink", "latency", "speed")
_MAY_BE_ZERO = ("latency", "serialization", "aggregation")


@dataclass(frozen=True)
class Conditions:
    """All conditions, in one or more rows: every array has shape (rows or 1, sites or 1).

    Attributes
    ----------
    uplink, downlink : array
        Access links; of those that vary with time, the mean [B/s].
    latency : array
        One way [s].
    speed : array
        Of computing, as in the scenario: twice the speed takes half the time.
    upload_size, download_size : array of one column
        Bytes of all messages of that direction, as a multiple of the recorded ones.
    ingress, egress : array of one column
        Server's links, likewise [B/s]; infinite for unlimited.
    serialization, aggregation : array of one column
        [s].
    """

    uplink: Floats
    downlink: Floats
    latency: Floats
    speed: Floats
    upload_size: Floats
    download_size: Floats
    ingress: Floats
    egress: Floats
    serialization: Floats
    aggregation: Floats

    @classmethod
    def of(cls, scenario: Scenario, sites: Sequence[int]) -> Conditions:
        """Those of a scenario, one column per simulated client."""
        fleet = Fleet(scenario.fleet)
        groups = [fleet.group(site) for site in sites]
        one = np.ones((1, 1))
        return cls(
            uplink=np.array([[mean_rate(group.uplink) for group in groups]]),
            downlink=np.array([[mean_rate(group.down) for group in groups]]),
            latency=np.array([[group.latency for group in groups]]),
            speed=np.array([[group.speed for group in groups]]),
            upload_size=one,
            download_size=one,
            ingress=one * mean_rate(scenario.server.ingress),
            egress=one * mean_rate(scenario.server.egress),
            serialization=one * scenario.wire.serialization,
            aggregation=one * scenario.server.aggregation,
        )

    @property
    def unlimited(self) -> bool:
        """Whether the server's links never bind."""
        return bool(np.isinf(self.ingress).all() and np.isinf(self.egress).all())

    def repeated(self, rows: int) -> dict[str, Floats]:
        """Copy a single row so many times, by name, to be changed."""
        return {field.name: np.repeat(getattr(self, field.name), rows, axis=0) for field in fields(self)}

    def under(self, variants: Variants) -> Conditions:
        """Let what-ifs replace what they change.

        Raises
        ------
        ScenarioError
            If a field of theirs has another number of columns.
        """
        sites = self.uplink.shape[1]
        for name, values in variants.given.items():
            if values.shape[1] not in (1, sites):
                raise ScenarioError(f"{name}: has {values.shape[1]} columns; give 1, or {sites}: one for each site")
        return replace(self, **variants.given)


def shared_or_varying(scenario: Scenario) -> str:
    """Say what makes durations, or who waits for whom, depend on more than conditions say; empty if nothing does."""
    groups, server = scenario.fleet, scenario.server
    links = [server.ingress, server.egress, *(link for group in groups for link in (group.uplink, group.down))]
    if opened_one_by_one(scenario):
        return "who takes part, and whose updates are aggregated, depends on how long things take"
    if any(map(varies, links)):
        return "links vary with time"
    if any(group.transport is not None for group in groups):
        return "TCP's start-up depends on sizes and rates"
    if any(group.site is not None for group in groups):
        return "clients of a site share its line"
    return "regions lie between clients and the server" if any(group.region is not None for group in groups) else ""


class Variants:
    """A number of what-ifs: what they change, the rest stays as it was recorded; one row serves for all.

    Parameters
    ----------
    **given : array
        By the names of the fields of `Conditions`.

    Raises
    ------
    ScenarioError
        If there is no such field, a shape does not fit, or a number is not positive and finite (durations may be 0,
        the server's links infinite).
    """

    def __init__(self, **given: Floats) -> None:
        self.given = given
        known = [field.name for field in fields(Conditions)]
        if not given:
            raise ScenarioError(f"a what-if changes something: {', '.join(known)}")
        rows = {values.shape[0] for values in given.values() if values.ndim == 2 and values.shape[0] != 1}
        for name, values in given.items():
            if name not in known:
                raise ScenarioError(f"there is no condition {name!r}; {nearest(name, known)}")
            if values.ndim != 2 or 0 in values.shape or (name not in PER_CLIENT and values.shape[1] != 1):
                columns = "sites or 1" if name in PER_CLIENT else "1"
                raise ScenarioError(f"{name}: has shape {values.shape}; it must be (what-ifs or 1, {columns})")
            if len(rows) > 1:
                raise ScenarioError(f"{name}: the fields have different numbers of what-ifs: {sorted(rows)}")
            _check_values(name, values)

    def __len__(self) -> int:
        return max(len(values) for values in self.given.values())

    def __getitem__(self, rows: slice) -> Variants:
        """Take some of the what-ifs."""
        return Variants(**{n: values if values.shape[0] == 1 else values[rows] for n, values in self.given.items()})

    def split(self, size: int) -> Iterator[Variants]:
        """Cut into parts of at most `size` what-ifs."""
        return (self[first : first + size] for first in range(0, len(self), size))


def _check_values(name: str, values: Floats) -> None:
    # Comparisons with NaN are false, so that it fails these too.
    lower = values >= 0 if name in _MAY_BE_ZERO else values > 0
    upper = True if name in ("ingress", "egress") else values < np.inf
    if not np.all(lower & upper):
        wrong = values[~(lower & upper)][0]
        raise ScenarioError(f"{name}: {wrong} is not {'zero or ' if name in _MAY_BE_ZERO else ''}positive and finite")
