"""The clients: numbered through all groups, taking part in rounds, and simulated once where they are alike."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, count

from parasim_core.sim.engine.selection import Everyone, Fraction, Listed, Selection, Turns
from parasim_core.sim.engine.shape import Traits
from parasim_core.sim.engine.timeline import SERVER
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.scenario.links import Region
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.sections import Group
from parasim_core.sim.scenario.traces import starts_at_random
from parasim_core.sim.support.streams import stream


class Fleet:
    """The groups of a scenario, by client number, and who else there is.

    Parameters
    ----------
    groups : sequence of Group
        The groups.
    regions : mapping of str to Region, optional
        The regions; those that aggregate are actors with numbers below the server's.
    """

    def __init__(self, groups: Sequence[Group], regions: Mapping[str, Region] | None = None):
        self.groups = tuple(groups)
        self.firsts = [0, *accumulate(group.count for group in groups)]
        self._regions = regions or {}

    @classmethod
    def of(cls, scenario: Scenario) -> Fleet:
        """Those of a scenario."""
        return cls(scenario.fleet, scenario.regions)

    @cached_property
    def aggregators(self) -> dict[str, int]:
        """Number of each region's aggregator, for those that have one."""
        numbers = zip(self._regions.items(), count(SERVER - 1, -1), strict=False)
        return {name: number for (name, region), number in numbers if region.aggregates}

    def below_an_aggregator(self, client: int) -> bool:
        """Whether what a client sends does not cross the server's link itself."""
        return client >= 0 and self.group(client).region in self.aggregators

    def actor(self, number: int) -> str:
        """Name an actor that is no client: the server, or a region's aggregator."""
        return "server" if number == SERVER else f"region {list(self._regions)[SERVER - 1 - number]}"

    @property
    def clients(self) -> int:
        """Number of clients."""
        return self.firsts[-1]

    def index(self, client: int) -> int:
        """Index of the group that a client belongs to."""
        return bisect_right(self.firsts, client) - 1

    def group(self, client: int) -> Group:
        """Group that a client belongs to."""
        return self.groups[self.index(client)]

    def members(self, index: int) -> range:
        """Numbers of a group's clients."""
        return range(self.firsts[index], self.firsts[index + 1])

    def name(self, index: int) -> str:
        """Name of a group, or its number if it has none."""
        return self.groups[index].name or f"group{index}"


@dataclass(frozen=True)
class Cohorts:
    """Who takes part in each round.

    Attributes
    ----------
    rounds : int
        Number of rounds.
    clients : int
        Number of clients in the fleet.
    members : tuple of tuples of int, or None
        Participants of each round in ascending order; None if everyone always takes part.
    """

    rounds: int
    clients: int
    members: tuple[tuple[int, ...], ...] | None

    def sizes(self) -> Sequence[int]:
        """Number of participants of each round."""
        if self.members is None:
            return [self.clients] * self.rounds
        return [len(members) for members in self.members]

    def rounds_of(self) -> dict[int, list[int]]:
        """Rounds in which each client takes part, for those that ever do; only where not everyone does."""
        taken: dict[int, list[int]] = {}
        for round, members in enumerate(self.members or ()):
            for client in members:
                taken.setdefault(client, []).append(round)
        return dict(sorted(taken.items()))


def cohorts(scenario: Scenario, traits: Traits, seed: int | None = None) -> Cohorts:
    """Work out who takes part when.

    Parameters
    ----------
    scenario : Scenario
        Its `participation`, `fleet`, `rounds` and `seed`.
    traits : Traits
        Of the method's shape: whether clients take turns, or take part in numbered rounds at all.
    seed : int or None
        Of who is drawn, where anybody is; the scenario's if None.

    Raises
    ------
    ScenarioError
        If the scenario asks for what the shape does not do.
    """
    rounds, everyone = scenario.rounds, range(scenario.clients)
    chosen_by = selection(scenario, traits, seed)
    if isinstance(chosen_by, Everyone):
        return Cohorts(rounds, scenario.clients, None)
    members = tuple(tuple(chosen_by.select(round, everyone)) for round in range(rounds))
    all_always = all(len(chosen) == scenario.clients for chosen in members) and not traits.takes_turns
    return Cohorts(rounds, scenario.clients, None if all_always else members)


def selection(scenario: Scenario, traits: Traits, seed: int | None = None) -> Selection:
    """Tell how the participants of a round are chosen; everything else as in `cohorts`."""
    given = scenario.participation
    if traits.takes_turns:
        if given.fraction is not None or any(len(members) != 1 for members in given.rounds or ()):
            raise ScenarioError(
                f"participation: clients of {scenario.method.name} take turns; "
                "leave it out or give rounds with one client each"
            )
        return Turns(range(scenario.clients) if given.rounds is None else [member for (member,) in given.rounds])
    if not traits.rounds_numbered and (given.fraction is not None or given.rounds is not None):
        raise ScenarioError(f"participation: clients of {scenario.method.name} begin again by themselves; leave it out")
    if given.rounds is not None:
        return Listed(given.rounds)
    if given.fraction is not None:
        return Fraction(given.fraction, stream(scenario.seed if seed is None else seed, "participation"))
    return Everyone()


def sites(
    scenario: Scenario, fleet: Fleet, cohorts: Cohorts, *, alike: bool
) -> Iterator[tuple[int, int, int, Sequence[int]]]:
    """Clients to simulate: first number, how many behave alike, index of their group, the rounds they take part in.

    Parameters
    ----------
    scenario : Scenario
        Its `compute`: seconds given per client tell clients of one group apart.
    fleet : Fleet
        The clients.
    cohorts : Cohorts
        Who takes part; clients that never do are not simulated.
    alike : bool
        Whether clients of one group, or of one of its sites, may be simulated once. Sharing is max-min fair, so
        equal clients that start together stay together, contended or not.
    """
    if cohorts.members is not None:
        for client, rounds in cohorts.rounds_of().items():
            yield client, 1, fleet.index(client), rounds
        return
    every_round = range(cohorts.rounds)
    # A run whose seconds are measured may have none for its method.
    alike = alike and not isinstance(scenario.given_seconds[1], tuple)
    for index, group in enumerate(fleet.groups):
        members = fleet.members(index)
        by_itself = not alike or any(map(starts_at_random, (group.uplink, group.down)))
        together = 1 if by_itself else group.site.clients if group.site else group.count
        for client in members[::together]:
            yield client, min(together, members.stop - client), index, every_round


def opened_one_by_one(scenario: Scenario) -> bool:
    """Whether anything of a scenario decides only during a run who takes part, or whose updates are aggregated."""
    told = scenario.participation
    ends_early = told.over_selection != 1 or told.quorum not in (None, 1) or told.deadline is not None
    return ends_early or any(_fails(group) for group in scenario.fleet)


def _fails(group: Group) -> bool:
    """Whether anything ever happens to the clients of a group."""
    drops_out = group.dropout is not None and group.dropout.rate > 0
    leaves = group.available is not None and group.available.share != 1
    return drops_out or leaves or group.failures is not None or group.outages is not None
