"""Regions change when a model is trained, never what is learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from parasim_core.sim.workload.methods import METHODS
from tests.train.small_runs import bench, train
from tests.train.tiny import assert_equal, federate, weights

FLAT: list[dict[str, Any]] = [{"count": 2, "uplink": "20MB/s"}, {"count": 2, "uplink": "50MB/s"}]
BELOW = [{**group, "region": name} for group, name in zip(FLAT, ("eu", "us"), strict=True)]
FREE = {name: {"aggregates": True} for name in ("eu", "us")}
SLOW = {"eu": {"uplink": "7MB/s", "latency": "2s", "aggregates": True}, "us": {"uplink": "90MB/s", "aggregates": True}}
PARTIAL = {"rounds": [[0, 2], [1], [2, 3], [0, 1, 3], [0, 2]]}


@pytest.mark.parametrize("participation", [{}, PARTIAL], ids=["everyone", "some"])
@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.shape.traits.causes_fixed])
def test_every_method_learns_the_same_to_the_bit(method: str, participation: dict[str, Any]):
    # Who waits for whom is fixed, and the server aggregates what each client sent, in the same order.
    if METHODS[method].shape.traits.takes_turns and participation:
        participation = {"rounds": [[2], [0], [3], [1], [0]]}
    fields: dict[str, Any] = {
        "method": method,
        "participation": participation,
        "compute": {"seconds": [10, 25, 17, 12]},
        "wire": {"upload": {"bits": 8}, "download": {"top_k": 0.5}},
    }
    flat, flat_learner = federate(fleet=FLAT, **fields)
    regional, learner = federate(fleet=BELOW, regions=SLOW, **fields)
    # What is left of FLoRA's adapters in the model is nobody's: they are merged at the end of a round.
    one, other = (
        {name: value for name, value in weights(model).items() if method != "flora" or "lora_" not in name}
        for model in (regional, flat)
    )
    assert_equal(one, other, exactly=True)
    assert learner.losses == flat_learner.losses


@pytest.mark.parametrize("method", ["fedbuff", "fedasync"])
def test_where_the_order_of_arrival_matters_free_regions_keep_it(method: str):
    # No two arrive at the same time, and an aggregate takes some: a client that begins again in the instant in which
    # its update arrives does not find it in the server's model, with or without a region on the way.
    fields: dict[str, Any] = {
        "method": method,
        "rounds": 8,
        "compute": {"seconds": [10.13, 25.31, 17.77, 12.59]},
        "server": {"aggregation": 0.1},
    }
    flat, _ = federate(fleet=FLAT, **fields)
    regional, _ = federate(fleet=BELOW, regions=FREE, **fields)
    assert_equal(weights(regional), weights(flat), exactly=True)


def test_metrics_are_those_of_the_clients_own_links(tmp_path: Path):
    fields: dict[str, Any] = {"method": "fedbcd", "compute": {"seconds": [10, 12, 17, 11]}}
    flat = train(tmp_path / "flat", fleet=FLAT, on=bench(4), **fields).metrics
    regional = train(tmp_path / "regional", fleet=BELOW, regions=SLOW, on=bench(4), **fields).metrics
    assert [row["eval_loss"] for row in regional] == [row["eval_loss"] for row in flat]
    assert [row["train_loss"] for row in regional] == [row["train_loss"] for row in flat]
    assert regional[-1]["uploaded_bytes"] == flat[-1]["uploaded_bytes"]
    assert all(
        float(str(slow["simulated_s"])) > float(str(row["simulated_s"]))
        for slow, row in zip(regional, flat, strict=True)
    )
