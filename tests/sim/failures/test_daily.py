"""Clients that come and go by the clock; times are counted by hand."""

from __future__ import annotations

from datetime import time
from typing import Any

import pytest

import parasim
from parasim_core.sim.errors import ScenarioError
from parasim_core.sim.failures.availability import DAY, DailySessions
from parasim_core.sim.scenario.calendar import read_moment, read_time

HOUR = 3600.0
# Of one client with 30 s of computing; its messages take 1 s each way.
RUN: dict[str, Any] = {
    "method": "fedbcd",
    "rounds": 2,
    "participation": {"short": "wait"},
    "payload": {"upload": "9MB"},
    "compute": {"seconds": 30},
}


def nightly(start: str, begin: str = "22:00", end: str = "6:00") -> DailySessions:
    return DailySessions(read_moment(start), read_time(begin), read_time(end))


def changes(sessions: DailySessions, until: float) -> list[float]:
    """All times at which a client comes or goes [s]; that it is there alternates."""
    time, there, found = 0.0, sessions.there(0, 0.0), []
    while (time := sessions.next_change(0, time)) < until:
        there = not there
        assert sessions.there(0, time) is there
        assert sessions.there(0, time - 1) is not there
        found.append(time / HOUR)
    return found


@pytest.mark.parametrize(
    ("start", "there", "hours"),
    [
        ("2026-12-01T17:00", False, [5, 13, 29, 37]),
        ("2026-12-01T22:00", True, [8, 24, 32, 48]),
        ("2026-12-02T05:59 Europe/Berlin", True, [1 / 60, 16 + 1 / 60, 24 + 1 / 60, 40 + 1 / 60]),
        ("2026-12-02T06:00 Asia/Tokyo", False, [16, 24, 40, 48]),
    ],
)
def test_nights(start: str, there: bool, hours: list[float]):
    sessions = nightly(start)
    assert sessions.there(3, 0.0) is there
    assert changes(sessions, 2.1 * DAY)[:4] == pytest.approx(hours)


def test_days():
    assert changes(nightly("2026-12-01T10:00", "9:00", "17:30"), 2 * DAY) == [7.5, 23, 31.5, 47]
    assert changes(nightly("2026-12-01T10:00", "9:00", "24:00"), 2 * DAY) == [14, 23, 38, 47]


def test_a_night_is_as_long_as_the_clock_makes_it():
    # 25 October 2026, 03:00 is put back to 02:00 in Berlin: 22:00 to 6:00 takes 9 h. 28 March 2027 it takes 7 h; no
    # clock shows 02:15 to 02:45, which is taken for the same time after 02:00, by which clocks are put forward.
    assert changes(nightly("2026-10-24T22:00 Europe/Berlin"), 30 * HOUR) == [9, 25]
    assert changes(nightly("2027-03-27T22:00 Europe/Berlin"), 30 * HOUR) == [7, 23]
    short = nightly("2027-03-27T00:00 Europe/Berlin", "2:15", "2:45")
    assert changes(short, 3 * DAY) == [2.25, 2.75, 26.25, 26.75, 49.25, 49.75]


def test_summer_ends():
    # Since the clock was put back on 25 October, 22:00 is an hour later.
    sessions = nightly("2026-09-01T22:00 Europe/Berlin")
    assert sessions.there(0, 50 * DAY)
    for days in (60, 200):
        assert not sessions.there(0, days * DAY)
        assert sessions.next_change(0, days * DAY) == days * DAY + HOUR


def test_a_run_waits_for_the_night():
    available = {"daily": ["22:00", "6:00"]}
    fleet = [{"uplink": "9MB/s", "available": available}]
    # 5 h until 22:00; then 2 x (30 + 1) s, and 1 s down between the rounds.
    result = parasim.simulate(RUN | {"start": "2026-12-01T17:00", "fleet": fleet})
    assert result.wall_clock == pytest.approx(5 * HOUR + 63)
    # 17:00 in Berlin is 01:00 in Tokyo, where it is night.
    fleet = [{"uplink": "9MB/s", "available": available | {"zone": "Asia/Tokyo"}}]
    assert parasim.simulate(RUN | {"start": "2026-12-01T17:00 Europe/Berlin", "fleet": fleet}).wall_clock == 63


def drawn(**fields: Any) -> float:
    """Wall-clock of a run whose clients come and go, mostly at noon."""
    available = {"share": "20%", "session": "1h", "day_to_night": 50} | fields.pop("available", {})
    fleet = [{"count": 8, "uplink": "9MB/s", "available": available}]
    return parasim.simulate(RUN | {"rounds": 300, "compute": {"seconds": "5min"}, "fleet": fleet} | fields).wall_clock


def test_day_and_night_begin_when_the_run_does():
    # Six in the morning is when a run begins that does not say when.
    assert drawn(start="2026-12-01T06:00") == drawn()
    assert drawn(start="2026-12-01T18:00") != drawn()
    # Noon in Berlin is 20:00 in Tokyo.
    tokyo = drawn(start="2026-12-01T12:00 Europe/Berlin", available={"zone": "Asia/Tokyo"})
    assert tokyo == drawn(start="2026-12-01T20:00 UTC")


@pytest.mark.parametrize(
    ("available", "start", "said"),
    [
        ({"daily": ["22:00", "6:00"]}, None, "fleet.0.available: goes by the time of day; say when the run starts"),
        ({"daily": ["22:00", "22:00"]}, "2026-12-01", "from 22:00 to 22:00 is all day"),
        ({"daily": ["0:00", "24:00"]}, "2026-12-01", "is all day"),
        ({"daily": ["22:00"]}, "2026-12-01", "fleet.0.available.daily"),
        ({"daily": ["22", "6:00"]}, "2026-12-01", "'22' is no time of day"),
        ({"daily": ["22:00", "6:00"], "share": 0.5}, "2026-12-01", "give share or daily, not both"),
        ({"daily": ["22:00", "6:00"], "zone": "Mars"}, "2026-12-01", "'Mars' is no time zone"),
        ({"daily": ["22:00", "6:00"], "zone": "UTC"}, "2026-12-01", "zone: start has none"),
        ({"share": 0.5, "session": "1h", "zone": "UTC"}, "2026-12-01 UTC", "nothing goes by the time of day"),
        ({"share": 0.5, "session": "1h"}, "next Friday", "start: 'next Friday' is no time of the calendar"),
    ],
)
def test_what_is_wrong_is_said(available: dict[str, Any], start: str | None, said: str):
    fields = RUN | {"fleet": [{"available": available}]} | ({} if start is None else {"start": start})
    with pytest.raises(ScenarioError) as error:
        parasim.load(fields)
    assert said in str(error.value)


def test_begin_and_end_are_of_the_clock():
    assert (read_time("22:00"), read_time("24:00")) == (time(22), time(0))
