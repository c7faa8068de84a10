"""Deadlines of runs, as durations or by the calendar, and when a run ends by the calendar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from parasim.sentences import say
from parasim_core.sim.errors import ScenarioError, UnitError
from parasim_core.sim.scenario.calendar import due, is_calendar, moment_after, written
from parasim_core.sim.scenario.scenario import Scenario
from parasim_core.sim.scenario.units import duration

ROUNDING = 1e-9
"""Share of a deadline that is rounding: a run that ends on the dot meets it, however its sums were rounded."""


@dataclass(frozen=True)
class Within:
    """A deadline.

    Attributes
    ----------
    text : str
        As it was given.
    seconds : float
        From the start of the run on [s].
    starts : datetime or None
        When the run starts; None if the calendar does not matter.
    by : datetime or None
        The deadline by the calendar; None if it was given as a duration.
    """

    text: str
    seconds: float
    starts: datetime | None
    by: datetime | None = None

    def met(self, wall_clock: float) -> bool:
        """Whether a run of so many seconds meets it."""
        return wall_clock <= self.seconds * (1 + ROUNDING)


def read_within(within: str | float, scenario: Scenario) -> Within:
    """Read a deadline.

    Parameters
    ----------
    within : str or float
        A duration (seconds if it is a number; a text needs a unit), or a time of the calendar.
    scenario : Scenario
        Says with `start` when its run starts; now if it does not, where the deadline is one of the calendar.

    Raises
    ------
    ScenarioError
        If it is neither, or not later than the start.
    """
    text = str(within)
    # Elsewhere a bare number is seconds; as a deadline it was as likely meant to be minutes.
    if isinstance(within, str) and not is_calendar(text) and text.strip("+-0123456789.eE ") == "":
        raise ScenarioError(f"--within {within!r} has no unit; write a duration like 90s, 25min or 4h")
    if isinstance(within, str) and is_calendar(text):
        try:
            found = due(text, scenario.starts)
        except ValueError as error:
            raise ScenarioError(f"--within {error}") from None
        return Within(text, found.seconds, found.starts, found.by)
    try:
        seconds = duration(within)
    except UnitError as error:
        raise ScenarioError(f"--within {error}") from None
    if not seconds:
        raise ScenarioError(f"--within {within}: must be longer than nothing")
    return Within(text, seconds, scenario.starts)


def times_of(starts: datetime | None, within: Within | None, wall_clock: float) -> dict[str, Any]:
    """When a run starts and ends by the calendar, and how it stands to a deadline: nothing where neither matters."""
    found: dict[str, Any] = {}
    if starts is not None:
        found["calendar"] = {"starts": starts.isoformat(), "ends": moment_after(starts, wall_clock).isoformat()}
    if within is not None:
        found["deadline"] = {
            "within": within.text,
            "within_s": within.seconds,
            "met": within.met(wall_clock),
            "margin_s": within.seconds - wall_clock,
        }
    return found


def times_said(starts: datetime | None, within: Within | None, wall_clock: float) -> list[str]:
    """Say the same, a sentence each."""
    said = []
    if starts is not None:
        said.append(say("times.calendar", starts=written(starts), ends=written(moment_after(starts, wall_clock))))
    if within is not None:
        verdict = "met" if within.met(wall_clock) else "missed"
        said.append(say(f"times.{verdict}", deadline=deadline_said(within), margin=abs(within.seconds - wall_clock)))
    return said


def deadline_said(within: Within) -> str:
    """Write a deadline: as a duration, and by the calendar if it was given so."""
    if within.by is None:
        return say("times.duration", seconds=within.seconds)
    return say("times.moment", by=written(within.by), seconds=within.seconds)
