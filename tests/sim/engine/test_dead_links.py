from __future__ import annotations

import math
from typing import Any

import pytest

import parasim_core.sim.engine.links
from parasim_core.sim.errors import DeadLinkError, SimulationError
from parasim_core.sim.network import Course, Tree, Varying
from tests.sim.runs import simulated

DEAD = Varying(Course([0.0, 60.0], [1e6, 0.0]))


class _DeadUplinks(Tree):
    def attach(self, uplink: Any, *args: Any, **more: Any) -> Any:
        return super().attach(DEAD, *args, **more)


@pytest.mark.parametrize(
    ("network", "link"),
    [
        (lambda env, **_: _DeadUplinks(env), "the uplink"),
        (lambda env, **_: Tree(env, ingress=DEAD), "the server's ingress"),
    ],
)
def test_a_run_that_stands_still_names_the_link_that_carries_nothing(
    monkeypatch: pytest.MonkeyPatch, network: Any, link: str
):
    monkeypatch.setattr(parasim_core.sim.engine.links, "star_network", network)
    given = {"payload": {"upload": "10MB"}, "compute": {"seconds": 55}, "fleet": [{"uplink": "2MB/s"}]}
    with pytest.raises(SimulationError, match=rf"its upload \({link} carries nothing from 60 s on\) since 55 s"):
        simulated(method="fedit", rounds=1, **given)


@pytest.mark.parametrize("dead", [0, 3, 6])
def test_whichever_client_has_the_dead_link_is_named_and_it_is_the_users_to_mend(dead: int):
    # Everybody computes for 1 s and would send for 1 s; at 1.5 s, one uplink ends for good. The others wait for it.
    fleet: list[dict[str, Any]] = [{"name": f"site-{number}", "uplink": "100MB/s"} for number in range(7)]
    fleet[dead]["uplink"] = {"steps": [["0s", "100MB/s"], ["1.5s", "0MB/s"]]}
    said = rf"client {dead} waits for its upload \(the uplink carries nothing from 1.5 s on\)"
    with pytest.raises(DeadLinkError, match=said) as stopped:
        simulated(method="fedbcd", rounds=2, compute={"seconds": 1}, fleet=fleet)
    assert stopped.value.exit_status == 2


def test_a_message_is_waited_for_since_it_began():
    # Computed for 1 s, sent for 1 s, aggregated for 3 s: downloaded from 5 s on, and half of it is there at the end.
    fleet = [{"uplink": "100MB/s", "downlink": {"steps": [["0s", "100MB/s"], ["5.5s", "0MB/s"]]}}]
    given = {"payload": {"upload": "100MB", "download": "100MB"}, "server": {"aggregation": "3s"}}
    with pytest.raises(DeadLinkError, match=r"its download \(the downlink carries nothing from 5.5 s on\) since 5 s"):
        simulated(method="fedbcd", rounds=2, compute={"seconds": 1}, fleet=fleet, **given)


def test_the_dead_link_of_a_region_is_the_users_to_mend_too():
    fleet = [{"count": 5, "uplink": "100MB/s", "region": "eu"}]
    regions = {"eu": {"aggregates": True, "uplink": {"steps": [["0s", "100MB/s"], ["1.5s", "0MB/s"]]}}}
    with pytest.raises(DeadLinkError, match=r"region eu waits for its upload \(the uplink carries nothing from 1.5 s"):
        simulated(method="fedbcd", rounds=2, compute={"seconds": 1}, fleet=fleet, regions=regions)


def test_a_link_that_comes_up_again_is_not_dead(monkeypatch: pytest.MonkeyPatch):
    # 1 MB/s until 60 s and from 100 s on: 5 MB of 10 MB are left then.
    up = Varying(Course([0.0, 60.0, 100.0], [1e6, 0.0, 1e6]))
    monkeypatch.setattr(parasim_core.sim.engine.links, "star_network", lambda env, **_: Tree(env, ingress=up))
    given = {
        "payload": {"upload": "10MB", "download": "1B"},
        "compute": {"seconds": 55},
        "fleet": [{"uplink": "2MB/s"}],
    }
    result = simulated(method="fedit", rounds=1, **given)
    [upload] = [span for span in result.timeline.spans if span.kind == "upload"]
    assert upload.end == 105.0
    assert upload.parts is not None
    assert upload.parts[1:] == (0.0, 5.0, 5.0, 40.0, 0.0, 0.0, 0.0)
    assert math.fsum(upload.parts) == 50.0
