"""What a scenario says and a command does not look at, where it would change what that command answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from parasim.sentences import listed
from parasim_core.calibration.profiles.loading import load_profile
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.workload.architecture import Architecture
from parasim_core.sim.workload.blocks import ALL_LINEAR
from parasim_core.sim.workload.methods import METHODS, Trains
from parasim_core.sim.workload.schedule import CHOSEN_IN_TRAINING

KEY = "ignored"
"""Of a run's provenance: what its scenario says and it did not look at, a sentence each."""
_JITTERS = ("speed_jitter", "uplink_jitter", "downlink_jitter")
_MOST_NAMED = 3


def ignored(scenario: Scenario, architecture: Architecture | None = None) -> list[str]:
    """Say what a simulation does not look at of its scenario and of its model, if that is told, a sentence each."""
    others = [*drawn_blocks(scenario), *unused_devices(scenario), *unused_sharding(scenario)]
    return [*ignored_in_training(scenario, architecture), *others]


def ignored_in_training(scenario: Scenario, architecture: Architecture | None = None) -> list[str]:
    """Say what training does not look at of its scenario and of its model, if that is told, a sentence each."""
    left_out = [] if architecture is None else not_adapted(scenario, architecture)
    return [*ignored_jitter(scenario), *unused_regions(scenario), *left_out]


def not_adapted(scenario: Scenario, architecture: Architecture) -> list[str]:
    """Say in a sentence each, if there are some, which experts and modules of like names ``all-linear`` leaves out."""
    with_lora = METHODS[scenario.method.name].trains in (Trains.LORA, Trains.LORA_B, Trains.STACKED_LORA)
    if not with_lora or scenario.lora.targets != ALL_LINEAR:
        return []
    sentences = []
    for targets, where, unless in (("name", "", " unless they are named"), ("never", " outside of routed experts", "")):
        left_out = [linear for linear in architecture.linears() if linear.targets == targets]
        if left_out:
            names = listed([*dict.fromkeys(linear.name for linear in left_out)])
            share = 100 * sum(linear.weights for linear in left_out) / architecture.layer_parameters
            sentences.append(
                f"lora.targets: all-linear leaves out {names}{where}, as peft does: {share:.2g}% of the layers' "
                f"weights get no adapters{unless}."
            )
    return sentences


def drawn_blocks(scenario: Scenario) -> list[str]:
    """Say in a sentence, if so, that blocks are drawn which training would choose."""
    by, method = scenario.blocks.schedule, METHODS[scenario.method.name]
    if by not in CHOSEN_IN_TRAINING or method.trains is not Trains.BLOCK or method.shape.traits.takes_turns:
        return []
    return [f"Not looked at: blocks.schedule {by}, by which training chooses blocks. Here they are drawn at random."]


def unused_devices(scenario: Scenario) -> list[str]:
    """Say in a sentence each which fields of devices change nothing: GPUs of given seconds, a profile of no group."""
    compute, said = scenario.compute, []
    several = [group.name or f"group{number}" for number, group in enumerate(scenario.fleet) if group.gpus > 1]
    if compute.seconds is not None and several:
        said.append(f"Not looked at: gpus of {_listed(several)}, as compute.seconds are of a client whatever it has.")
    if compute.device is not None and all(group.device is not None for group in scenario.fleet):
        said.append(f"Not looked at: compute.device {compute.device}, as every group names its own.")
    if compute.profile is not None:
        own = load_profile(compute.profile).device.name
        unnamed = any(scenario.device_of(group) is None for group in scenario.fleet)
        if not unnamed and own.lower() not in map(str.lower, scenario.devices):
            said.append(f"Not looked at: compute.profile {compute.profile}, as no group computes on its {own}.")
    return said


def unused_sharding(scenario: Scenario) -> list[str]:
    """Say in a sentence, if so, that GPUs are told how to share a model out which no client has."""
    given = (scenario.train or {}).get("sharding")
    if given is None or any(group.gpus > 1 for group in scenario.fleet):
        return []
    return [f"Not looked at: train.sharding {given}, as no client has several GPUs (fleet[].gpus)."]


def unused_regions(scenario: Scenario) -> list[str]:
    """Say in a sentence, if there are some, that regions are nobody's."""
    used = {group.region for group in scenario.fleet}
    unused = [name for name in scenario.regions if name not in used]
    return [f"Not looked at: regions that no group names, {_listed(unused, 'regions')}."] if unused else []


def ignored_jitter(scenario: Scenario) -> list[str]:
    """Say in a sentence, if there is some, that jitter was not drawn from, and of which groups it is."""
    groups: dict[str, list[str]] = {}
    for number, group in enumerate(scenario.fleet):
        fields = [field for field in _JITTERS if getattr(group, field) is not None]
        if fields:
            groups.setdefault(" and ".join(fields), []).append(group.name or f"group{number}")
    if not groups:
        return []
    named = "; ".join(f"{fields} of {_listed(names)}" for fields, names in groups.items())
    return [f"Not looked at: {named}. Speeds and links are as given; `paraSim plan --confidence` draws from jitter."]


def ignored_said(provenance: Mapping[str, object]) -> list[str]:
    """Read back what a run's provenance says of what it did not look at."""
    return list(cast("list[str]", provenance.get(KEY, [])))


def doubtful(provenances: Iterable[Mapping[str, object]]) -> list[str]:
    """Say once of each profile among some costs' origins, if so, that it predicts badly."""
    warnings = (str(one["warning"]) for one in provenances if "warning" in one)
    return list(dict.fromkeys(warnings))


def _listed(names: list[str], what: str = "groups") -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more:,} more {what}" if more > 0 else "")
