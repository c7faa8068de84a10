"""Traces of Mahimahi, and what a recorded trace of whatever form says of a direction."""

from __future__ import annotations

import re

from parasim.importing.content import Content
from parasim.importing.measurement import Measurement, Rate, bits, checked_rate
from parasim_core.sim.network.capacity import Varying
from parasim_core.sim.scenario.links import Traced
from parasim_core.sim.scenario.trace_files import Trace, recorded

_LIKE_ONE = re.compile(r"[ \t]{0,9}\d{1,12}[ \t]{0,9}\n[ \t]{0,9}\d{1,12}[ \t]{0,9}(?:\n|$)")


def read(content: Content) -> list[Measurement] | None:
    """Read a trace, one time in ms a line at which one packet may pass; None if it is none.

    It does not say which direction it is of: here, it stands as the uplink.

    Raises
    ------
    ScenarioError
        If it is one, and wrong.
    """
    if not _LIKE_ONE.match(content.text):
        return None
    trace = recorded(Traced.model_construct(trace=str(content.path)))
    return [Measurement("trace", uplink=rate_of(trace, "mean of {seconds} of Mahimahi, with all headers"))]


def rate_of(trace: Trace, how: str) -> Rate:
    """Mean of a trace, and its rates second by second where they change more often.

    Parameters
    ----------
    trace : Trace
        As a scenario would follow it.
    how : str
        What it was taken from, with ``{seconds}`` for its length.
    """
    course, period = trace.course, trace.course.period
    assert period is not None
    mean = checked_rate(course.mean, "mean rate")
    rows = tuple(zip(course.times, course.rates, strict=True))
    if len(rows) > period:
        varying = Varying(course)
        ends = [*range(1, int(period) + (period % 1 > 0)), period]
        rows = tuple((end - 1.0, varying.delivered(end - 1.0, end)) for end in ends[:-1])
        last = rows[-1][0] + 1.0 if rows else 0.0
        rows += ((last, varying.delivered(last, period) / (period - last)),)
    return Rate(
        mean,
        f"{bits(mean)}, {how.format(seconds=f'{period:,.0f} s' if period >= 1000 else f'{period:.4g} s')}",
        False,
        rows,
        period,
    )
