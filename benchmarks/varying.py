"""What links that vary cost, against links that do not.

Run with ``python benchmarks/varying.py``. Every client computes for a while and uploads one message. Its uplink follows
a trace of one second a row, as a radio link does (correlated, dead now and then), from a start of its own on, or is
constant at the trace's mean. Both run alternating in one process; a figure is the median of the ratios of CPU time per
*transferred second*: a second during which one message is on its way.

- *Unlimited server*, or an *ample* one, with more than all uplinks ever have: nothing but the uplink can bind, so that
  no link is woken at all.
- *Binding server*: it has an eighth, or half, of what the uplinks have together. Links are looked at when what they
  have falls below the level of all shares or rises above it, and those that have less at every change, as each moves
  the level.
- *Sites*: constant uplinks behind lines that vary, an unlimited server above.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np
from simpy import Environment, Event

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.network import quiet_collector
from parasim_core.sim.network import Course, Port, Tree, Varying
from parasim_core.sim.network.model import Network

CLIENTS = 10_000
SITES = 200
SECONDS = 4_000
"""Length of a trace [s]."""

MEAN = 2e6
"""Of an uplink [B/s]."""

BOUND = 3.0


def traces(number: int) -> list[Course]:
    """Make traces of one second a row: logarithms are autoregressive, and 5 % of the time nothing gets through."""
    random = np.random.default_rng(7)
    made = []
    for _ in range(number):
        noise = random.normal(0.0, 0.3, SECONDS)
        level = np.empty(SECONDS)
        level[0] = noise[0]
        for second in range(1, SECONDS):
            level[second] = 0.9 * level[second - 1] + noise[second]
        rates = np.exp(level)
        for start in random.integers(0, SECONDS - 10, SECONDS // 200):
            rates[start : start + 10] = 0.0
        made.append(Course(np.arange(SECONDS, dtype=float).tolist(), (MEAN * rates / rates.mean()).tolist(), SECONDS))
    return made


class Fleet:
    """Clients that send one message of so many bytes each, on links that vary or do not."""

    def __init__(self, size: float, server: float, sites: bool) -> None:
        random = np.random.default_rng(11)
        self.size = size
        self.server = server
        self.sites = sites
        self.courses = traces(12)
        self.seconds = random.uniform(0.0, 20.0, CLIENTS).tolist()
        self.starts = random.uniform(0.0, SECONDS, CLIENTS).tolist()
        self.transferred = 0.0

    def run(self, varies: bool) -> float:
        """Simulate, and return the CPU time of it for each transferred second [s]."""
        with quiet_collector():
            begun = time.process_time()
            self.transferred = 0.0
            env = Environment()
            network = Tree(env, self.server)
            above = [
                network.shared(self._capacity(site, varies).scaled(CLIENTS / SITES / 2), math.inf)
                for site in range(SITES if self.sites else 0)
            ]
            for client in range(CLIENTS):
                uplink = MEAN if self.sites else self._capacity(client, varies)
                port = network.attach(uplink, math.inf, above=above[client % SITES] if self.sites else None)
                env.process(self._client(env, network, port, self.seconds[client]))
            env.run()
            return (time.process_time() - begun) / self.transferred

    def _capacity(self, number: int, varies: bool) -> Varying:
        if varies:
            return Varying(self.courses[number % len(self.courses)], self.starts[number])
        return Varying(Course([0.0], [MEAN]))

    def _client(self, env: Environment, network: Network, port: Port, seconds: float) -> Generator[Event, float, None]:
        yield env.timeout(seconds)
        begun = env.now
        end = yield network.upload(port, self.size)
        self.transferred += end - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1e6, 10e6, 100e6], help="of a message [B]")
    options = parser.parse_args()
    print(f"{CLIENTS:,} clients on traces of one second a row, against constant links; bound {BOUND:g}")
    print("  server      sites   message [MB]   constant [us]   varying [us]   ratio (range)   per transferred second")
    for name, server, sites in (
        ("unlimited", math.inf, False),
        ("ample", 100 * MEAN * CLIENTS, False),
        ("eighth", MEAN * CLIENTS / 8, False),
        ("half", MEAN * CLIENTS / 2, False),
        ("unlimited", math.inf, True),
    ):
        for size in options.sizes:
            fleet = Fleet(size, server, sites)
            runs = [(fleet.run(False), fleet.run(True)) for _ in range(options.repeats)]
            constant, varying = (1e6 * statistics.median(each) for each in zip(*runs, strict=True))
            ratios = [with_courses / without for without, with_courses in runs]
            print(f"  {name:<9} {SITES if sites else 0:>7}   {size / 1e6:12g}   {constant:13.2f}", end="   ")
            print(f"{varying:12.2f}   {statistics.median(ratios):5.2f} ({min(ratios):.2f}-{max(ratios):.2f})")


if __name__ == "__main__":
    main()
