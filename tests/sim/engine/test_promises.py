"""Promised updates: the same run as with a learner that answers at once, and as many under way as the clock allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parasim_core.sim.engine.cost_learner import CostLearner
from parasim_core.sim.engine.costs import GivenSeconds
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.learner import Promise, Update
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.simulate import prepare, simulate
from parasim_core.sim.engine.site import Site
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.workload.methods import METHODS
from tests.sim.runs import rotating, with_staleness

DEFAULTS = {
    "compute": {"seconds": 10},
    "payload": {"upload": "100MB"},
    "fleet": [{"count": 3, "uplink": "100MB/s"}],
    "rounds": 4,
}


class Promising(CostLearner):
    """Promises every update, and notes what happens in which order."""

    foreseen = False
    """Whether the duration of an update is known beforehand."""

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self.open: set[tuple[int, int]] = set()
        self.log: list[tuple[str, int, int]] = []
        self.most_open = 0

    def train(self, client: int, round: int, block: int | None) -> Promise:  # type: ignore[override]
        update = super().train(client, round, block)
        place = (client, round)
        self.open.add(place)
        self.most_open = max(self.most_open, len(self.open))
        self.log.append(("begin", *place))

        def redeem() -> Update:
            self.open.remove(place)
            self.log.append(("end", *place))
            return update

        return Promise(redeem, (update.seconds, update.serial) if self.foreseen else None)

    def aggregate(self, round: int, item: int, updates: Sequence[Update]) -> None:
        assert not self.open


class Foreseeing(Promising):
    """The same, and says beforehand how long each takes."""

    foreseen = True


def run(kind: type[CostLearner], **fields: Any) -> tuple[Result, Any]:
    scenario = Scenario.parse(DEFAULTS | fields)
    setup = prepare(scenario, None)
    costs = GivenSeconds(scenario, Fleet(scenario.fleet))
    learner = kind(costs, setup.schedule, setup.blocks)
    return simulate(setup, costs, learner), learner


def graph(result: Result) -> list[tuple[object, ...]]:
    """Every span with those it waited for, without the numbers, which are the order of recording."""
    spans = result.timeline.spans
    keys = [span[:7] for span in spans]
    whole = [
        (
            *keys[number],
            sorted(keys[cause] for cause in span.causes),
            span.serial,
            None if span.beside is None else keys[span.beside],
        )
        for number, span in enumerate(spans)
    ]
    return sorted(whole, key=repr)


@settings(max_examples=60, deadline=None)
@given(
    # Of the others, trainings may be open when the run ends.
    method=st.sampled_from([name for name in sorted(METHODS) if METHODS[name].shape.traits.rounds_numbered]),
    staleness=st.integers(1, 3),
    seconds=st.lists(st.sampled_from([0, 3, 5.5, 10]), min_size=4, max_size=4),
    serial=st.sampled_from([0, 1]),
    serialization=st.sampled_from(["0s", "300ms"]),
    aggregation=st.sampled_from(["0s", "700ms"]),
    fraction=st.sampled_from([None, 0.5, 0.75]),
    ingress=st.sampled_from([None, "150MB/s"]),
    rounds=st.integers(1, 5),
)
@pytest.mark.parametrize("kind", [Promising, Foreseeing])
def test_a_promised_run_is_the_same_run(
    kind, method, staleness, seconds, serial, serialization, aggregation, fraction, ingress, rounds
):
    cyclic = METHODS[method].shape.traits.takes_turns
    fields = {
        "method": with_staleness(method, staleness),
        "compute": {"seconds": seconds, "non_overlapping": serial},
        "fleet": [{"count": 4, "uplink": "100MB/s"}],
        "wire": {"serialization": serialization},
        "server": {"aggregation": aggregation, "ingress": ingress},
        "participation": {} if fraction is None or cyclic else {"fraction": fraction},
        "rounds": rounds,
    }
    promised, learner = run(kind, **fields)
    at_once, _ = run(CostLearner, **fields)
    assert graph(promised) == graph(at_once)
    assert not learner.open


@pytest.mark.parametrize("kind", [Promising, Foreseeing])
def test_all_that_begins_in_one_instant_begins_before_any_of_it_is_waited_for(kind: type[Promising]):
    # Four alike clients, two rounds of FedBCD: each round begins for all at once.
    _, learner = run(kind, method="fedbcd", fleet=[{"count": 4}], rounds=2)
    phases = [(what, round) for what, _, round in learner.log]
    assert phases == [("begin", 0)] * 4 + [("end", 0)] * 4 + [("begin", 1)] * 4 + [("end", 1)] * 4
    # They end in the order in which they began.
    assert [client for _, client, _ in learner.log] == [0, 1, 2, 3] * 4


def test_uneven_clients_overlap_where_it_is_known_how_long_they_take():
    # FedBCD, downlinks of 100, 50 and 25 MB/s: the second round begins after 1, 2 and 4 s of download. Whoever does not
    # know when the first one ends has to wait for it before the clock goes on; who knows begins all three.
    fleet = [{"uplink": "100MB/s", "downlink": f"{rate}MB/s"} for rate in (100, 50, 25)]
    most = {}
    for kind in (Promising, Foreseeing):
        _, learner = run(kind, method="fedbcd", fleet=fleet, rounds=2)
        second = [(what, client) for what, client, round in learner.log if round == 1]
        most[kind] = second
    assert most[Promising] == [(what, client) for client in range(3) for what in ("begin", "end")]
    assert most[Foreseeing] == [(what, client) for what in ("begin", "end") for client in range(3)]


def test_an_aggregation_waits_for_trainings_that_began_before_it():
    # ParaBlock with 10 and 16 s of computing: when round 0 is aggregated at 17, both are in the midst of round 1
    # (begun at 10 and 16), and their updates are waited for first: the aggregate must not reach them.
    _, learner = run(Foreseeing, fleet=[{}, {}], compute={"seconds": [10, 16]}, rounds=3)
    assert learner.most_open == 2
    ends = [entry for entry in learner.log if entry[0] == "end"]
    assert ends[:4] == [("end", 0, 0), ("end", 1, 0), ("end", 0, 1), ("end", 1, 1)]


def test_a_protocol_that_asks_for_an_update_gets_it(monkeypatch: pytest.MonkeyPatch):
    # A protocol that looks into the update while it is promised (as one may for what cannot overlap) waits for it.
    meanwhile = Site.meanwhile

    def looking(self, training, communicate):
        assert training.update.client == self.client
        return meanwhile(self, training, communicate)

    expected, _ = run(CostLearner)
    monkeypatch.setattr(Site, "meanwhile", looking)
    for kind in (Promising, Foreseeing):
        assert graph(run(kind)[0]) == graph(expected)


def test_cohorts_in_turn_begin_together():
    _, learner = run(Promising, fleet=[{"count": 4}], participation={"rounds": rotating(4, 2, 4)})
    assert learner.most_open == 2


@pytest.mark.parametrize("kind", [Promising, Foreseeing])
def test_what_goes_wrong_in_a_promise_ends_the_run(kind: type[Promising], monkeypatch: pytest.MonkeyPatch):
    def broken(self: Promising, client: int, round: int, block: int | None) -> Promise:
        def fail() -> Update:
            raise ScenarioError(f"client {client} cannot")

        return Promise(fail, (10.0, 0.0) if self.foreseen else None)

    monkeypatch.setattr(Promising, "train", broken)
    with pytest.raises(ScenarioError, match=r"^client 0 cannot$"):
        run(kind)
