"""What a plan changes in a scenario: functions from a `Scenario` to another one that a user could have written."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.seconds import leaves
from parasim_core.sim.scenario.sections import Group
from parasim_core.sim.scenario.traces import mean_rate, scaled, varies, with_mean


def with_groups(scenario: Scenario, changes: Mapping[int, Mapping[str, object]]) -> Scenario:
    """Change fields of groups, by their positions in the fleet; links in B/s.

    Raises
    ------
    ScenarioError
        If a scenario cannot have such a speed.
    """
    fleet = list(scenario.fleet)
    for number, change in changes.items():
        if "speed" in change:
            try:
                Group.model_validate({"speed": change["speed"]})
            except ValidationError as error:
                raise ScenarioError(f"speed {change['speed']}: {error.errors()[0]['msg']}") from None
        fleet[number] = fleet[number].model_copy(update=change)
    return scenario.model_copy(update={"fleet": tuple(fleet)})


def with_bandwidth(scenario: Scenario, bandwidth: float) -> Scenario:
    """Give every client links of a bandwidth, up and down [B/s]."""
    return with_links(scenario, dict.fromkeys(range(len(scenario.fleet)), bandwidth))


def with_links(scenario: Scenario, bandwidths: Mapping[int, float]) -> Scenario:
    """Give some groups, by their positions, links of a bandwidth, up and down [B/s].

    Of a group whose links vary, it is the mean of the uplink; the downlink keeps its proportion to it.
    """
    fleet = scenario.fleet
    links = {index: (link, link * proportion(fleet[index])) for index, link in bandwidths.items()}
    return with_groups(
        scenario,
        {
            index: {"uplink": with_mean(fleet[index].uplink, up), "downlink": with_mean(fleet[index].down, down)}
            for index, (up, down) in links.items()
        },
    )


def proportion(group: Group) -> float:
    """How many times the uplink the downlink is when a plan changes both: 1, unless they vary with time."""
    return mean_rate(group.down) / mean_rate(group.uplink) if has_varying_links(group) else 1.0


def has_varying_links(group: Group) -> bool:
    """Whether the access links of a group vary with time."""
    return varies(group.uplink) or varies(group.down)


def with_faster_links(scenario: Scenario, factor: float) -> Scenario:
    """Make every client's links so many times as fast as they are, whenever they are."""
    return with_groups(
        scenario,
        {
            index: {
                "uplink": scaled(group.uplink, factor),
                "downlink": None if group.downlink is None else scaled(group.downlink, factor),
            }
            for index, group in enumerate(scenario.fleet)
        },
    )


def has_transport(scenario: Scenario) -> bool:
    """Whether TCP stands in front of any link."""
    regions = any(region.transport is not None for region in scenario.regions.values())
    return regions or any(group.transport is not None for group in scenario.fleet)


def without_transport(scenario: Scenario) -> Scenario:
    """Leave TCP out: fluid links."""
    fluid: dict[str, object] = {"transport": None}
    regions = {name: region.model_copy(update=fluid) for name, region in scenario.regions.items()}
    fleet = tuple(group.model_copy(update=fluid) for group in scenario.fleet)
    return scenario.model_copy(update={"fleet": fleet, "regions": regions})


def with_speedup(scenario: Scenario, factor: float) -> Scenario:
    """Make every device so many times as fast as it is."""
    return with_groups(scenario, {n: {"speed": group.speed * factor} for n, group in enumerate(scenario.fleet)})


def with_fields(scenario: Scenario, section: str, **fields: object) -> Scenario:
    """Change fields of a section, such as ``local``."""
    return scenario.model_copy(update={section: getattr(scenario, section).model_copy(update=fields)})


def with_batch_size(scenario: Scenario, size: float) -> Scenario:
    """Change the batch size, at as many steps as before."""
    return with_fields(scenario, "local", batch_size=int(size))


def with_block_width(scenario: Scenario, layers: float) -> Scenario:
    """Cut the model into blocks of so many layers, instead of into a number of blocks."""
    return with_fields(scenario, "blocks", layers=layers, count=None)


def with_rounds(scenario: Scenario, rounds: float) -> Scenario:
    """Change the number of rounds.

    Raises
    ------
    ScenarioError
        If the scenario lists something for each of its own rounds.
    """
    _refuse_lists(scenario, "rounds")
    return _checked(scenario, "--solve-for rounds: the scenario fits no other number", rounds=int(rounds))


def with_clients(scenario: Scenario, clients: float) -> Scenario:
    """Change the number of clients, the groups keeping their shares as nearly as whole clients allow.

    Raises
    ------
    ScenarioError
        If the scenario lists something for each of its own clients.
    """
    _refuse_lists(scenario, "clients")
    groups = scenario.fleet
    # Largest remainders: the groups whose shares were cut most get the clients that are left.
    shares = [group.count * int(clients) / scenario.clients for group in groups]
    counts = [int(share) for share in shares]
    by_remainder = sorted(range(len(groups)), key=lambda index: (counts[index] - shares[index], index))
    for index in by_remainder[: int(clients) - sum(counts)]:
        counts[index] += 1
    fleet = tuple(g.model_copy(update={"count": n}) for g, n in zip(groups, counts, strict=True) if n)
    return _checked(scenario, "--solve-for clients: the scenario fits no other number", fleet=fleet)


def with_waiting(scenario: Scenario, field: str, value: float) -> Scenario:
    """Change what says how long rounds wait, and for whom, and hold the scenario against all of its rules again.

    Raises
    ------
    ScenarioError
        If its method has no rounds that could wait so.
    """
    told = scenario.participation.model_copy(update={field: value})
    return _checked(scenario, f"--solve-for {field}", participation=told)


def _refuse_lists(scenario: Scenario, what: str) -> None:
    """Refuse a question about other numbers of what a scenario lists one by one: the scenario itself is right.

    Raises
    ------
    ScenarioError
        Naming the field, and what to give instead of the list.
    """
    lists = [seconds for _, seconds in leaves(scenario.compute.seconds) if isinstance(seconds, tuple)]
    by_round = any(isinstance(seconds[0], tuple) for seconds in lists)
    listed = {
        "compute.seconds": (by_round, "one number or one per client") if what == "rounds" else (lists, "one number"),
        "participation.rounds": (scenario.participation.rounds is not None, "participation.fraction"),
        "blocks.schedule": (
            what == "rounds" and isinstance(scenario.blocks.schedule, tuple),
            "a rule such as sequential",
        ),
    }
    count = getattr(scenario, what)
    for field, (found, instead) in listed.items():
        if found:
            raise ScenarioError(
                f"--solve-for {what}: asks about other numbers of {what} than the {count:,} that {field} lists one by "
                f"one; give {instead} instead of the list, or ask for something else"
            )


def _checked(scenario: Scenario, question: str, **fields: object) -> Scenario:
    """Replace fields that others may have to fit, and hold the scenario against all of its rules again.

    A message begins with the question, as the scenario itself is right.
    """
    return Scenario.parse({name: getattr(scenario, name) for name in scenario.model_fields_set} | fields, question)
