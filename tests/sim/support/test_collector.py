import gc
import weakref

import pytest

from parasim_core.sim.support import collector
from parasim_core.sim.support.collector import collect_if_due, no_collection


class Circle:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search as soon as anything was made."""
    monkeypatch.setattr(collector, "LEAST", 0)
    monkeypatch.setattr(collector._Unsearched, "made", 0)
    monkeypatch.setattr(collector._Unsearched, "alive", 0)


def circles(count: int) -> weakref.ref[Circle]:
    """Make circles without the collector, and drop them; return what tells whether they were collected."""
    with no_collection():
        made = [Circle() for _ in range(count)]
        return weakref.ref(made[0])


def test_what_was_made_without_the_collector_is_not_searched_when_it_wakes_up() -> None:
    searched = []
    gc.callbacks.append(watch := lambda phase, told: searched.append(told))
    try:
        circles(10_000)
    finally:
        gc.callbacks.remove(watch)
    assert searched == []
    assert gc.isenabled()


def test_garbage_is_collected_once_it_is_a_quarter_of_what_is_alive(few: None) -> None:
    gone = circles(1)
    collector._Unsearched.alive = 1_000_000
    collect_if_due()
    assert gone() is not None
    collector._Unsearched.alive = 0
    collect_if_due()
    assert gone() is None
    assert collector._Unsearched.made == 0
    assert collector._Unsearched.alive > 0


def test_a_collector_that_is_off_stays_off(few: None) -> None:
    gc.disable()
    try:
        gone = circles(1)
        collect_if_due()
        assert not gc.isenabled()
        assert gone() is not None
    finally:
        gc.enable()
