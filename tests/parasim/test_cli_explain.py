"""`paraSim explain`: words, tables, JSON, files and the picture."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from parasim.explaining import explain
from parasim.explanation import sentences, who
from parasim.figures.gantt import draw_gantt
from parasim.figures.style import FigureError
from parasim_core.sim.analysis.critical_path import Holder
from parasim_core.sim.analysis.explain import HeldTime
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.scenario.sections import Group
from tests.parasim.command_line import refused, run
from tests.parasim.pictures import words

# FedBCD, 2 rounds: computing 30 s, uploads of 1 s and 9 s, a download of 1 s and 9 s.
UNEVEN = """
name: "[uneven]"
method: fedbcd
rounds: 2
fleet:
  - {name: city, count: 3, uplink: 9MB/s}
  - {uplink: 1MB/s}
payload: {upload: 9MB}
compute: {seconds: 30}
"""


@pytest.fixture
def uneven(tmp_path: Path) -> Path:
    path = tmp_path / "uneven.yaml"
    path.write_text(UNEVEN)
    return path


def test_what_is_said(uneven: Path):
    # 87 s: 60 of computing, 18 up, 9 down, all of them client 3's, whose links are slow. At the median's links its
    # transfers would take 3 x 1 s instead of 3 x 9; doubled, 13.5 s. The others wait for its 9 s with 1 s of their own.
    assert sentences(explain(uneven)) == [
        "69% of the 87 s is computing of client 3, 21% is uplink of client 3 and 10% is downlink of client 3.",
        "Doubling the speed of every device saves 30 s (34%).",
        "Bringing links and devices of client 3 up to the median client's saves 24 s (28%).",
        "Doubling the speed of the devices of client 3 saves 23 s (26%).",
        "Doubling both links of client 3 saves 13.5 s (16%).",
        "Doubling every uplink saves 9 s (10%).",
        "Doubling every downlink saves 4.5 s (5%).",
        "Off the critical path; could always be later by: city 8 s.",
    ]


def test_a_share_that_is_said_of_groups_is_theirs_alone(uneven: Path):
    # Of 60 s of computing, 3 s are the others': 57 / 87. Of nobody's in particular, all 60: 60 / 87 = 69%, as above.
    why = explain(uneven)
    client_3, city = HeldTime(Holder.COMPUTING, 1, 57.0), HeldTime(Holder.COMPUTING, 0, 3.0)
    shared = replace(why, shares=(client_3, *why.shares[1:], city))
    assert sentences(shared)[0] == (
        "66% of the 87 s is computing of client 3, 21% is uplink of client 3 and 10% is downlink of client 3."
    )


def test_what_saves_nothing_is_said_to_save_nothing(uneven: Path):
    said = sentences(explain(uneven, ["rounds=1"]))
    assert "Doubling every downlink saves nothing." in said
    # Twice 3 us is no more than nothing that anyone would buy.
    slight = sentences(explain(uneven, ["rounds=1", "payload.upload=10kB"]))
    assert "Doubling every uplink saves next to nothing (0.005 s)." in slight


def test_the_tables(uneven: Path):
    outcome = run("explain", uneven)
    assert outcome.status == 0
    assert outcome.out.startswith("[uneven]: fedbcd, 2 rounds, 4 clients, wall-clock 87 s")
    lines = {" ".join(line.split()) for line in outcome.out.splitlines()}
    assert {"computing client 3 60 s 69.0%", "uplink client 3 18 s 20.7%", "downlink client 3 9 s 10.3%"} <= lines
    assert "Doubling the speed of every device 57 s exact replay 57 s none 30 s" in lines


def test_json_and_files(uneven: Path, tmp_path: Path):
    out = tmp_path / "why"
    printed = run("explain", uneven, "--format", "json", "--out", out)
    why = json.loads(printed.out)
    assert why == json.loads((out / "explanation.json").read_text())
    assert why["wall_clock_s"] == 87
    assert why["shares"][0] == {"resource": "computing", "group": "client 3", "seconds": 60, "share": 60 / 87}
    [speed] = [claim for claim in why["claims"] if claim["lever"] == "speed" and not claim["groups"]]
    assert (speed["predicted_s"], speed["prediction"], speed["simulated_s"]) == (57, "exact replay", 57)
    assert sorted(path.name for path in out.iterdir()) == [
        "critical_path.csv",
        "explanation.json",
        "gantt.png",
        "gantt.svg",
        "reproduce.json",
        "result.json",
        "timeline.csv",
    ]
    with (out / "critical_path.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["client"], row["kind"], row["resource"], row["start_s"], row["end_s"]) for row in rows] == [
        ("3", "compute", "computing", "0.0", "30.0"),
        ("3", "upload", "uplink", "30.0", "39.0"),
        ("3", "download", "downlink", "39.0", "48.0"),
        ("3", "compute", "computing", "48.0", "78.0"),
        ("3", "upload", "uplink", "78.0", "87.0"),
    ]


def test_groups_are_named_as_their_readers_know_them():
    fleet = Fleet([Group(name="city", count=2), Group(), Group(), Group(count=5)])
    assert who((0,), fleet) == "city"
    assert who((1, 2), fleet) == "clients 2 and 3"
    assert who((0, 2), fleet) == "city and client 3"
    assert who((3,), fleet) == "group3"


def test_mistakes_are_refused(uneven: Path, tmp_path: Path):
    assert "no such file" in refused("explain", tmp_path / "none.yaml")
    assert "'uplink'" in refused("explain", uneven, "--set", "fleet.0.uplnk=1MB/s")
    (tmp_path / "taken").write_text("")
    assert "is not a directory" in refused("explain", uneven, "--out", tmp_path / "taken")


def test_the_picture_is_the_same_every_time(uneven: Path, tmp_path: Path):
    why = explain(uneven)
    first = draw_gantt(why.result, why.path, tmp_path / "a")
    second = draw_gantt(why.result, why.path, tmp_path / "b")
    assert [path.name for path in first] == ["gantt.png", "gantt.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_the_picture_has_a_row_per_site_and_says_what_it_leaves_out(uneven: Path, tmp_path: Path):
    def texts(*overrides: str, rounds: int = 8) -> set[str]:
        why = explain(uneven, overrides)
        svg = draw_gantt(why.result, why.path, tmp_path, rounds)[1]
        return words(svg)

    whole = texts()
    assert {"city × 3", "client 3", "fedbcd: 2 rounds", "seconds"} <= whole
    assert "server" not in whole
    assert {"server", "aggregation"} <= texts("server.aggregation=5s")
    assert "fedbcd: the first 1 of 2 rounds" in texts(rounds=1)
    # Of forty, those that take part in the same rounds do the same; apart, there are more than there is space for.
    some = texts("fleet.0.count=40", "participation.fraction=0.5")
    assert "blank: offline" in some
    assert any(text.endswith("of 41 clients take part") for text in some)
    assert any(re.fullmatch(r"city × \d+", text) for text in some)
    seconds = ",".join(str(3 + client / 100) for client in range(41))
    many = texts("fleet.0.count=40", "participation.fraction=0.5", f"compute.seconds=[{seconds}]")
    assert any(re.fullmatch(r"city \d+", text) for text in many)
    assert "seconds; 16 of 41 clients, chosen by their part in the critical path" in many


def test_a_run_without_duration_is_no_picture(uneven: Path, tmp_path: Path):
    why = explain(uneven, ["rounds=1", "compute.seconds=0s"])
    with pytest.raises(FigureError, match="nothing to draw"):
        draw_gantt(why.result, why.path, tmp_path, rounds=0)
