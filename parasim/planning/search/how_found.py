"""Runtimes of what-ifs, and how they were really found: what a plan says of it comes from nowhere else."""

from __future__ import annotations

from parasim.sentences import say
from sim.studies.conditions import Variants
from sim.studies.replay import Answers, Recording, replay


def runtimes_of(recording: Recording, what_ifs: Variants, jobs: int | None) -> Answers:
    """Work out what-ifs, all exactly: by replay where that holds, by simulation elsewhere."""
    return next(replay(recording, [what_ifs], jobs=jobs))


def how_found(*recordings: Recording, simulated: bool) -> str:
    """Say how runtimes were found: ``exact replay of one recorded run``, ``simulating events; ...``.

    Parameters
    ----------
    recordings : Recording
        The runs that were varied.
    simulated : bool
        Whether any runtime was simulated.
    """
    reasons = dict.fromkeys(filter(None, (recording.not_replayable for recording in recordings)))
    if reasons:
        return say("found.not_replayable", reasons=list(reasons))
    return say("found.both" if simulated else "found.replay")
