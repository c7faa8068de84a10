"""What the page's questions are answered with, held against numbers worked out by hand and against the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import parasim
from parasim.app.deadlines import deadlines
from parasim.app.forms import computing, starting_points
from parasim.app.lines import lines
from parasim.app.methods import methods
from parasim.app.questions import answer, problems
from parasim.app.reasons import reasons
from parasim.app.running import run
from parasim.explanation import summary
from parasim.planning.plan import plan
from parasim_core.calibration.paper.cells import paper_setting

PAPER = paper_setting("llama-3-8b")
# Three sites compute 30 s, send 10 MB in 10 s and receive them in 5 s.
TWO_ROUNDS: dict[str, Any] = {
    "name": "two rounds",
    "model": "llama-3-8b",
    "method": "fedbcd",
    "rounds": 2,
    "compute": {"seconds": 30},
    "payload": {"upload": "10MB"},
    "fleet": [{"name": "site", "count": 3, "uplink": "1MB/s", "downlink": "2MB/s"}],
}


def test_a_run_and_its_timeline():
    found = run({"fields": TWO_ROUNDS, "timeline": True})
    # 30 computing, 10 up, 5 down, 30 computing, 10 up.
    assert found["figures"]["wall_clock_s"] == 85
    assert found["figures"]["exposed_communication_s"] == 25
    assert found["timeline"]["end"] == 85
    [row] = found["timeline"]["rows"]
    assert row["name"] == "site × 3"
    assert [span[:4] for span in row["spans"]] == [
        ["compute", 0, 30, 0],
        ["upload", 30, 40, 0],
        ["download", 40, 45, 0],
        ["compute", 45, 75, 1],
        ["upload", 75, 85, 1],
    ]
    # Nothing happens beside anything else: all of it is the critical path.
    assert row["path"] == [span[:3] for span in row["spans"]]


def test_the_bill():
    fields = TWO_ROUNDS | {"prices": {"gpu_hour": "3.6USD", "upload": "1USD/GB", "kilowatt_hour": "0.36USD"}}
    told = run({"fields": fields})["bill"]
    # 3 devices x 85 s at 0.001 USD/s; 60 MB up at 1 USD/GB; 30 MB down at the assumed 0.05 USD/GB;
    # 3 x (60 s x 400 W + 25 s x 60 W) = 76.5 kJ at 0.1 USD/MJ.
    assert told["items"] == pytest.approx(
        {"devices": 0.255, "links": 0, "upload": 0.06, "download": 0.0015, "electricity": 0.00765}
    )
    assert told["total"] == pytest.approx(0.32415)
    assert {"prices.download 0.05USD/GB", "power.compute 400W"} <= {*told["assumed"]}
    assert not any("gpu_hour" in price for price in told["assumed"])


def test_methods_that_cannot_run_a_scenario_say_why():
    found = methods({"fields": PAPER | {"participation": {"fraction": 0.5}}})
    assert "fedcybgd" in found["refused"]
    assert "fedcybgd" not in {bar["method"] for bar in found["bars"]}
    for bar in found["bars"]:
        assert sum(bar["parts"]) == pytest.approx(bar["wall_clock_s"])
    own = next(bar for bar in found["bars"] if bar["method"] == "parablock")
    assert own["wall_clock_s"] == parasim.simulate(PAPER, [("participation", {"fraction": 0.5})]).wall_clock


def test_lines_are_the_runs_of_other_bandwidths():
    found = lines({"fields": PAPER})
    assert found["bandwidth"] == 100e6
    assert {line["method"] for line in found["lines"]} == {bar["method"] for bar in methods({"fields": PAPER})["bars"]}
    for line in found["lines"]:
        factor, seconds = line["points"][3]
        changed = [f"method.name={line['method']}", f"fleet.0.uplink={factor * 100e6!r}B/s"]
        changed.append(f"fleet.0.downlink={factor * 100e6!r}B/s")
        assert seconds == pytest.approx(parasim.simulate(PAPER, changed).wall_clock, rel=1e-9)


def test_communication_is_hidden_where_plan_says_so():
    hidden = lines({"fields": PAPER, "alone": True})["hidden"]
    [answered] = plan(PAPER, hide_communication=True, jobs=1).answers
    assert hidden["factor"] * 100e6 == answered.value
    assert hidden["wall_clock_s"] == answered.wall_clock_s


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"method": "fedbcd"}, "does not send while it computes"),
        ({"rounds": 1}, "Nothing to hide"),
        # Each of the ten receives at 1 MB/s, whatever its own link: 872 MB take longer than the 39 s of computing.
        ({"server": {"egress": "10MB/s"}}, "computing waits for server egress"),
    ],
)
def test_what_cannot_be_hidden_says_why(changed: dict[str, Any], said: str):
    hidden = lines({"fields": PAPER | changed, "alone": True})["hidden"]
    assert said in hidden["said"]
    assert "factor" not in hidden


def test_a_moving_slider_does_without_what_has_to_be_simulated():
    drawn = {line["method"] for line in lines({"fields": PAPER, "live": True})["lines"]}
    # Whom these wait for depends on the links.
    assert drawn.isdisjoint({"fedbuff", "fedasync", "parablock-async"})
    assert {"parablock", "fedbcd", "fedit"} <= drawn
    chosen = lines({"fields": PAPER | {"method": "fedbuff"}, "live": True})["lines"]
    assert "fedbuff" in {line["method"] for line in chosen}


def test_reasons_are_those_of_explain():
    said = summary(parasim.explain(PAPER))
    found = reasons({"fields": PAPER})
    assert all(found[name] == said[name] for name in found)


def test_a_deadline_is_met_as_plan_says():
    found = deadlines({"fields": PAPER, "within": "1500s", "solve_for": "bandwidth", "methods": ""})
    assert found["rows"] == plan(PAPER, within="25min", solve_for="bandwidth", jobs=1).table
    assert "25 min" in found["question"]


def test_every_starting_point_runs():
    points = starting_points()
    assert len(points) > 5
    for fields in points.values():
        assert run({"fields": fields})["figures"]["wall_clock_s"] > 0


def test_what_covers_a_scenario_can_be_chosen():
    found = computing({"fields": {"model": "llama-3-8b", "compute": {"device": "rtx-4090"}}})
    assert [one["compute"] for one in found["profiles"]] == [{"profile": "paper-a100"}]
    assert {"device": "rtx-4090"} in [one["compute"] for one in found["predicted"]]
    small = {"model": "smollm2-135m", "local": {"batch_size": 2, "sequence_length": 128}}
    profiles = [one["compute"] for one in computing({"fields": small})["profiles"]]
    assert {"profile": "smollm2-135m-cpu"} in profiles
    for compute in profiles:
        run({"fields": small | {"compute": compute}})
    # The data set goes with all profiles that have it.
    told = computing({"fields": {"model": "llama-3-8b", "compute": {"dataset": "mathinstruct"}}})["profiles"]
    assert told[0]["compute"] == {"profile": "paper-a100", "dataset": "mathinstruct"}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"rounds": "x"}, "rounds"),
        ({"fleet": [{"uplink": "3"}]}, "fleet.0.uplink"),
        ({"method": "parablok"}, "method.name"),
        ({"model": "llama-9"}, "model"),
        ({"local": {"batch_size": 4096}}, "compute"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_what_is_wrong_stands_at_its_field(changed: dict[str, Any], field: str):
    found, [problem] = answer("run", {"fields": PAPER | changed})
    assert found is None
    assert problem["field"] == field


def test_several_mistakes_are_several_problems():
    message = "scenario:\n  rounds: must be a number, not 'x'\n  fleet.0.uplink: '3' has no unit"
    assert [problem["field"] for problem in problems(message)] == ["rounds", "fleet.0.uplink"]


def test_an_opened_file_is_read_by_its_ending():
    fields, wrong = answer("opened", {"name": "C:/somewhere/mine.TOML", "text": "rounds = 3"})
    assert (fields, wrong) == ({"fields": {"rounds": 3}}, [])
    for name, text in [("a.yaml", "rounds: [1"), ("a.json", "[1]"), ("a.yaml", ""), ("a.txt", "rounds: 3")]:
        fields, [problem] = answer("opened", {"name": name, "text": text})
        assert fields is None
        assert problem["text"].startswith(Path(name).stem if name == "a.txt" else name)


def test_what_is_downloaded_is_what_the_commands_write():
    yaml, wrong = answer("download", {"fields": TWO_ROUNDS, "file": "scenario.yaml"})
    assert not wrong
    assert answer("opened", {"name": "scenario.yaml", "text": yaml.decode()})[0]["fields"]["rounds"] == 2
    timeline, _ = answer("download", {"fields": TWO_ROUNDS, "file": "timeline.csv"})
    assert timeline.decode().splitlines()[0].startswith("client,round,kind,start_s,end_s")
    table, _ = answer("download", {"fields": PAPER, "file": "results.csv"})
    first, *rows = table.decode().splitlines()
    assert "exposed_communication_s" in first
    assert len(rows) == len(methods({"fields": PAPER})["bars"])
    page, _ = answer("download", {"fields": TWO_ROUNDS, "file": "report.html"})
    assert b"two rounds" in page
    assert page.startswith(b"<!DOCTYPE html>")
    assert answer("download", {"fields": PAPER, "file": "bars.bmp"})[1]


@pytest.mark.parametrize("picture", ["bars", "lines", "timeline"])
def test_pictures_come_in_every_format(picture: str):
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    for suffix, start in begins.items():
        drawn, wrong = answer("download", {"fields": PAPER, "file": f"{picture}.{suffix}"})
        assert not wrong
        assert drawn.startswith(start)


def test_lines_of_an_uneven_fleet_are_drawn_over_multiples():
    fields = {"model": "llama-3-8b", "fleet": [{"uplink": "10MB/s"}, {"uplink": "20MB/s"}]}
    drawn, wrong = answer("download", {"fields": fields, "file": "lines.svg"})
    assert not wrong
    assert drawn.startswith(b"<?xml")
