"""Traces: what they show, that slices of one track never overlap, that arrows connect slices, and their size."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parasim.trace import write_events, write_trace, write_traces
from parasim.trace.counters import capacity_levels
from parasim.trace.events import Event, RunTrace
from parasim_core.sim.analysis.critical_path import critical_path
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.timeline import SERVER, Kind, Timeline
from parasim_core.sim.errors import OutputError
from parasim_core.sim.network.capacity import Course, Varying
from parasim_core.sim.scenario.scenario import Scenario
from tests.parasim.command_line import refused, run
from tests.sim.runs import simulated
from tests.sim.whatifs import scenarios

SECOND = 10**9


def read(path: Path) -> dict[str, Any]:
    """Read a trace as the viewer would: processes, tracks, slices with their arrows, and levels of counters."""
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    processes, tracks, slices, levels = {}, {}, [], []
    latest: dict[int, dict[str, Any]] = {}
    for event in json.loads(text)["traceEvents"]:
        pid, track = event["pid"], event.get("tid")
        if event["ph"] == "M" and event["name"] == "process_name":
            processes[pid] = event["args"]["name"]
        elif event["ph"] == "M" and event["name"] == "thread_name":
            assert track not in tracks
            tracks[track] = {"name": event["args"]["name"], "process": pid}
        elif event["ph"] == "X":
            start, end = event["ts"] * 1000, (event["ts"] + event["dur"]) * 1000
            latest[track] = {"track": track, "name": event["name"], "start": start, "end": end, "facts": event["args"]}
            latest[track] |= {"begins": [], "ends": []}
            slices.append(latest[track])
        elif event["ph"] in "sf":
            # An arrow is bound to the slice under way on its track, which is the one that began last.
            slice_ = latest[track]
            assert slice_["start"] <= event["ts"] * 1000 <= slice_["end"]
            slice_["begins" if event["ph"] == "s" else "ends"].append(event["id"])
        elif event["ph"] == "C":
            levels.append((f"{processes[pid]}: {event['name']}", event["ts"] * 1000, event["args"]["B/s"]))
    return {"processes": processes, "tracks": tracks, "slices": slices, "levels": levels}


NAMES = ("run.json", "run.json.gz")


def traced(result: Result, path: Path, **options: Any) -> dict[str, Any]:
    write_trace(result, path, **options)
    return read(path)


def shown(trace: dict[str, Any]) -> list[tuple[str, str, str, float, float]]:
    """Process, track, slice, start and end [s], in the order of time."""
    rows = []
    for slice_ in trace["slices"]:
        track = trace["tracks"][slice_["track"]]
        process = trace["processes"][track["process"]]
        rows.append((process, track["name"], slice_["name"], slice_["start"] / SECOND, slice_["end"] / SECOND))
    return sorted(rows, key=lambda row: (row[3], row[4], row))


def check(trace: dict[str, Any]) -> None:
    """Slices of one track follow one another; every arrow leads from one slice to one that starts later or with it."""
    by_track: dict[int, list[dict[str, Any]]] = {}
    begins: dict[int, dict[str, Any]] = {}
    ends: dict[int, dict[str, Any]] = {}
    for slice_ in trace["slices"]:
        assert slice_["end"] >= slice_["start"] >= 0
        by_track.setdefault(slice_["track"], []).append(slice_)
        for found, numbers in ((begins, slice_["begins"]), (ends, slice_["ends"])):
            for number in numbers:
                assert number not in found
                found[number] = slice_
    assert begins.keys() == ends.keys()
    assert all(begins[number]["start"] <= ends[number]["start"] for number in begins)
    for slices in by_track.values():
        assert all(one["end"] <= next_["start"] for one, next_ in pairwise(slices))


def arrows(trace: dict[str, Any]) -> set[tuple[str, str]]:
    """From which slice to which, by process and name."""
    ends: dict[int, list[str]] = {}
    for slice_ in trace["slices"]:
        label = f"{trace['processes'][trace['tracks'][slice_['track']]['process']]}: {slice_['name']}"
        for side, numbers in enumerate((slice_["begins"], slice_["ends"])):
            for number in numbers:
                ends.setdefault(number, ["", ""])[side] = label
    return {(start, end) for start, end in ends.values()}


@pytest.mark.parametrize("name", NAMES)
def test_one_round_of_two_clients(name: str, tmp_path: Path):
    # Computing 10 s; 100 MB at 100 and at 50 MB/s: 1 and 2 s; aggregation 3 s.
    fleet = [{"name": "fast", "uplink": "100MB/s"}, {"uplink": "50MB/s"}]
    result = simulated(method="fedbcd", rounds=1, fleet=fleet, server={"aggregation": 3})
    trace = traced(result, tmp_path / name)
    check(trace)
    assert shown(trace) == [
        ("client 1", "compute", "compute 0", 0.0, 10.0),
        ("fast", "compute", "compute 0", 0.0, 10.0),
        ("fast", "uplink", "upload 0", 10.0, 11.0),
        ("client 1", "uplink", "upload 0", 10.0, 12.0),
        ("server", "aggregate", "aggregate 0", 12.0, 15.0),
    ]
    assert arrows(trace) == {
        ("fast: compute 0", "fast: upload 0"),
        ("client 1: compute 0", "client 1: upload 0"),
        ("fast: upload 0", "server: aggregate 0"),
        ("client 1: upload 0", "server: aggregate 0"),
    }
    [upload] = [s for s in trace["slices"] if s["name"] == "upload 0" and s["end"] == 11 * SECOND]
    assert upload["facts"]["bytes"] == 100_000_000
    tracks = {(trace["processes"][t["process"]], t["name"]) for t in trace["tracks"].values()}
    clients = {(client, name) for client in ("fast", "client 1") for name in ("compute", "uplink", "downlink")}
    assert tracks == clients | {("server", "aggregate")}
    # 100 + 50 MB/s from 10 s, 50 from 11 s, nothing from 12 s.
    assert [(time / SECOND, value) for _, time, value in trace["levels"]] == [
        (10.0, 150_000_000),
        (11.0, 50_000_000),
        (12.0, 0),
    ]


@given(fields=scenarios(), data=st.data())
@settings(max_examples=40, deadline=None)
def test_slices_never_overlap_and_arrows_connect(tmp_path_factory: Any, fields: dict[str, Any], data: Any):
    count = data.draw(st.integers(1, 3), "clients alike")
    if not fields["participation"]:
        fields["fleet"][0]["count"] = count
        fields["compute"]["seconds"] = fields["compute"]["seconds"][0]
    result = simulated(**fields)
    trace = traced(result, tmp_path_factory.mktemp("trace") / "run.json")
    check(trace)
    spans, counts = result.timeline.spans, result.counts
    assert len(trace["slices"]) == sum(1 if s.client == SERVER else counts[s.client] for s in spans)
    for track in {track for track, _, _ in trace["levels"]}:
        times = [time for which, time, _ in trace["levels"] if which == track]
        values = [value for which, _, value in trace["levels"] if which == track]
        assert times == sorted(times)
        assert min(values) >= 0
        assert values[-1] == 0


def test_the_area_below_a_counter_is_the_bytes(tmp_path: Path):
    # Ten alike clients and a slower one share an ingress of 300 MB/s; latency and packing carry no bytes.
    fleet = [{"count": 10, "uplink": "100MB/s", "latency": "1s"}, {"uplink": "20MB/s"}]
    server, wire = {"ingress": "300MB/s"}, {"serialization": "2s"}
    result = simulated(method="fedbcd", rounds=3, fleet=fleet, server=server, wire=wire)
    trace = traced(result, tmp_path / "run.json")
    for link, part in (("ingress", "uploaded"), ("egress", "downloaded")):
        levels = [(time, value) for which, time, value in trace["levels"] if link in which]
        area = sum(value * (until - time) for (time, value), (until, _) in pairwise(levels)) / SECOND
        assert area == pytest.approx(result.total(part), rel=1e-6)


def counter(trace: dict[str, Any], name: str) -> list[tuple[float, float]]:
    """Levels of one counter, with the times from which on they hold [s]."""
    return [(time / SECOND, value) for which, time, value in trace["levels"] if which == name]


# Two sites of two clients each, one of them behind a region's aggregator; 10 MB each way, computing 3 s.
SITES: dict[str, Any] = {
    "method": "fedbcd",
    "rounds": 2,
    "payload": {"upload": "10MB"},
    "compute": {"seconds": 3},
    "fleet": [
        {"name": "far", "count": 2, "uplink": "10MB/s", "site": {"clients": 2, "uplink": "10MB/s"}, "region": "eu"},
        {"name": "near", "count": 2, "uplink": "5MB/s", "site": {"clients": 2, "uplink": "20MB/s"}, "region": "us"},
    ],
    "regions": {"eu": {"uplink": "20MB/s", "latency": 1, "aggregates": True}, "us": {"uplink": "100MB/s"}},
}


def test_shared_links_and_aggregators_are_processes_with_their_rates(tmp_path: Path):
    # Up: two at 5 MB/s each from 3 to 5 s; eu's message waits for both, 1 s of latency, then 0.5 s at 20 MB/s: 6.5 s.
    trace = traced(simulated(**SITES), tmp_path / "run.json")
    check(trace)
    actors = ["server", "region eu"], ["far 0", "far 1", "near 2", "near 3"]
    between = ["site line of far 0 to 1", "site line of near 2 to 3", "region us"]
    assert [*trace["processes"].values()] == [*actors[0], *between, *actors[1]]
    rate = "up, mean rate of each transfer"
    assert counter(trace, f"site line of far 0 to 1: {rate}")[:2] == [(3, 10e6), (5, 0)]
    assert counter(trace, f"site line of near 2 to 3: {rate}")[:2] == [(3, 10e6), (5, 0)]
    assert counter(trace, f"region us: {rate}")[:2] == [(3, 10e6), (5, 0)]
    assert counter(trace, f"region eu: {rate}")[:2] == [(6, 20e6), (6.5, 0)]
    # What the clients of eu send does not cross the server's link itself.
    ingress = counter(trace, "server: server ingress, mean rate of each transfer")
    assert ingress[:4] == [(3, 10e6), (5, 0), (6, 20e6), (6.5, 0)]


def test_arrows_lead_through_aggregators(tmp_path: Path):
    found = arrows(traced(simulated(**SITES), tmp_path / "run.json"))
    for start, end in (
        ("far 0: upload 0", "region eu: upload 0"),
        ("far 1: upload 0", "region eu: upload 0"),
        ("region eu: upload 0", "server: aggregate 0"),
        ("near 2: upload 0", "server: aggregate 0"),
        ("server: aggregate 0", "region eu: download 0"),
        ("region eu: download 0", "far 1: download 0"),
    ):
        assert (start, end) in found
    assert ("far 0: upload 0", "server: aggregate 0") not in found


def test_what_varying_links_can_carry_is_a_counter_of_its_owner(tmp_path: Path):
    steps = {"steps": [[0, "10MB/s"], [4, "2MB/s"]], "period": 8}
    fleet = [
        {"name": "far", "uplink": steps, "region": "eu", "site": {"clients": 1, "uplink": "90MB/s"}},
        {"name": "near"},
    ]
    regions = {"eu": {"uplink": "50MB/s", "downlink": steps, "aggregates": True}}
    server = {"egress": {"steps": [[0, "1GB/s"], [1, "2GB/s"]]}}
    result = simulated(**SITES | {"fleet": fleet, "regions": regions, "server": server})
    trace = traced(result, tmp_path / "run.json")
    changes = [(4.0 * number, 2e6 if number % 2 else 10e6) for number in range(int(result.wall_clock // 4) + 1)]
    assert counter(trace, "far: capacity up") == counter(trace, "region eu: capacity down") == changes
    assert counter(trace, "server: capacity down") == [(0, 1e9), (1, 2e9)]
    # Constants are no counters.
    varying = {name for name, _, _ in trace["levels"] if "capacity" in name}
    assert varying == {"far: capacity up", "far: capacity down", "region eu: capacity down", "server: capacity down"}


# What the viewer's reader of Chrome's trace events needs of each kind of event, by its phase.
WHERE = {"pid": {"type": "integer", "minimum": 0}, "tid": {"type": "integer", "minimum": 0}}
WHEN = {"ts": {"type": "integer", "minimum": 0}}
NAMED = {"name": {"type": "string", "minLength": 1}, "cat": {"type": "string", "minLength": 1}}
ARROW = {**WHERE, **WHEN, **NAMED, "id": {"type": "integer"}}
PHASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "M": ({**WHERE, **NAMED, "args": {"type": "object", "minProperties": 1}}, ["name", "pid", "args"]),
    "X": ({**WHERE, **WHEN, **NAMED, "dur": {"type": "integer", "minimum": 0}}, ["name", "ts", "dur", "pid", "tid"]),
    "s": (ARROW, ["name", "cat", "id", "ts", "pid", "tid"]),
    "f": ({**ARROW, "bp": {"const": "e"}}, ["name", "cat", "id", "bp", "ts", "pid", "tid"]),
    "C": (
        {
            **WHERE,
            **WHEN,
            **NAMED,
            "args": {"additionalProperties": {"type": "number", "minimum": 0}, "minProperties": 1},
        },
        ["name", "ts", "pid", "args"],
    ),
}


def test_a_trace_with_counters_is_one_of_chromes(tmp_path: Path):
    steps = {"steps": [[0, "10MB/s"], [4, "2MB/s"]], "period": 8}
    fleet = [SITES["fleet"][0] | {"uplink": steps}, SITES["fleet"][1]]
    result = simulated(**SITES | {"fleet": fleet, "server": {"ingress": steps}})
    write_trace(result, tmp_path / "run.json", critical_path(result))
    trace = json.loads((tmp_path / "run.json").read_bytes())
    named: dict[str, set[tuple[int, int | None]]] = {"process_name": set(), "thread_name": set()}
    used: dict[str, set[tuple[int, int | None]]] = {"process_name": set(), "thread_name": set()}
    counters: dict[tuple[int, str], list[int]] = {}
    arrows: dict[int, dict[str, dict[str, Any]]] = {}
    for event in trace["traceEvents"]:
        fields, required = PHASES[event["ph"]]
        jsonschema.validate(event, {"properties": fields, "required": required})
        place = event["pid"], event.get("tid")
        used["process_name"].add((place[0], None))
        if event["ph"] == "M":
            if event["name"] in named:
                named[event["name"]].add((place[0], None) if event["name"] == "process_name" else place)
        elif event["ph"] == "C":
            counters.setdefault((place[0], event["name"]), []).append(event["ts"])
        else:
            used["thread_name"].add(place)
        if event["ph"] in "sf":
            ends = arrows.setdefault(event["id"], {})
            assert event["ph"] not in ends
            ends[event["ph"]] = event
    assert named["process_name"] == used["process_name"]
    assert named["thread_name"] >= used["thread_name"]
    # Capacities and rates, whose levels follow one another; arrows that begin and end once, forwards in time.
    assert {name for _, name in counters} > {"capacity up", "up, mean rate of each transfer"}
    assert all(time < later for times in counters.values() for time, later in pairwise(times))
    assert arrows
    for ends in arrows.values():
        assert ends["s"]["ts"] <= ends["f"]["ts"]
        assert (ends["s"]["name"], ends["s"]["cat"]) == (ends["f"]["name"], ends["f"]["cat"])


def test_capacities_of_many_links_take_as_many_levels_as_those_of_few(monkeypatch: pytest.MonkeyPatch):
    # 1 s of 10 B/s and 1 s of nothing, 500 times: exact for one link, means of 5 B/s of 50 links.
    link = Varying(Course([0.0, 1.0], [10.0, 0.0], period=2.0))
    monkeypatch.setattr("parasim.trace.counters._MOST_LEVELS", 1000)
    [(pid, levels)] = capacity_levels([(7, (link, 1.0))], 1000.0)
    assert (pid, len(list(levels))) == (7, 1000)
    many = [list(levels) for _, levels in capacity_levels([(pid, (link, 1.0)) for pid in range(50)], 1000.0)]
    assert [len(levels) for levels in many] == [20] * 50
    assert {rate for levels in many for _, _, rate in levels} == {5.0}
    # Of more than that, the last ones are left out.
    assert len(list(capacity_levels([(pid, (link, 1.0)) for pid in range(80)], 1000.0))) == 50


def test_two_transfers_at_once_lie_on_two_tracks(tmp_path: Path):
    timeline = Timeline()
    for start, end in ((0.0, 4.0), (1.0, 3.0), (3.0, 5.0), (4.0, 6.0)):
        timeline.record(0, 0, Kind.UPLOAD, start, end, 1e6)
    scenario = Scenario.parse({"payload": {"upload": "1MB"}, "compute": {"seconds": 1}, "fleet": [{}]})
    result = Result(scenario, timeline, {0: 1}, {0: [(0.0, 6.0)]}, {})
    trace = traced(result, tmp_path / "run.json")
    check(trace)
    assert [(track, start, end) for _, track, _, start, end in shown(trace)] == [
        ("uplink", 0.0, 4.0),
        ("uplink 2", 1.0, 3.0),
        ("uplink 2", 3.0, 5.0),
        ("uplink", 4.0, 6.0),
    ]


def test_alike_clients_are_shown_each_and_many_together(tmp_path: Path):
    def clients(count: int) -> list[str]:
        fleet = [{"name": "site", "count": count}]
        return [*traced(simulated(method="fedbcd", rounds=1, fleet=fleet), tmp_path / "run.json")["processes"].values()]

    assert clients(3) == ["server", "site 0", "site 1", "site 2"]
    assert clients(20_000) == ["server", "site × 20,000"]
    # Where those of a site behave alike, a process is one site's.
    line = {"clients": 10_000, "uplink": "1GB/s"}
    fleet = [{"name": "branch", "count": 20_000, "site": line}]
    trace = traced(simulated(method="fedbcd", rounds=1, fleet=fleet), tmp_path / "run.json")
    assert {"branch 0 to 9999", "branch 10000 to 19999"} <= set(trace["processes"].values())


def test_the_critical_path_is_a_process_of_its_own(tmp_path: Path):
    result = simulated(method="fedbcd", rounds=1, fleet=[{}, {"name": "slow", "uplink": "50MB/s"}])
    trace = traced(result, tmp_path / "run.json", critical=critical_path(result))
    check(trace)
    assert [row[2:] for row in shown(trace) if row[0] == "critical path"] == [
        ("computing, slow", 0.0, 10.0),
        ("uplink, slow", 10.0, 12.0),
    ]


def test_the_same_run_gives_the_same_bytes(tmp_path: Path):
    for name in NAMES:
        files = [tmp_path / folder / name for folder in "ab"]
        for file in files:
            write_trace(simulated(rounds=2), file)
        assert files[0].read_bytes() == files[1].read_bytes()


def test_a_thousand_clients_stay_small(tmp_path: Path):
    # A slice and its arrows take the same space in every round, so that two and three rounds tell what 32 take.
    fleet = [{"uplink": f"{100 + client}MB/s"} for client in range(1000)]
    sizes = []
    for rounds in (2, 3):
        write_trace(simulated(method="parablock", rounds=rounds, fleet=fleet), tmp_path / "run.json")
        sizes.append((tmp_path / "run.json").stat().st_size)
    two, three = sizes
    # Numbers grow by a few digits in later rounds: at most a tenth.
    assert two + 30 * (three - two) * 1.1 < 100e6


def test_a_trace_is_written_in_a_stream():
    # From one piece that is written to the next, no more than one event is made.
    made, made_before_writing = 0, [0]

    class Counted(RunTrace):
        def events(self) -> Iterator[Event]:
            nonlocal made
            for event in super().events():
                made += 1
                yield event

    class File(io.BytesIO):
        def write(self, piece: Any) -> int:
            made_before_writing.append(made)
            return super().write(piece)

    result = simulated(rounds=5)
    write_events(File(), Counted(result).events())
    assert made > len(result.timeline.spans)
    assert all(later - earlier <= 1 for earlier, later in pairwise(made_before_writing))
    assert made_before_writing[-1] == made


def test_several_runs_get_a_file_each(tmp_path: Path):
    one, two = simulated(method="fedbcd", rounds=1), simulated(rounds=1)
    assert write_traces({"fedbcd": one}, tmp_path / "run.json.gz") == [tmp_path / "run.json.gz"]
    paths = write_traces({"fedbcd": one, "parablock": two}, tmp_path / "both.json.gz")
    assert [path.name for path in paths] == ["both-fedbcd.json.gz", "both-parablock.json.gz"]
    assert [len(read(path)["slices"]) for path in paths] == [7, 7]


def test_what_cannot_be_written_is_refused(tmp_path: Path):
    for name in ("run.txt", "run", "run.gz", "run.pftrace"):
        with pytest.raises(OutputError):
            write_trace(simulated(), tmp_path / name)
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(OutputError, match="is a directory"):
        write_trace(simulated(), tmp_path / "folder.json")
    with pytest.raises(OutputError, match="292 years"):
        write_trace(simulated(compute={"seconds": 1e11}), tmp_path / "run.json")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.json"]


def test_the_option_of_simulate_and_explain(tmp_path: Path):
    scenario = tmp_path / "small.yaml"
    scenario.write_text("{method: fedbcd, rounds: 2, payload: {upload: 1MB}, compute: {seconds: 3}}")
    assert run("simulate", scenario, "--trace", tmp_path / "run.json", "--format", "json").status == 0
    assert len(read(tmp_path / "run.json")["processes"]) == 11
    assert run("explain", scenario, "--trace", tmp_path / "run.json.gz").status == 0
    assert "critical path" in read(tmp_path / "run.json.gz")["processes"].values()
    for command in ("simulate", "explain"):
        assert ".json.gz" in refused(command, scenario, "--trace", tmp_path / "run.trace")
