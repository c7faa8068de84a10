"""Runs over sites, regions and links that change, on the fast network and on its slow twin, span by span."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from parasim_core.sim.engine.result import Result
from parasim_core.sim.network import PathNetwork
from tests.sim.runs import simulated

CASES = 150


@pytest.mark.parametrize("method", ["fedbcd", "parablock"])
def test_the_slow_twin_has_every_span_where_the_tree_has_it(method: str, monkeypatch: pytest.MonkeyPatch):
    for seed in range(CASES):
        fields = _drawn(np.random.default_rng(seed)) | {"method": method}
        fast = _spans(simulated(**fields))
        with monkeypatch.context() as patched:
            patched.setattr("parasim_core.sim.engine.links.star_network", _progressive_filling)
            slow = _spans(simulated(**fields))
        assert fast.keys() == slow.keys(), seed
        for key, times in fast.items():
            assert np.allclose(sorted(times), sorted(slow[key]), rtol=1e-9, atol=0), (seed, key)


def _progressive_filling(env: Any, ingress: Any, egress: Any, **_: object) -> PathNetwork:
    return PathNetwork(env, ingress, egress)


def _spans(result: Result) -> dict[tuple[object, ...], list[tuple[float, float]]]:
    """Starts and ends of all spans, by whose and what they are."""
    spans: dict[tuple[object, ...], list[tuple[float, float]]] = {}
    for span in result.timeline.spans:
        spans.setdefault((span.client, span.kind, span.round, span.size), []).append((span.start, span.end))
    return spans


def _drawn(draws: np.random.Generator) -> dict[str, Any]:
    """Draw a scenario whose links are in sites, in regions, both or neither, constant or in steps."""

    def rate(low: float = 5, high: float = 200) -> str:
        return f"{float(np.exp(draws.uniform(np.log(low), np.log(high))))!r}MB/s"

    def link() -> Any:
        if draws.random() < 0.6:
            return rate()
        times = [0.0, *sorted(float(time) for time in draws.uniform(1, 40, int(draws.integers(1, 4))))]
        # Some are down for a while, and all come back.
        rates = ["0MB/s" if draws.random() < 0.2 else rate() for _ in times[1:]]
        return {
            "steps": [[time, own] for time, own in zip(times, [rate(), *rates], strict=True)],
            "period": times[-1] + 5,
        }

    def maybe(fields: dict[str, Any], chance: float = 0.5) -> dict[str, Any]:
        return fields if draws.random() < chance else {}

    regions = {
        name: {"latency": float(draws.uniform(0, 1))}
        | maybe({"uplink": link(), "downlink": link()}, 0.8)
        | maybe({"aggregates": True})
        for name in ("a", "b")
    }
    fleet = []
    for _ in range(int(draws.integers(1, 4))):
        site = {"clients": int(draws.integers(1, 4)), "uplink": link(), "downlink": link()}
        group = {
            "count": int(draws.integers(1, 5)),
            "uplink": link(),
            "downlink": link(),
            "latency": draws.uniform(0, 1),
        }
        fleet.append(group | maybe({"site": site}) | maybe({"region": str(draws.choice(["a", "b"]))}, 0.7))
    return {
        "rounds": int(draws.integers(1, 5)),
        "compute": {"seconds": float(draws.uniform(0, 20))},
        "payload": {"upload": "50MB", "download": "80MB"},
        "fleet": fleet,
        "regions": regions,
        "server": maybe({"ingress": link(), "egress": link()}),
        "participation": maybe({"fraction": 0.5}, 0.3),
        "wire": maybe({"serialization": 0.3}, 0.3),
    }
