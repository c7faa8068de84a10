"""What TCP makes of a link: start-up, the rate that loss, window and streams allow, and what the way back costs.

It stands in front of the exact network: a message first waits for its start-up, then shares links like any other, at
most at the rate that its connections allow; and what one direction of a port carries takes of the other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from sim.network.capacity import Course, Varying

if TYPE_CHECKING:
    from sim.scenario.links import Transport


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
LEAST_TIMER, LONGEST_TIMER = 0.2, 120.0
"""Linux waits for an acknowledgement at least so much longer than a round trip, and never longer than that [s]."""
SHARPNESS = 4
"""Exponent of the mean in which two limits join, of a window that swings between them."""
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
        A window that loss cuts swings, and what is above the link's capacity is no use to it: near the capacity the
        mean is below both limits. Simulated round trip by round trip, with a buffer of one bandwidth-delay product,
        it is the mean of the two with exponent -4, within 2 %; the sum of n streams swings sqrt(n) times less. Before
        the first loss there is no such limit: see `_before_loss`. BBR's rate does not depend on loss (up to some
        percent of it; Cardwell et al., CACM 2017), only what is lost is sent again; its pauses begin after 10 s.
        """
        rate = min(rate, self._window)
        if self.transport.control == "bbr":
            pausing = max(0.0, 1 - BBR_CYCLE * rate / PACKET * SEGMENT / size)
            return rate * (1 - self.transport.loss) * (1 - BBR_PAUSE / BBR_CYCLE * pausing)
        if self._loss == math.inf or not rate:
            return rate
        steady = _joined(rate, self._loss, -SHARPNESS * math.sqrt(self.transport.streams))
        if size == math.inf:
            return steady
        segments = size / SEGMENT
        sent = self._slow_start(segments, rate)[1]
        left, spared = segments - sent, max(0.0, self._before_loss(segments) - sent)
        seconds = spared / rate + (left - spared) / steady
        return left / seconds if seconds else rate

    def start_up(self, size: float, rate: float) -> StartUp:
        """How a message begins; see `Connection.start_up`.

        Notes
        -----
        A fresh connection pays a round trip for its handshake (RFC 9293), a warm one none. But if it is idle for
        longer than its timer, Linux lets its window fall back to the first one (RFC 5681, 4.1), as it does not with
        BBR, which keeps its rate. Then follows slow start, and the last byte takes half a round trip to arrive.
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
        acknowledged (RFC 1122), which lengthens a round trip by two packets. BBR (Cardwell et al., 2017) sends at
        2 / ln 2 times the rate that was acknowledged during the last round trip, which doubles without flights:
        c 2 ** (seconds / round trip) segments are out, until their rate is that of the link. From a first flight of
        10 follows c = 4.5 without delays; acknowledgements and sending by twos make it 3.8, as was measured with 30
        kB to 3 MB over 50 Mbit/s and 50 ms and over 200 Mbit/s and 100 ms.
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
        return float(1 - (1 - loss) ** segments) / loss

    def beside(self, capacity: float, other: float) -> float:
        """What is left of this direction while the other one carries a message; see `Connection.beside`.

        Notes
        -----
        Acknowledgements of what the other direction carries take their share of this one. They stand in one line
        with its messages, so that neither kind can take more than half of it from the other.

        If the other direction's buffer is the longer one, the acknowledgements of this one wait in it, and with its
        round trip so long the window is not what the link could use. It is at most what filled this direction's round
        trip and buffer before. And it comes in bursts, as the other direction sends the acknowledgements that stand
        together all at once: in slow start each releases twice as much, and half a window must find room in this
        direction's buffer, but for what goes on while the burst comes in.
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


def loss_limit(control: str, loss: float, round_trip: float) -> float:
    """Segments that one stream sends under random loss on a link without limit [1/s].

    Reno: Padhye, Firoiu, Towsley and Kurose, SIGCOMM 1998, eq. 30, with every segment acknowledged in slow start and
    after (b = 1: Linux counts segments, not acknowledgements) and the least timer of Linux. CUBIC (RFC 9438): at
    least what Reno gets (4.3), else eq. 5, which is for losses at equal distances; for random ones, simulated round
    trip by round trip with fast convergence (4.7), it is 1.13 times as much, and the greater of both laws at every
    moment gives the mean of both with exponent 4, within 5 %.
    """
    if not loss or control == "bbr":
        return math.inf
    timeouts = (LEAST_TIMER + round_trip) * min(1.0, 3 * math.sqrt(3 * loss / 8)) * loss * (1 + 32 * loss**2)
    reno = 1 / (round_trip * math.sqrt(2 * loss / 3) + timeouts)
    if control == "reno" or not round_trip:
        return reno
    return _joined(reno, 1.13 * 1.054 * (round_trip / loss) ** 0.75 / round_trip, SHARPNESS)


def _joined(one: float, other: float, power: float) -> float:
    """(one^power + other^power)^(1/power): near the greater of two rates, or near the lesser if the power is < 0."""
    low, high = sorted((one, other))
    if not low or high == math.inf:
        return high if power > 0 else low
    return float((high if power > 0 else low) * (1 + (low / high) ** abs(power)) ** (1 / power))


def outages(
    course: Course, transport: Transport, round_trip: float, queue: float | None = None, scale: float = 1.0
) -> Course:
    """Let what TCP does in breaks stand in the course itself, in which they last until its rate is back.

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
        end = link.next_change(begin)
        if transport.outages == "dropped" and end - begin > round_trip:
            at, wait = begin + probe, timer
            while at < end or (end < math.inf and not link.rate(at)):
                at, wait = at + wait, min(2 * wait, LONGEST_TIMER)
            end = at
        if end == math.inf or end - begin <= probe + timer:
            return end
        return end + round_trip * max(0.0, math.log2(scale * link.rate(end) * round_trip / PACKET) - 1)

    # Of a course that repeats, the second round: what a break at its end takes of its beginning is in it.
    period = course.period or 0.0
    dead = [time for time, rate in zip(course.times, course.rates, strict=True) if not rate]
    breaks: list[tuple[float, float]] = []
    over = 0.0
    for start in dead if course.period is None else [*dead, *(period + time for time in dead)]:
        begin = max(start, over)
        if begin < math.inf and not link.rate(begin):
            over = back(begin)
            breaks.append((max(begin - period, 0.0), over - period))
    end = course.period or math.inf
    breaks = [(begin, min(later, end)) for begin, later in breaks if later > 0]
    moments = sorted({0.0, *course.times, *(moment for pair in breaks for moment in pair if moment < end)})
    rates, following = [], 0
    for moment in moments:
        while following < len(breaks) and breaks[following][1] <= moment:
            following += 1
        stands = following < len(breaks) and breaks[following][0] <= moment
        rates.append(0.0 if stands else link.rate(moment))
    return Course(moments, rates, course.period)
