"""Times of the calendar: when a run starts, and deadlines such as ``Friday 18:00``.

A time without a zone is one on the clock of whoever reads it. Between two such times as many seconds pass as the clock
shows; between two with zones, as many as really pass, the hour that clocks are put forward or back included.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from parasim_core.sim.errors import shown

EXAMPLES = "2026-12-04T18:00, or with a time zone 2026-12-04T18:00 Europe/Berlin"
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DEADLINES = "25min, Friday 18:00 or 2026-12-04T18:00"
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9:.]+\S*)?$")
_OFFSET = re.compile(r"(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})$")
_LONGEST = 100


class Due(NamedTuple):
    """A deadline of the calendar.

    Attributes
    ----------
    starts : datetime
        When the run starts.
    by : datetime
        The deadline, in the zone in which it was given.
    """

    starts: datetime
    by: datetime

    @property
    def seconds(self) -> float:
        """From the start of the run to the deadline [s]."""
        return seconds_between(self.starts, self.by)


@lru_cache(maxsize=64)
def read_moment(text: str) -> datetime:
    """Read a time of the calendar, with or without a zone.

    Parameters
    ----------
    text : str
        ISO 8601, and perhaps the name of a time zone behind a blank.

    Raises
    ------
    ValueError
        If it is none.
    """
    told, zone = _zone(text)
    try:
        # Python also reads week numbers, and dates without hyphens.
        if _ISO.match(told) is None:
            raise ValueError
        moment = datetime.fromisoformat(told)
        if zone is not None and moment.tzinfo is not None:
            raise ValueError
    except ValueError:
        raise ValueError(f"{shown(text)} is no time of the calendar; write it like {EXAMPLES}") from None
    return moment if zone is None else moment.replace(tzinfo=zone)


def read_time(text: str) -> time:
    """Read a time of day such as ``22:00``; ``24:00`` is midnight at the end of a day.

    Raises
    ------
    ValueError
        If it is none.
    """
    match = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})", text)
    hours, minutes = map(int, match.groups()) if match else (99, 0)
    if minutes > 59 or hours > 24 or (hours == 24 and minutes):
        raise ValueError(f"{shown(text)} is no time of day; write it like 22:00")
    return time(hours % 24, minutes)


def read_zone(name: str) -> ZoneInfo:
    """Find a time zone by its name in the IANA database.

    Raises
    ------
    ValueError
        If there is none.
    """
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        raise ValueError(f"{shown(name)} is no time zone; write it like Europe/Berlin or UTC") from None


def is_calendar(text: str) -> bool:
    """Tell a time of the calendar from a duration."""
    return re.search(":|^ *[A-Za-z]|^ *[0-9]{4}-[0-9]{2}-", text) is not None


def due(text: str, start: datetime | None) -> Due:
    """Read a deadline of the calendar.

    Parameters
    ----------
    text : str
        ``Friday 18:00``, ``tomorrow 8:00``, ``18:00``, or as `read_moment` takes it; perhaps with a time zone. Days are
        the next ones after the run starts.
    start : datetime or None
        When the run starts; now if None.

    Raises
    ------
    ValueError
        If it is none, is not after the start, or only one of the two has a zone.
    """
    told, zone = _zone(text)
    day, _, clock = told.rpartition(" ")
    starts = datetime.now().astimezone() if start is None else start
    if starts.tzinfo is None and (zone is not None or _OFFSET.search(told)):
        example = f"start: {starts:%Y-%m-%dT%H:%M} UTC"
        raise ValueError(f"{shown(text)} names a time zone, but start does not; give start one, such as {example}")
    if re.match("[0-9]{4}-", told):
        by = read_moment(text)
    else:
        # Without a zone of its own, it is meant where the run starts.
        from_then = starts if zone is None else starts.astimezone(zone)
        by = _next(day.strip().lower(), clock, from_then.replace(tzinfo=None), text)
    if by.tzinfo is None and starts.tzinfo is not None:
        # The machine's own zone may have put its clock forward or back by then.
        by = by.astimezone() if start is None and zone is None else by.replace(tzinfo=zone or starts.tzinfo)
    found = Due(starts, by)
    if found.seconds <= 0:
        raise ValueError(f"{shown(text)} is not after the run starts, at {written(starts)}")
    return found


def _next(day: str, clock: str, starts: datetime, text: str) -> datetime:
    """First time on a clock after another one."""
    try:
        at = read_time(clock)
    except ValueError:
        raise ValueError(
            f"{shown(text)} is neither a duration nor a time of the calendar; write {_DEADLINES}"
        ) from None
    # 24:00 ends the day that is named.
    later = timedelta(days=clock.startswith("24"))
    today = datetime.combine(starts.date(), at) + later
    if day in ("", "today", "tomorrow"):
        if day:
            return today + timedelta(days=day == "tomorrow")
        return today if today > starts else today + timedelta(days=1)
    matching = [number for number, name in enumerate(_DAYS) if day in (name, name[:3])]
    if not matching:
        raise ValueError(f"{shown(text)}: {shown(day)} is no day of the week; write {_DEADLINES}")
    found = today + timedelta(days=(matching[0] - starts.weekday()) % 7)
    return found if found > starts else found + timedelta(days=7)


def _zone(text: str) -> tuple[str, tzinfo | None]:
    """Split a time zone off the end of a text."""
    told, _, name = text[:_LONGEST].strip().rpartition(" ")
    is_name = told and name[:1].isalpha() and ("/" in name or name.upper() == "UTC")
    return (told.strip(), read_zone(name)) if is_name else (text[:_LONGEST].strip(), None)


def seconds_between(start: datetime, end: datetime) -> float:
    """Seconds that pass between two times, both with zones or both without [s]."""
    if start.tzinfo is None:
        return (end - start).total_seconds()
    return (end.astimezone(UTC) - start.astimezone(UTC)).total_seconds()


def moment_after(start: datetime, seconds: float) -> datetime:
    """Time of the calendar so many seconds after another one, in its zone."""
    later = timedelta(seconds=seconds)
    return start + later if start.tzinfo is None else (start.astimezone(UTC) + later).astimezone(start.tzinfo)


def seconds_of_day(moment: datetime) -> float:
    """Seconds since midnight on a time's own clock [s]."""
    return (moment - moment.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()


def written(moment: datetime) -> str:
    """Write a time as people read it: ``Fri 4 Dec 2026 18:00``, and its zone if it has one."""
    zone = "" if moment.tzinfo is None else f" {getattr(moment.tzinfo, 'key', None) or moment.tzname()}"
    return f"{moment:%a} {moment.day} {moment:%b %Y %H:%M}{zone}"
