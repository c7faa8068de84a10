"""Whatever fails and whoever is late: what is learned is what plain copies of models make of the same events."""

from __future__ import annotations

from typing import Any

import pytest

from parasim_core.sim.engine.timeline import Kind
from parasim_core.train.models.adapters import SCALING, Adapter
from parasim_core.train.update.trained_part import TrainedStack
from tests.oracles import plain_training as plain
from tests.oracles.failing_training import Plain, PlainStack
from tests.train.tiny import LOCAL, LORA, RandomTokens, federate_with_result, tiny_model, weights

RATE = LOCAL.learning_rate
"""A step of AdamW is 1e-2: two of them, missing of one client in five or counted twice, are twenty times as much."""
METHODS = ["fedbcd", "fedit", "ffa-lora", "flora", "full-ft", "parablock", "overlapped-lora"]
FAILING: dict[str, dict[str, Any]] = {
    "dropout": {"dropout": {"rate": 0.35}},
    "sessions": {"available": {"share": 0.7, "session": "60s"}},
    "repairs": {"failures": {"every": "30s", "repair": "6s"}, "outages": {"every": "20s", "last": "2s"}},
    "all": {
        "dropout": {"rate": 0.2, "back_after": 2},
        "available": {"share": 0.8, "session": "120s"},
        "failures": {"every": "60s", "repair": "5s", "resume": True},
        "outages": {"every": "30s", "last": "2s", "transfers": "restart"},
    },
}
LATE: dict[str, dict[str, Any]] = {
    "all are waited for": {},
    "late ones are dropped": {"quorum": 0.5},
    "late ones count a round later": {"quorum": 0.5, "late": "next-round"},
    "a deadline, and more than are wanted": {
        **{"fraction": 0.5, "over_selection": 1.5, "quorum": 0.5, "deadline": "14s", "late": "next-round"},
    },
}


def batches(client: int, round: int):
    return list(RandomTokens(5).batches(client, round))


def oracle(method: str, seed: int) -> Plain:
    """Build what a method trains, plainly."""
    model = tiny_model()
    overlaps = method in ("parablock", "overlapped-lora")
    if method in ("fedbcd", "parablock"):
        of_blocks = [plain.names_of(block, model) for block in range(4)]
        return Plain(
            model,
            lambda blocks: [name for block in blocks for name in of_blocks[block]],
            batches,
            RATE,
            goes_on=overlaps,
        )
    if method == "full-ft":
        every = [*dict(model.named_parameters())]
        return Plain(model, lambda blocks: every, batches, RATE, goes_on=False)
    if method == "flora":
        stack = TrainedStack(tiny_model(), LORA, seed=seed)
        Adapter(model, LORA, seed)
        merged = [name for name in dict(model.named_parameters()) if "base_layer" in name]
        return PlainStack(
            *(model, lambda blocks: merged, batches, RATE),
            goes_on=False,
            start=lambda client, round: stack.fresh_start(client, round, {}),
            scaling=SCALING,
        )
    Adapter(model, LORA, seed)
    trained = [n for n in dict(model.named_parameters()) if ("lora_B" if method == "ffa-lora" else "lora_") in n]
    return Plain(model, lambda blocks: trained, batches, RATE, goes_on=overlaps)


def compared(method: str, seed: int, failing: dict[str, Any], told: dict[str, Any], **fields: Any) -> None:
    """Train and compare."""
    # With everything trained, AdamW makes rounding ten times as large every round or two.
    rounds = 4 if method == "full-ft" else 7
    model, learner, result = federate_with_result(
        method={"name": method, **fields},
        seed=seed,
        rounds=rounds,
        fleet=[{"count": 3, **failing}, {"count": 2, "speed": 0.55, "uplink": "20MB/s", **failing}],
        participation={"short": "wait", **told},
        blocks={"layers": 1},
    )
    expected = oracle(method, seed).run(result)
    one, other = (
        {name: value for name, value in weights(each).items() if method != "flora" or "lora_" not in name}
        for each in (model, expected)
    )
    assert one.keys() == other.keys()
    for name in one:
        # An update more or less would move every value by some RATE / 3: two steps of AdamW, for one client of five.
        # That makes a whole step of the rounding of a gradient which is nearly zero, so that a value here and there
        # is apart.
        assert (one[name] - other[name]).square().mean().sqrt() < RATE / 20
    # Nothing is left of what was dropped or lost but what was under way when the run ended.
    aggregated = [span for span in result.timeline.spans if span.kind is Kind.AGGREGATE]
    assert len(aggregated) == rounds
    assert len(learner.in_flight) <= result.provenance.get("updates", {}).get("cancelled", 0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("failing", FAILING)
def test_whatever_fails(method: str, failing: str):
    compared(method, 1, FAILING[failing], {})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("late", LATE)
def test_whoever_is_late(method: str, late: str):
    compared(method, 4, FAILING["dropout"], LATE[late])


@pytest.mark.parametrize("method", ["parablock", "overlapped-lora"])
@pytest.mark.parametrize("late", LATE)
def test_updates_that_are_stale_by_more_than_a_round(method: str, late: str):
    compared(method, 6, FAILING["all"], LATE[late], staleness=2)
