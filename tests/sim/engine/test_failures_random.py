"""Whatever fails, at random: every update is accounted for, and no byte and no second is lost or counted twice."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from parasim_core.sim.engine.costs import GivenSeconds
from parasim_core.sim.engine.fleet import Fleet, opened_one_by_one
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.server import Server
from parasim_core.sim.engine.simulate import prepare, simulate
from parasim_core.sim.engine.timeline import Kind
from parasim_core.sim.errors import SimulationError
from parasim_core.sim.scenario.scenario import Scenario
from tests.sim.runs import with_staleness

METHODS = ("fedbcd", "fedit", "ffa-lora", "flora", "full-ft", "parablock", "fedcybgd")
ASYNCHRONOUS = ("fedbuff", "fedasync", "parablock-async")


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


@st.composite
def groups(draw: st.DrawFn, regions: bool) -> dict[str, Any]:
    """Clients that may fail in every way."""
    group = {
        "count": draw(st.integers(1, 4)),
        "uplink": draw(st.sampled_from(["20MB/s", "100MB/s", "1GB/s"])),
        "latency": draw(st.sampled_from(["0s", "300ms"])),
        "speed": draw(st.sampled_from([0.3, 1.0, 1.7])),
        "region": "south" if regions else None,
        "dropout": draw(
            maybe(
                st.fixed_dictionaries(
                    {
                        "rate": st.floats(0, 0.3),
                        "during": st.sampled_from(["any", "compute", "exchange"]),
                        "back_after": st.integers(1, 3),
                    }
                )
            )
        ),
        "failures": draw(
            maybe(
                st.fixed_dictionaries(
                    {"every": st.floats(20, 100), "repair": st.floats(0, 30), "resume": st.booleans()}
                )
            )
        ),
        "outages": draw(
            maybe(
                st.fixed_dictionaries(
                    {
                        "every": st.floats(5, 60),
                        "last": st.floats(0, 20),
                        "transfers": st.sampled_from(["stall", "restart"]),
                    }
                )
            )
        ),
        "available": draw(
            maybe(st.fixed_dictionaries({"share": st.floats(0.3, 0.999), "session": st.floats(20, 200)}))
        ),
    }
    return {name: value for name, value in group.items() if value is not None}


@st.composite
def asynchronous(draw: st.DrawFn, name: str, clients: int) -> dict[str, Any]:
    """A method whose clients go on by themselves."""
    told = {
        "name": name,
        "concurrency": draw(maybe(st.integers(1, clients))),
        "max_staleness": draw(maybe(st.integers(0, 3))),
        **({} if name == "fedasync" else {"buffer": draw(maybe(st.integers(1, clients)))}),
    }
    return {field: value for field, value in told.items() if value is not None}


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Scenarios of a few clients and rounds, with whatever may happen to them."""
    regions = draw(st.booleans())
    fleet = [draw(groups(regions and draw(st.booleans()))) for _ in range(draw(st.integers(1, 3)))]
    method, rounds = draw(st.sampled_from([*METHODS, *ASYNCHRONOUS])), draw(st.integers(1, 6))
    clients, short = sum(group["count"] for group in fleet), draw(st.sampled_from(["wait", "wait", "end"]))
    cyclic, numbered = method == "fedcybgd", method not in ASYNCHRONOUS
    told: dict[str, Any] = {"short": short}
    if numbered and not cyclic:
        told |= {
            "quorum": draw(st.sampled_from([None, 1.0, 0.8, 0.5])),
            "deadline": draw(st.sampled_from([None, "25s", {"median": 1.2, "mad": 2}])),
            "late": draw(st.sampled_from(["discard", "next-round"])),
        }
    match draw(st.sampled_from(["everyone", "fraction", "lists"])):
        case "fraction" if numbered and not cyclic:
            told |= {"fraction": draw(st.floats(0.2, 1)), "over_selection": draw(st.sampled_from([1.0, 1.5]))}
        case "lists" if numbered:
            members = st.lists(st.integers(0, clients - 1), min_size=1, max_size=1 if cyclic else clients, unique=True)
            told["rounds"] = [draw(members) for _ in range(rounds)]
    return Scenario.parse(
        {
            "method": with_staleness(method, draw(st.integers(1, 3)))
            if numbered
            else draw(asynchronous(method, clients)),
            "cyclic": {"download_fraction": draw(st.sampled_from([1.0, 0.5]))},
            "rounds": rounds,
            "seed": draw(st.integers(0, 1000)),
            "fleet": fleet,
            "participation": told,
            "compute": {"seconds": 10, "non_overlapping": draw(st.sampled_from(["0s", "2s", "40s"]))},
            "payload": {"upload": draw(st.sampled_from(["0B", "30MB", "100MB"]))},
            "blocks": {"count": 3},
            "wire": {"serialization": draw(st.sampled_from(["0s", "500ms"]))},
            "server": {
                "aggregation": draw(st.sampled_from(["0s", "1s"])),
                **({"ingress": "120MB/s"} if draw(st.booleans()) else {}),
            },
            "regions": {"south": {"uplink": "80MB/s", "aggregates": draw(st.booleans())}} if regions else {},
        }
    )


def run(scenario: Scenario) -> tuple[Result, int] | None:
    """Simulate it, and count the updates that were expected; None if it ends otherwise, as it may.

    A round may be short, and a message may take so long that hardly ever a link is up for as long.
    """
    expected: list[int] = []

    def counted(server: Server, round: int, clients: int, wanted: int | None = None) -> None:
        expected.append(clients)
        expect(server, round, clients, wanted)

    with patch.object(Server, "expect", counted):
        try:
            result = simulate(prepare(scenario, None), GivenSeconds(scenario, Fleet(scenario.fleet)))
        except SimulationError as error:
            if "is short" not in str(error) and "hardly ever enough time" not in str(error):
                raise
            return None
    return result, sum(expected)


expect = Server.expect


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenarios())
def test_every_update_byte_and_second_is_accounted_for(scenario: Scenario):
    assume(opened_one_by_one(scenario))
    ended = run(scenario)
    if ended is None:
        # All who vanish are back some day: whoever waits for them does so not for ever.
        assert scenario.participation.short == "end"
        return
    result, expected = ended
    spans = result.timeline.spans
    rounds = [span for span in spans if span.kind is Kind.AGGREGATE]
    assert [span.round for span in rounds] == list(range(scenario.rounds))
    # Every client's wall-clock adds up to the last bit.
    for account in result.accounts.values():
        parts = (account.compute, account.exposed, account.waiting, account.offline, account.failed)
        assert math.fsum(parts) == pytest.approx(result.wall_clock, rel=1e-15)
        assert min(parts) >= 0
    # Every update that was expected is in an aggregate, or it is known what became of it.
    clients = [(number, span) for number, span in enumerate(spans) if span.client >= 0]
    good = [span for number, span in clients if number not in result.timeline.wasted]
    useful = {(span.client, span.round) for span in good if span.kind is Kind.COMPUTE}
    known = result.provenance.get("updates", {})
    others = sum(known.get("dropped", {}).values()) + sum(
        known.get(of, 0) for of in ("cancelled", "never_begun", "lost")
    )
    assert expected == len(useful) + others
    # One that is in an aggregate was sent as a whole, and once.
    sent = [span for span in good if span.kind is Kind.UPLOAD]
    assert Counter((span.client, span.round) for span in sent) == Counter(dict.fromkeys(useful, 1))
    assert {span.size for span in sent} <= {scenario.payload.upload}
    # Every byte and every second is useful or wasted, and in the figures.
    figures = result.figures()
    uploaded = sum(span.size for _, span in clients if span.kind is Kind.UPLOAD)
    downloaded = sum(span.size for _, span in clients if span.kind is Kind.DOWNLOAD)
    assert (figures["uploaded_bytes"], figures["downloaded_bytes"]) == (uploaded, downloaded)
    useful_bytes = sum(span.size for span in good if span.kind is not Kind.COMPUTE)
    assert figures["wasted_bytes"] == uploaded + downloaded - useful_bytes
    computed = math.fsum(span.end - span.start for _, span in clients if span.kind is Kind.COMPUTE)
    of_use = math.fsum(span.end - span.start for span in good if span.kind is Kind.COMPUTE)
    assert figures["wasted_compute_s"] == pytest.approx(computed - of_use, abs=1e-6)
    # Nothing lasts longer than the run, ends before it begins, or takes other than the sum of its parts.
    for span in spans:
        assert 0 <= span.start <= span.end <= result.wall_clock
        if span.parts is not None:
            assert math.fsum(span.parts) == pytest.approx(span.end - span.start, abs=1e-6)
        assert all(spans[cause].end <= span.start + 1e-9 for cause in span.causes)
    # No client does two things at once that it does one after the other.
    for client in result.counts:
        own = sorted((s.start, s.end) for _, s in clients if s.client == client and s.kind is Kind.COMPUTE)
        assert all(end <= start + 1e-9 for (_, end), (start, _) in pairwise(own))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenarios())
def test_the_same_run_twice(scenario: Scenario):
    one, other = run(scenario), run(scenario)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert one[0].timeline == other[0].timeline
        assert one[0].figures() == other[0].figures()
