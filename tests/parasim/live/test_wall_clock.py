import math
import threading

import pytest
from simpy import Event

from parasim.live.wall_clock import WallClock
from parasim_core.sim.errors import SimulationError


def run(clock: WallClock, until: Event) -> None:
    clock.start()
    clock.run(until)


def test_events_happen_no_earlier_than_their_time() -> None:
    clock, seen = WallClock(10), []

    def process():
        yield clock.timeout(0.05)
        seen.append(clock.elapsed())

    run(clock, clock.process(process()))
    assert seen[0] >= 0.05
    assert clock.now >= 0.05


def test_another_thread_completes_an_event() -> None:
    clock = WallClock(10)
    event = clock.event()
    post = clock.awaits("a thread")
    threading.Timer(0.02, lambda: post(lambda: event.succeed("done"))).start()

    def process():
        return (yield event)

    clock.start()
    assert clock.run(clock.process(process())) == "done"
    # Nothing is awaited any more, and nothing left to do.
    clock.run()


def test_what_fails_elsewhere_is_raised_here() -> None:
    clock = WallClock(10)
    post = clock.awaits("a thread")

    def fail() -> None:
        raise ValueError("broken")

    threading.Thread(target=lambda: post(fail)).start()
    with pytest.raises(ValueError, match="broken"):
        clock.run(clock.event())


def test_waiting_in_vain_ends_with_what_was_waited_for() -> None:
    clock = WallClock(0.05)
    clock.awaits("client 3 to train round 2")
    with pytest.raises(SimulationError, match="client 3 to train round 2"):
        clock.run(clock.event())


def test_time_never_goes_back() -> None:
    clock = WallClock(10)
    clock.start()
    times = [clock.now for _ in range(100)]
    assert times == sorted(times)
    assert clock.peek() == math.inf
