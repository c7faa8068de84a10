"""The sections that only planning reads: what they accept, and that nothing else looks at them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from parasim_core.sim.errors import ScenarioError, UnitError
from parasim_core.sim.scenario import units
from parasim_core.sim.scenario.economy import Choices, Prices, Watts
from parasim_core.sim.scenario.reading import load
from parasim_core.sim.scenario.scenario import PLANNED, Scenario, json_schema
from tests.sim.runs import simulated

SMALL: dict[str, Any] = {"rounds": 3, "payload": {"upload": "1MB"}, "compute": {"seconds": 1}}
PLANNING: dict[str, Any] = {
    "prices": {"gpu_hour": "2.5USD", "billed": "presence", "upload": "1USD/TB", "download": "0.05USD/GB"},
    "power": {"compute": "0.3kW", "idle": "50W"},
    "choices": {
        "devices": [{"name": "h100", "gpu_hour": "3USD"}, {"name": "own", "gpu_hour": 0, "speed": 2}],
        "links": [{"name": "fibre", "uplink": "1Gbit/s", "month": "300USD", "download": "0.01USD/GB"}],
        "layers": [0.5, 2],
    },
    "uncertainty": {"uplink": 0.3, "speed": 0.05},
    "fleet": [
        {
            "count": 3,
            "gpu_hour": "1USD",
            "power": {"compute": "100W", "idle": "5W"},
            "speed_jitter": {"sigma": 0.1, "per": "round"},
            "uplink_jitter": {"distribution": "triangular", "low": 0.5, "mode": 1, "high": 1.1},
            "downlink_jitter": {"distribution": "observed", "values": [1, 0.5], "each": "group"},
        }
    ],
}


def refused(**fields: Any) -> str:
    with pytest.raises(ScenarioError) as caught:
        Scenario.parse(SMALL | fields)
    return str(caught.value)


def test_every_field_is_read_and_survives_being_written():
    scenario = Scenario.parse(SMALL | PLANNING)
    # 0.05 USD/GB is 5e-11 USD/B; 1 USD/TB is 1e-12.
    assert scenario.prices.download == pytest.approx(5e-11)
    assert scenario.prices.upload == pytest.approx(1e-12)
    assert scenario.power.compute == 300.0
    assert scenario.choices.links[0].uplink == 125e6
    assert Scenario.parse(scenario.model_dump(mode="json", exclude_unset=True)) == scenario
    # Defaults are written with their units, so that all of it can be read back, too.
    assert Scenario.parse(scenario.model_dump(mode="json")) == scenario


def test_the_schema_knows_the_sections():
    schema = json_schema()
    jsonschema.validate(SMALL | PLANNING, schema)
    for wrong in ({"prices": {"gpu_hour": 2}}, {"power": {"compte": "1W"}}, {"uncertainty": {"uplink": 1}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(SMALL | wrong, schema)
    assert schema["$defs"]["Prices"]["properties"]["download"]["default"] == "0.05USD/GB"


def test_the_example_for_planning_is_one():
    path = Path(__file__).parents[3] / "examples" / "planning.yaml"
    scenario = load(path)
    assert {"prices", "power", "choices", "uncertainty"} <= scenario.model_fields_set


def test_a_simulation_does_not_look_at_them():
    with_all = simulated(**(PLANNING | {"seed": 3}))
    without = simulated(fleet=[{"count": 3}], seed=3)
    assert with_all.timeline.spans == without.timeline.spans
    # Nor do two runs differ by them, which is what checkpoints are compared by.
    written = [run.scenario.model_dump(mode="json", exclude=PLANNED) for run in (with_all, without)]
    assert written[0] == written[1]
    assert "prices" not in written[0]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"prices": {"gpu_hour": "3EUR"}}, "prices.gpu_hour"),
        ({"prices": {"gpu_hour": 3}}, "prices.gpu_hour"),
        ({"prices": {"gpu_hors": 3}}, "prices.gpu_hors"),
        ({"prices": {"download": "1USD/s"}}, "prices.download"),
        ({"prices": {"billed": "comput"}}, "prices.billed"),
        ({"power": {"idle": "-1W"}}, "power.idle"),
        ({"choices": {"devices": [{"name": "a"}]}}, "choices.devices.0.gpu_hour"),
        ({"choices": {"links": [{"name": "a", "uplink": "1MB/s"}, {"name": "a", "uplink": "2MB/s"}]}}, "choices"),
        ({"uncertainty": {"egress": 1.5}}, "uncertainty.egress"),
        ({"fleet": [{"speed_jitter": {}}]}, "fleet.0.speed_jitter"),
        ({"fleet": [{"speed_jitter": 0.1}]}, "fleet.0.speed_jitter"),
        ({"fleet": [{"uplink_jitter": {"distribution": "observed", "values": []}}]}, "fleet.0.uplink_jitter.values"),
        ({"fleet": [{"uplink_jitter": {"sigma": 0.1, "per": "round"}}]}, "fleet.0.uplink_jitter.per"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(fields: dict[str, Any], place: str):
    text = refused(**fields)
    assert text.startswith(f"scenario: {place}: ")
    assert "\n" not in text


def test_the_name_that_stands_twice_is_named():
    links = [{"name": name, "uplink": "1MB/s"} for name in ("first", "second", "second")]
    text = refused(choices={"links": links})
    assert "'second'" in text
    assert "first" not in text


@pytest.mark.parametrize(
    ("jitter", "message"),
    [
        ({"sigma": 0.1, "low": 1}, "low: lognormal has none; it takes sigma"),
        ({"distribution": "uniform", "low": 1}, "uniform needs high"),
        ({"distribution": "uniform", "low": 2, "high": 1}, "low, high must ascend, not 2, 1"),
    ],
)
def test_the_parameters_of_a_distribution_fit(jitter: dict[str, Any], message: str):
    assert message in refused(fleet=[{"speed_jitter": jitter}])


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (units.money, "500USD", 500.0),
        (units.money, 0, 0.0),
        (units.price_of_traffic, "1USD/GiB", 1 / 2**30),
        (units.price_of_traffic, "8USD/Gbit", 8 / 125e6),
        (units.power, "1.5kW", 1500.0),
    ],
)
def test_money_traffic_and_power_are_read(read: Any, text: Any, value: float):
    assert read(text) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("text", ["5", "5EUR", "-5USD", "five USD", "1e99USD", True, None, "5USD/GB"])
def test_what_is_no_money_is_refused(text: Any):
    with pytest.raises(UnitError):
        units.money(text)


@pytest.mark.parametrize("price", [0.0, 5e-11, 1.2345678901234e-10, 1e-3])
def test_prices_of_traffic_lose_no_digit(price: float):
    assert units.price_of_traffic(units.format_price_of_traffic(price)) == price


def test_defaults_are_what_the_documentation_says():
    assert (Prices().gpu_hour, Prices().billed) == (2.0, "wall-clock")
    assert (Watts().compute, Watts().idle) == (400.0, 60.0)
    assert [device.name for device in Choices().devices] == ["rtx-4090", "l40s", "h100"]
