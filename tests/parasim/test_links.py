"""What is said of links, and of what goes over them at each level."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from parasim.links import link_rows, links_said, run_summary
from parasim_core.sim.analysis.messages import messages_of
from parasim_core.sim.engine.timeline import COLUMNS, Parts
from parasim_core.sim.scenario.scenario import Scenario
from tests.parasim.command_line import run
from tests.sim.runs import simulated

# Four clients behind two sites send 10 MB each, at 10 MB/s of their own and of their site's: 1 s alone, 2 s together.
# Ten minutes later the region's link, which nobody waits for here, is half as fast. Up only: one round.
FIELDS: dict[str, Any] = {
    "method": "fedbcd",
    "rounds": 1,
    "payload": {"upload": "10MB"},
    "compute": {"seconds": 3},
    "fleet": [
        {"name": "branch", "count": 4, "uplink": "10MB/s", "site": {"clients": 2, "uplink": "10MB/s"}, "region": "eu"}
    ],
    "regions": {"eu": {"uplink": {"steps": [[0, "100MB/s"], [600, "50MB/s"]], "period": 1200}, "latency": 0.5}},
}


def test_bytes_and_seconds_of_each_level_by_hand():
    result = simulated(**FIELDS)
    crossed = [(row["level"], row["name"], row["links"], row["uploaded_bytes"]) for row in result.levels()]
    assert crossed == [
        ("access", "access links", 4, 40_000_000),
        ("site", "sites of branch", 2, 40_000_000),
        ("region", "region eu", 1, 40_000_000),
        ("server", "server", 1, 40_000_000),
    ]
    # Half of the two seconds is what their own link takes; what is more is the site's line, which both fill.
    [branch] = messages_of(result)
    assert branch["name"] == "branch"
    assert branch["seconds"] == pytest.approx({"uplink": 1, "latency": 0.5, "site line": 1}, rel=1e-12)


def test_an_aggregator_sends_one_update_on():
    result = simulated(**FIELDS | {"regions": {"eu": {"uplink": "10MB/s", "aggregates": True}}})
    up = {row["name"]: row["uploaded_bytes"] for row in result.levels()}
    assert up == {"access links": 4e7, "sites of branch": 4e7, "region eu": 1e7, "server": 1e7}
    seconds = {row["name"]: row["seconds"] for row in messages_of(result)}
    assert seconds == {"branch": {"uplink": 1, "site line": 1}, "region eu": {"uplink": 1, "site line": 0}}


def test_plain_links_are_told_as_before(tmp_path: Path):
    result = simulated(fleet=[{"count": 2, "uplink": {"steps": [[0, "10MB/s"]]}}])
    assert result.levels() == []
    assert links_said(result.scenario) == ""
    assert run_summary(result) == result.summary()
    assert not {"levels", "messages", "links"} & result.summary().keys()
    result.write_timeline(tmp_path / "timeline.csv")
    assert (tmp_path / "timeline.csv").read_text().splitlines()[0] == ",".join(COLUMNS)


def test_links_in_words(tmp_path: Path):
    trace = tmp_path / "ship.csv"
    trace.write_text("seconds,rate_mbit_s\n0,80\n1,0\n")
    ships: dict[str, Any] = {
        "name": "ships",
        "uplink": {"trace": str(trace), "start": "random", "scale": 0.5},
        "latency": "25ms",
        "transport": {
            "control": "bbr",
            "loss": "0.1%",
            "streams": 4,
            "buffer": {"uplink": "100ms", "downlink": "30ms"},
        },
    }
    scenario = Scenario.parse({**FIELDS, "name": "all", "fleet": [*FIELDS["fleet"], ships]})
    # The mean of a trace is the half of 10 MB/s in every second, of which the scale leaves a half.
    assert links_said(scenario) == (
        "Links: those of ships (mean 2.5 MB/s up, mean 2.5 MB/s down) "
        "and region eu (mean 75 MB/s up, mean 75 MB/s down) vary with time, "
        "2 site lines for 4 clients, region eu, TCP (BBR)."
    )
    told = {row["of"]: row for row in link_rows(scenario)}
    assert list(told) == ["branch", "ships", "region eu", "server"]
    assert told["branch"]["between"] == "a line for every 2: 10 MB/s up, 10 MB/s down, region eu"
    assert told["ships"]["uplink"] == "trace ship.csv (each from a random place, × 0.5, mean 2.5 MB/s)"
    assert told["ships"]["latency_s"] == 0.025
    for part in ("BBR", "0.1 % loss", "4 streams", "100 ms up and 30 ms down"):
        assert part in told["ships"]["transport"]
    assert "every 20.0 min (mean 75 MB/s)" in told["region eu"]["uplink"]
    assert told["server"]["uplink"] == "unlimited"


def test_the_command_tells_levels_in_all_formats(tmp_path: Path):
    path = tmp_path / "all.json"
    path.write_text(json.dumps({**FIELDS, "name": "all"}))
    printed = run("simulate", path).out
    for words in ("sites of branch", "region eu", "site line", "2 site lines for 4 clients"):
        assert words in printed
    figures = json.loads(run("simulate", path, "--format", "json", "--out", tmp_path / "out").out)
    assert figures == json.loads((tmp_path / "out" / "result.json").read_text())
    assert [row["level"] for row in figures["levels"]] == ["access", "site", "region", "server"]
    assert figures["messages"][0]["seconds"]["site line"] == pytest.approx(1)
    with (tmp_path / "out" / "timeline.csv").open() as file:
        uploads = [row for row in csv.DictReader(file) if row["kind"] == "upload"]
    parts = [sum(float(row[f"{part}_s"]) for part in Parts._fields) for row in uploads]
    assert parts == pytest.approx([float(row["end_s"]) - float(row["start_s"]) for row in uploads])
    assert [row["of"] for row in figures["links"]["of"]] == ["branch", "region eu", "server"]
