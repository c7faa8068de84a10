"""Scenarios on devices that nobody measured: which costs their groups have, and where that is said."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import parasim
from parasim.api import prepared, set_up
from parasim.costs import CostsByGroup
from parasim_core.calibration.memory.allocations import Category
from parasim_core.calibration.memory.fits import fits, least_memory
from parasim_core.calibration.memory.peaks import traced_peak
from parasim_core.sim.errors import CostError
from parasim_core.sim.scenario.scenario import Scenario
from tests.parasim.command_line import refused, run
from tests.train.tiny import CONFIG

EIGHT_B: dict[str, Any] = {"model": "llama-3-8b", "method": "fedit"}


def origins(**fields: Any) -> dict[str, Any]:
    """Where the computing times of a scenario are from."""
    return set_up(Scenario.parse(EIGHT_B | fields))[1].provenance()


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A scenario whose trace takes a moment."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    fields = {
        "model": str(tmp_path / "config.json"),
        "method": "fedbcd",
        "rounds": 4,
        "blocks": {"layers": 1},
        "local": {"batch_size": 2, "sequence_length": 8},
        "lora": {"rank": 2},
        "fleet": [{"name": "homes", "count": 3}],
        "compute": {"device": "rtx-4090"},
    }
    (tmp_path / "scenario.json").write_text(json.dumps(fields))
    return tmp_path / "scenario.json"


@pytest.mark.parametrize("fields", [{}, {"fleet": [{"device": "A100"}]}, {"compute": {"profile": "paper-a100"}}])
def test_without_another_device_the_papers_profile_stays(fields: dict[str, Any]) -> None:
    assert origins(**fields)["profile"] == "paper-a100"


@pytest.mark.parametrize(
    ("fields", "device"),
    [
        ({"compute": {"device": "rtx-4090"}}, "rtx-4090"),
        # The paper's seconds are of whole rounds, and compare with nothing that is predicted.
        ({"compute": {"device": "a100"}}, "a100-40gb"),
        ({"compute": {"device": "h100"}, "fleet": [{"device": "l4"}]}, "l4"),
        ({"fleet": [{"device": "RTX-3060"}]}, "rtx-3060"),
        ({"fleet": [{"device": "h100"}], "compute": {"profile": "paper-a100"}}, "h100"),
    ],
)
def test_a_device_that_no_profile_covers_is_predicted(fields: dict[str, Any], device: str) -> None:
    found = origins(**fields)
    assert (found["origin"], found["device"]) == ("predicted", device)


def test_groups_of_several_devices_say_which_is_which() -> None:
    fleet = [{"name": "rented", "device": "a100"}, {"name": "own", "count": 2, "device": "phone"}]
    _, costs = set_up(Scenario.parse(EIGHT_B | {"fleet": fleet}))
    assert isinstance(costs, CostsByGroup)
    found = costs.provenance()
    # The widest band is that of the phone.
    assert (found["origin"], found["band"]) == ("predicted", 2.5)
    source = "a100-40gb predicted, within a factor 1.3; phone predicted, within a factor 2.5"
    assert found["source"] == source


def test_a_named_profile_covers_its_own_device_and_no_other() -> None:
    fleet = [{"device": "a100"}, {"device": "h100"}]
    found = origins(fleet=fleet, compute={"profile": "paper-a100"})
    assert [one["origin"] for one in found["devices"]] == ["fitted", "predicted"]
    assert found["origin"] == "predicted"
    # Where it does not cover the setting on its own device, nothing else steps in.
    with pytest.raises(CostError, match=r"profile paper-a100 does not cover batch size 64.*compute\.device"):
        origins(compute={"profile": "paper-a100"}, local={"batch_size": 64})


def test_a_measured_profile_that_comes_along_is_taken_where_it_covers_its_device() -> None:
    on_a_core = {"model": "smollm2-135m", "compute": {"device": "AMD EPYC, 1 thread"}}
    local = {"batch_size": 1, "sequence_length": 64}
    found = origins(**on_a_core, method="fedbcd", local=local)
    assert found["profile"] == "smollm2-135m-cpu"
    with pytest.raises(CostError, match="profile smollm2-135m-cpu does not cover"):
        origins(**on_a_core, method="fedbcd", local={"batch_size": 999})


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["compute.device=rtx-4900"],
            "compute.device: no device 'rtx-4900' in the catalogue; did you mean 'rtx-4090'?",
        ),
        (['compute={"device": "h100", "seconds": 3}'], "give seconds or device, not both"),
        (["fleet.0.gpus=0"], "fleet.0.gpus"),
        (["fleet.0.gpus=1025"], "fleet.0.gpus"),
        (["compute.device=h100", "fleet.0.gpus=8"], "local.batch_size is 4, fewer sequences than the 8 GPUs"),
        (["fleet.0.gpus=2"], "does not cover 2 GPUs of a client (fleet[].gpus); it covers one."),
        (['fleet=[{"device": "h100"}, {}]'], "fleet.1.device: is missing, and profile paper-a100 does not cover"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(tmp_path: Path, overrides: list[str], said: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps(EIGHT_B))
    text = refused("simulate", tmp_path / "a.json", *(part for one in overrides for part in ("--set", one)))
    assert said in text


def test_a_run_says_what_it_is_and_how_far_it_may_be_off(tiny: Path) -> None:
    summary = json.loads(run("simulate", tiny, "--format", "json").out)
    low, middle, high = (summary[f"wall_clock{end}_s"] for end in ("_low", "", "_high"))
    # One after the other, computing and sending: between the ends lies computing by 1.3 either way.
    computing = summary["compute_s"]
    assert middle - low == pytest.approx(computing * (1 - 1 / 1.3))
    assert high - middle == pytest.approx(computing * 0.3)
    assert summary["provenance"]["compute"]["band"] == 1.3
    table = run("simulate", tiny).out
    assert "Computing times are predicted, within a factor 1.3: operators of a traced step on rtx-4090" in table


def test_sweeps_say_it_in_every_row(tiny: Path, tmp_path: Path) -> None:
    command = ("sweep", tiny, "--method", "fedbcd,full-ft", "--vary", "local.batch_size=1,2", "--out", tmp_path / "out")
    assert "local.batch_size" in refused(*command)
    command = ("sweep", tiny, "--method", "fedbcd,full-ft", "--batch-size", "1,2", "--out", tmp_path / "out")
    assert run(*command).status == 0
    with (tmp_path / "out" / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    for row in rows:
        assert row["compute_origin"] == "predicted, within a factor 1.3"
        assert float(row["wall_clock_low_s"]) < float(row["wall_clock_s"]) < float(row["wall_clock_high_s"])
    picture = (tmp_path / "out" / "runtime.svg").read_text()
    assert "computing predicted within a factor 1.3" in picture
    # Bars differ in what is computed: by method and, a little as so few tokens make no work, by batch size.
    assert len({row["compute_s"] for row in rows}) == 4


def test_a_sweep_over_the_papers_seconds_and_predicted_ones_warns() -> None:
    scenario = EIGHT_B | {"rounds": 2, "fleet": [{"count": 2, "device": "a100"}]}
    said = "Seconds of profile paper-a100 are of whole rounds"
    swept = parasim.sweep(scenario, vary={"fleet.0.device": ["a100", "h100"]})
    assert any(note.startswith(said) for note in swept.notes)
    alike = parasim.sweep(scenario, vary={"fleet.0.device": ["l4", "h100"]})
    assert not any(note.startswith(said) for note in alike.notes)


def test_what_devices_say_in_vain_is_named() -> None:
    def said(**fields: Any) -> Any:
        return parasim.simulate(EIGHT_B | {"rounds": 1} | fields).provenance.get("ignored", [])

    given = said(fleet=[{"name": "labs", "gpus": 8}], compute={"seconds": 3})
    assert given == ["Not looked at: gpus of labs, as compute.seconds are of a client whatever it has."]
    own = said(fleet=[{"device": "a100"}], compute={"device": "h100", "profile": "paper-a100"})
    assert own == ["Not looked at: compute.device h100, as every group names its own."]
    none = said(compute={"device": "h100", "profile": "paper-a100"})
    assert none == ["Not looked at: compute.profile paper-a100, as no group computes on its a100."]


def test_memory_is_held_against_the_device_of_compute_and_shared_among_gpus() -> None:
    full = {**EIGHT_B, "method": "full-ft", "fleet": [{"name": "labs"}], "compute": {"device": "a100-80gb"}}
    (short,) = fits(prepared(Scenario.parse(full)))
    assert (short.device, short.gpus) == ("a100-80gb", 1)
    # 2 B of weights and of their copy, 4 of a master and 8 of moments for 8.03e9 parameters, and 4 of the gradient:
    # 160.6 GB, a quarter of which is 40.15 GB.
    setup = prepared(Scenario.parse(full))
    assert least_memory(setup, "bfloat16", gpus=4) == pytest.approx(20 * 8.03e9 / 4, rel=1e-3)
    assert fits(prepared(Scenario.parse(full | {"fleet": [{"gpus": 4}]}))) == []
    (four,) = fits(
        prepared(Scenario.parse(full | {"fleet": [{"name": "labs", "gpus": 4}]} | {"compute": {"device": "l4"}}))
    )
    assert str(four).startswith("clients of labs need at least 40.2 GB for a local update on each of their 4 GPUs")


def test_traced_memory_is_shared_too(tiny: Path) -> None:
    setup = prepared(parasim.load(tiny, ["method=full-ft"]))
    alone, shared = (traced_peak(setup, "bfloat16", recomputing=False, gpus=gpus) for gpus in (1, 2))
    # Moments halve, of which there are as many at any peak; activations of one sequence instead of two do too.
    assert shared.by_category[Category.MOMENTS] == alone.by_category[Category.MOMENTS] // 2
    # Two of its few layers, and what is outside of them, are whole on each while they compute.
    assert alone.total / 2 <= shared.total < alone.total


def test_a_budget_buys_devices_by_the_scenarios_own_step(tiny: Path) -> None:
    choices = {"devices": [{"name": "h100", "gpu_hour": "0.1USD"}], "links": [], "layers": []}
    plan = parasim.plan(parasim.load(tiny, [("choices", choices)]), budget="1000USD", method="fedbcd", jobs=1)
    found = {answer.more["device"]: answer for answer in plan.answers}
    speed = found["h100"].more["device_speed"]
    assert speed["origin"] == "predicted"
    assert speed["low"] == pytest.approx(speed["value"] / 1.3)
    # Each device's run is the one that simulating it gives.
    for name, answer in found.items():
        own = parasim.simulate(tiny, [f"compute.device={name}"])
        assert answer.wall_clock_s == pytest.approx(own.wall_clock)


def test_batch_sizes_end_where_memory_does() -> None:
    from parasim.planning.search.ranges import batch_sizes

    # An adapter beside 16.1 GB of weights, of 25.8 GB: each sequence of 512 tokens keeps a gigabyte or two.
    sizes = batch_sizes(Scenario.parse(EIGHT_B | {"compute": {"device": "rtx-4090"}, "local": {"batch_size": 1}}))
    assert sizes[0] == 1
    assert 2 <= len(sizes) < 8
