"""Which block is trained in which round."""

from __future__ import annotations

from collections.abc import Sequence

from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.support.streams import stream

UNKNOWN_MODEL_BLOCKS = 16
"""Blocks assumed where neither a model nor `blocks.count` says how many: those of the paper's Llama 3-8B."""


CHOSEN_IN_TRAINING: tuple[str, ...] = ("change", "bandit")
"""Schedules by which a round's block follows from what earlier rounds taught."""


def block_schedule(scenario: Scenario, count: int, rounds: int) -> Sequence[int]:
    """Block of each round.

    Parameters
    ----------
    scenario : Scenario
        Its `blocks.schedule` and `seed`. `random` draws anew each round, as in the paper;
        `gradient` is a draw too, for want of gradients: a learner that has them ranks the blocks itself.
        So are those of `CHOSEN_IN_TRAINING`: a learner chooses from round to round.
    count : int
        Number of blocks.
    rounds : int
        Number of rounds; of no account where the blocks are listed.

    Returns
    -------
    sequence of int
        0-based, one per round.

    Raises
    ------
    ScenarioError
        If a list names a block that is not there.
    """
    schedule = scenario.blocks.schedule
    if isinstance(schedule, tuple):
        for round, block in enumerate(schedule):
            if not 0 <= block < count:
                raise ScenarioError(f"blocks.schedule.{round}: there is no block {block}; they are 0 to {count - 1}")
        return schedule
    if schedule == "sequential":
        return [round % count for round in range(rounds)]
    if schedule == "reverse":
        return [count - 1 - round % count for round in range(rounds)]
    drawn: list[int] = stream(scenario.seed, "schedule").integers(count, size=rounds).tolist()
    return drawn
