"""A small directory of results of every kind that `paraSim report` knows, with names that would like to be HTML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from parasim.planning.answer import Answer, Check, Plan
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.support.atomic_files import write_atomically
from tests.parasim.command_line import run

KINDS = ("simulate", "explain", "sweep", "plan", "train")

EVIL = "</script><script>alert('x')</script> & \"quotes\""

# 2 clients, 30 s of computing, 9 MB at 9 MB/s: 1 s each way.
SMALL = {
    "name": EVIL,
    "method": "parablock",
    "rounds": 3,
    "fleet": [{"name": "<b>city</b>", "count": 2, "uplink": "9MB/s"}, {"uplink": "3MB/s"}],
    "payload": {"upload": "9MB"},
    "compute": {"seconds": 30},
}
METRICS = "method,round,simulated_s,train_loss,eval_loss,accuracy,uploaded_bytes,downloaded_bytes\n" + "".join(
    f"{method},{t},{9.5 * (t + 1)},{3 - 0.1 * t},{'' if t == 0 else 2 - 0.1 * t},,{1000 * t},{900 * t}\n"
    for method in ("parablock", "<i>own</i>")
    for t in range(4)
)


def plan() -> dict[str, Any]:
    checked = [Check(40e6, 1499.0, True), Check(39e6, 1501.0, False)]
    answers = [
        Answer("parablock", True, 40e6, "B/s", 1499.0, "48% uplink", checked),
        Answer("fedbcd", False, None, "B/s", None, "computing alone takes 30 min", [Check(999.9e12, 1800.0, False)]),
    ]
    scenario = Scenario.parse(SMALL)
    origins = {"parablock": "fitted: paper-a100"}
    whole = Plan(scenario, f"Least bandwidth for {EVIL}", answers, (), ["Checked."], origins)
    return whole.summary()


def make_results(directory: Path) -> None:
    """Make a directory for each kind of results."""
    scenario = directory / "small.json"
    scenario.write_text(json.dumps(SMALL))
    for command in ("simulate", "explain"):
        assert run(command, scenario, "--out", directory / command).status == 0
    sweep = ("sweep", scenario, "--bandwidth", "1MB/s,3MB/s", "--batch-size", "2,4", "--method", "fedbcd,parablock")
    # Said of each batch size: a sweep of what changes nothing is refused.
    by_size = ("--set", "compute.seconds={2: 30, 4: 30}")
    assert run(*sweep, *by_size, "--out", directory / "sweep").status == 0
    for name, file, text in (("plan", "plan.json", json.dumps(plan())), ("train", "metrics.csv", METRICS)):
        write_atomically(directory / name / file, lambda f, text=text: f.write(text))
    write_atomically(directory / "plan" / "curve.svg", lambda f: f.write("<svg xmlns='http://www.w3.org/2000/svg'/>"))
