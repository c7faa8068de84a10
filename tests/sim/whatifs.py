"""Random scenarios of every method whose links, devices and clients all differ."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from parasim_core.sim.workload.methods import METHODS
from tests.sim.runs import with_staleness


def _bandwidths(draw: st.DrawFn) -> str:
    return f"{draw(st.floats(1, 1000))!r}MB/s"


def _sizes(draw: st.DrawFn) -> str:
    return f"{draw(st.integers(1, 1000))}MB"


@st.composite
def scenarios(draw: st.DrawFn, *, server: bool = False) -> dict[str, Any]:
    """Draw the fields of a small scenario; the server's links are limited only if asked for."""
    method = draw(st.sampled_from([name for name in sorted(METHODS) if METHODS[name].shape.traits.causes_fixed]))
    clients, rounds = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    fleet = [
        {
            "uplink": _bandwidths(draw),
            "downlink": _bandwidths(draw),
            "latency": draw(st.sampled_from([0.0, 0.05, 1.5])),
            "speed": draw(st.floats(0.3, 3)),
            "duplex": draw(st.sampled_from(["full", "half"])),
        }
        for _ in range(clients)
    ]
    participation: dict[str, Any] = {}
    if method != "fedcybgd" and draw(st.booleans()):
        members = st.sets(st.integers(0, clients - 1), min_size=1).map(sorted)
        participation = {"rounds": draw(st.lists(members, min_size=rounds, max_size=rounds))}
    fields: dict[str, Any] = {
        "method": with_staleness(method, draw(st.integers(1, 3))),
        "rounds": rounds,
        "fleet": fleet,
        "participation": participation,
        "blocks": {
            "count": draw(st.integers(1, 4)),
            "schedule": draw(st.sampled_from(["random", "sequential", "gradient"])),
            "gradient_pass": 3.0,
        },
        "cyclic": {"download_fraction": draw(st.sampled_from([0.5, 1.0]))},
        "wire": {"serialization": draw(st.sampled_from([0.0, 0.2]))},
        "compute": {
            "seconds": draw(st.lists(st.floats(0, 30), min_size=clients, max_size=clients)),
            "non_overlapping": draw(st.sampled_from([0.0, 2.0, 40.0])),
        },
        "payload": {"upload": _sizes(draw), "download": _sizes(draw)},
        "seed": draw(st.integers(0, 9)),
    }
    fields["server"] = {"aggregation": draw(st.sampled_from([0.0, 0.7]))}
    if server:
        fields["server"] |= {"ingress": _bandwidths(draw), "egress": _bandwidths(draw)}
    return fields
