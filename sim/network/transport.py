"""What TCP makes of a link: start-up, the rate that loss, window and streams allow, and what the way back costs.

It stands in front of the exact network: a message first waits for its start-up, then shares links like any other, at
most at the rate that its connections allow; and what one direction of a port carries takes of the other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np

from parasim_core.sim.network.capacity import Course, Varying
from parasim_core.sim.network.loss import LEAST_TIMER, SHARPNESS, joined, loss_limit

if TYPE_CHECKING:
    from parasim_core.sim.scenario.links import Transport


class StartUp(NamedTuple):
    """How a message begins.

    Attributes
    ----------
    seconds : float
        Until it goes at its full rate, the latency of its path included [s].
    left : float
        Of its bytes on the link, with all headers, those that are then still to be sent [B].
    """

    seconds: float
    left: float


class Connection(Protocol):
    """What TCP makes of one direction of one port.

    Attributes
    ----------
    sized : bool
        Whether `limit` depends on the size of the message; what it is without one counts for all, if not.
    """

    sized: bool

    def start_up(self, size: float, rate: float) -> StartUp:
        """How a message of so many bytes [B] begins, on a path that gives it so much at most [B/s of the link]."""

    def limit(self, rate: float, size: float = math.inf) -> float:
        """Most that one message gets of an access link after its start-up, on average [B/s of the link].

        Parameters
        ----------
        rate : float
            Of the link [B/s].
        size : float
            Of the message [B]; of an endless one if not given.
        """

    def beside(self, capacity: float, other: float) -> float:
        """What is left of this direction while the other one carries a message [B/s].

        Parameters
        ----------
        capacity, other : float
            Of this direction and of the other one [B/s].
        """


SEGMENT, PACKET = 1448, 1500
"""Bytes of a message in a full packet, and bytes of the packet: Ethernet's, with TCP's time stamps (RFC 7323)."""
FIRST_WINDOW = 10
"""Segments that a sender may send before the first acknowledgement (RFC 6928)."""
LONGEST_TIMER = 120.0
"""Linux never waits longer for an acknowledgement [s]."""
MOST_TRIES = 15
"""After so many Linux gives a connection up (`tcp_retries2`); a new one goes as soon as the link does."""
BBR_FIRST = 3.8
"""BBR has sent so many segments times 2 ** (seconds since opening / round trip) while it starts; see `Tcp.start_up`."""
BBR_PAUSE, BBR_CYCLE = 0.2, 10.0
"""BBR stops for so long in every so many seconds, to see the round trip without its own queue (PROBE_RTT) [s]."""


class Tcp:
    """TCP over one direction of a port; a `Connection`.

    Parameters
    ----------
    transport : Transport
        What the scenario says.
    round_trip : float
        Of the whole path, without queues [s].
    direction : "uplink" or "downlink"
        Which one it is.
    """

    def __init__(self, transport: Transport, round_trip: float, direction: Literal["uplink", "downlink"]) -> None:
        self.transport = transport
        self.round_trip = round_trip
        queues = (0.0, 0.0) if transport.buffer is None else (transport.buffer.uplink, transport.buffer.downlink)
        self.sized = transport.loss > 0 or transport.control == "bbr"
        # Seconds of a full buffer of this direction, and of the other one.
        self._queues = queues if direction == "uplink" else queues[::-1]
        # Most that random loss and the window allow on a link without limit [B/s of the link].
        self._loss = transport.streams * PACKET * loss_limit(transport.control, transport.loss, round_trip)
        self._window = math.inf
        if transport.window is not None and round_trip:
            self._window = transport.streams * transport.window / round_trip * PACKET / SEGMENT

    def limit(self, rate: float, size: float = math.inf) -> float:
        """Most that a message gets of an access link; see `Connection.limit`.

        Notes
        -----
        A window that loss cuts swings, and what is above the link's capacity is no use to it. Simulated round trip by
        round trip, with a buffer of one bandwidth-delay product, the mean is that of both limits with exponent -4,
        within 2 %; the sum of n streams swings sqrt(n) times less. Before the first loss nothing is cut. BBR goes on
        as fast (up to some percent of loss; Cardwell et al., CACM 2017); only what is lost is sent again, and after
        10 s it begins to pause.
        """
        rate = min(rate, self._window)
        if self.transport.control == "bbr":
            pausing = max(0.0, 1 - BBR_CYCLE * rate / PACKET * SEGMENT / size)
            return rate * (1 - self.transport.loss) * (1 - BBR_PAUSE / BBR_CYCLE * pausing)
        if self._loss == math.inf or not rate:
            return rate
        steady = joined(rate, self._loss, -SHARPNESS * math.sqrt(self.transport.streams))
        if size == math.inf:
            return steady
        segments = size / SEGMENT
        sent = self._slow_start(segments, rate)[1]
        left = segments - sent
        spared = min(left, max(0.0, self._before_loss(segments) - sent))
        seconds = spared / rate + (left - spared) / steady
        return left / seconds if seconds else rate

    def start_up(self, size: float, rate: float) -> StartUp:
        """How a message begins; see `Connection.start_up`.

        Notes
        -----
        A fresh connection pays a round trip for its handshake (RFC 9293), a warm one none; but while it is idle, Linux
        lets its window fall back to the first one (RFC 5681, 4.1), except with BBR, which keeps its rate. Then follows
        slow start, and the last byte takes half a round trip to arrive.
        """
        rounds, sent = 0.0, 0.0
        if rate and self.round_trip and (self.transport.fresh or self.transport.control != "bbr"):
            rounds, sent = self._slow_start(size / SEGMENT, min(rate, self._window))
        seconds = rounds + (1.5 if self.transport.fresh else 0.5) * self.round_trip
        return StartUp(seconds, (size / SEGMENT - sent) * PACKET)

    def _slow_start(self, segments: float, rate: float) -> tuple[float, float]:
        """Seconds from the first flight on until the link is busy all the time, and segments sent until then.

        Reno and CUBIC (RFC 5681): the window doubles in every round trip, so that whole flights follow each other
        until one lasts for a round trip, or the rest of the message fits into the next. Every second segment is
        acknowledged (RFC 1122), which lengthens a round trip by two packets. BBR (Cardwell et al., CACM 2017) sends at
        2 / ln 2 times the rate acknowledged in the last round trip, which doubles without flights: c 2 ** (seconds /
        round trip) segments are out, until their rate is the link's. From a first flight of 10 follows c = 4.5 without
        delays; acknowledging and sending by twos makes it 3.8 (measured: docs/explanation/transport.md).
        """
        packet, streams = PACKET / rate, self.transport.streams
        first = FIRST_WINDOW * streams
        trip = self.round_trip + 2 * packet
        product = trip / packet if packet else math.inf
        if self.transport.control == "bbr":
            sent = min(segments, product / math.log(2))
            if sent <= first:
                return 0.0, 0.0
            # The last packet is left for the link.
            return (math.log2(sent / (BBR_FIRST * streams)) - 1) * trip, min(sent, segments - 1)
        flights = math.ceil(math.log2(min(product / first, (segments / first + 1) / 2)))
        if self.transport.loss:
            flights = min(flights, math.floor(math.log2(self._before_loss(segments) / first + 1)))
        flights = max(0, flights)
        return flights * trip, float(first * (2**flights - 1))

    def _before_loss(self, segments: float) -> float:
        """Segments of so many that are sent before the first one is lost: Cardwell et al., INFOCOM 2000, eq. 5."""
        loss = self.transport.loss
        # 1 - (1 - p)^n, also where 1 - p is rounded to 1.
        return -math.expm1(segments * math.log1p(-loss)) / loss

    def beside(self, capacity: float, other: float) -> float:
        """What is left of this direction while the other one carries a message; see `Connection.beside`.

        Notes
        -----
        Acknowledgements of what the other direction carries take their share of this one. They stand in one line
        with its messages, so that neither kind can take more than half of it from the other.

        If the other direction's buffer is the longer one, acknowledgements wait in it. The window is at most what
        filled this direction's round trip and buffer before. And it comes in bursts, as acknowledgements that stand
        together in the other direction go all at once: in slow start each releases twice as much, so that half a
        window must find room in this buffer, but for what goes on while the burst comes in.
        """
        share, streams = self.transport.acknowledgements, self.transport.streams
        here, there = (self.round_trip + queue for queue in self._queues)
        carried = min(self.limit(other), other * there / here if there < here else other)
        most = max(capacity - share * carried, capacity / 2)
        if share:
            most = min(most, other / (2 * share))
        if here < there:
            drained = share * capacity / other if other else 1.0
            burst = 2 * self._queues[0] / (1 - drained) if drained < 1 else math.inf
            least = streams * FIRST_WINDOW * PACKET
            most = min(most, max(capacity * min(here, burst), least) / there)
        return most


def outages(
    course: Course, transport: Transport, round_trip: float, queue: float | None = None, scale: float = 1.0
) -> Course:
    """Let what TCP does in breaks stand in the course, in which they last until its rate is back.

    Parameters
    ----------
    course : Course
        Of an access link in one direction.
    transport : Transport
        Of its port. A queue that holds its packets (`outages: held`) delivers them when the break is over; one that
        drops them (`dropped`) has none then, and nothing moves before TCP tries again.
    round_trip : float
        Of the whole path, without queues [s].
    queue : float, optional
        How long packets queued before the break [s]; a round trip, as in a buffer of one bandwidth-delay product.
    scale : float
        Rates are multiplied by it.

    Returns
    -------
    Course
        The same one if nothing changes.

    Notes
    -----
    Without acknowledgements TCP sends a probe two round trips after the last one (RFC 8985, 7.2), and tries again
    after its timer, 0.2 s longer than a round trip, which doubles with every try (RFC 6298 and Linux). Once the timer
    has run out, the window is one segment (RFC 5681, 3.1): slow start takes the base-2 logarithm of the
    bandwidth-delay product in round trips, in which one product is sent.
    """
    if 0 not in course.rates or not round_trip:
        return course
    link = Varying(course)
    trip = 2 * round_trip if queue is None else round_trip + queue
    probe, timer = round_trip + 2 * trip, LEAST_TIMER + trip

    def back(begin: float) -> float:
        end = own = link.next_change(begin)
        if end == math.inf:
            return end
        ran_out = end - begin > probe + timer
        if transport.outages == "dropped" and end - begin > round_trip:
            at, wait = begin + probe, timer
            for tries in range(MOST_TRIES):
                if at >= end and link.rate(at):
                    # All tries but the probe are the timer's, also the first one, just as it runs out.
                    end, ran_out = at, tries > 0
                    break
                at, wait = at + wait, min(2 * wait, LONGEST_TIMER)
        if not ran_out:
            return end
        if course.period is not None and end - begin >= course.period:
            # What outlasts the course cannot stand in it.
            return own
        # Half of the time that the link is up is not too short for anything to get through.
        rate, up = scale * link.rate(end), end
        full = end + round_trip * (math.log2(max(rate * round_trip / PACKET, 2.0)) - 1)
        while up < full and link.rate(up):
            up = link.next_change(up)
        return full if up >= full else (end + up) / 2

    # Of a course that repeats, the second round: what a break at its end takes of its beginning is in it.
    period = course.period or 0.0
    dead = [time for time, rate in zip(course.times, course.rates, strict=True) if not rate]
    breaks: list[tuple[float, float]] = []
    over = 0.0
    for start in dead if course.period is None else [*dead, *(period + time for time in dead)]:
        begin = max(start, over)
        if begin < math.inf and not link.rate(begin):
            over = back(begin)
            if over > period:
                breaks.append((max(begin - period, 0.0), min(over - period, course.period or math.inf)))
    begins, ends = np.array(breaks).T
    times = np.asarray(course.times)
    last = np.searchsorted(begins, times, side="right") - 1
    kept = (last < 0) | (times >= ends[last])
    live = ends[ends < (course.period or math.inf)]
    moments, rows = np.unique(np.concatenate([times[kept], begins, live]), return_index=True)
    rates = np.concatenate([np.asarray(course.rates)[kept], 0 * begins, [link.rate(end) for end in live]])
    return Course(moments.tolist(), rates[rows].tolist(), course.period)
