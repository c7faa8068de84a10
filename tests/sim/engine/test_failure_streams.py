"""Random streams of failures: each has its own, one that is off draws nothing, and none shifts the draws of another."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from parasim_core.sim.engine import candidates
from parasim_core.sim.support.streams import KeyedStream, Stream
from tests.sim.runs import simulated

MODELS: dict[str, dict[str, Any]] = {
    "available": {"share": 0.6, "session": "60s"},
    "outages": {"every": "20s", "last": "2s", "transfers": "restart"},
    "failures": {"every": "60s", "repair": "5s", "resume": True},
    "dropout": {"rate": 0.2},
}
STREAMS: dict[str, set[str]] = {
    "available": {"session-begins", "session-ends"},
    "outages": {"outages"},
    "failures": {"failures"},
    "dropout": {"dropout"},
}
METHODS = ["fedbcd", "parablock"]
Drawn = dict[tuple[str, tuple[int, ...]], list[float]]


def drawn(method: str, models: dict[str, Any], **participation: Any) -> Drawn:
    """What is drawn of streams with keys in a run, by stream and keys."""
    names: dict[int, str] = {}
    numbers: Drawn = {}
    make, uniform = KeyedStream.__init__, KeyedStream.uniform

    def made(self: KeyedStream, seed: int, name: Stream) -> None:
        make(self, seed, name)
        names[id(self)] = name

    def noted(self: KeyedStream, size: int, *keys: int) -> list[float]:
        found = uniform(self, size, *keys)
        own = numbers.setdefault((names[id(self)], keys), found)
        # More of them begin with the same.
        assert own[:size] == found[: len(own)]
        return found

    with patch.object(KeyedStream, "__init__", made), patch.object(KeyedStream, "uniform", noted):
        simulated(
            method=method,
            rounds=6,
            fleet=[{"count": 8, "uplink": "50MB/s", **models}],
            participation={"short": "wait", **participation},
            blocks={"count": 3},
        )
    return numbers


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("off", MODELS)
def test_a_model_that_is_off_draws_nothing(off: str, method: str):
    names = {name for name, _ in drawn(method, {name: given for name, given in MODELS.items() if name != off})}
    assert names == set().union(*(STREAMS[name] for name in MODELS if name != off))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("alone", MODELS)
def test_what_one_draws_does_not_depend_on_others(alone: str, method: str):
    by_itself, together = drawn(method, {alone: MODELS[alone]}), drawn(method, MODELS)
    same = by_itself.keys() & together.keys()
    assert len(same) >= 4
    for key in same:
        size = min(len(by_itself[key]), len(together[key]))
        assert by_itself[key][:size] == together[key][:size]


class Refusing:
    """A generator of which nothing may be drawn."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} is drawn")


@pytest.mark.parametrize("method", METHODS)
def test_nobody_is_selected_at_random_unless_more_are_wanted(method: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(candidates, "stream", lambda seed, name: Refusing())
    told = {"fraction": 0.5, "quorum": 0.5}
    drawn(method, MODELS, **told)
    with pytest.raises(AssertionError, match="drawn"):
        drawn(method, MODELS, **told, over_selection=1.5)


@pytest.mark.parametrize("method", METHODS)
def test_without_any_model_there_are_no_streams_with_keys(method: str):
    never = {"available": {"share": 1, "session": "1h"}, "dropout": {"rate": 0}}
    assert drawn(method, never, quorum=0.5) == {}


def test_streams_of_one_seed_are_independent():
    # Pearson's correlation of 4,000 uniform numbers has a standard deviation of 1 / sqrt(4000) = 0.016.
    names: list[Stream] = ["session-begins", "session-ends", "outages", "failures", "dropout"]
    numbers = [[KeyedStream(7, name).uniform(20, client, 0) for client in range(200)] for name in names]
    correlations = np.corrcoef(np.array(numbers).reshape(len(names), -1))
    assert np.abs(correlations - np.eye(len(names))).max() < 5 / np.sqrt(4000)
