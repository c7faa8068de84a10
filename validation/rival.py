"""What a rival is: the formula by which another simulator of federated learning tells how long a round takes.

A new one is a file in `validation/rivals` that holds a `RIVAL`. It is its authors' formula, written anew from what
their public code does, and not their code: a mistake in it is ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules

from validation.case import Case, Work

Duration = Callable[[Work, int, Case], float]


@dataclass(frozen=True)
class Rival:
    """Another simulator's formula.

    Attributes
    ----------
    name : str
        The simulator's.
    formula : str
        In words.
    source : str
        Function, repository and commit.
    leaves_out : str
        What it does not know of, and what stands in for that here.
    duration : callable
        Takes a client's work, how many clients take part in its round, and the case; returns when the client is done,
        from the round's start [s].
    """

    name: str
    formula: str
    source: str
    leaves_out: str
    duration: Duration

    def makespan(self, case: Case) -> float:
        """Rounds one after another, each as long as its slowest client [s]: in this, all of them agree."""
        return math.fsum(max(self.duration(work, len(clients), case) for work in clients) for clients in case.rounds)


def rivals() -> tuple[Rival, ...]:
    """All rivals, by name."""
    from validation import rivals as room

    found: list[Rival] = [import_module(f"{room.__name__}.{one.name}").RIVAL for one in iter_modules(room.__path__)]
    return tuple(sorted(found, key=lambda one: one.name))
