"""The profiles that come with paraSim cover what they were measured for."""

from __future__ import annotations

from parasim.api import costs_of
from parasim.training import DEMONSTRATION
from parasim_core.sim.engine.simulate import prepare
from parasim_core.sim.scenario import reading as scenario_file
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.workload.architecture import architecture, from_config
from parasim_demonstration.models import demonstration_config


def test_the_catalogue_knows_the_demonstration():
    assert architecture("demo") == from_config(demonstration_config().to_dict(), "demo")


def test_the_demonstrations_profile_covers_the_demonstration():
    # Its shape follows from the words of the generated problems: another word is another model.
    scenario = scenario_file.read(DEMONSTRATION) | {"compute": {"profile": "demo-cpu"}, "method": "parablock"}
    setup = prepare(Scenario.parse(scenario), from_config(demonstration_config().to_dict(), "demo"))
    costs = costs_of(setup)
    assert all(costs.local_update(0, 0, block).seconds > 0 for block in setup.blocks)
