"""Regions with aggregators against a recursion over rounds, in random cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from parasim_core.sim.analysis.critical_path import Holder, critical_path
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.simulate import simulate
from parasim_core.sim.engine.timeline import Kind
from tests.oracles import regional
from tests.sim.runs import prepared, with_staleness

CASES = 300
ENOUGH = 100


@pytest.mark.parametrize(("method", "staleness"), [("fedbcd", 0), ("parablock", 1), ("parablock", 2)])
def test_every_message_is_where_the_recursion_has_it(method: str, staleness: int):
    compared = 0
    for seed in range(CASES):
        draws = np.random.default_rng([seed, staleness])
        fields, fleet, participants, schedule = _drawn(draws)
        setup, costs = prepared(method=with_staleness(method, staleness), **fields)
        try:
            if staleness:
                end = regional.overlapped(fleet, participants, schedule, staleness)
            else:
                end = regional.synchronous(fleet, participants, schedule)
        except regional.Meeting:
            continue
        compared += 1
        result = simulate(setup, costs)
        assert result.wall_clock == pytest.approx(end, rel=1e-9), seed
        messages = _messages(result)
        assert messages.keys() == {who for who, own in fleet.done.items() if own}, seed
        for who, own in messages.items():
            assert [kind for kind, *_ in own] == [kind for kind, *_ in sorted(fleet.done[who], key=_by_start)], (
                seed,
                who,
            )
            got, wanted = (
                np.array([times for _, *times in sorted(each, key=_by_start)]) for each in (own, fleet.done[who])
            )
            assert np.allclose(got, wanted, rtol=1e-9, atol=0), (seed, who)
        assert _holders(result).isdisjoint({Holder.UNRECORDED}), seed
    assert compared >= ENOUGH


def _holders(result: Result) -> set[Holder]:
    return {piece.holder for piece in critical_path(result).pieces}


def _by_start(message: regional.Done) -> tuple[float, float]:
    # Times that are equal but for rounding must not be put in another order.
    return float(f"{message[1]:.8g}"), float(f"{message[2]:.8g}")


def _messages(result: Result) -> dict[str, list[regional.Done]]:
    """What everyone sent and fetched."""
    messages: dict[str, list[regional.Done]] = {}
    names = ["", "", *result.scenario.regions]
    for span in result.timeline.spans:
        if span.kind in (Kind.UPLOAD, Kind.DOWNLOAD):
            who = str(span.client) if span.client >= 0 else names[-span.client]
            messages.setdefault(who, []).append((span.kind.value, span.start, span.end))
    return {who: sorted(own, key=_by_start) for who, own in messages.items()}


def _drawn(draws: np.random.Generator) -> tuple[dict[str, Any], regional.Fleet, list[set[int]], list[int]]:
    """Draw a scenario: its fields, the same for the oracle, who takes part, and which block is trained."""
    clients, rounds, blocks = int(draws.integers(2, 7)), int(draws.integers(1, 8)), int(draws.integers(1, 4))
    names = [f"region{number}" for number in range(int(draws.integers(1, 4)))]
    region = [str(name) for name in draws.choice([*names, ""], clients)]

    def rate(low: float, high: float) -> float:
        return float(np.exp(draws.uniform(np.log(low), np.log(high))))

    def link(low: float, high: float) -> regional.Link:
        return regional.Link(rate(low, high), rate(low, high), float(draws.uniform(0, 1)))

    links = [link(5e6, 2e8) for _ in range(clients)]
    of_regions = {name: link(5e6, 2e8) for name in names}
    everyone = range(clients)
    if draws.random() < 0.4:
        participants = [set(everyone)] * rounds
    else:
        size = [int(draws.integers(1, clients + 1)) for _ in range(rounds)]
        participants = [{int(client) for client in draws.choice(clients, n, replace=False)} for n in size]
    schedule = [int(block) for block in draws.integers(0, blocks, rounds)]
    compute = [float(seconds) for seconds in draws.uniform(0, 20, clients)]
    packing, aggregation = (float(draws.uniform(0, 1) * (draws.random() < 0.5)) for _ in range(2))
    fields: dict[str, Any] = {
        "rounds": rounds,
        "compute": {"seconds": compute},
        "payload": {"upload": "50MB", "download": "80MB"},
        "blocks": {"count": blocks, "schedule": schedule},
        "wire": {"serialization": packing, "download": {"bits": 8} if draws.random() < 0.5 else {}},
        "server": {"aggregation": aggregation},
        "participation": {"rounds": [sorted(members) for members in participants]},
        "fleet": [_written(own) | ({"region": name} if name else {}) for own, name in zip(links, region, strict=True)],
        "regions": {
            name: {
                "uplink": f"{own.up!r}B/s",
                "downlink": f"{own.down!r}B/s",
                "latency": own.latency,
                "aggregates": True,
            }
            for name, own in of_regions.items()
        },
    }
    sizes = prepared(**fields)[0].payload
    fleet = regional.Fleet(compute, links, region, of_regions, 50e6, sizes.download(0), 80e6, packing, aggregation)
    return fields, fleet, participants, schedule


def _written(link: regional.Link) -> dict[str, Any]:
    return {"uplink": f"{link.up!r}B/s", "downlink": f"{link.down!r}B/s", "latency": link.latency}
