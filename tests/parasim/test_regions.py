"""Aggregators, site lines and regions wherever a run is shown: in words, tables, charts, traces, reports."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from parasim.explanation import sentences
from parasim_core.sim.analysis.explain import explain
from tests.parasim.command_line import run
from tests.parasim.test_trace import SECOND, arrows, check, traced
from tests.sim.runs import prepared, simulated

SITE = {"clients": 2, "uplink": "50MB/s"}
FIELDS: dict[str, Any] = {
    "name": "regional",
    "method": "fedbcd",
    "rounds": 3,
    "compute": {"seconds": 2},
    "payload": {"upload": "100MB"},
    "fleet": [
        {"name": "branch", "count": 4, "uplink": "50MB/s", "region": "eu"},
        {"name": "office", "count": 2, "uplink": "80MB/s", "region": "us", "site": SITE},
        {"name": "lone", "uplink": "20MB/s"},
    ],
    "regions": {"eu": {"uplink": "10MB/s", "latency": "1s", "aggregates": True}, "us": {"uplink": "70MB/s"}},
}


@pytest.mark.parametrize(
    ("fleet", "region", "said"),
    [
        ([{"name": "branch", "count": 2, "site": SITE}, {"name": "lone"}], {}, "the site line of branch"),
        ([{"count": 2, "region": "eu"}], {"uplink": "25MB/s"}, "the link of region eu"),
        ([{"region": "eu", "uplink": "1GB/s"}], {"uplink": "1MB/s", "aggregates": True}, "uplink of region eu"),
    ],
)
def test_the_explanation_names_what_binds(fleet: list[dict[str, Any]], region: dict[str, Any], said: str):
    fields: dict[str, Any] = {"fleet": fleet, "regions": {"eu": region}, "compute": {"seconds": 0}, "rounds": 1}
    assert said in sentences(explain(*prepared(**fields)))[0]


def test_explained_and_reported(tmp_path: Path):
    scenario = tmp_path / "regional.json"
    scenario.write_text(json.dumps(FIELDS))
    out = tmp_path / "out"
    assert run("explain", scenario, "--out", out).status == 0
    with (out / "critical_path.csv").open() as f:
        path = [(row["client"], row["resource"]) for row in csv.DictReader(f)]
    assert ("region eu", "uplink") in path
    [printed] = [line for line in run("simulate", scenario, "--out", out).out.splitlines() if "region eu  " in line][:1]
    assert " ".join(printed.split()) == "region eu 1 300 MB 200 MB"
    [level] = [
        level for level in json.loads((out / "result.json").read_text())["levels"] if level["name"] == "region eu"
    ]
    assert (level["uploaded_bytes"], level["downloaded_bytes"]) == (300e6, 200e6)
    assert run("report", out).status == 0
    assert "region eu" in (out / "report.html").read_text()


def test_the_trace_has_aggregators_as_processes(tmp_path: Path):
    result = simulated(**FIELDS)
    trace = traced(result, tmp_path / "run.json")
    check(trace)
    assert "region eu" in trace["processes"].values()
    assert {
        track["name"] for track in trace["tracks"].values() if trace["processes"][track["process"]] == "region eu"
    } == {
        "uplink",
        "downlink",
    }
    linked = arrows(trace)
    assert {(f"branch {client}: upload 0", "region eu: upload 0") for client in range(4)} <= linked
    assert ("region eu: upload 0", "server: aggregate 0") in linked
    assert ("server: aggregate 0", "region eu: download 0") in linked
    assert {("region eu: download 0", f"branch {client}: download 0") for client in range(4)} <= linked
    # Over the server's ingress go eu's message, and those of the three clients that are not below its aggregator.
    levels = [(time, value) for which, time, value in trace["levels"] if "ingress" in which]
    area = sum(value * (until - time) for (time, value), (until, _) in pairwise(levels)) / SECOND
    assert area == pytest.approx(3 * 4 * 1e8, rel=1e-6)
