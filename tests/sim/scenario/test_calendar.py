"""Times of the calendar; expected times are counted by hand. 1 December 2026 is a Tuesday."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from parasim_core.sim.scenario.calendar import (
    due,
    is_calendar,
    moment_after,
    read_moment,
    read_time,
    seconds_between,
    written,
)

TUESDAY = read_moment("2026-12-01T17:00 Europe/Berlin")
HOUR = 3600


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("Friday 18:00", 3 * 24 + 1),
        ("fri 18:00", 3 * 24 + 1),
        ("18:00", 1),
        ("16:00", 23),
        ("today 24:00", 7),
        ("tomorrow 8:00", 15),
        # A week from now: the same moment is not after the start.
        ("Tuesday 17:00", 7 * 24),
        ("tue 17:30", 0.5),
        ("Sunday 24:00", 5 * 24 + 7),
        ("2026-12-04T18:00", 3 * 24 + 1),
        ("2026-12-04 18:00 Europe/Berlin", 3 * 24 + 1),
        # 18:00 UTC is 19:00 in Berlin; 18:00 in New York is midnight there.
        ("Friday 18:00 UTC", 3 * 24 + 2),
        ("2026-12-04T18:00Z", 3 * 24 + 2),
        ("2026-12-04T18:00-05:00", 3 * 24 + 7),
        ("Friday 18:00 America/New_York", 3 * 24 + 7),
    ],
)
def test_a_deadline_is_the_next_such_time(text: str, hours: float):
    assert is_calendar(text)
    assert due(text, TUESDAY).seconds == hours * HOUR


def test_days_are_those_of_the_zone_of_the_deadline():
    # Saturday 00:30 in Berlin is Friday 18:30 in New York, whose next Friday 18:00 is a week off.
    start = read_moment("2026-12-05T00:30 Europe/Berlin")
    assert due("Friday 18:00 America/New_York", start).seconds == (7 * 24 - 0.5) * HOUR


def test_an_hour_that_is_repeated_or_left_out_counts():
    # Clocks in Berlin are put back on 25 October 2026, and forward on 28 March 2027.
    assert due("Sunday 18:00", read_moment("2026-10-24T18:00 Europe/Berlin")).seconds == 25 * HOUR
    start = read_moment("2027-03-27T18:00 Europe/Berlin")
    assert due("Sunday 18:00", start).seconds == 23 * HOUR
    assert written(moment_after(start, 23 * HOUR)) == "Sun 28 Mar 2027 18:00 Europe/Berlin"
    # Without a zone, nobody puts the clock back.
    assert due("Sunday 18:00", read_moment("2026-10-24T18:00")).seconds == 24 * HOUR


def test_without_a_start_a_run_starts_now():
    before = datetime.now().astimezone()
    found = due("2999-01-01T00:00", None)
    assert timedelta(0) <= found.starts - before < timedelta(minutes=1)
    assert found.by.replace(tzinfo=None) == datetime(2999, 1, 1)
    assert found.seconds == seconds_between(found.starts, found.by)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Friday", "neither a duration nor a time of the calendar"),
        ("soon", "neither a duration nor a time of the calendar"),
        ("Friday 25:00", "neither a duration nor a time of the calendar"),
        ("Frightday 18:00", "'frightday' is no day of the week"),
        ("Friday 18:00 Europe/Berlim", "'Europe/Berlim' is no time zone"),
        ("2026-13-04T18:00", "is no time of the calendar"),
        ("2026-12-04T18:00Z Europe/Berlin", "is no time of the calendar"),
        ("2026-12-01T16:59", "is not after the run starts, at Tue 1 Dec 2026 17:00 Europe/Berlin"),
        ("today 17:00", "is not after the run starts"),
    ],
)
def test_what_is_no_deadline_says_what_one_is(text: str, said: str):
    with pytest.raises(ValueError, match=said):
        due(text, TUESDAY)


def test_a_zone_needs_one_to_count_from():
    with pytest.raises(ValueError, match="start does not; give start one, such as start: 2026-12-01T17:00 UTC"):
        due("Friday 18:00 UTC", read_moment("2026-12-01T17:00"))


@pytest.mark.parametrize("text", ["25min", "90", "-5min", "4h", "1e3s"])
def test_durations_are_none(text: str):
    assert not is_calendar(text)


@pytest.mark.parametrize("text", ["24:01", "7", "12:60", "noon", "-1:00"])
def test_times_of_day(text: str):
    assert (read_time("7:05").hour, read_time("24:00").hour) == (7, 0)
    with pytest.raises(ValueError, match="no time of day"):
        read_time(text)


def test_moments_are_read_with_and_without_zones():
    assert read_moment("2026-12-04") == datetime(2026, 12, 4)
    assert read_moment("2026-12-04T18:00+01:00") == datetime(2026, 12, 4, 17, tzinfo=UTC)
    assert read_moment("2026-07-04T18:00 Europe/Berlin").utcoffset() == timedelta(hours=2)
