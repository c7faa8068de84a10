"""FedAvg's shape: R computations, R uploads, R - 1 downloads, one after the other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.sim.engine.timeline import SERVER, Kind
from tests.sim.runs import of, rotating, simulated


@given(rounds=st.integers(1, 8), compute=st.floats(0, 50), megabytes=st.integers(1, 500))
def test_fedbcd_takes_what_the_formula_says(rounds: int, compute: float, megabytes: int):
    # R C + (2 R - 1) b: the first round needs no download and the last sends none.
    result = simulated(
        method="fedbcd", rounds=rounds, compute={"seconds": compute}, payload={"upload": f"{megabytes}MB"}
    )
    b = megabytes / 100
    assert result.wall_clock == pytest.approx(rounds * compute + (2 * rounds - 1) * b, rel=1e-12)


def test_figures_of_fedbcd_add_up():
    # 4 rounds of 10 s, 4 uploads and 3 downloads of 1 s; 3 clients.
    figures = simulated(method="fedbcd").figures()
    assert figures["wall_clock_s"] == pytest.approx(47)
    assert figures["compute_s"] == pytest.approx(40)
    assert figures["exposed_communication_s"] == pytest.approx(7)
    assert figures["hidden_communication_s"] == 0
    assert figures["waiting_s"] == figures["offline_s"] == 0
    assert (figures["uploaded_bytes"], figures["downloaded_bytes"]) == (12 * 10**8, 9 * 10**8)


def test_nothing_is_downloaded_before_the_first_round_or_after_the_last():
    result = simulated(method="fedbcd")
    first_compute = of(result, Kind.COMPUTE)[0].start
    last_compute = of(result, Kind.COMPUTE)[-1].start
    assert first_compute == 0
    assert all(first_compute < span.start and span.end <= last_compute for span in of(result, Kind.DOWNLOAD))


def test_the_slowest_client_sets_the_round_and_the_others_wait():
    # Client 1 computes 30 s: the round is 31 s, in which client 0 waits 20.
    result = simulated(method="fedbcd", rounds=1, fleet=[{}, {}], compute={"seconds": [10, 30]})
    assert result.wall_clock == pytest.approx(31)
    assert result.accounts[0].waiting == pytest.approx(20)
    assert result.accounts[1].waiting == 0


def test_a_slower_device_takes_longer():
    # At speed 0.5, 10 s become 20.
    assert simulated(method="fedbcd", rounds=1, fleet=[{"speed": 0.5}]).wall_clock == pytest.approx(21)


def test_latency_serialization_and_aggregation_are_paid_once_each():
    # One round: 10 s compute, 2 s packing, 0.5 s latency, 1 s upload, 3 s aggregation. Then a second one with a
    # download of 0.5 + 1 + 2 s before it.
    extras = {
        "fleet": [{"latency": "500ms"}],
        "wire": {"serialization": "2s"},
        "server": {"aggregation": "3s"},
        "method": "fedbcd",
    }
    assert simulated(rounds=1, **extras).wall_clock == pytest.approx(16.5)
    assert simulated(rounds=2, **extras).wall_clock == pytest.approx(16.5 + 3.5 + 16.5)


def test_a_shared_server_link_is_shared():
    # 3 clients of 100 MB/s behind an ingress of 100 MB/s: the upload takes 3 s, the download still 1 s.
    result = simulated(method="fedbcd", rounds=2, server={"ingress": "100MB/s"})
    assert result.wall_clock == pytest.approx(10 + 3 + 1 + 10 + 3)


def test_a_returning_client_downloads_every_distinct_block_that_changed():
    # Cohorts {0} {1} {2} take turns, blocks 0 1 2 0 1 2 ... Client 0 returns in round 3 and has missed blocks
    # 0 (of its own round, whose aggregate it never fetched), 1 and 2: three. In round 3 block 0 changes again.
    result = simulated(
        method="fedbcd",
        rounds=6,
        fleet=[{"count": 3}],
        participation={"rounds": rotating(3, 1, 6)},
        blocks={"count": 3, "schedule": "sequential"},
    )
    fetched = {(span.client, span.start): span.blocks for span in of(result, Kind.DOWNLOAD)}
    assert [blocks for _, blocks in sorted(fetched.items(), key=lambda item: item[0][1])] == [
        (0,),  # client 1, round 1: everything changed since the start
        (0, 1),  # client 2, round 2
        (0, 1, 2),  # client 0, round 3
        (0, 1, 2),  # client 1, round 4: block 0 changed twice and is fetched once
        (0, 1, 2),  # client 2, round 5
    ]


def test_a_block_that_changed_twice_is_fetched_once():
    # Block 0 in every round: a client that missed two rounds downloads one block.
    result = simulated(
        method="fedbcd",
        rounds=4,
        fleet=[{"count": 3}],
        participation={"rounds": rotating(3, 1, 4)},
        blocks={"count": 2, "schedule": [0, 0, 0, 0]},
    )
    assert [span.size for span in of(result, Kind.DOWNLOAD)] == [1e8, 1e8, 1e8]


def test_clients_are_offline_in_rounds_of_others():
    # Two rounds of 11 and 12 s (client 1 fetches one block first); each client takes part in one.
    result = simulated(method="fedbcd", rounds=2, fleet=[{"count": 2}], participation={"rounds": [[0], [1]]})
    assert result.wall_clock == pytest.approx(23)
    assert result.accounts[0].offline == pytest.approx(12)
    assert result.accounts[1].offline == pytest.approx(11)


def test_flora_sends_one_adapter_up_and_the_stack_of_all_down():
    result = simulated(method="flora", rounds=2)
    assert [span.size for span in of(result, Kind.UPLOAD)] == [1e8, 1e8]
    assert [span.size for span in of(result, Kind.DOWNLOAD)] == [3e8]


def test_a_client_that_missed_stacks_downloads_each_of_them():
    # Merged stacks add up: no later one replaces an earlier one. Client 1 has missed two stacks of one adapter.
    result = simulated(method="flora", rounds=3, fleet=[{"count": 2}], participation={"rounds": [[0], [0], [1]]})
    assert of(result, Kind.DOWNLOAD, client=1)[0].size == 2e8


def test_the_gradient_schedule_costs_a_pass_before_the_first_round():
    blocks = {"schedule": "gradient", "gradient_pass": "7s"}
    with_pass = simulated(method="fedbcd", blocks=blocks)
    assert with_pass.wall_clock == pytest.approx(simulated(method="fedbcd").wall_clock + 7)
    assert with_pass.figures()["compute_s"] == pytest.approx(47)


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ({"schedule": "gradient"}, True),
        ({"schedule": "gradient", "gradient_pass": "7s"}, False),
        ({"schedule": "random"}, False),
    ],
)
def test_a_gradient_schedule_whose_pass_is_not_priced_says_so(blocks: dict[str, Any], said: bool):
    computing = simulated(method="fedbcd", blocks=blocks).provenance["compute"]
    assert isinstance(computing, dict)
    assert ("not priced" in computing.get("gradient_pass", "")) is said


def test_every_span_knows_what_it_waited_for():
    result = simulated(method="fedbcd", rounds=2, fleet=[{"count": 2}], compute={"seconds": [10, 12]})
    spans = result.timeline.spans
    for span in spans:
        ended = [spans[cause].end for cause in span.causes]
        # What it waited for last ended exactly when it began.
        assert span.start == (max(ended) if ended else 0)
    aggregate = next(span for span in spans if span.client == SERVER)
    assert {spans[cause].client for cause in aggregate.causes} == {0, 1}


@pytest.mark.parametrize(("top_k", "missed"), [(0.1, 3 * 60e6), (0.2, 200e6)])
def test_a_client_downloads_every_compressed_change_that_it_missed(top_k: float, missed: float):
    # One block of 1e8 values, 2 bytes each; a change keeps a tenth, 2 + 4 bytes each: 60 MB. Client 1 misses three of
    # them. With a fifth kept, three changes of 120 MB are more than the block's 200 MB.
    result = simulated(
        method="fedbcd",
        payload={"upload": "200MB"},
        blocks={"count": 1, "schedule": "sequential"},
        wire={"download": {"top_k": top_k}},
        fleet=[{"count": 2}],
        participation={"rounds": [[0], [0], [0], [0, 1]]},
    )
    assert [span.size for span in of(result, Kind.DOWNLOAD, 0)] == [top_k * 600e6] * 3
    assert [span.size for span in of(result, Kind.DOWNLOAD, 1)] == [missed]
