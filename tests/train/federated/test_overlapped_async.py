"""Asynchronous ParaBlock trained: ParaBlock's bits where everyone is alike, and plain loops where not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracles import plain_training as plain
from tests.train.tiny import LOCAL, RandomTokens, assert_equal, federate, tiny_model, weights

SCHEDULE = [2, 0, 0, 3, 0]
SECONDS = [10.0, 12.3, 17.9]
# 100 MB messages.
RATES = [100.0, 41.0, 17.0]
FIELDS: dict[str, Any] = {
    "fleet": [{"uplink": f"{rate}MB/s"} for rate in RATES],
    "compute": {"seconds": SECONDS},
    "blocks": {"layers": 1, "schedule": SCHEDULE},
}


def batches(client: int, sequence: int):
    return list(RandomTokens(3).batches(client, sequence))


@pytest.mark.parametrize("uplink", ["100MB/s", "7MB/s"])
def test_alike_clients_and_a_buffer_for_all_train_the_same_bits(uplink: str):
    fields = {"fleet": [{"count": 3, "uplink": uplink}], "blocks": {"layers": 1, "schedule": SCHEDULE}}
    own_pace, _ = federate(method={"name": "parablock-async", "buffer": 3}, **fields)
    in_rounds, _ = federate(method="parablock", **fields)
    assert_equal(weights(own_pace), weights(in_rounds), exactly=True)


@pytest.mark.parametrize(
    ("parameters", "weight", "bound"),
    [
        ({"buffer": 1}, lambda s: 1.0, float("inf")),
        ({"buffer": 2}, lambda s: 1.0, float("inf")),
        ({"buffer": 3, "weights": "polynomial"}, lambda s: (1 + s) ** -0.5, float("inf")),
        ({"buffer": 1, "weights": "hinge", "grace": 1}, lambda s: 1 / (1 + 0.5 * max(0, s - 1)), float("inf")),
        ({"buffer": 1, "max_staleness": 2}, lambda s: 1.0, 2),
    ],
    ids=["one", "two", "polynomial", "hinge", "dropped"],
)
def test_what_plain_loops_make_of_it(parameters, weight, bound):
    aggregated: list[tuple[float, tuple[int, ...]]] = []
    model, _ = federate(
        method={"name": "parablock-async", **parameters},
        rounds=9,
        observe=lambda world, number, learner: aggregated.append((world.env.now, world.timeline.spans[-1].blocks)),
        **FIELDS | {"blocks": {"layers": 1, "schedule": [*SCHEDULE, 1, 2, 2, 3]}},
    )
    expected, log = plain.parablock_async(
        tiny_model(),
        [*SCHEDULE, 1, 2, 2, 3],
        batches,
        LOCAL.learning_rate,
        SECONDS,
        [100 / rate for rate in RATES],
        parameters["buffer"],
        9,
        weight,
        bound,
    )
    assert [blocks for _, blocks in aggregated] == [(block,) for _, block in log]
    assert [time for time, _ in aggregated] == pytest.approx([time for time, _ in log])
    assert_equal(weights(model), weights(expected))
