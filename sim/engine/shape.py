"""What a protocol is: its process in time, what it declares of itself, and what a scenario may tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, TypeVar

from parasim_core.sim.engine.fallible import Fallible
from parasim_core.sim.engine.run import Run
from parasim_core.sim.engine.site import Site
from parasim_core.sim.engine.timeline import Interval
from parasim_core.sim.scenario.fields import Section


class Params(Section):
    """What stands under `method:` in a scenario: the method's name, and in subclasses what one shape can be told."""

    name: str = "parablock"
    """One of `paraSim list methods`."""


P = TypeVar("P", bound=Params)


@dataclass(frozen=True)
class Traits:
    """What others may take for granted about a shape; nothing unless it is declared.

    The first two are not inherited: whoever changes a shape's process declares them anew.

    Attributes
    ----------
    causes_fixed : bool
        Who waits for whom is the same however long anything takes: a recorded run may be replayed under other
        durations. Otherwise every what-if is simulated.
    collapsible : bool
        Clients that are alike in every respect stay together, so that one of them may stand for all.
    takes_turns : bool
        A round is one client's turn, and each client has a block of its own.
    rounds_numbered : bool
        Clients take part in numbered rounds; otherwise each begins again by itself, and `rounds` counts aggregations.
    opens_rounds : bool
        Rounds may be opened one by one (`Run.attendance`), with clients that may vanish in the middle. Not inherited,
        either.
    overlaps : bool
        A client computes and communicates at once, and goes on from its own update before it has the aggregate.
    """

    causes_fixed: bool = False
    collapsible: bool = False
    takes_turns: bool = False
    rounds_numbered: bool = True
    opens_rounds: bool = False
    overlaps: bool = False


class Shape(Generic[P]):
    """Base of all protocols: the process that each client runs.

    Parameters
    ----------
    run : Run
        The run that it shapes.
    params : Params
        What the scenario says under `method:`.
    """

    traits: ClassVar[Traits] = Traits()
    Params: ClassVar[type[Params]] = Params

    def __init_subclass__(cls) -> None:
        """Take back what only this very class's author can vouch for: a new order of things is not the old one's."""
        super().__init_subclass__()
        if "traits" not in cls.__dict__:
            cls.traits = replace(cls.traits, causes_fixed=False, collapsible=False, opens_rounds=False)
            if "staleness" not in cls.__dict__:
                cls.staleness = classmethod(lambda cls, params: None)  # type: ignore[assignment, method-assign]

    def __init__(self, run: Run, params: P):
        self.run = run
        self.params = params

    @classmethod
    def staleness(cls, params: P) -> int | None:
        """Rounds that a client may train behind the server's model; None where there is no bound."""
        return 0

    def start(self) -> None:
        """Begin the processes of the server and of all clients."""
        raise NotImplementedError

    def presence(self, site: Site, wall_clock: float) -> Sequence[Interval]:
        """Intervals in which a site takes part [s]: by default the whole run, as far as it does not come and go."""
        return site.attended(wall_clock) if isinstance(site, Fallible) else [(0.0, wall_clock)]
