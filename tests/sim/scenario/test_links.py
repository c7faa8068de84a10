"""What may be said of links, and that a mistake in it has one line of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import parasim
from parasim.ignored import unused_regions
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.network.transport import Tcp
from parasim_core.sim.scenario.links import Buffers, Steps, Traced, Transport
from parasim_core.sim.scenario.reading import load, plain_fields, read
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.yaml_reading import to_yaml

Fields = dict[str, Any]
BASE: Fields = {"method": "fedbcd", "rounds": 2, "compute": {"seconds": 1}, "payload": {"upload": "10MB"}}
ISSUE: Fields = BASE | {
    "fleet": [
        {
            "name": "branch",
            "count": 20,
            "uplink": {"steps": [["0s", "10MB/s"], ["60s", "0"]], "period": "120s"},
            "downlink": {"trace": "t.csv", "column": "downlink_mbit_s", "start": "random", "scale": 0.5},
            "latency": "10ms",
            "transport": {
                "control": "cubic",
                "loss": "0.1%",
                "streams": 4,
                "window": "4MiB",
                "fresh": True,
                "acknowledgements": 0.02,
                "buffer": {"uplink": "100ms", "downlink": "30ms"},
            },
            "site": {"clients": 5, "uplink": "50Mbit/s", "downlink": "500Mbit/s"},
            "region": "eu",
        }
    ],
    "regions": {"eu": {"uplink": "1Gbit/s", "downlink": "1Gbit/s", "latency": "40ms", "aggregates": True}},
}


def test_the_example_runs_as_it_is():
    result = parasim.simulate(Path(parasim.__file__).parents[1] / "examples" / "international.yaml", ["rounds=2"])
    assert [Path(str(one["trace"])).name for one in result.summary()["provenance"]["traces"]] == ["satellite.csv"] * 2


def with_uplink(link: Any) -> Fields:
    return BASE | {"fleet": [{"uplink": link}]}


def test_everything_at_once():
    scenario = Scenario.parse(ISSUE)
    [group] = scenario.fleet
    assert isinstance(group.uplink, Steps)
    assert group.uplink.steps == ((0, 10e6), (60, 0))
    assert isinstance(group.downlink, Traced)
    assert group.downlink.start == "random"
    assert group.transport is not None
    assert group.transport.loss == 0.001
    assert group.transport.window == 4 * 2**20
    assert group.site is not None
    assert group.site.down == 500e6 / 8
    assert scenario.regions["eu"].aggregates
    # Written and read again, it is the same.
    assert Scenario.parse(scenario.model_dump(mode="json", exclude_unset=True)) == scenario


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ({"trace": "x.csv", "colunm": "a"}, "fleet.0.uplink.colunm: unknown field; did you mean 'column'?"),
        ({"steps": [[0, "1MB/s"]], "perod": 3}, "fleet.0.uplink.perod: unknown field; did you mean 'period'?"),
        ({"trce": "x.csv"}, "did you mean 'trace'?"),
        ({}, "has steps or a trace"),
        ({"trace": "x", "steps": [[0, "1MB/s"]]}, "give steps or trace, not both"),
        ({"steps": [[5, "1MB/s"]]}, "from 0 on, not from 5 s"),
        ({"steps": [[0, "1MB/s"], [9, "2MB/s"], [9, "3MB/s"]]}, "steps.2: 9 s is not later than the 9 s"),
        ({"steps": [[0, "1MB/s"], [9, "2MB/s"], [3, "3MB/s"]]}, "steps.2: 3 s is not later than the 9 s"),
        ({"steps": [[0, "1MB/s"], [9, 0]], "period": "9s"}, "period: 9 s is not later"),
        ({"steps": [[0, 0], [9, "0MB/s"]], "period": "10s"}, "none of them carries anything"),
        ({"steps": [[0, 0], [1e-7, "1MB/s"]], "period": "1.5e-4s"}, "period: 0.00015 s for 2 steps is too short"),
        ({"steps": []}, "fleet.0.uplink.steps: must have at least one entry"),
        ({"steps": [[0]]}, "fleet.0.uplink.steps.0.1: is missing"),
        ({"steps": [[0, 5]]}, "fleet.0.uplink.steps.0.1: 5 has no unit"),
        ({"steps": [[0, "1MB/s", 2]]}, "fleet.0.uplink.steps.0: must have at most 2 entries"),
        ({"steps": "fast"}, "fleet.0.uplink.steps: must be a list"),
        ({"trace": "x", "unit": "MB"}, "fleet.0.uplink.unit"),
        ({"trace": "x", "scale": 0}, "fleet.0.uplink.scale"),
        ({"trace": "x", "start": "rndom"}, "did you mean 'random'?"),
        ({"trace": "x", "start": "-5s"}, "fleet.0.uplink.start"),
        ({"trace": ["x"]}, "fleet.0.uplink.trace: must be text"),
        (0, "fleet.0.uplink: 0: a bandwidth must be at least"),
        (["1MB/s"], "is not a bandwidth"),
    ],
)
def test_a_link_that_is_wrong_is_told_so_once(link: Any, said: str):
    with pytest.raises(ScenarioError) as error:
        Scenario.parse(with_uplink(link))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ({"site": {"clients": 0, "uplink": "1MB/s"}}, "fleet.0.site.clients: must be at least 1"),
        ({"site": {"clients": 2}}, "fleet.0.site.uplink: is missing"),
        ({"region": "ue"}, "fleet.0.region: there is no region 'ue'; did you mean"),
        ({"transport": {}, "duplex": "half"}, "fleet.0: transport"),
        ({"transport": {"loss": "100%"}}, "fleet.0.transport.loss"),
        ({"transport": {"window": 0}}, "fleet.0.transport.window: must be greater than 0"),
        ({"transport": {"streams": 0}}, "fleet.0.transport.streams"),
        ({"transport": {"control": "vegas"}}, "'reno', 'cubic' or 'bbr'"),
        ({"transport": {"los": "1%"}}, "did you mean 'loss'?"),
    ],
)
def test_a_group_that_is_wrong(group: Fields, said: str):
    with pytest.raises(ScenarioError) as error:
        Scenario.parse(BASE | {"fleet": [group], "regions": {"uae": {}}})
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("region", "said"),
    [
        ({"latncy": "1s"}, "regions.eu west.latncy: unknown field; did you mean 'latency'?"),
        ({"uplink": {"trace": 5}}, "regions.eu west.uplink.trace"),
        ({"transport": {"loss": "1%"}}, "aggregates: true"),
        (["1MB/s"], "regions.eu west: must be a mapping"),
    ],
)
def test_a_region_that_is_wrong(region: Any, said: str):
    with pytest.raises(ScenarioError, match=said):
        Scenario.parse(BASE | {"regions": {"eu west": region}})


def test_a_region_without_any():
    with pytest.raises(ScenarioError, match="regions names none"):
        Scenario.parse(BASE | {"fleet": [{"region": "eu"}]})


def test_regions_that_nobody_names_are_said():
    fields = BASE | {"regions": {"eu": {}, "us": {}}, "fleet": [{"region": "eu"}]}
    [said] = unused_regions(Scenario.parse(fields))
    assert "us" in said
    assert parasim.simulate(fields).provenance["ignored"] == [said]
    assert not unused_regions(Scenario.parse(ISSUE))


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("fleet.branch.transport.loss=0.1%", "fleet.0.transport.loss", "0.1%"),
        ("fleet.*.uplink={steps: [[0s, 1MB/s]]}", "fleet.0.uplink.steps", [["0s", "1MB/s"]]),
        ("fleet.branch.downlink.scale=3", "fleet.0.downlink", ISSUE["fleet"][0]["downlink"] | {"scale": 3}),
        # What makes a trace of steps takes their fields away.
        ("fleet.branch.uplink.trace=t.csv", "fleet.0.uplink", {"trace": "t.csv"}),
        ("fleet.0.site.clients=2", "fleet.0.site.clients", 2),
        ("regions.eu.latency=50ms", "regions.eu.latency", "50ms"),
        ("regions.*.latency=50ms", "regions.eu.latency", "50ms"),
        ("regions.us={latency: 1ms}", "regions.us.latency", "1ms"),
        ("server.ingress={steps: [[0s, 1MB/s]]}", "server.ingress.steps", [["0s", "1MB/s"]]),
    ],
)
def test_overrides(override: str, path: str, value: Any):
    found: Any = plain_fields(ISSUE, [override])
    for part in path.split("."):
        found = found[int(part) if isinstance(found, list) else part]
    assert found == value
    load(ISSUE, [override])


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("regions.ue.latency=1ms", "has no entry 'ue'"),
        ("regions.eu.latncy=1ms", "did you mean 'latency'"),
        ("fleet.branch.uplink.scal=2", "did you mean 'scale'"),
        ("fleet.branch.downlink.period=2", "period"),
        ("region.eu.latency=1ms", "did you mean 'regions'"),
        ("regions=5", "must be a mapping"),
    ],
)
def test_overrides_that_are_wrong(override: str, said: str):
    with pytest.raises(ScenarioError, match=said):
        load(ISSUE, [override])


def test_traces_lie_beside_their_scenario(tmp_path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (folder / "t.csv").write_text("seconds,up_mbit_s\n0,8\n1,16\n")
    link = {"trace": "t.csv"}
    fields = BASE | {
        "fleet": [{"uplink": link, "site": {"clients": 2, "uplink": link}, "region": "eu"}],
        "regions": {"eu": {"downlink": link}},
        "server": {"egress": link},
    }
    (folder / "scenario.yaml").write_text(to_yaml(fields))
    monkeypatch.chdir(tmp_path)
    found = read(folder / "scenario.yaml")
    beside = {"trace": str(folder / "t.csv")}
    assert found["fleet"] == [{"uplink": beside, "site": {"clients": 2, "uplink": beside}, "region": "eu"}]
    assert found["regions"]["eu"]["downlink"] == found["server"]["egress"] == beside
    # What is not there is left as it was written, as profiles are: the message names it so.
    (folder / "other.yaml").write_text(to_yaml(with_uplink({"trace": "none.csv"})))
    assert read(folder / "other.yaml")["fleet"] == [{"uplink": {"trace": "none.csv"}}]


def test_a_buffer_that_is_left_out_is_as_long_as_the_other_and_limits_nothing():
    # A length of zero would leave ten packets in a round trip beside a message the other way.
    one = Buffers.model_validate({"uplink": "100ms"})
    assert one == Buffers(uplink=0.1) == Buffers(uplink=0.1, downlink=0.1)
    assert Buffers.model_validate({"downlink": "30ms"}) == Buffers(uplink=0.03, downlink=0.03)
    assert Buffers(uplink=0.1, downlink=0.0).downlink == 0
    left, without = (Tcp(Transport(buffer=buffer), 0.02, "downlink").beside(1e8, 1e7) for buffer in (one, None))
    assert left == without
    with pytest.raises(ScenarioError, match="buffer: give uplink, downlink, or both"):
        Scenario.parse(BASE | {"fleet": [{"transport": {"buffer": {}}}]})


@pytest.mark.parametrize(
    ("link", "allowed"),
    [
        (
            {"trace": "t.csv", "period": "5s"},
            "uplink.period: unknown field; allowed are column, scale, start, trace, unit",
        ),
        ({"steps": [["0s", "1MB/s"]], "scale": 2}, "uplink.scale: unknown field; allowed are period, start, steps"),
    ],
)
def test_a_field_of_the_other_kind_of_link_is_not_what_was_meant(link: Any, allowed: str):
    with pytest.raises(ScenarioError) as error:
        Scenario.parse(with_uplink(link))
    assert allowed in str(error.value)
