"""Links that are other ones by day and by night; times are worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import parasim
from parasim_core.sim.errors import ScenarioError

DAY_AND_NIGHT = {"steps": [["0h", "9MB/s"], ["8h", "1MB/s"], ["18h", "9MB/s"]], "period": "24h"}
RUN: dict[str, Any] = {
    "method": "fedbcd",
    "rounds": 2,
    "payload": {"upload": "9MB"},
    "compute": {"seconds": 30},
}


def wall_clock(uplink: object, start: str | None) -> float:
    fleet = [{"uplink": uplink, "downlink": "9MB/s"}]
    return parasim.simulate(RUN | {"fleet": fleet} | ({} if start is None else {"start": start})).wall_clock


@pytest.mark.parametrize(
    ("start", "seconds"),
    [
        # 2 x (30 + 1 s up), 1 s down; by day 2 x (30 + 9) and 1.
        ("2026-12-01T00:00", 63),
        ("2026-12-01T12:00 Europe/Berlin", 79),
        ("2026-12-01T18:00", 63),
        # Of the first message, 5 MB are through at 18:00, 5 s after it was begun; 4 MB take 4/9 s then. The second 1 s.
        ("2026-12-01T17:59:25", 30 + 5 + 4 / 9 + 1 + 30 + 1),
    ],
)
def test_steps_by_the_time_of_day(start: str, seconds: float):
    assert wall_clock(DAY_AND_NIGHT | {"start": "time-of-day"}, start) == pytest.approx(seconds)


def test_steps_count_from_the_beginning_of_a_run_unless_they_say_otherwise():
    assert wall_clock(DAY_AND_NIGHT, "2026-12-01T12:00") == pytest.approx(63)


def test_a_trace_from_midnight_on(tmp_path: Path):
    trace = tmp_path / "day.csv"
    trace.write_text("seconds,up_MB_s\n0,9\n28800,1\n64800,9\n86400,9\n")
    for start, seconds in (("2026-12-01T00:00", 63), ("2026-12-01T12:00", 79)):
        uplink = {"trace": str(trace), "start": "time-of-day"}
        assert wall_clock(uplink, start) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"fleet": [{"uplink": DAY_AND_NIGHT | {"start": "time-of-day"}}]},
            "fleet.0.uplink.start: goes by the time of day; say when the run starts",
        ),
        ({"server": {"egress": DAY_AND_NIGHT | {"start": "time-of-day"}}}, "server.egress.start: goes by the time"),
        ({"regions": {"eu": {"uplink": DAY_AND_NIGHT | {"start": "time-of-day"}}}}, "regions.eu.uplink.start: goes by"),
        (
            {"fleet": [{"site": {"clients": 1, "uplink": DAY_AND_NIGHT | {"start": "time-of-day"}}}]},
            "fleet.0.site.uplink.start: goes by",
        ),
        (
            {"start": "2026-12-01", "fleet": [{"uplink": {"steps": [[0, "1MB/s"]], "start": "time-of-day"}}]},
            "start: time-of-day goes with a period",
        ),
        ({"fleet": [{"uplink": {"trace": "x.csv", "start": "time of day"}}]}, "did you mean 'time-of-day'?"),
        ({"fleet": [{"uplink": {"trace": "x.csv", "start": "randm"}}]}, "did you mean 'random'?"),
    ],
)
def test_what_is_wrong_is_said(fields: dict[str, Any], said: str):
    with pytest.raises(ScenarioError) as error:
        parasim.load(RUN | fields)
    assert said in str(error.value)
