"""speedtest-cli counts bits a second, Ookla's speedtest bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from parasim.importing.formats import read_file
from parasim_core.sim.errors import ScenarioError
from tests.parasim.importing.samples import OOKLA, SPEEDTEST_CLI, write


def test_speedtest_cli(tmp_path: Path):
    [one] = read_file(write(tmp_path / "test", SPEEDTEST_CLI))
    assert one.uplink is not None
    assert one.downlink is not None
    assert one.round_trip is not None
    assert (one.uplink.mean, one.downlink.mean) == (38_117_020.25 / 8, 93_251_742.5 / 8)
    assert one.round_trip.seconds == pytest.approx(0.0214)


@pytest.mark.parametrize("log", ["", '{"type":"log","message":"Error: [0] Cannot read from socket","level":"error"}\n'])
def test_ookla(tmp_path: Path, log: str):
    [one] = read_file(write(tmp_path / "test", log + json.dumps(OOKLA)))
    assert one.uplink is not None
    assert one.downlink is not None
    assert one.round_trip is not None
    assert (one.uplink.mean, one.downlink.mean) == (13_206_885, 20_309_419)
    assert one.round_trip.seconds == pytest.approx(0.005728)
    assert one.loss is None  # its packetLoss is of a full link
    assert any("packetLoss" in note for note in one.notes)


def test_a_direction_that_was_left_out_is_not_known(tmp_path: Path):
    [one] = read_file(write(tmp_path / "test", SPEEDTEST_CLI | {"upload": 0}))  # speedtest-cli --no-upload
    assert one.uplink is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"error": "Cannot open socket"}, "Cannot open socket"),
        ({"type": "log", "message": "Configuration - No servers defined", "level": "error"}, "No servers defined"),
        (SPEEDTEST_CLI | {"upload": 0, "download": 0}, "neither"),
        (SPEEDTEST_CLI | {"upload": -3}, "upload"),
        (OOKLA | {"download": {"bandwidth": "NaN"}}, "download.bandwidth"),
        (OOKLA | {"download": 20_309_419}, "download"),
        (json.dumps(OOKLA) + "\n" + json.dumps(OOKLA), "2 results"),
        ([SPEEDTEST_CLI], "none of"),
    ],
    ids=range(8),
)
def test_what_is_wrong_is_refused(tmp_path: Path, content: object, reason: str):
    with pytest.raises(ScenarioError, match=reason):
        read_file(write(tmp_path / "test", content))
