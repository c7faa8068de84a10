"""N clients cost one model, the versions alive and their own updates: nothing else grows with N."""

from __future__ import annotations

import gc

import pytest
import torch

from tests.train.tiny import federate


def storages(tensors) -> dict[int, int]:
    """Bytes of every distinct piece of memory behind tensors."""
    found = (tensor.untyped_storage() for tensor in tensors)
    return {storage.data_ptr(): storage.nbytes() for storage in found if storage.nbytes()}


def live_after_rounds(clients: int, method: str) -> tuple[list[int], list[int]]:
    """Bytes of all live tensors but the clients' updates, and of the updates, after every round."""
    others, updates = [], []
    gc.collect()
    before = storages(thing for thing in gc.get_objects() if isinstance(thing, torch.Tensor))

    def observe(run, round, learner):
        alive = storages(thing for thing in gc.get_objects() if isinstance(thing, torch.Tensor))
        own = [values for client in learner.clients.values() for values in client.pending.values()]
        deltas = storages(value for values in [*own, *learner.in_flight.values()] for value in values.values())
        others.append(sum(size for key, size in alive.items() if key not in deltas and key not in before))
        updates.append(sum(deltas.values()))

    federate(
        method=method, fleet=[{"count": clients}], rounds=2, blocks={"layers": 1, "schedule": [0, 1]}, observe=observe
    )
    return others, updates


@pytest.mark.parametrize("method", ["parablock", "fedbcd"])
def test_memory_is_flat_in_the_number_of_clients_but_for_the_updates(method: str):
    few, few_updates = live_after_rounds(5, method)
    many, many_updates = live_after_rounds(50, method)
    assert max(many) <= max(few) + 2_000
    # One block's float32 delta each under way, none once a round of FedBCD has been aggregated.
    assert [10 * size for size in few_updates] == many_updates
    assert (max(many_updates) > 0) == (method == "parablock")
