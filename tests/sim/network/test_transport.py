from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simpy import Environment

from parasim_core.sim.network import Course, HalfDuplexTree, PathNetwork, Tree, Varying
from parasim_core.sim.network.loss import loss_limit
from parasim_core.sim.network.transport import PACKET, SEGMENT, Tcp, outages
from parasim_core.sim.scenario.links import Buffers, Transport

TRIP = 0.098
LINK = 1000 * PACKET
"""1000 packets/s: with the two that each acknowledgement waits for, a round trip is 0.1 s and 100 packets."""


def tcp(round_trip: float = TRIP, direction: str = "uplink", **settings) -> Tcp:
    return Tcp(Transport(**settings), round_trip, direction)


def begins(segments: float, rate: float = LINK, **settings) -> tuple[float, float]:
    """Seconds of the start-up, and packets left after it."""
    start = tcp(**settings).start_up(segments * SEGMENT, rate)
    return start.seconds, start.left / PACKET


@pytest.mark.parametrize(
    ("segments", "flights", "left"),
    [
        # The handshake and half a round trip; up to 10 segments go at once.
        (1, 0, 1),
        (10, 0, 10),
        # 10, then what is left; 10 + 20, then what is left.
        (11, 1, 1),
        (30, 1, 20),
        (31, 2, 1),
        # 10 + 20 + 40 + 80 = 150; a flight of 160 would take longer than a round trip of 100.
        (1000, 4, 850),
    ],
)
def test_whole_flights_double_until_the_link_is_busy(segments: float, flights: int, left: float):
    assert begins(segments) == pytest.approx((1.5 * TRIP + flights * 0.1, left))


@pytest.mark.parametrize("loss", [1e-12, 1e-17, 1e-300])
@pytest.mark.parametrize("control", ["reno", "cubic"])
def test_a_loss_that_never_happens_starts_like_none(loss: float, control: str):
    # 1 - (1 - p)^1000 is 1000 p to the first order, also where 1 - p is 1 in floating point: all 1000 go before it.
    assert begins(1000, loss=loss, control=control) == pytest.approx((1.5 * TRIP + 4 * 0.1, 850))


def test_a_warm_connection_pays_no_handshake_but_starts_slowly():
    assert begins(1000, fresh=False) == pytest.approx((0.5 * TRIP + 4 * 0.1, 850))


def test_streams_begin_at_once():
    # 4 x 10, then 80: 160 would take longer than a round trip.
    assert begins(1000, streams=4) == pytest.approx((1.5 * TRIP + 2 * 0.1, 880))


def test_slow_start_ends_where_the_window_does():
    # 24 segments in 0.098 s are 24 / 0.098 packets/s: with two packets more, a round trip is one of 26 packets, and
    # 10 + 20 are sent before 40 would take longer.
    limited = tcp(window=f"{24 * SEGMENT}B")
    assert limited.limit(LINK) == pytest.approx(24 / TRIP * PACKET)
    start = limited.start_up(1000 * SEGMENT, LINK)
    assert start == pytest.approx((1.5 * TRIP + 2 * 26 / 24 * TRIP, 970 * PACKET))


def test_bbr_doubles_without_flights():
    # The rate is that of the link when 100 / ln 2 = 144.3 segments are out, log2(144.3 / 3.8) = 5.247 round trips
    # from the opening on, of which the first is the handshake.
    rounds = math.log2(100 / math.log(2) / 3.8)
    seconds, left = begins(1000, control="bbr")
    assert (seconds, left) == pytest.approx((1.5 * TRIP + (rounds - 1) * 0.1, 1000 - 100 / math.log(2)))
    # A shorter message ends in between, with its last packet.
    assert begins(76, control="bbr") == pytest.approx((1.5 * TRIP + (math.log2(20) - 1) * 0.1, 1))
    assert begins(10, control="bbr") == pytest.approx((1.5 * TRIP, 10))


def test_a_warm_bbr_keeps_its_rate():
    assert begins(1000, control="bbr", fresh=False) == pytest.approx((0.5 * TRIP, 1000))


@given(
    st.floats(1, 1e12),
    st.sampled_from([0.0, 1.0, 1e3, 1e6, 1e12, math.inf]),
    st.sampled_from([0.0, 1e-4, 0.05, 3.0]),
    st.sampled_from(["reno", "cubic", "bbr"]),
    st.sampled_from([0.0, 1e-9, 1e-4, 0.03, 0.5]),
    st.sampled_from([1, 7, 1000]),
    st.booleans(),
)
def test_figures_are_sound_whatever_is_given(size, rate, trip, control, loss, streams, fresh):
    one = tcp(trip, control=control, loss=loss, streams=streams, fresh=fresh)
    start = one.start_up(size, rate)
    assert trip / 2 <= start.seconds < math.inf
    assert 0 < start.left <= size / SEGMENT * PACKET * (1 + 1e-12)
    assert 0 <= one.limit(rate) <= rate
    # What goes before the first loss goes faster.
    assert one.limit(rate) * (1 - 1e-12) <= one.limit(rate, size) <= rate * (1 + 1e-12)
    if rate:
        assert one.limit(rate, size) > 0


def windows(control: str, loss: float, trip: float, link: float = math.inf, queue: float = 0.0) -> float:
    """Segments per second of windows that grow round trip by round trip and are cut by random losses: the slow twin.

    Reno and CUBIC (RFC 9438, with 8/15 of a segment per round trip where it goes like Reno, as in Linux), without
    timeouts; beyond the link's rate and a buffer of so many seconds, packets are lost, too.
    """
    draws = np.random.default_rng(7)
    window = np.full(300, min(1.2 / math.sqrt(loss), link * trip))
    before, floor, origin = window.copy(), window.copy(), window.copy()
    since, back = np.zeros(300), np.zeros(300)
    sent = seconds = 0.0
    for turn in range(2500):
        lasts = np.maximum(trip, window / link)
        lost = (draws.random(300) > (1 - loss) ** window) | (lasts > trip + queue)
        if turn > 500:
            sent, seconds = sent + window.sum(), seconds + lasts.sum()
        if control == "reno":
            window = np.where(lost, np.maximum(2, window / 2), window + 1)
            continue
        since, floor = since + lasts, floor + 8 / 15
        curve = np.minimum(origin + 0.4 * (since - back) ** 3, 1.5 * window)
        grown = np.maximum(np.maximum(curve, floor), window)
        cut = np.maximum(2, 0.7 * window)
        # Fast convergence: who has lost before getting back to the last maximum aims lower.
        aim = np.where(window < before, 0.85 * window, window)
        before, origin = np.where(lost, aim, before), np.where(lost, np.maximum(aim, cut), origin)
        back = np.where(lost, np.cbrt(np.maximum(aim - cut, 0) / 0.4), back)
        since, floor, window = np.where(lost, 0, since), np.where(lost, cut, floor), np.where(lost, cut, grown)
    return sent / seconds


@pytest.mark.parametrize(
    ("control", "loss", "trip"),
    [("reno", 1e-3, 0.05), ("cubic", 1e-3, 0.01), ("cubic", 1e-3, 0.1), ("cubic", 1e-4, 0.2), ("cubic", 1e-3, 0.4)],
)
def test_random_losses_leave_what_windows_do(control: str, loss: float, trip: float):
    # The formulas count timeouts as well, a few percent here: they are below the twin, or as little above as they
    # state.
    assert windows(control, loss, trip) * 0.88 <= loss_limit(control, loss, trip) <= windows(control, loss, trip) * 1.05


@pytest.mark.parametrize("share", [0.5, 1, 2, 4])
def test_near_the_links_rate_a_window_that_swings_gets_less(share: float):
    free = windows("reno", 3e-4, 0.05)
    connection = tcp(0.05, control="reno", loss=3e-4)
    connection._loss = free * PACKET
    measured = windows("reno", 3e-4, 0.05, link=share * free, queue=0.05)
    assert connection.limit(share * free * PACKET) / PACKET == pytest.approx(measured, rel=0.03)


def test_without_a_limit_loss_is_what_the_equations_say():
    # The square-root law with few losses; with half of all packets lost, only the timer: 1 / (0.3 s x 0.5 x 9).
    assert loss_limit("reno", 1e-8, 0.1) == pytest.approx(1 / (0.1 * math.sqrt(2e-8 / 3)), rel=1e-3)
    assert loss_limit("reno", 0.5, 0.1) == pytest.approx(1 / (0.3 * 0.5 * 9), rel=0.05)
    assert loss_limit("cubic", 0.0, 0.1) == loss_limit("bbr", 0.1, 0.1) == math.inf
    # Streams add up until the link is full.
    one, many = (tcp(0.1, loss=0.001, streams=n).limit(1e5 * PACKET) for n in (1, 8))
    assert many == pytest.approx(8 * one, rel=1e-3)


def test_what_goes_before_the_first_loss_goes_at_full_rate():
    # 1000 segments, 1 % lost: (1 - 0.99^1000) / 0.01 = 99.996 before the first loss. Three flights are within them
    # (10 + 20 + 40); 29.996 more go at the link's rate, the other 900.004 at the limit.
    connection = tcp(loss=0.01)
    assert connection.start_up(1000 * SEGMENT, LINK) == pytest.approx((1.5 * TRIP + 3 * 0.1, 930 * PACKET))
    spared = (1 - 0.99**1000) / 0.01 - 70
    seconds = spared / 1000 + (930 - spared) * PACKET / connection.limit(LINK)
    assert connection.limit(LINK, 1000 * SEGMENT) == pytest.approx(930 * PACKET / seconds)


def test_bbr_pauses_after_ten_seconds_and_sends_again_what_is_lost():
    # 2 % of the time, but only of what goes after 10 s; 3 % are sent again.
    connection = tcp(control="bbr", loss=0.03)
    assert connection.limit(LINK) == pytest.approx(0.97 * 0.98 * LINK)
    assert connection.limit(LINK, 10_000 * SEGMENT) == pytest.approx(0.97 * LINK)
    assert connection.limit(LINK, 40_000 * SEGMENT) == pytest.approx(0.97 * (1 - 0.02 * 3 / 4) * LINK)


def both(up: float, down: float, trip: float = 0.02, **settings) -> tuple[float, float]:
    """What is left of both directions while both carry something."""
    one, other = (tcp(trip, direction, **settings) for direction in ("uplink", "downlink"))
    return one.beside(up, down), other.beside(down, up)


def test_acknowledgements_take_their_share_of_the_other_direction():
    assert both(10e6, 100e6) == pytest.approx((10e6 - 0.02 * 100e6, 100e6 - 0.02 * 10e6))
    assert both(10e6, 100e6, acknowledgements=0.0) == (10e6, 100e6)
    # They do not take more than half of it, which is then all that the other direction can have acknowledged.
    assert both(1e6, 100e6) == pytest.approx((0.5e6, 0.5e6 / 0.02))
    # Only what is sent is acknowledged.
    limited = tcp(0.02, window="29000B").limit(100e6)
    assert both(10e6, 100e6, window="29000B")[0] == pytest.approx(10e6 - 0.02 * limited)


def test_a_download_waits_for_acknowledgements_behind_an_upload():
    # The window is what 20 + 50 ms of the downlink hold, for 20 + 500 ms; its acknowledgements take 2 % of that.
    slow = Buffers(uplink=0.5, downlink=0.05)
    assert both(10e6, 100e6, buffer=slow) == pytest.approx((10e6 - 0.02 * 100e6 * 7 / 52, 100e6 * 7 / 52))
    # A burst of half a window must fit into 10 ms, but for the fifth that goes on meanwhile: 2 x 10 / 0.8 = 25 ms.
    small = Buffers(uplink=0.1, downlink=0.01)
    assert both(10e6, 100e6, buffer=small)[1] == pytest.approx(100e6 * 25 / 120)
    # Without any buffer, ten packets in a round trip are left.
    none = Buffers(uplink=0.1, downlink=0.0)
    assert both(10e6, 100e6, buffer=none)[1] == pytest.approx(10 * PACKET / 0.12)
    # It is the same the other way round, and nothing where both buffers are as long.
    turned = Buffers(uplink=0.05, downlink=0.5)
    assert both(100e6, 10e6, buffer=turned) == both(10e6, 100e6, buffer=slow)[::-1]
    assert both(10e6, 100e6, buffer=Buffers(uplink=0.1, downlink=0.1)) == both(10e6, 100e6)


@given(*[st.floats(1, 1e10)] * 2, st.floats(0, 2), *[st.floats(0, 5)] * 2, st.floats(0, 0.9))
def test_something_is_always_left(capacity, other, trip, here, there, share):
    left = tcp(trip, buffer=Buffers(uplink=here, downlink=there), acknowledgements=share).beside(capacity, other)
    assert left > 0
    assert left <= capacity or left <= 10 * PACKET / (trip + there) * (1 + 1e-12)


BREAKS = [0.04, 0.3, 0.56, 1, 5]
"""Breaks of a link of 208.3 packets per round trip of 50 ms [s]."""
# With a round trip in the queue, acknowledgements take 0.1 s: a probe goes 0.25 s after the break has begun, and
# another 0.3 s later, and 0.6 s ...: at 0.25, 0.55, 1.15, 2.35, 4.75, 9.55 s.
RESTART = 0.05 * (math.log2(6.25e6 * 0.05 / PACKET) - 1)
"""From a window of one segment, less the product that is sent meanwhile [s]."""


@pytest.mark.parametrize(
    ("kind", "lasts"),
    [
        # After 0.55 s the timer has run out.
        ("held", [0.04, 0.3, 0.56 + RESTART, 1 + RESTART, 5 + RESTART]),
        # Within a round trip of its beginning, nobody waits for anything. What gets through after 0.55 s is sent again
        # as the timer runs out, with a window of one segment.
        ("dropped", [0.04, 0.55 + RESTART, 1.15 + RESTART, 1.15 + RESTART, 9.55 + RESTART]),
    ],
)
def test_breaks_last_until_tcp_is_back(kind: str, lasts: list[float]):
    for broken, lasting in zip(BREAKS, lasts, strict=True):
        course = outages(Course([0, 2, 2 + broken], [6.25e6, 0, 6.25e6]), Transport(outages=kind), 0.05)
        assert list(course.times) == pytest.approx([0, 2, 2 + lasting])
        assert list(course.rates) == [6.25e6, 0, 6.25e6]


@pytest.mark.parametrize("begin", [0.1, 0.7, 1.0, 2.0, 3.3, 15.0, 1234.5])
@pytest.mark.parametrize(("broken", "lasting"), [(0.2, 0.25), (0.3, 0.55 + RESTART)])
def test_what_the_timer_sends_costs_a_slow_start_whenever_the_break_begins(begin: float, broken: float, lasting: float):
    # A probe after 0.05 + 2 x 0.1 = 0.25 s, which costs nothing more, and the timer 0.3 s after it, at 0.55 s: neither
    # may depend on how begin + 0.25 + 0.3 - begin is rounded.
    course = outages(Course([0, begin, begin + broken], [6.25e6, 0, 6.25e6]), Transport(outages="dropped"), 0.05)
    assert list(course.times) == pytest.approx([0, begin, begin + lasting])


def test_a_break_that_is_over_only_for_a_moment_goes_on():
    # Dead for 1 s; the try after 1.15 s meets the next break, and the one after 2.35 s gets through.
    course = Course([0, 2, 3, 3.1, 4, 5], [6.25e6, 0, 6.25e6, 0, 6.25e6, 1e6])
    course = outages(course, Transport(outages="dropped"), 0.05)
    assert list(course.times) == pytest.approx([0, 2, 4.35 + RESTART, 5])
    assert list(course.rates) == [6.25e6, 0, 6.25e6, 1e6]


def test_a_break_at_the_end_of_a_course_takes_of_its_beginning():
    # Dead from 8 s of each 10 s to 1 s of the next: 3 s, over with the try after 4.75 s.
    course = outages(Course([0, 1, 8], [0, 6.25e6, 0], period=10.0), Transport(outages="dropped"), 0.05)
    assert list(course.times) == pytest.approx([0, 2.75 + RESTART, 8])
    assert list(course.rates) == [0, 6.25e6, 0]


def test_a_course_stays_where_there_is_nothing_to_wait_for():
    for course in (Course([0, 1], [1.0, 2.0]), Course([0, 1, 1.03], [1.0, 0.0, 1.0])):
        assert list(outages(course, Transport(outages="dropped"), 0.05).rates) == list(course.rates)
        assert outages(course, Transport(), 0.0) is course
    ends = Course([0, 1], [5.0, 0.0])
    assert list(outages(ends, Transport(outages="dropped"), 0.05).times) == [0, 1]


@given(
    st.lists(st.tuples(st.sampled_from([0.02, 0.4, 1.0, 7.0]), st.sampled_from([0.0, 0.0, 1e4, 1e6])), min_size=1),
    st.booleans(),
    st.sampled_from(["held", "dropped"]),
)
def test_breaks_only_get_longer(rows, repeats, kind):
    times = [0.0, *np.cumsum([lasting for lasting, _ in rows])]
    link = Course(times[:-1], [rate for _, rate in rows], times[-1] if repeats else None)
    slower = outages(link, Transport(outages=kind), 0.05)
    for time in np.linspace(0, 3 * times[-1], 100):
        assert Varying(slower).rate(time) in (0.0, Varying(link).rate(time))
    # A link that is up again and again never stays dead for good.
    assert (slower.mean > 0) == (link.mean > 0)


@pytest.mark.parametrize("kind", [Tree, PathNetwork, HalfDuplexTree])
@pytest.mark.parametrize("settings", [{}, {"loss": 0.001}, {"control": "bbr"}, {"streams": 3, "window": "30000B"}])
def test_a_message_takes_its_start_up_and_then_what_it_may_have(kind, settings):
    network = kind(Environment(), ingress=2e6, egress=2e6)
    one, other = (tcp(TRIP, direction, **settings) for direction in ("uplink", "downlink"))
    port = network.attach(LINK, LINK, TRIP / 2, up=one, down=other)
    message = network.upload(port, 5e5)
    network.env.run()
    start = one.start_up(5e5, LINK)
    assert message.value == pytest.approx(start.seconds + start.left / one.limit(LINK, 5e5), rel=1e-12)
    parts = message.parts()
    assert parts.latency == TRIP / 2
    assert parts.start_up == pytest.approx(start.seconds - TRIP / 2)
    # What loss and window cost stands apart from what the link alone takes.
    assert parts.alone == pytest.approx(start.left / LINK)
    assert parts.alone + parts.limited == pytest.approx(start.left / one.limit(LINK, 5e5))
    assert parts.shared == parts.stalled == 0


def test_all_networks_agree_on_lossy_messages_that_share():
    def arrivals(kind) -> list[float]:
        network = kind(Environment(), ingress=2.5e6)
        ports = []
        for loss in (0.0001, 0.001, 0.01, 0.05):
            ends = [tcp(TRIP, direction, loss=loss) for direction in ("uplink", "downlink")]
            ports.append(network.attach(LINK, 2 * LINK, TRIP / 2, up=ends[0], down=ends[1]))
        sent = [network.upload(port, 3e5 * (index + 1)) for index, port in enumerate(ports)]
        sent += [network.upload(ports[0], 2e5), *(network.download(port, 4e5) for port in ports)]
        network.env.run()
        return [message.value for message in sent]

    assert arrivals(Tree) == pytest.approx(arrivals(PathNetwork), rel=1e-9)
    assert arrivals(HalfDuplexTree) == pytest.approx(arrivals(PathNetwork), rel=1e-9)
