"""What a run stands on: what an update is, how long it takes, and which of that the scenario did not say."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice, product

from parasim.sentences import by_kind, given_or_assumed, say
from parasim.text import amount, clock
from parasim_core.sim.engine.costs import Costs
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.learner import Update
from parasim_core.sim.engine.simulate import DEFAULT_LAYERS_PER_BLOCK, Setup
from parasim_core.sim.workload.methods import Trains

_MOST_UPDATES = 10_000
"""Updates that are looked at for the shortest and the longest one."""


def assumptions(setup: Setup, costs: Costs) -> list[str]:
    """Say what an update is and takes, and which fields of it are given and which assumed, a sentence each.

    Parameters
    ----------
    setup : Setup
        The scenario and what follows from it.
    costs : Costs
        How long its updates take.
    """
    scenario, trains = setup.scenario, setup.method.trains
    local = scenario.local
    sees_images = setup.architecture is not None and not setup.architecture.vocabulary_size
    update = say(
        "assumes.update",
        steps=local.steps,
        batch=say("assumes.images" if sees_images else "assumes.tokens", local=local),
        trained=say(f"assumes.{trains}", lora=scenario.lora, blocks=len(setup.blocks or ())),
        sizes=_from_to(_sizes(setup), amount),
        seconds=_from_to(_seconds(setup, costs), clock),
    )
    names = ("steps", "batch_size", "sequence_length")[: 2 if sees_images else 3]
    fields = given_or_assumed(local, {name: f"{getattr(local, name):,}" for name in names})
    if trains is Trains.BLOCK and scenario.blocks.count is None:
        width = f"{scenario.blocks.layers or DEFAULT_LAYERS_PER_BLOCK:g} a block"
        fields += given_or_assumed(scenario.blocks, {"layers": width})
    elif trains not in (Trains.BLOCK, Trains.EVERYTHING):
        fields += given_or_assumed(scenario.lora, {"rank": f"{scenario.lora.rank:,}"})
    return [update, say("assumes.fields", kinds=by_kind(fields))]


def _sizes(setup: Setup) -> set[float]:
    """Sizes of an update on its way up [B]: of every block that may be trained, or of the one thing that is."""
    blocks = range(len(setup.payload.parameters_up))
    return {setup.payload.upload(Update(client=0, round=0, block=block, seconds=0.0)) for block in blocks}


def _seconds(setup: Setup, costs: Costs) -> set[float]:
    """Durations of updates [s]: of every group, in every round, in which every block may be trained."""
    given = setup.scenario.compute.seconds is not None
    clients = range(setup.scenario.clients) if given else Fleet(setup.scenario.fleet).firsts[:-1]
    each = product(clients, range(setup.scenario.rounds), setup.trained_blocks or (None,))
    return {costs.local_update(*update).seconds for update in islice(each, _MOST_UPDATES)}


def _from_to(sizes: set[float], write: Callable[[float], str]) -> str:
    """Write one size, or the least and the largest of several."""
    return " to ".join(dict.fromkeys((write(min(sizes)), write(max(sizes)))))
