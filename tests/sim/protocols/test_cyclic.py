"""FedCyBGD's shape: clients take turns, each with a block of its own."""

from __future__ import annotations

import pytest

from parasim_core.sim.engine.timeline import Kind
from tests.sim.runs import of, simulated


def test_clients_take_turns_and_fetch_what_the_others_changed():
    # 3 clients, 5 turns of 10 s: turn 0 fetches nothing, 1 one block, then two each (its own is not fetched back).
    result = simulated(method="fedcybgd", rounds=5)
    assert [(span.client, span.blocks) for span in of(result, Kind.COMPUTE)] == [
        (0, (0,)), (1, (1,)), (2, (2,)), (0, (0,)), (1, (1,)),
    ]  # fmt: skip
    assert [span.blocks for span in of(result, Kind.DOWNLOAD)] == [(0,), (0, 1), (1, 2), (0, 2)]
    # 5 turns of 10 + 1 s, and 1 + 2 + 2 + 2 blocks down.
    assert result.wall_clock == pytest.approx(62)


def test_a_client_waits_while_it_is_not_its_turn():
    result = simulated(method="fedcybgd", rounds=3)
    # Client 0: 10 s computing, 1 s uploading, the rest of 10 + 1 + (1 + 11) + (2 + 11) = 36 s waiting.
    account = result.accounts[0]
    assert (account.compute, account.exposed, account.waiting, account.offline) == pytest.approx((10, 1, 25, 0))


def test_a_fraction_of_the_changed_blocks_is_drawn():
    # Half of 0, 1, 2, 2, 2 changed blocks, halves rounded up: 0, 1, 1, 1, 1.
    result = simulated(method="fedcybgd", rounds=5, cyclic={"download_fraction": 0.5})
    assert [len(span.blocks) for span in of(result, Kind.DOWNLOAD)] == [1, 1, 1, 1]
    again = simulated(method="fedcybgd", rounds=5, cyclic={"download_fraction": 0.5})
    assert again.timeline.spans == result.timeline.spans
    none = simulated(method="fedcybgd", rounds=5, cyclic={"download_fraction": 0})
    assert of(none, Kind.DOWNLOAD) == []


def test_turns_can_be_listed():
    result = simulated(method="fedcybgd", rounds=3, participation={"rounds": [[2], [0], [2]]})
    assert [span.client for span in of(result, Kind.COMPUTE)] == [2, 0, 2]
