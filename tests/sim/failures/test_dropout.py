"""Who vanishes: how often, at what, and the same clients at any higher rate."""

from __future__ import annotations

import math
import statistics
from collections import Counter

import pytest

from parasim_core.sim.failures.dropout import Dropouts
from parasim_core.sim.support.streams import KeyedStream


def error(share: float, count: int) -> float:
    return 4 * math.sqrt(share * (1 - share) / count)


@pytest.mark.parametrize(
    ("during", "shares"),
    [
        ("any", {"download": 0.25, "compute": 0.5, "upload": 0.25}),
        ("compute", {"compute": 1.0}),
        ("exchange", {"download": 0.5, "upload": 0.5}),
    ],
)
def test_rate_phases_and_fractions(during, shares: dict[str, float]):
    dropouts = Dropouts(1, 0.3, during, back_after=2)
    drawn = [dropouts.draw(client, number) for client in range(100) for number in range(100)]
    gone = [each for each in drawn if each is not None]
    assert len(gone) / len(drawn) == pytest.approx(0.3, abs=error(0.3, len(drawn)))
    phases = Counter(each.phase for each in gone)
    assert set(phases) == set(shares)
    for phase, share in shares.items():
        assert phases[phase] / len(gone) == pytest.approx(share, abs=error(share, len(gone)))
    # Uniform in each phase: mean 1/2, standard deviation sqrt(1/12).
    fractions = [each.fraction for each in gone]
    for phase in shares:
        own = [each.fraction for each in gone if each.phase == phase]
        assert statistics.fmean(own) == pytest.approx(0.5, abs=4 * math.sqrt(1 / 12 / len(own)))
    assert 0 <= min(fractions) < max(fractions) < 1
    assert {each.away for each in gone} == {2}


def test_those_of_a_rate_vanish_at_any_higher_one():
    few, many = Dropouts(2, 0.1), Dropouts(2, 0.4)
    for client in range(200):
        one = few.draw(client, 3)
        assert one is None or one == many.draw(client, 3)


def test_all_and_none(monkeypatch: pytest.MonkeyPatch):
    assert all(Dropouts(3, 1.0).draw(client, 0) for client in range(500))
    monkeypatch.setattr(KeyedStream, "uniform", None)
    assert Dropouts(3, 0.0).draw(5, 0) is None
