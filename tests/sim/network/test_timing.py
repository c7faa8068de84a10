from __future__ import annotations

import math

from simpy import Environment

from parasim_core.sim.network.timing import Alarm, EndOfInstant, go_on


def test_an_alarm_can_be_moved_either_way_and_switched_off():
    env = Environment()
    rung = []
    alarm = Alarm(env, lambda: rung.append(env.now))

    def move():
        alarm.set(5.0)
        alarm.set(3.0)  # earlier: 3, not 5
        yield env.timeout(4.0)
        alarm.set(6.0)
        alarm.set(8.0)  # later: 8, not 6
        yield env.timeout(5.0)
        alarm.set(10.0)
        alarm.set(math.inf)  # off: not at 10
        yield env.timeout(2.0)
        alarm.set(1.0)  # the past is now

    env.process(move())
    env.run()
    assert rung == [3.0, 8.0, 11.0]


def test_an_alarm_can_be_set_again_by_its_action():
    env = Environment()
    rung = []

    def action():
        rung.append(env.now)
        if len(rung) < 3:
            alarm.set(env.now + 2.0)

    alarm = Alarm(env, action)
    alarm.set(1.0)
    env.run()
    assert rung == [1.0, 3.0, 5.0]


def test_the_end_of_an_instant_comes_once_and_last():
    env = Environment()
    order = []
    end = EndOfInstant(env, lambda: order.append("end"))

    def process(name):
        yield env.timeout(1.0)
        end.request()
        order.append(name)
        yield env.timeout(0.0)
        end.request()
        order.append(name + " again")

    env.process(process("a"))
    env.process(process("b"))
    env.run()
    assert order == ["a", "b", "a again", "b again", "end"]


def test_the_end_of_an_instant_can_be_asked_for_again():
    env = Environment()
    times = []
    end = EndOfInstant(env, lambda: times.append(env.now))

    def process():
        for _ in range(3):
            end.request()
            yield env.timeout(1.0)

    env.process(process())
    env.run()
    assert times == [0.0, 1.0, 2.0]


def test_whoever_waits_alone_goes_on_at_once_and_several_by_way_of_the_queue():
    env = Environment()
    alone, shared = env.event(), env.event()
    seen = []

    def process(event):
        seen.append((yield event))

    for event in (alone, shared, shared):
        env.process(process(event))
    env.run()
    for event in (alone, shared):
        event._ok, event._value = True, 7.0
        go_on(event)
    assert seen == [7.0]
    env.run()
    assert seen == [7.0] * 3
