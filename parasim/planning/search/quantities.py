"""What a plan can solve for: which values a quantity may take, and how a scenario with one of them is written.

Of what is bought (links, devices) the least that meets a deadline is wanted; of what the run is for (rounds, batch
size, clients, block width) the most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from parasim.api import prepared
from parasim.planning import changes
from parasim.planning.methods import Case
from parasim.planning.search.ranges import batch_sizes, block_widths
from parasim.planning.search.waiting import WAITING
from parasim.sentences import say
from parasim.text import amount
from parasim_core.sim.analysis.deadline_search import RuntimesAt, around_line, decimals, spread
from parasim_core.sim.engine.simulate import simulate
from parasim_core.sim.errors import ScenarioError, nearest
from parasim_core.sim.replay.conditions import Floats, Variants
from parasim_core.sim.replay.replay import Recording
from parasim_core.sim.scenario.links import Capacity
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.sections import Group
from parasim_core.sim.scenario.traces import mean_rate, with_mean

MOST_SCANNED = 33
_MOST_SPANS = 400_000
"""A run of more spans than about this is none that one repeats for a plan: some seconds."""
_FEWEST_ROUNDS, _FEWEST_IN_ANY_CASE = 1000, 32
"""So many rounds are tried though they have up to four times as many spans, and though they have more."""
_MOST_CLIENTS = 1000


WithValue = Callable[[Scenario, float], Scenario]
"""A scenario with a value."""


@dataclass(frozen=True)
class Quantity:
    """Something to solve for; its texts are those of ``[quantity]`` in ``sentences.toml``.

    Attributes
    ----------
    name : str
        As on the command line.
    values : callable
        Values that it may take in a scenario, rising; none if it means nothing there.
    change : callable
        A scenario with a value.
    unit : str
        Base unit, or empty for a number.
    conditions : tuple of str
        Conditions of a recorded run that it stands for, if what-ifs can say it: then the least is asked for, else the
        most.
    usual : tuple of (float, float)
        Where a picture without any answer shows it.
    straight : bool
        Whether the runtime grows along a straight line, or nearly so, and with it what a simulation costs.
    relative : bool
        Whether values are multiples of the recorded conditions.
    """

    name: str
    values: Callable[[Case], Sequence[float]]
    change: WithValue
    unit: str = ""
    conditions: tuple[str, ...] = ()
    usual: tuple[float, float] = (1e7, 1e9)
    straight: bool = False
    relative: bool = False

    @property
    def most(self) -> bool:
        """Whether the most is asked for."""
        return not self.conditions

    def scan(
        self, values: Sequence[float], runtimes: RuntimesAt, deadline: float, most: int = MOST_SCANNED
    ) -> list[int]:
        """Positions to begin with: all of a short list; around a straight line's guess; powers of two; or evenly."""
        if self.straight:
            return around_line(runtimes, len(values), deadline)
        if isinstance(values, range):
            return sorted({0, *(2**power - 1 for power in range(len(values).bit_length())), len(values) - 1})
        return spread(len(values), len(values) if self.most else most)

    def text(self, value: float) -> str:
        """Write a value as people do."""
        if self.unit:
            return amount(value, self.unit)
        if not self.most:
            return f"{value:.4g} x"
        return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"

    def in_recording(self, recording: Recording, values: Sequence[float] | Floats) -> Variants:
        """Write values as what-ifs of a recorded run."""
        column = np.array(values, dtype=np.float64)[:, None]
        conditions = recording.conditions
        return Variants(**{n: getattr(conditions, n) * column if self.relative else column for n in self.conditions})


def quantity_named(name: str, scenario: Scenario) -> Quantity:
    """Find a quantity by its name on the command line; of links that vary, the bandwidth is a multiple of what it is.

    Raises
    ------
    ScenarioError
        If there is none of that name.
    """
    if name not in QUANTITIES:
        raise ScenarioError(f"--solve-for {name}: {nearest(name, (*QUANTITIES, *WAITING))}")
    varying = name == "bandwidth" and any(map(changes.has_varying_links, scenario.fleet))
    return LINK_FACTOR if varying else QUANTITIES[name]


def bandwidth_text(scenario: Scenario, quantity: Quantity, value: float) -> str:
    """Write a bandwidth of every client; as a multiple, with the means that it leads to."""
    if quantity is not LINK_FACTOR:
        return quantity.text(value)
    fleet = changes.with_faster_links(scenario, value).fleet
    up, down = (_span([mean_rate(link) for link in links]) for links in zip(*map(_links_of, fleet), strict=True))
    return say("quantity.factor", factor=quantity.text(value), up=up, down=down)


def _links_of(group: Group) -> tuple[Capacity, Capacity]:
    return group.uplink, group.down


def _span(rates: Sequence[float]) -> str:
    """Write rates from the least to the most [B/s]."""
    least, most = amount(min(rates), "B/s"), amount(max(rates), "B/s")
    return least if least == most else f"{least} to {most}"


def _batch_sizes(case: Case) -> Sequence[float]:
    sizes = batch_sizes(case.scenario)
    if case.scenario.compute.seconds is not None and len(sizes) < 2:
        raise ScenarioError(
            "--solve-for batch-size: no batch size changes the given compute.seconds; name a device (compute.device) "
            "or a profile, or give them by batch size, such as {2: 3s, 4: 5s}"
        )
    return sizes


def _block_widths(case: Case) -> Sequence[float]:
    widths = block_widths(case.setup)
    if widths and case.scenario.compute.seconds is not None and case.scenario.payload is not None:
        raise ScenarioError("--solve-for block-width: no width changes the given compute.seconds and payload")
    return widths


def _rounds(case: Case) -> Sequence[float]:
    prepared(changes.with_rounds(case.scenario, 1))
    own = case.scenario.rounds
    # Counted in a run: how many activities a round has is the method's business.
    per_round = max(1, len(simulate(case.setup, case.costs).timeline.spans) // own)
    most = max(_MOST_SPANS // per_round, min(_FEWEST_ROUNDS, 4 * _MOST_SPANS // per_round))
    return range(1, max(most, own, _FEWEST_IN_ANY_CASE) + 1)


def _clients(case: Case) -> Sequence[float]:
    prepared(changes.with_clients(case.scenario, 1))
    return range(1, max(_MOST_CLIENTS, 8 * case.scenario.clients) + 1)


def _links(case: Case) -> Sequence[float]:
    return decimals(2, 15)


def _with_server(scenario: Scenario, value: float, *, field: str) -> Scenario:
    link = getattr(scenario.server, field)
    return changes.with_fields(scenario, "server", **{field: value if link is None else with_mean(link, value)})


def _factors(case: Case) -> Sequence[float]:
    return decimals(-3, 4)


LINK_FACTOR = Quantity(
    "link-factor", _factors, changes.with_faster_links, "", ("uplink", "downlink"), (0.1, 10), relative=True
)
"""Bandwidth where links vary with time."""


QUANTITIES = {
    quantity.name: quantity
    for quantity in (
        Quantity("bandwidth", _links, changes.with_bandwidth, "B/s", ("uplink", "downlink")),
        Quantity("device-speed", _factors, changes.with_speedup, "", ("speed",), (0.5, 2), relative=True),
        Quantity("server-egress", _links, partial(_with_server, field="egress"), "B/s", ("egress",)),
        Quantity("server-ingress", _links, partial(_with_server, field="ingress"), "B/s", ("ingress",)),
        Quantity("rounds", _rounds, changes.with_rounds, straight=True),
        Quantity("batch-size", _batch_sizes, changes.with_batch_size),
        Quantity("clients", _clients, changes.with_clients),
        Quantity("block-width", _block_widths, changes.with_block_width),
    )
}
