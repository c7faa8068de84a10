from __future__ import annotations

import math
import random
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, assume, given, settings
from simpy import Environment

from sim.errors import NetworkError
from sim.network import GeneralTree, Tree
from tests.sim.star_cases import Case, Change, Client, Message, Site, oracle, run, simulate, trees


def restored(case):
    """End all outages at last, so that everything arrives."""
    last = {}
    for change in case.changes:
        last[change.upload, change.client, change.site] = change
    end = replace_all = [replace(change, time=500.0 + i, capacity=3.0) for i, change in enumerate(last.values())]
    return replace(case, changes=(*sorted(case.changes, key=lambda c: c.time), *end)) if replace_all else case


def ambiguous(case, ends):
    """Whether something ends when a link goes down, but for rounding: it may end then, or when the link is up."""
    outages = [change.time for change in case.changes if change.capacity == 0]
    return any(abs(end.end - time) <= 1e-9 * time for end in ends for time in outages)


def check(network_class, case):
    ends = oracle(case)
    if ambiguous(case, ends):
        return False
    got = run(network_class, case)
    assert [end for end, _, _ in got] == pytest.approx([end.end for end in ends], rel=1e-9)
    assert [delivered for _, delivered, _ in got] == pytest.approx([end.delivered for end in ends], rel=1e-9, abs=1e-9)
    for (end, _, transfer), outcome, message in zip(got, ends, case.messages, strict=True):
        parts = transfer.parts()
        assert sum(parts) == pytest.approx(end - message.start, rel=1e-8, abs=1e-9)
        assert parts.latency == pytest.approx(
            min(case.clients[message.client].latency, end - message.start), rel=1e-9, abs=1e-12
        )
        assert parts.alone == pytest.approx(outcome.alone, rel=1e-8, abs=1e-8)
        assert parts.stalled == pytest.approx(outcome.stalled, rel=1e-8, abs=1e-8)
    return True


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees())
def test_the_tree_agrees_with_the_oracle(case):
    assume(check(Tree, restored(case)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees(half_duplex=True))
def test_the_general_tree_agrees_with_the_oracle(case):
    assume(check(GeneralTree, restored(case)))
