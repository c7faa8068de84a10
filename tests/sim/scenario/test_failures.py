"""What may be said of clients that come and go and fail, and that a mistake in it has one line of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.scenario.failures import AdaptiveDeadline
from parasim_core.sim.scenario.reading import load, plain_fields, read
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.yaml_reading import to_yaml
from parasim_core.sim.workload.methods import METHODS

Fields = dict[str, Any]
BASE: Fields = {"method": "fedbcd", "rounds": 2, "compute": {"seconds": 1}, "payload": {"upload": "10MB"}}
ISSUE: Fields = BASE | {
    "fleet": [
        {
            "name": "branch",
            "count": 20,
            "available": {"share": 0.4, "session": "2h", "day_to_night": 4},
            "outages": {"every": "2h", "last": "30s", "transfers": "stall"},
            "dropout": {"rate": "6%", "during": "any", "back_after": 1},
            "failures": {"every": "12h", "repair": "20min", "resume": False},
        }
    ],
    "participation": {
        "fraction": 0.2,
        "over_selection": 1.3,
        "quorum": 0.8,
        "deadline": "30min",
        "late": "discard",
        "short": "end",
    },
}


def test_everything_at_once():
    scenario = Scenario.parse(ISSUE)
    [group], participation = scenario.fleet, scenario.participation
    assert (group.available.share, group.available.session) == (0.4, 7200)  # type: ignore[union-attr]
    assert (group.outages.every, group.outages.last) == (7200, 30)  # type: ignore[union-attr]
    assert group.dropout.rate == 0.06  # type: ignore[union-attr]
    assert group.failures.repair == 1200  # type: ignore[union-attr]
    assert (participation.quorum, participation.deadline) == (0.8, 1800)
    # Written and read again, it is the same.
    assert Scenario.parse(scenario.model_dump(mode="json", exclude_unset=True)) == scenario


def test_what_is_left_out_is_off():
    scenario = Scenario.parse(BASE)
    [group], participation = scenario.fleet, scenario.participation
    assert group.available is group.outages is group.dropout is group.failures is participation.deadline is None
    assert participation.over_selection == 1
    assert participation.quorum is None


def test_deadlines_that_follow_the_rounds():
    def deadline(given: Any) -> Any:
        return Scenario.parse(BASE | {"participation": {"deadline": given}}).participation.deadline

    assert deadline({"median": 1.5, "mad": 2}) == AdaptiveDeadline(median=1.5, mad=2)
    assert deadline({}) == AdaptiveDeadline(median=1, mad=3)
    assert deadline(90) == 90


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ({"available": {"share": 0.4}}, "fleet.0.available: give share and session"),
        ({"available": {}}, "fleet.0.available: give share and session"),
        ({"available": {"file": "s.json", "share": 0.4, "session": 9}}, "give share or file, not both"),
        ({"available": {"file": "s.json", "day_to_night": 2}}, "give day_to_night or file, not both"),
        ({"available": {"share": "140%", "session": 9}}, "fleet.0.available.share: '140%': too large for a share"),
        ({"available": {"share": 0.9999, "session": 9}}, "fleet.0.available: share: 0.9999 is neither at most 0.999"),
        ({"available": {"share": 0, "session": 9}}, "fleet.0.available.share: must be at least 0.001"),
        ({"available": {"share": 0.4, "session": 0}}, "fleet.0.available.session: must be at least 1"),
        ({"available": {"share": 0.4, "session": 9, "day_to_night": 0.5}}, "day_to_night: must be at least 1"),
        (
            {"available": 0.4},
            "fleet.0.available: must be a mapping of fields (share, session, day_to_night, file, daily, zone)",
        ),
        ({"avilable": {"share": 0.4, "session": 9}}, "did you mean 'available'?"),
        ({"outages": {"every": "2h"}}, "fleet.0.outages.last: is missing"),
        ({"outages": {"every": 0, "last": 1}}, "fleet.0.outages.every: must be at least 1"),
        ({"outages": {"every": 9, "last": 1, "transfers": "restrat"}}, "did you mean 'restart'?"),
        ({"dropout": {}}, "fleet.0.dropout.rate: is missing"),
        ({"dropout": {"rate": "6%", "during": "upload"}}, "fleet.0.dropout.during: must be 'any', 'compute' or"),
        ({"dropout": {"rate": 0.1, "back_after": 0}}, "fleet.0.dropout.back_after: must be at least 1"),
        ({"failures": {"every": "12h"}}, "fleet.0.failures.repair: is missing"),
        ({"failures": {"every": "12h", "repair": "1h", "resume": "no"}}, "resume: must be true or false"),
    ],
)
def test_a_group_that_is_wrong_is_told_so_once(group: Fields, said: str):
    refused(BASE | {"fleet": [group]}, said)


@pytest.mark.parametrize(
    ("participation", "said"),
    [
        ({"quorum": 0}, "participation.quorum: must be greater than 0"),
        ({"quorum": 1.2}, "participation.quorum: 1.2: too large for a share"),
        ({"deadline": 0}, "participation.deadline: must be greater than 0"),
        ({"deadline": "soon"}, "participation.deadline: 'soon' is not a duration"),
        ({"deadline": {"medin": 1}}, "participation.deadline.medin: unknown field; did you mean 'median'?"),
        ({"deadline": {"median": 0}}, "participation.deadline.median: must be greater than 0"),
        ({"deadline": {"mad": -1}}, "participation.deadline.mad: must be at least 0"),
        ({"over_selection": 0.5, "fraction": 0.2}, "participation.over_selection: must be at least 1"),
        # Of everyone, and of clients that are listed, there are no more.
        ({"over_selection": 1.3}, "over_selection: only a fraction"),
        ({"over_selection": 1.3, "rounds": [[0], [1]]}, "over_selection: only a fraction"),
        ({"late": "drop"}, "participation.late: must be 'discard' or 'next-round'"),
        ({"short": "stop"}, "participation.short: must be 'end' or 'wait'"),
    ],
)
def test_participation_that_is_wrong_is_told_so_once(participation: Fields, said: str):
    refused(BASE | {"participation": participation}, said)


@pytest.mark.parametrize(
    "participation", [{"quorum": 0.5}, {"deadline": "1h"}, {"deadline": {}}, {"late": "next-round"}, {"short": "wait"}]
)
@pytest.mark.parametrize("method", sorted(METHODS))
def test_only_rounds_that_are_waited_for_can_be_cut_short(method: str, participation: Fields):
    traits = METHODS[method].shape.traits
    fields = BASE | {"method": method, "participation": participation}
    if "short" in participation or (traits.rounds_numbered and not traits.takes_turns):
        Scenario.parse(fields)
    else:
        [field] = participation
        refused(fields, f"participation.{field}: clients of {method}")
        Scenario.parse(BASE | {"method": method, "participation": {"late": "discard", "quorum": 1}})


def refused(fields: Fields, said: str) -> None:
    with pytest.raises(ScenarioError) as error:
        Scenario.parse(fields)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("fleet.branch.dropout.rate=10%", "fleet.0.dropout.rate", "10%"),
        ("fleet.*.failures.resume=true", "fleet.0.failures.resume", True),
        ("fleet.branch.outages.transfers=restart", "fleet.0.outages.transfers", "restart"),
        # A file takes what would be drawn away.
        ("fleet.branch.available.file=s.json", "fleet.0.available", {"file": "s.json"}),
        ("participation.deadline={mad: 2}", "participation.deadline", {"mad": 2}),
        ("participation.quorum=0.5", "participation.quorum", 0.5),
    ],
)
def test_overrides(override: str, path: str, value: Any):
    found: Any = plain_fields(ISSUE, [override])
    for part in path.split("."):
        found = found[int(part) if isinstance(found, list) else part]
    assert found == value
    load(ISSUE, [override])


def test_recorded_sessions_lie_beside_their_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (folder / "s.json").write_text(json.dumps([[[0, 5]]]))
    (folder / "scenario.yaml").write_text(to_yaml(BASE | {"fleet": [{"available": {"file": "s.json"}}]}))
    monkeypatch.chdir(tmp_path)
    assert read(folder / "scenario.yaml")["fleet"] == [{"available": {"file": str(folder / "s.json")}}]
