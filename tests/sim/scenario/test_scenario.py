from __future__ import annotations

import math
import re
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.scenario.fields import SchemaOfFields, Section
from parasim_core.sim.scenario.reading import load, read
from parasim_core.sim.scenario.scenario import Scenario, json_schema

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))

FULL: dict[str, Any] = {
    "name": "cross-silo",
    "model": "llama-3-8b",
    "method": {"name": "parablock", "staleness": 1},
    "rounds": 32,
    "blocks": {"layers": 2, "schedule": "random"},
    "local": {"steps": 40, "batch_size": 4, "sequence_length": 512},
    "lora": {"rank": 32, "targets": ["q_proj", "v_proj"]},
    "fleet": [
        {
            "name": "hospital",
            "count": 10,
            "uplink": "100MB/s",
            "downlink": "100MB/s",
            "latency": "10ms",
            "device": "a100",
            "speed": 1.0,
            "duplex": "full",
        },
        {
            "name": "branch",
            "count": 20,
            "uplink": {"steps": [["0s", "10MB/s"], ["60s", "2MB/s"]], "period": "120s"},
            "downlink": {"trace": "satellite.csv", "column": "downlink_mbit_s", "start": "random", "scale": 0.5},
            "latency": "10ms",
            "transport": {
                "control": "cubic",
                "loss": "0.1%",
                "streams": 4,
                "window": "4MiB",
                "fresh": True,
                "acknowledgements": 0.02,
                "outages": "held",
                "buffer": {"uplink": "100ms", "downlink": "30ms"},
            },
            "site": {"clients": 5, "uplink": "50Mbit/s", "downlink": "500Mbit/s"},
            "region": "eu",
            "available": {"share": 0.4, "session": "2h", "day_to_night": 4},
            "outages": {"every": "2h", "last": "30s", "transfers": "stall"},
            "dropout": {"rate": "6%", "during": "any", "back_after": 1},
            "failures": {"every": "12h", "repair": "20min", "resume": False},
        },
    ],
    "regions": {"eu": {"uplink": "1Gbit/s", "downlink": "1Gbit/s", "latency": "40ms", "aggregates": True}},
    "server": {"ingress": "1GB/s", "egress": "1GB/s", "aggregation": "0s"},
    "participation": {
        "fraction": 0.2,
        "over_selection": 1.3,
        "quorum": "80%",
        "deadline": {"median": 1, "mad": 3},
        "late": "discard",
        "short": "end",
    },
    "wire": {"bytes_per_parameter": 2, "serialization": "0s", "upload": {"top_k": 0.2}, "download": {}},
    "compute": {"profile": "paper-a100", "dataset": "alpaca-gpt4"},
    "payload": {"upload": "872MB", "download": "872MB"},
    "seed": 0,
}
"""Every documented field."""

SMALL: dict[str, Any] = {
    "rounds": 3,
    "fleet": [{"count": 2}],
    "payload": {"upload": "1MB"},
    "compute": {"seconds": 1},
}
"""The least that runs without a model, for 2 clients and 3 rounds."""


def refused(**fields: Any) -> str:
    with pytest.raises(ScenarioError) as caught:
        Scenario.parse(SMALL | fields, "file.yaml")
    return str(caught.value)


def test_every_documented_field_is_read():
    scenario = Scenario.parse(FULL)
    group = scenario.fleet[0]
    assert (scenario.method.name, scenario.method.staleness) == ("parablock", 1)
    assert (group.uplink, group.down, group.latency, group.duplex) == (100e6, 100e6, 0.01, "full")
    assert (scenario.server.ingress, scenario.server.aggregation) == (1e9, 0.0)
    assert scenario.payload is not None
    assert scenario.payload.down == 872e6
    assert scenario.lora.targets == ("q_proj", "v_proj")
    assert (scenario.wire.upload.top_k, scenario.wire.download.top_k) == (0.2, None)


def test_the_name_of_a_method_is_enough():
    assert Scenario.parse(SMALL | {"method": "fedit"}) == Scenario.parse(SMALL | {"method": {"name": "fedit"}})


@pytest.mark.parametrize("data", [FULL, SMALL, SMALL | {"compute": {"seconds": [[1, "2s"], [0.1, 1e-9], [3, 4]]}}])
def test_a_scenario_survives_being_written(data: dict[str, Any]):
    scenario = Scenario.parse(data)
    again = Scenario.parse(scenario.model_dump(mode="json", exclude_unset=True))
    assert again == scenario
    assert again.model_fields_set == scenario.model_fields_set


@given(
    uplink=st.floats(0.125, 1e18),
    latency=st.floats(0, 1e12),
    upload=st.floats(0, 1e18),
    seconds=st.lists(st.floats(0, 1e12), min_size=2, max_size=2),
    speed=st.floats(1e-6, 1e6),
)
def test_writing_loses_no_digit(uplink: float, latency: float, upload: float, seconds: list[float], speed: float):
    group = {"count": 2, "uplink": f"{uplink!r}B/s", "latency": latency, "speed": speed}
    data = SMALL | {"fleet": [group], "payload": {"upload": f"{upload!r}B"}, "compute": {"seconds": seconds}}
    scenario = Scenario.parse(data)
    assert scenario.fleet[0].uplink == uplink
    assert Scenario.parse(scenario.model_dump(mode="json", exclude_unset=True)) == scenario


def accepts(data: dict[str, Any]) -> bool:
    """Ask the published schema, which must be a schema itself."""
    jsonschema.Draft202012Validator.check_schema(json_schema())
    return bool(jsonschema.Draft202012Validator(json_schema()).is_valid(data))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_schema_accepts_the_examples(path: Path):
    assert accepts(read(path))


def test_the_schema_accepts_every_documented_field():
    assert accepts(FULL)
    assert accepts(FULL | {"method": "parablock"})


@pytest.mark.parametrize(
    "change",
    [
        {"roundz": 3},
        {"rounds": "many"},
        {"rounds": 0},
        {"fleet": []},
        {"fleet": [{"uplnk": "1MB/s"}]},
        {"method": "fedavg"},
        {"method": {"name": "fedavg"}},
        {"blocks": {"schedule": "randm"}},
        {"blocks": {"layers": 0}},
        {"blocks": {"count": 0}},
        {"blocks": {"count": 100_001}},
        {"wire": {"upload": {"top_k": 0}}},
        {"wire": {"upload": {"top_k": 1.5}}},
        {"wire": {"upload": {"bits": 33}}},
        {"wire": {"upload": {"bits": 0}}},
        {"participation": {"fraction": -0.1}},
        {"participation": {"fraction": 2}},
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(change: dict[str, Any]):
    assert not accepts(FULL | change)
    with pytest.raises(ScenarioError):
        Scenario.parse(FULL | change)


def test_the_nearest_field_is_suggested_at_every_depth():
    assert refused(roundz=3) == "file.yaml: roundz: unknown field; did you mean 'rounds'?"
    assert "fleet.1.uplnk: unknown field; did you mean 'uplink'?" in refused(fleet=[{}, {"uplnk": "1MB/s"}])
    assert "did you mean 'server.aggregation'?" in refused(wire={"aggregation": 1})
    assert "wire.upload.topk: unknown field; did you mean 'top_k'?" in refused(wire={"upload": {"topk": 0.1}})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rounds": "many"}, "rounds: must be a number, not 'many'"),
        ({"rounds": 1.5}, "rounds: must be a whole number, not 1.5"),
        ({"rounds": 1e99}, "rounds: must be far smaller, not 1e+99"),
        ({"rounds": 0}, "rounds: must be at least 1, not 0"),
        ({"fleet": []}, "fleet: must have at least one entry, not []"),
        ({"fleet": 3}, "fleet: must be a list, not 3"),
        ({"fleet": [{"speed": float("nan")}]}, "fleet.0.speed: must be finite, not nan"),
        ({"fleet": [{"name": "a\x1b[2J"}]}, "fleet.0.name: must be one line of printable text"),
        ({"fleet": [{"duplex": "hal"}]}, "did you mean 'half'?"),
        ({"payload": "1MB"}, "payload: must be a mapping of fields (upload, download), not '1MB'"),
        ({"payload": {}}, "payload.upload: is missing"),
        ({"payload": None}, "model: needed, because payload is not given"),
        ({"blocks": {"layers": 0.3}}, "blocks.layers: must be 0.5 or a whole number, not 0.3"),
        ({"blocks": {"layers": 2, "count": 3}}, "blocks: give layers or count, not both"),
        ({"participation": {"fraction": 0}}, "participation.fraction: must be greater than 0, not 0"),
        ({"participation": {"rounds": [[0]] * 2}}, "participation.rounds: 2 lists for 3 rounds"),
        ({"participation": {"rounds": [[0], [], [1]]}}, "participation.rounds.1: nobody takes part"),
        ({"participation": {"rounds": [[0], [2], [1]]}}, "participation.rounds.1: no client 2; they are 0 to 1"),
        ({"participation": {"rounds": [[0], [1], [1, 1]]}}, "participation.rounds.2: names a client twice"),
        ({"participation": {"rounds": [[0, 1, 2]] * 3}}, "3 participants, but the fleet has 2 clients"),
        ({"compute": {"seconds": []}}, "compute.seconds: must not be an empty list"),
        ({"compute": {"seconds": [1, [2]]}}, "compute.seconds: must not mix numbers and lists"),
        ({"compute": {"seconds": [[[1]]]}}, "compute.seconds: must be a number, a list of them"),
    ],
)
def test_what_a_message_says(fields: dict[str, Any], message: str):
    assert message in refused(**fields)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"rounds": True}, "rounds"),
        ({"rounds": "3"}, "rounds"),
        ({"rounds": None}, "rounds"),
        ({"fleet": [{"count": 0}]}, "fleet.0.count"),
        ({"blocks": {"schedule": [0, 1]}}, "blocks.schedule"),
        ({"blocks": {"schedule": ["a", 1, 2]}}, "blocks.schedule.0"),
        ({"lora": {"targets": []}}, "lora.targets"),
        ({"participation": {"fraction": 1, "rounds": [[0]] * 3}}, "participation"),
        ({"compute": {"seconds": [1, 2, 3]}}, "compute.seconds"),
        ({"compute": {"seconds": [[1, 2]]}}, "compute.seconds"),
        ({"compute": {"seconds": [[1, 2], [1], [1, 2]]}}, "compute.seconds.1"),
        ({"compute": {"seconds": 1, "profile": "x"}}, "compute"),
        ({"compute": {"seconds": 1, "dataset": "x"}}, "compute"),
        ({"compute": {"profile": "x"}}, "model"),
        # A key that is no text, as [a, b]: 1 gives in YAML.
        ({("a", "b"): 1}, "the name of a field must be text, not ('a', 'b')"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(fields: dict[Any, Any], place: str):
    with pytest.raises(ScenarioError) as caught:
        Scenario.parse(SMALL | fields, "file.yaml")
    assert str(caught.value).startswith(f"file.yaml: {place}")
    assert "\n" not in str(caught.value)


def test_several_problems_take_a_line_each():
    text = refused(rounds=0, seed=-1, fleet=[{"uplink": "1MB"}])
    assert text.splitlines()[0] == "file.yaml:"
    assert [line.partition(":")[0] for line in text.splitlines()[1:]] == ["  rounds", "  fleet.0.uplink", "  seed"]


def test_a_flood_of_problems_is_cut_short():
    text = refused(**{f"field{number}": 0 for number in range(1000)})
    assert text.endswith("\n  and more")
    assert len(text.splitlines()) == 7


@pytest.mark.parametrize("data", [None, [], "rounds", 3])
def test_a_scenario_is_a_mapping(data: object):
    with pytest.raises(ScenarioError, match="a scenario is a mapping of fields"):
        Scenario.parse(data)


@pytest.mark.parametrize(
    ("wire", "size", "carried"),
    [
        ({}, 2, "bfloat16"),
        ({"bytes_per_parameter": 4}, 4, "float32"),
        ({"bytes_per_parameter": 8}, 8, "float32"),
        ({"bytes_per_parameter": 1}, 1, None),
        ({"bytes_per_parameter": 3}, 3, None),
        ({"precision": "float32"}, 4, "float32"),
        ({"precision": "float16"}, 2, "float16"),
        ({"precision": "float16", "bytes_per_parameter": 2.0}, 2, "float16"),
    ],
)
def test_values_on_the_wire_are_as_wide_as_their_type(wire: dict[str, object], size: float, carried: str | None):
    fields = {"compute": {"seconds": 1}, "payload": {"upload": "1MB"}, "wire": wire}
    parsed = Scenario.parse(fields)
    assert (parsed.wire.bytes_per_parameter, parsed.wire.carried) == (size, carried)
    # What was read can be written and read again.
    assert Scenario.parse(parsed.model_dump(mode="json")) == parsed


def test_a_width_that_a_type_implies_does_not_hold_another_type_back():
    given = {"compute": {"seconds": 1}, "payload": {"upload": "1MB"}, "wire": {"precision": "float16"}}
    changed = load(Scenario.parse(given), ["wire.precision=float32"])
    assert changed == load(given, ["wire.precision=float32"])
    assert changed.wire.bytes_per_parameter == 4


@pytest.mark.parametrize(
    ("precision", "size", "others"),
    [("float32", 2, "or take bfloat16 or float16"), ("float16", 4, "or take float32"), ("bfloat16", 1, "leave one")],
)
def test_a_type_of_another_width_is_refused(precision: str, size: float, others: str):
    fields = {"compute": {"seconds": 1}, "payload": {"upload": "1MB"}}
    with pytest.raises(ScenarioError, match=rf"wire: precision: {precision} takes . bytes .* is {size}; .*{others}"):
        Scenario.parse(fields | {"wire": {"precision": precision, "bytes_per_parameter": size}})


@pytest.mark.parametrize(
    ("section", "field"),
    [
        *(("local", field) for field in ("steps", "batch_size", "sequence_length")),
        *(("lora", "rank"), ("blocks", "schedule")),
    ],
)
def test_no_whole_number_is_too_large_to_compute_with(section: str, field: str):
    # 10^400 steps times the seconds of one would be no float.
    for number in (10**16, 10**400):
        assert "must be at most" in refused(**{section: {field: [number] * 3 if field == "schedule" else number}})


@pytest.mark.parametrize("wrong", [1, 0.0, "yes", "true"])
def test_switches_are_true_or_false(wrong: object):
    assert "server.parallel: must be true or false" in refused(server={"parallel": wrong})


def test_of_two_bounds_the_schema_has_the_closer_one():
    assert json_schema()["properties"]["rounds"]["maximum"] == 1_000_000
    assert json_schema()["$defs"]["Local"]["properties"]["steps"]["maximum"] == 10**15


def test_what_only_training_reads_is_plain_data_all_the_same():
    inside: dict[str, Any] = {}
    inside["itself"] = inside
    for odd in (date(2024, 1, 1), b"x", {1: 2}, math.nan, "\ud800", {1, 2}, inside):
        assert refused(train={"a": odd}).startswith("file.yaml: train: ")


def test_names_are_one_line_for_the_reader_and_for_the_schema():
    pattern = json_schema()["properties"]["name"]["pattern"]
    for name in ("a\nb", "a\xa0b", "\u202ea", "\x1b[31m", "\u3000", "a\u200b"):
        assert "must be one line" in refused(name=name)
        assert not re.search(pattern, name)
    for name in ("café 1", "病院", "x\u0301", "🏥"):
        assert Scenario.parse(SMALL | {"name": name}).name == name
        assert re.search(pattern, name)


def test_schema_says_what_fields_are_for() -> None:
    assert json_schema()["$defs"]["Group"]["properties"]["uplink"]["description"]
    # A method's own parameters, and those of its parents.
    choices = json_schema()["properties"]["method"]["anyOf"]
    own = next(choice["properties"] for choice in choices if "buffer" in choice.get("properties", {}))
    assert own["buffer"]["description"]
    assert "at work at a time" in own["concurrency"]["description"]


def test_schema_of_a_class_without_source() -> None:
    # As under `python -c`: no descriptions, but a schema.
    space: dict[str, Any] = {"Section": Section, "__name__": "nowhere"}
    exec("class Own(Section):\n    given: int\n    'Never seen.'\n", space)
    schema = space["Own"].model_json_schema(schema_generator=SchemaOfFields)
    assert schema["properties"]["given"] == {"title": "Given", "type": "integer"}


@pytest.mark.parametrize("name", ["", " "])
@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("name", {}),
        ("fleet.0.device", {"fleet": [{}]}),
        ("fleet.0.region", {"fleet": [{}]}),
        ("fleet.0.uplink.trace", {"fleet": [{"uplink": {}}]}),
        ("fleet.0.uplink.column", {"fleet": [{"uplink": {"trace": "a.csv"}}]}),
        ("compute.profile", {"compute": {}}),
        ("choices.devices.0.name", {"choices": {"devices": [{"gpu_hour": 1}]}}),
        ("choices.links.0.name", {"choices": {"links": [{"uplink": 1e6}]}}),
        ("choices.groups.0", {"choices": {"groups": [""]}}),
    ],
)
def test_what_names_something_is_not_blank(field: str, fields: dict[str, Any], name: str):
    *above, last = [int(part) if part.isdecimal() else part for part in field.split(".")]
    data = deepcopy(fields)
    section: Any = data
    for part in above:
        section = section[part]
    section[last] = name
    with pytest.raises(ScenarioError, match=rf"{re.escape(field)}: must .*, not '{name}'"):
        Scenario.parse(data)


def test_regions_and_groups_have_names_that_can_be_seen():
    # A group's may be left out, also by writing nothing.
    assert Scenario.parse({"model": "llama-3-8b", "fleet": [{"name": ""}]}).fleet[0].name == ""
    with pytest.raises(ScenarioError, match=r"fleet.0.name: must be one line of printable text, not ' '"):
        Scenario.parse({"fleet": [{"name": " "}]})
    with pytest.raises(ScenarioError, match=r"regions: must .*, not ''"):
        Scenario.parse({"regions": {"": {"uplink": "1Gbit/s", "downlink": "1Gbit/s"}}, "fleet": [{"region": "a"}]})
