"""Plans, sweeps and pages of scenarios whose links vary: a mean is called so, and what-ifs scale the course."""

from __future__ import annotations

from typing import Any

import pytest

import parasim
from parasim.planning.changes import with_links
from parasim.planning.cost.choices import candidates
from parasim.planning.methods import Case
from parasim.planning.search.representatives import with_only
from parasim.reporting.whatif import FACTORS, what_ifs
from parasim_core.sim.scenario.links import Steps
from parasim_core.sim.scenario.reading import load

STEPS = {"steps": [["0s", "4MB/s"], ["5s", "1MB/s"]], "period": "9s"}
FIELDS: dict[str, Any] = {
    "method": "parablock",
    "rounds": 3,
    "fleet": [{"name": "a", "count": 2, "uplink": STEPS}, {"name": "b", "uplink": "7MB/s"}],
    "server": {"egress": {"steps": [["0s", "30MB/s"], ["5s", "3MB/s"]], "period": "10s"}},
    "compute": {"seconds": 2},
    "payload": {"upload": "20MB"},
}


def test_the_least_bandwidth_is_a_multiple_of_links_that_vary():
    plan = parasim.plan(FIELDS, jobs=1, within="70s", solve_for="bandwidth")
    [answer] = plan.answers
    assert answer.value is not None
    # The answer, written out: rates of the shape that the scenario has, and constants where it has constants.
    factor = answer.value
    steps = [[time, f"{rate * factor!r}MB/s"] for time, rate in ((0, 4.0), (5, 1.0))]
    fleet = [
        FIELDS["fleet"][0] | {"uplink": STEPS | {"steps": steps}},
        FIELDS["fleet"][1] | {"uplink": f"{7 * factor!r}MB/s"},
    ]
    run = parasim.simulate(FIELDS | {"fleet": fleet})
    assert run.wall_clock == pytest.approx(answer.wall_clock_s, rel=1e-9)
    assert run.wall_clock <= 70
    assert any("mean" in note for note in plan.notes)
    # Beside the factor stand the means: 4 MB/s for 5 of 9 s, else 1 MB/s, and 7 MB/s.
    assert f"{24e6 / 9 * factor / 1e6:.4g} MB/s to {7 * factor:.4g} MB/s" in answer.row[1]
    assert answer.unit == ""


def test_the_server_s_egress_likewise():
    [answer] = parasim.plan(FIELDS, jobs=1, within="60s", solve_for="server-egress").answers
    assert answer.value is not None
    factor = answer.value / 16.5e6
    egress = {"steps": [[0, f"{30 * factor!r}MB/s"], [5, f"{3 * factor!r}MB/s"]], "period": "10s"}
    run = parasim.simulate(FIELDS | {"server": {"egress": egress}})
    assert run.wall_clock == pytest.approx(answer.wall_clock_s, rel=1e-9)


def test_links_out_of_the_way_do_not_vary():
    scenario = load(FIELDS)
    only = with_only(scenario, {1: 3e6})
    assert only.fleet[0].uplink == only.fleet[0].down
    assert isinstance(only.fleet[0].uplink, float)
    assert only.fleet[1].uplink == 3e6
    mine = with_links(scenario, {0: 24e6 / 9 * 2}).fleet[0].uplink
    assert isinstance(mine, Steps)
    assert [rate for _, rate in mine.steps] == pytest.approx([8e6, 2e6])


def test_choices_and_sweeps_call_a_mean_a_mean():
    [own, *_] = candidates(Case.of(load(FIELDS | {"fleet": FIELDS["fleet"][:1]})), [], alone=True)
    assert own.links.name == "mean 2.67MB/s"
    table = parasim.sweep(FIELDS | {"fleet": FIELDS["fleet"][:1]}, vary={"rounds": [1, 2]}, jobs=1)
    assert {row["bandwidth"] for row in table.rows} == {"mean 2.67MB/s"}


def test_pages_show_factors_of_what_varies():
    page, notes = what_ifs(load(FIELDS))
    assert page is not None
    assert page.sliders[0].places[FACTORS.tolist().index(1.0)] == "× 1"
    assert any("event simulation" in note for note in notes)
