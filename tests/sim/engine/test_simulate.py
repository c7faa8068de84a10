"""Whole runs: same answer always, alike clients simulated once, every method through the same door."""

from __future__ import annotations

import hashlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parasim_core.sim.engine.costs import GivenSeconds
from parasim_core.sim.engine.fleet import Fleet
from parasim_core.sim.engine.result import Result
from parasim_core.sim.engine.simulate import prepare, simulate
from parasim_core.sim.engine.timeline import write_csv
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.workload.architecture import architecture
from parasim_core.sim.workload.methods import METHODS
from tests.sim.runs import simulated, with_staleness


def timeline_csv(result: Result, *, collapse: bool = False) -> str:
    file = io.StringIO()
    write_csv(file, result.timeline.spans, dict(result.counts), collapse=collapse)
    return file.getvalue()


GOLDEN = {
    "name": "golden",
    "model": "llama-3.2-3b",
    "method": {"name": "parablock", "staleness": 2},
    "rounds": 9,
    "fleet": [
        {"name": "fast", "count": 4, "uplink": "80MB/s", "downlink": "160MB/s", "latency": "5ms"},
        {"name": "slow", "count": 3, "uplink": "7MB/s", "downlink": "31MB/s", "latency": "70ms", "speed": 0.7},
    ],
    "server": {"ingress": "200MB/s", "egress": "150MB/s", "aggregation": "300ms"},
    "participation": {"fraction": 0.6},
    "wire": {"upload": {"top_k": 0.1}, "download": {"bits": 8}, "serialization": "40ms"},
    "compute": {"seconds": 33.3, "non_overlapping": 1.5},
    "seed": 7,
}


def run(data: dict[str, object]) -> Result:
    scenario = Scenario.parse(data)
    model = None if scenario.model is None else architecture(scenario.model)
    return simulate(prepare(scenario, model), GivenSeconds(scenario, Fleet(scenario.fleet)))


def test_same_scenario_and_seed_give_the_bytes_they_always_gave():
    # If this changes on purpose, say in the commit why the old answer was wrong.
    digest = hashlib.sha256(timeline_csv(run(GOLDEN)).encode()).hexdigest()
    assert digest == "75569e1398fd4fda16ea0e134767a8b06b9dc81cc43364b399e6b7687aa7e4f2"


def test_another_seed_draws_other_participants():
    assert timeline_csv(run(GOLDEN)) != timeline_csv(run(GOLDEN | {"seed": 8}))


def test_rows_have_the_published_columns():
    lines = timeline_csv(simulated(rounds=1, fleet=[{}])).splitlines()
    assert lines == [
        "client,round,kind,start_s,end_s,bytes,block",
        "0,0,compute,0.0,10.0,0,12",
        "0,0,upload,10.0,11.0,100000000,12",
        "server,0,aggregate,11.0,11.0,0,12",
    ]


@settings(max_examples=40)
@given(
    method=st.sampled_from([name for name in sorted(METHODS) if METHODS[name].shape.traits.collapsible]),
    counts=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    ingress=st.sampled_from([None, "150MB/s"]),
    staleness=st.integers(1, 2),
)
def test_alike_clients_simulated_once_are_like_each_by_itself(method, counts, ingress, staleness):
    # Seconds given per client forbid the shortcut; all else is equal, so all that is computed must be, too.
    fields = {
        "method": with_staleness(method, staleness),
        "fleet": [{"count": n, "uplink": f"{40 * (i + 1)}MB/s"} for i, n in enumerate(counts)],
        "server": {"ingress": ingress},
        "rounds": 3,
    }
    once = simulated(**fields)
    each = simulated(**fields, compute={"seconds": [10] * sum(counts)})
    assert len(once.counts) == len(counts)
    assert len(each.counts) == sum(counts)
    once_figures, each_figures = once.figures(), each.figures()
    assert once_figures == pytest.approx(each_figures, rel=1e-12, abs=1e-9)
    assert len(timeline_csv(once).splitlines()) == len(timeline_csv(each).splitlines())


def test_a_million_alike_clients_are_one_simulated_client():
    result = simulated(fleet=[{"count": 1_000_000}])
    assert len(result.counts) == 1
    assert result.wall_clock == simulated(fleet=[{"count": 1}]).wall_clock
    assert result.total("uploaded") == 4 * 10**14
    assert timeline_csv(result, collapse=True).splitlines()[1].endswith(",1000000")


def test_collapsed_rows_say_how_many_clients_they_stand_for(tmp_path):
    many = simulated(fleet=[{"count": 10_001}], rounds=1)
    many.write_timeline(tmp_path / "timeline.csv")
    lines = (tmp_path / "timeline.csv").read_text().splitlines()
    assert lines[0] == "client,round,kind,start_s,end_s,bytes,block,count"
    assert lines[1] == "0,0,compute,0.0,10.0,0,12,10001"
    few = simulated(fleet=[{"count": 10_000}], rounds=1)
    few.write_timeline(tmp_path / "timeline.csv")
    assert len((tmp_path / "timeline.csv").read_text().splitlines()) == 1 + 2 * 10_000 + 1


@pytest.mark.parametrize(
    ("method", "uploaded", "downloaded"),
    [
        # Llama 3.2-3B at 2 B per weight, one client, 2 rounds: 2 up, 1 down.
        ("fedbcd", 2 * 2 * 201_338_880, 2 * 201_338_880),
        ("fedit", 2 * 2 * 9_175_040, 2 * 9_175_040),
        ("ffa-lora", 2 * 2 * 3_670_016, 2 * 3_670_016),
        ("full-ft", 2 * 2 * 3_212_749_824, 2 * 3_212_749_824),
        ("overlapped-lora", 2 * 2 * 9_175_040, 2 * 9_175_040),
    ],
)
def test_bytes_follow_from_the_model(method: str, uploaded: int, downloaded: int):
    result = run({"model": "llama-3.2-3b", "method": method, "rounds": 2, "fleet": [{}], "compute": {"seconds": 1}})
    assert (result.total("uploaded"), result.total("downloaded")) == (uploaded, downloaded)


def test_half_layers_are_attention_and_mlp_in_turn():
    data = {"model": "llama-3-8b", "method": "fedbcd", "rounds": 2, "fleet": [{}], "compute": {"seconds": 1}}
    result = run(data | {"blocks": {"layers": 0.5, "schedule": "sequential"}})
    # Attention: 2 h^2 + 2 h kv + norm; MLP: 3 h i + norm, with h 4096, kv 1024, i 14336.
    attention, mlp = 2 * 4096**2 + 2 * 4096 * 1024 + 4096, 3 * 4096 * 14336 + 4096
    assert result.total("uploaded") == 2 * (attention + mlp)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"blocks": {"layers": 33}}, "only 32 layers"),
        ({"blocks": {"count": 33}}, "32 layers"),
        ({"blocks": {"schedule": [0] * 31 + [16]}}, "there is no block 16; they are 0 to 15"),
        ({"method": "parablock-async", "blocks": {"schedule": "bandit"}}, "clients of parablock-async have no rounds"),
        ({"method": "fedcybgd", "fleet": [{"count": 33}]}, "33 blocks"),
        ({"method": "fedcybgd", "participation": {"fraction": 0.5}}, "take turns"),
    ],
)
def test_what_the_model_or_fleet_does_not_have_is_refused(fields, message):
    with pytest.raises(ScenarioError, match=message):
        run({"model": "llama-3-8b", "compute": {"seconds": 1}} | fields)


def test_the_model_is_not_needed_where_compute_and_payload_are_given():
    assert run({"compute": {"seconds": 1}, "payload": {"upload": "1MB"}}).wall_clock > 0
    with pytest.raises(ScenarioError, match=r"model: needed, because payload is not given"):
        run({"compute": {"seconds": 1}})


def test_blocks_that_training_would_choose_are_drawn_and_said_to_be():
    data = {"model": "llama-3-8b", "method": "parablock", "rounds": 8, "compute": {"seconds": 1}}
    adaptive = run(data | {"blocks": {"schedule": "change"}})
    drawn = run(data | {"blocks": {"schedule": "random"}})
    assert adaptive.timeline.spans == drawn.timeline.spans
    assert adaptive.provenance["schedule"]["origin"] == "drawn"
    assert "schedule" not in drawn.provenance
