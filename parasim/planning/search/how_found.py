"""Runtimes of what-ifs, and how they were really found: what a plan says of it comes from nowhere else."""

from __future__ import annotations

import numpy as np

from parasim.sentences import say
from sim.studies.conditions import Floats, Variants
from sim.studies.replay import Answers, Recording, replay


def runtimes_of(recording: Recording, what_ifs: Variants, jobs: int | None) -> Answers:
    """Work out what-ifs, all exactly: by replay where that holds, by simulation elsewhere."""
    return next(replay(recording, [what_ifs], jobs=jobs))


def shortest(recording: Recording, what_ifs: Variants) -> tuple[Floats, Floats]:
    """Bound the runtimes of what-ifs from below, and from above where the replay is exact [s].

    A replay gives every transfer its links to itself, so that no run is shorter; where none holds, nothing is known.
    """
    if recording.not_replayable:
        return np.zeros(len(what_ifs)), np.full(len(what_ifs), np.inf)
    wall_clock, exact = recording.replay(what_ifs)
    return wall_clock, np.where(exact, wall_clock, np.inf)


def how_found(*recordings: Recording, replayed: bool, simulated: bool) -> str:
    """Say how runtimes were found: ``exact replay of one recorded run``, ``simulating events; ...``.

    Parameters
    ----------
    recordings : Recording
        The runs that were varied.
    replayed, simulated : bool
        Whether any runtime was replayed exactly, and whether any was simulated.
    """
    reasons = dict.fromkeys(filter(None, (recording.not_replayable for recording in recordings)))
    if reasons:
        return say("found.not_replayable", reasons=list(reasons))
    return say("found.both" if replayed and simulated else "found.replay" if replayed else "found.simulation")
