from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.scenario.reading import MAX_FILE_BYTES, load, parse_override, read, with_field
from parasim_core.sim.scenario.safe_parsing import parse_json, parse_toml, parse_yaml
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.yaml_reading import to_yaml
from tests.sim.scenario.test_scenario import FULL, SMALL

FULL_TOML = """
name = "cross-silo"
model = "llama-3-8b"
method = {name = "parablock", staleness = 1}
rounds = 32
seed = 0
blocks = {layers = 2, schedule = "random"}
local = {steps = 40, batch_size = 4, sequence_length = 512}
lora = {rank = 32, targets = ["q_proj", "v_proj"]}
server = {ingress = "1GB/s", egress = "1GB/s", aggregation = "0s"}
wire = {bytes_per_parameter = 2, serialization = "0s", upload = {top_k = 0.2}, download = {}}
compute = {profile = "paper-a100", dataset = "alpaca-gpt4"}
payload = {upload = "872MB", download = "872MB"}
[[fleet]]
name = "hospital"
count = 10
uplink = "100MB/s"
downlink = "100MB/s"
latency = "10ms"
device = "a100"
speed = 1.0
duplex = "full"
[[fleet]]
name = "branch"
count = 20
uplink = {steps = [["0s", "10MB/s"], ["60s", "2MB/s"]], period = "120s"}
downlink = {trace = "satellite.csv", column = "downlink_mbit_s", start = "random", scale = 0.5}
latency = "10ms"
site = {clients = 5, uplink = "50Mbit/s", downlink = "500Mbit/s"}
region = "eu"
available = {share = 0.4, session = "2h", day_to_night = 4}
outages = {every = "2h", last = "30s", transfers = "stall"}
dropout = {rate = "6%", during = "any", back_after = 1}
failures = {every = "12h", repair = "20min", resume = false}
[fleet.transport]
control = "cubic"
loss = "0.1%"
streams = 4
window = "4MiB"
fresh = true
acknowledgements = 0.02
outages = "held"
buffer = {uplink = "100ms", downlink = "30ms"}
[regions.eu]
uplink = "1Gbit/s"
downlink = "1Gbit/s"
latency = "40ms"
aggregates = true
[participation]
fraction = 0.2
over_selection = 1.3
quorum = "80%"
deadline = {median = 1, mad = 3}
late = "discard"
short = "end"
"""


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def overridden(*overrides: str, base: dict[str, Any] = SMALL) -> Scenario:
    data = base
    for override in overrides:
        data = with_field(data, *parse_override(override))
    return Scenario.parse(data)


def test_yaml_toml_and_json_say_the_same(tmp_path: Path):
    files = {"a.yaml": to_yaml(FULL), "a.yml": to_yaml(FULL), "a.json": json.dumps(FULL)}
    scenarios = [load(write(tmp_path / name, text)) for name, text in (files | {"a.toml": FULL_TOML}).items()]
    assert scenarios == [Scenario.parse(FULL)] * 4


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path):
    for name, text in {"a.yaml": to_yaml(SMALL), "a.json": json.dumps(SMALL)}.items():
        assert load(write(tmp_path / name, "\ufeff" + text)) == Scenario.parse(SMALL)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # The core schema of YAML 1.2, where 1.1 reads "1e3" as text, 010 as 8, 12:30 as 750, 1_0 as 10 and no as False.
        ("1e3", 1000.0),
        ("010", 10),
        ("0x10", 16),
        ("12:30", "12:30"),
        ("no", "no"),
        ("true", True),
        ("on", "on"),
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01 12:30:00", "2024-01-01 12:30:00"),
        *((text, text) for text in ("=", "<<", "1_0", "1_0.5", "1_0e3", ".5_0", "0x1_0", "0x_", "0b1_0", "1_", "-1_0")),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("~", None),
        ("", None),
        ("[1, a]", [1, "a"]),
        ("&a {x: 1}", {"x": 1}),
    ],
)
def test_yaml_scalars(text: str, value: object):
    read_value = parse_yaml(text)
    assert read_value == value
    assert type(read_value) is type(value)


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_documents_of_either_version_are_read_alike(version: str):
    assert parse_yaml(f"%YAML {version}\n---\n[no, 12:30, 1e3, 010]") == ["no", "12:30", 1000.0, 10]


@pytest.mark.parametrize("version", ["1.0", "1.3", "2.0", "x"])
def test_versions_that_do_not_exist_are_refused(version: str):
    with pytest.raises(ValueError, match=r".+"):
        parse_yaml(f"%YAML {version}\n---\na: 1")


def test_numbers_with_underscores_are_no_numbers_to_a_scenario():
    for text in ("rounds: 1_0", '{"rounds": "1_0"}'):
        with pytest.raises(ScenarioError, match="rounds"):
            Scenario.parse(parse_yaml(text))
    assert parse_toml("rounds = 1_0") == {"rounds": 10}, "TOML's own numbers may have them"
    assert to_yaml({"a": "1_0"}) == "a: '1_0'\n", "for readers of version 1.1"


def test_a_date_is_text_in_every_format():
    for text in ("2024-01-01", "2024-01-01 12:30:00", "12:30:00"):
        assert parse_toml(f"a = [{{b = {text}}}]") == parse_yaml(f"a: [{{b: {text}}}]") == {"a": [{"b": text}]}


def test_the_first_of_several_merges_tells_a_field():
    assert parse_yaml("x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz: {<<: [*x, *y], c: 3}")["z"] == {
        "a": 1,
        "b": 1,
        "c": 3,
    }


def test_aliases_and_merges_are_followed():
    assert parse_yaml("a: &x {u: 1}\nb: {<<: *x, v: 2}\nc: [*x, *x]") == {
        "a": {"u": 1},
        "b": {"u": 1, "v": 2},
        "c": [{"u": 1}, {"u": 1}],
    }


BOMB = "a: &a [x]\n" + "".join(f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n" for old, new in pairwise("abcdefghi"))


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_yaml, BOMB, "more than 100,000 entries"),
        (parse_yaml, "fleet: &a [*a]", r"\*a' stands inside what it names, .* \(line 1\)"),
        (parse_yaml, "- &a [x]\n- &a [*a]", r"\(line 2\)"),
        (parse_yaml, "a: &a {<<: *a}", r"\*a"),
        (parse_yaml, "a: {<<: 3}", "merging"),
        (parse_yaml, "a: 1\nb: 2\na: 3", r"duplicate key .a. \(line 3\)"),
        (parse_yaml, "fleet: [{count: 3", r"\(line 1\)"),
        (parse_yaml, "a: 1\n---\nb: 2", "a single document"),
        (parse_yaml, "? {a: 1}\n: 2", "key"),
        (parse_yaml, "- a\n" * 250_000, "more than 100,000 entries"),
        (parse_yaml, "a: " + "9" * 5000, "a number of thousands of digits"),
        (parse_yaml, "a: 0x" + "f" * 200, "a number of about 240 digits"),
        (parse_yaml, "a: \x00", "unacceptable character"),
        (parse_json, '{"a": 1, "a": 2}', "the field 'a' stands twice"),
        (parse_json, '{"a": NaN}', "NaN is not a number"),
        (parse_json, '{"a": -Infinity}', "-Infinity is not a number"),
        (parse_json, '{"a": ' + "9" * 5000 + "}", "a number of thousands of digits"),
        (parse_json, '{"a": ' + "9" * 500 + "}", "a number of about"),
        (parse_json, '{"a": ', "line 1 column 7"),
        (parse_json, '{"a": "\\ud800"}', "half of a character"),
        (parse_json, '{"\\udfff": 1}', "half of a character"),
        (parse_yaml, "a: \udc80", "half of a character"),
        (parse_yaml, 'a: "\\ud800"', "half of a character"),
        (parse_yaml, "%TAG !a! x\n" * 101, "tag"),
        (parse_yaml, "a: 1\n#" + "x" * (2**21 - 5), "characters of YAML"),
        (parse_toml, "a = 1\na = 2", "overwrite"),
        (parse_toml, "a = " + "9" * 5000, "a number of thousands of digits"),
    ],
    ids=range(27),
)
def test_what_is_not_well_formed(parse: Any, text: str, message: str):
    with pytest.raises(ValueError, match=message) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


def test_two_mebibytes_of_yaml_are_read():
    assert parse_yaml("a: 1\n#" + "x" * (2**21 - 6)) == {"a": 1}


@pytest.mark.parametrize(
    "text",
    [
        *("!!bool maybe", "!!int [1]", "!!float [1]", "!!timestamp x", "!!binary", "!!str 5", "!!set {a}", "!!seq 3"),
        *("!own {}", "! x", "!!python/name:os.system x", "!!omap [a]", "%TAG ! x\n--- !a b"),
    ],
)
def test_explicit_tags_are_refused(text: str):
    with pytest.raises(ValueError, match=r"the tag .* is not read"):
        parse_yaml(text)
    with pytest.raises(ScenarioError):
        parse_override(f"name={text}")


def test_what_is_written_as_yaml_is_read_back():
    data = {"z": ["no", "1e3", "2024-01-01", "caf\xe9", "a: b", ""], "a": {"b": 1e-9, "c": None, "d": [True, 2]}}
    assert parse_yaml(to_yaml(data)) == data
    assert list(parse_yaml(to_yaml(data))) == ["z", "a"]


@pytest.mark.parametrize("depth", [60, 900, 100_000])
@pytest.mark.parametrize(
    ("parse", "opening", "inner", "closing"),
    [
        (parse_yaml, "[", "1", "]"),
        (parse_yaml, "{a: ", "1", "}"),
        (parse_json, "[", "1", "]"),
        (parse_json, '{"a":', "1", "}"),
        (parse_toml, "a.", "a=1", ""),
        (parse_toml, '"a" . ', "a=1", ""),
    ],
)
def test_nesting_is_bounded(parse: Any, opening: str, inner: str, closing: str, depth: int):
    with pytest.raises(ValueError, match="nested more than 20 levels deep"):
        parse(opening * depth + inner + closing * depth)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.yaml", "", "is empty"),
        ("a.yaml", "# nothing\n", "is empty"),
        ("a.json", " ", "is empty"),
        ("a.toml", "", "is empty"),
        ("a.json", "{}", "is empty"),
        ("a.json", "[1]", r"holds \[1\]; a scenario is a mapping"),
        ("a.yaml", "name: caf\xe9".encode("latin-1"), r"is not UTF-8 text \(line 1\)"),
        ("a.yaml", "rounds: 4".encode("utf-16"), "is not UTF-8 text"),
        ("a.yaml", b"x" * (MAX_FILE_BYTES + 1), "larger than 8 MiB"),
        ("a.txt", "rounds: 4", "ends in .yaml, .yml, .toml, .json"),
    ],
)
def test_files_that_are_no_scenario(tmp_path: Path, name: str, content: str | bytes, message: str):
    path = write(tmp_path / name, content)
    with pytest.raises(ScenarioError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))


def test_paths_that_are_no_file(tmp_path: Path):
    with pytest.raises(ScenarioError, match="is a directory"):
        load(tmp_path)
    with pytest.raises(ScenarioError, match="no such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ScenarioError, match="File name too long"):
        load(tmp_path / ("x" * 5000 + ".yaml"))


def test_a_model_file_is_found_beside_the_scenario_but_the_catalogue_comes_first(tmp_path: Path):
    write(tmp_path / "own.json", "{}")
    (tmp_path / "gpt2").mkdir()
    assert read(write(tmp_path / "a.yaml", "model: own.json"))["model"] == str(tmp_path / "own.json")
    assert read(write(tmp_path / "a.yaml", "model: gpt2"))["model"] == "gpt2"
    assert read(write(tmp_path / "a.yaml", "compute: {profile: own.json}"))["compute"] == {
        "profile": str(tmp_path / "own.json")
    }


def test_a_file_beside_the_scenario_does_not_replace_the_profile_of_its_name(tmp_path: Path):
    write(tmp_path / "demo-cpu", "{}")
    assert read(write(tmp_path / "a.yaml", "compute: {profile: demo-cpu}"))["compute"] == {"profile": "demo-cpu"}
    # Written as a path it is one.
    given = read(write(tmp_path / "a.yaml", "compute: {profile: ./demo-cpu}"))["compute"]["profile"]
    assert Path(given) == tmp_path / "demo-cpu"


TWO_GROUPS = SMALL | {"fleet": [{"name": "near"}, {"name": "far"}]}


@pytest.mark.parametrize(
    ("overrides", "same_as"),
    [
        (["rounds=7"], {"rounds": 7}),
        (["fleet.0.uplink=20MB/s"], {"fleet": [{"name": "near", "uplink": "20MB/s"}, {"name": "far"}]}),
        (["fleet.far.uplink=20MB/s"], {"fleet": [{"name": "near"}, {"name": "far", "uplink": "20MB/s"}]}),
        (["fleet.*.latency=1s"], {"fleet": [{"name": "near", "latency": 1}, {"name": "far", "latency": 1}]}),
        (["method.staleness=2"], {"method": {"name": "parablock", "staleness": 2}}),
        (["method=overlapped-lora", "method.staleness=2"], {"method": {"name": "overlapped-lora", "staleness": 2}}),
        (["method.staleness=2", "method.name=fedit"], {"method": "fedit"}),
        (["participation.fraction=0.5"], {"participation": {"fraction": 0.5}}),
        (["lora.targets=[q_proj]"], {"lora": {"targets": ["q_proj"]}}),
        (["blocks.schedule=[0,1,2]"], {"blocks": {"schedule": [0, 1, 2]}}),
        (["payload={upload: 2MB}"], {"payload": {"upload": "2MB"}}),
        (["wire.upload.bits=4"], {"wire": {"upload": {"bits": 4}}}),
        (["rounds=7", "rounds=8"], {"rounds": 8}),
    ],
)
def test_overrides(overrides: list[str], same_as: dict[str, Any]):
    assert overridden(*overrides, base=TWO_GROUPS) == Scenario.parse(TWO_GROUPS | same_as)


def test_an_override_takes_away_what_it_excludes():
    assert overridden("compute.seconds=30", base=FULL).compute.seconds == 30
    assert overridden("compute.profile=x", base=FULL | {"compute": {"seconds": 1}}).compute.profile == "x"
    everyone_by_list = SMALL | {"participation": {"rounds": [[0]] * 3}}
    assert overridden("participation.fraction=0.5", base=everyone_by_list).participation.rounds is None


def test_an_override_stays_where_the_field_stood():
    assert list(with_field({"rounds": 1, "seed": 2}, "rounds", 3)) == ["rounds", "seed"]
    assert list(with_field({"local": {"steps": 1, "batch_size": 2}}, "local.steps", 3)["local"]) == [
        "steps",
        "batch_size",
    ]


def test_an_entry_of_a_default_list_is_changed_alone():
    prices = [device.gpu_hour for device in overridden("choices.devices.l40s.gpu_hour=9USD").choices.devices]
    assert prices == [0.5, 9, 3]


def test_an_override_of_a_default_fleet_keeps_its_clients():
    assert overridden("fleet.*.uplink=1MB/s", base={"model": "gpt2"}).clients == 10


def test_the_method_by_name_keeps_its_name_when_a_field_of_it_is_set():
    assert overridden("method.staleness=3", base=SMALL | {"method": "overlapped-lora"}).method.name == "overlapped-lora"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rounds", "write an override like"),
        ("=3", "write an override like"),
        ("roundz=3", "roundz: unknown field; did you mean 'rounds'"),
        ("fleet.0.uplnk=3", "fleet.0.uplnk: unknown field; did you mean 'uplink'"),
        ("fleet.near.uplnk=3", "fleet.near.uplnk: unknown field; did you mean 'uplink'"),
        ("fleet.2.uplink=3", r"fleet has no entry '2'; give 0 to 1, a name, or \* for every one"),
        ("fleet.nowhere.uplink=3", "fleet has no entry 'nowhere'"),
        ("rounds.x=3", "rounds is 3, which has no fields of its own"),
        ("wire.aggregation=3", "wire.aggregation: unknown field; did you mean 'server.aggregation'"),
        ("wire.staleness=3", "wire.staleness: unknown field"),
        ("name.x=3", "name.x: unknown field; name has no fields of its own"),
        ("lora.targets=[q_proj", "not well-formed"),
    ],
)
def test_overrides_that_cannot_be(override: str, message: str):
    with pytest.raises(ScenarioError, match=message):
        overridden(override, base=TWO_GROUPS)
