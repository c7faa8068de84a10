"""Messages that end in the very instant in which a link on their way goes down: rounding must not make them wait."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction

import pytest

from parasim_core.sim.network import Course, HalfDuplexTree, PathNetwork, Tree, Varying
from tests.sim.network.star_cases import Case, Change, Client, Message, Site, simulate

CLASSES = [Tree, PathNetwork, HalfDuplexTree]
each = pytest.mark.parametrize("network_class", CLASSES)

OUTAGE = 50
"""How long a link is down [s]."""


@each
@pytest.mark.parametrize("where", ["uplink", "site", "ingress"])
def test_six_messages_have_all_of_a_line_until_it_goes_down(network_class, where):
    # 5 MB/s for 4 s, nothing for 4 s, 0.5 MB/s for 8 s. From 7.06 s on: 4 MB until 16 s, 20 MB until 20 s, 4 MB from
    # 24 s to 32 s, and 20 MB until 36 s: 48 MB, which is six messages of 8 MB. The line never idles in between.
    line = Varying(Course([0.0, 4.0, 8.0], [5e6, 0.0, 0.5e6], 16.0))
    uplink, site, ingress = (line if where == name else math.inf for name in ("uplink", "site", "ingress"))
    messages = tuple(Message(0, True, start, 8e6) for start in (7.06, 11.06, 11.06, 13.852, 13.852, 13.852))
    ends = simulate(network_class, Case(ingress, 1.0, (Client(uplink, 1.0, above=0),), messages, (Site(site, 1.0),)))
    assert max(ends) == pytest.approx(36.0, rel=1e-12)


@each
@pytest.mark.parametrize("back", [[], [56.1]])
def test_a_message_that_fits_exactly_in_front_of_an_outage(network_class, back):
    # 10 kB/s from 6 s to 6.1 s are 1000 B, also if there is nothing thereafter. As floats, 6.1 - 6 is less than 0.1.
    course = Course([0.0, 6.1, *back], [1e4, 0.0, *(1e4 for _ in back)])
    case = Case(1e6, 1.0, (Client(Varying(course), 1.0),), (Message(0, True, 6.0, 1000.0),))
    assert simulate(network_class, case) == pytest.approx([6.1], rel=1e-12)


@each
def test_a_message_that_does_not_fit_waits(network_class):
    # A byte in 100 MB is no rounding: 100 MB/s for a second, nothing until 51 s, then another 10 ns.
    course = Course([0.0, 1.0, 51.0], [1e8, 0.0, 1e8])
    for site in (math.inf, 2e8):
        case = Case(math.inf, 1.0, (Client(Varying(course), 1.0, above=0),), (Message(0, True, 0.0, 1e8 + 1),))
        case = Case(case.ingress, 1.0, case.clients, case.messages, (Site(site, 1.0),))
        assert simulate(network_class, case) == pytest.approx([51.00000001], rel=1e-15)


@each
def test_a_message_that_begins_in_an_outage_waits_however_small_it_is(network_class):
    # Late in a long run, a millionth of a byte is less than what the clock's resolution is at 1 GB/s.
    course = Varying(Course([0.0, 1e6, 1e6 + OUTAGE], [1e9, 0.0, 1e9]))
    for uplink, ingress in ((course, math.inf), (course, 1e8), (1e9, course)):
        case = Case(ingress, 1.0, (Client(uplink, 1.0),), (Message(0, True, 1e6 + 1, 1e-6),))
        assert simulate(network_class, case) == pytest.approx([1e6 + OUTAGE], rel=1e-12)


Steps = list[tuple[Fraction, Fraction]]


@dataclass
class Exact:
    """Links with steps of (time, rate), the names of those that each client's messages cross, and messages.

    Messages are (client, start, size, when it is cancelled or None).
    """

    links: dict[str, Steps]
    paths: list[list[str]]
    messages: list[tuple[int, Fraction, Fraction, Fraction | None]]

    def ends(self) -> list[Fraction | None]:
        """When each message ends, by progressive filling without any rounding; None if it is cancelled."""
        ends: list[Fraction | None] = [None] * len(self.messages)
        waiting, left, now = {*range(len(self.messages))}, {}, Fraction(-1)
        while waiting or left:
            rates = self._rates(now, left)
            moments = [self.messages[number][1] for number in waiting]
            moments += [now + left[number] / rate for number, rate in rates.items()]
            moments += [time for steps in self.links.values() for time, _ in steps]
            moments += [cut for number in left if (cut := self.messages[number][3]) is not None]
            later = min(time for time in moments if time > now)
            left = {number: size - rates[number] * (later - now) for number, size in left.items()}
            now = later
            for number in [number for number, size in left.items() if not size]:
                ends[number] = now
                del left[number]
            left = {number: size for number, size in left.items() if self.messages[number][3] != now}
            for number in [number for number in waiting if self.messages[number][1] == now]:
                waiting.discard(number)
                left[number] = self.messages[number][2]
        return ends

    def rate(self, name: str, time: Fraction) -> Fraction:
        steps = self.links[name]
        return steps[bisect_right(steps, time, key=lambda step: step[0]) - 1][1]

    def _rates(self, now: Fraction, going: dict[int, Fraction]) -> dict[int, Fraction]:
        room = {name: self.rate(name, now) for name in self.links}
        rates: dict[int, Fraction] = {}
        while len(rates) < len(going):
            users = {
                name: [n for n in going if n not in rates and name in self.paths[self.messages[n][0]]] for name in room
            }
            full = min((name for name in room if users[name]), key=lambda name: room[name] / len(users[name]))
            level = room[full] / len(users[full])
            for number in users[full]:
                rates[number] = level
                for name in self.paths[self.messages[number][0]]:
                    room[name] -= level
        return rates


def tie(seed):
    """Draw a tree and messages, and let a link on the way of one go down as it ends.

    Returns
    -------
    Case, list of Fraction or None, Fraction
        With the outage; when the messages end without it [s]; when it begins [s].
    """
    draw = random.Random(seed)
    unit, late = draw.choice([1, 1000, 10**6]), Fraction(draw.choice(["0", "1000", "123456.7"]))

    def steps(varies):
        if draw.random() > varies:
            return [(Fraction(0), Fraction(1000 * unit))]
        times = {late + Fraction(str(round(draw.uniform(1, 30), draw.choice([0, 1, 3])))) for _ in range(2)}
        rates = [unit * Fraction(draw.choice(["0.01", "0.5", "0.7", "1", "2", "3.3", "7.77", "10"])) for _ in range(3)]
        return list(zip([Fraction(0), *sorted(times)], rates, strict=False))

    above = draw.choice([[], [None], [None, 0]])
    at = [draw.choice([None, *range(len(above))]) for _ in range(draw.randint(1, 4))]
    links = {"server": steps(0.6)} | {f"site {number}": steps(0.7) for number in range(len(above))}
    paths = []
    for client, place in enumerate(at):
        links[f"client {client}"] = steps(0.5)
        path = [f"client {client}", "server"]
        while place is not None:
            path.append(f"site {place}")
            place = above[place]
        paths.append(path)
    messages = []
    for number in range(draw.randint(1, 6)):
        start = late + Fraction(str(round(draw.uniform(0, 12), draw.choice([0, 1, 3]))))
        size = unit * Fraction(draw.choice(["0.3", "1", "3", "7", "8", "12.5"]))
        cut = start + Fraction(draw.choice(["1", "2.5"])) if number and draw.random() < 0.2 else None
        messages.append((draw.randrange(len(at)), start, size, cut))
    exact = Exact(links, paths, messages)
    ends = exact.ends()
    number = draw.choice([number for number, end in enumerate(ends) if end is not None])
    gone, begin = draw.choice(paths[messages[number][0]]), ends[number]
    assert begin is not None
    return _with_outage(exact, at, above, gone, begin, draw.choice(["course", "period", "told"])), ends, begin


def _with_outage(exact, at, above, gone, begin, how):
    """Make the case, with a link that goes down for a while: as its course has it, also if it repeats, or as told."""
    back = begin + OUTAGE
    capacities, changes = {}, ()
    for name, steps in exact.links.items():
        period = None
        if name == gone and how == "told" and len(steps) == 1:
            kind, _, which = name.partition(" ")
            owner = {} if kind == "server" else {kind: int(which)}
            rates = (float(begin), 0.0), (float(back), float(steps[0][1]))
            changes = tuple(Change(time, True, rate, **owner) for time, rate in rates)
        elif name == gone:
            kept = [(time, rate) for time, rate in steps if time < begin]
            steps = [*kept, (begin, Fraction(0)), (back, exact.rate(name, back))]
            period = float(back) + 1e5 if how == "period" else None
        course = Course([float(time) for time, _ in steps], [float(rate) for _, rate in steps], period)
        capacities[name] = Varying(course) if len(steps) > 1 else float(steps[0][1])
    sites = tuple(Site(capacities[f"site {number}"], 1.0, place) for number, place in enumerate(above))
    clients = tuple(Client(capacities[f"client {number}"], 1.0, above=place) for number, place in enumerate(at))
    messages = tuple(
        Message(client, True, float(start), float(size), math.inf if cut is None else float(cut - start))
        for client, start, size, cut in exact.messages
    )
    return Case(capacities["server"], 1.0, clients, messages, sites, changes)


@each
def test_whatever_goes_down_as_a_message_ends_does_not_hold_it_up(network_class):
    for seed in range(400):
        case, ends, begin = tie(seed)
        for got, end in zip(simulate(network_class, case), ends, strict=True):
            if end is not None and end <= begin:
                assert got == pytest.approx(float(end), rel=1e-9), seed
