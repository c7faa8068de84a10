"""How fast the network is: clients as SimPy processes on stars of up to 100,000 access links.

Run with ``python benchmarks/network.py``. Every client computes, uploads, waits for the last upload and downloads;
access links are lognormal, the server's links bind, latency is zero, as in the heterogeneous SimGrid cases of the
tests; every span is recorded in the simulator's own timeline.

- *Against re-solving everything*: `Tree` and the naive star of the tests run the same 1,000 clients x 3 rounds,
  alternating in one process; the figure is the median of the ratios of CPU times. Both give the same makespan.
- *Tree against star*: the same clients behind 200 shared site links below a server that binds, and directly at that
  server, alternating in one process. Site links are lognormal around their clients' part of the server, so that at any
  time some bind and some do not, and they change sides all the time.
- *Large fleets*: 10,000 and 100,000 clients x 1 round, each run in a process of its own for its own peak of memory.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from simpy import Environment, Event

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from parasim_core.sim.engine.timeline import Kind, Timeline
from parasim_core.sim.network import Port, Tree
from tests.oracles.progressive_filling import NaiveStar

SIZE = 872e6
"""A message [B]: two layers of Llama 3-8B in 2 bytes per parameter."""

SERVER_PER_CLIENT = 1e6
"""Capacity of the server's link in either direction for each client [B/s]: about 1/8 of the uplinks' together."""

SITES = 200
"""Shared links in the comparison of tree and star."""

STAR_RUNS = 7
"""Runs of the star for each run of the naive star, of which the median counts."""


@dataclass
class Fleet:
    """Clients with lognormal links, directly at the server or behind shared links, and how they spend their rounds."""

    clients: int
    rounds: int
    sites: int = 0
    timeline: Timeline = field(default_factory=Timeline)

    def __post_init__(self) -> None:
        random = np.random.default_rng(np.random.SeedSequence([self.clients, self.rounds]))
        self.uplinks = random.lognormal(math.log(5e6), 1.0, self.clients).tolist()
        self.downlinks = [4 * uplink for uplink in self.uplinks]
        self.seconds = random.uniform(30.0, 50.0, (self.rounds, self.clients)).tolist()
        part = math.log(SERVER_PER_CLIENT * self.clients / max(self.sites, 1))
        self.site_links = random.lognormal(part, 0.7, self.sites).tolist()

    def run(self, network_class: Callable[[Environment, float, float], Any]) -> float:
        """Simulate, and return the time of the last arrival [s]."""
        self.timeline = Timeline()
        env = Environment()
        server = SERVER_PER_CLIENT * self.clients
        network = network_class(env, server, server)
        sites = [network.shared(link, link) for link in self.site_links]
        barriers = [Barrier(env, self.clients) for _ in range(self.rounds)]
        for client in range(self.clients):
            below = {"above": sites[client % len(sites)]} if sites else {}
            port = network.attach(self.uplinks[client], self.downlinks[client], **below)
            env.process(self._client(env, network, port, barriers, client))
        env.run()
        return self.timeline.end

    def _client(
        self, env: Environment, network: Any, port: Port, barriers: list[Barrier], client: int
    ) -> Generator[Event, float, None]:
        for index, barrier in enumerate(barriers):
            start = env.now
            yield env.timeout(self.seconds[index][client])
            computed = env.now
            self.timeline.record(client, index, Kind.COMPUTE, start, computed)
            uploaded = yield network.upload(port, SIZE)
            self.timeline.record(client, index, Kind.UPLOAD, computed, uploaded, SIZE)
            yield barrier.arrive()
            start = env.now
            downloaded = yield network.download(port, SIZE)
            self.timeline.record(client, index, Kind.DOWNLOAD, start, downloaded, SIZE)


class Barrier:
    """An event that fires when the last of `parties` has arrived."""

    def __init__(self, env: Environment, parties: int) -> None:
        self._open = env.event()
        self._missing = parties

    def arrive(self) -> Event:
        """Note one arrival, and return the event to wait for."""
        self._missing -= 1
        if not self._missing:
            self._open.succeed()
        return self._open


@contextlib.contextmanager
def quiet_collector() -> Iterator[None]:
    """Keep the garbage collector from walking through millions of live objects again and again."""
    enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()


def timed(fleet: Fleet, network_class: Callable[[Environment, float, float], Any]) -> tuple[float, float, float]:
    """Return the wall-clock of a run [s], its CPU time [s] and its makespan [s]."""
    with quiet_collector():
        start, cpu_start = time.perf_counter(), time.process_time()
        makespan = fleet.run(network_class)
        return time.perf_counter() - start, time.process_time() - cpu_start, makespan


def against_naive(clients: int, rounds: int, repeats: int) -> None:
    """Print the ratio between the naive star and `Tree` on the same fleet."""
    fleet = Fleet(clients, rounds)
    naives, stars, ratios = [], [], []
    for _ in range(repeats):
        _, naive, naive_makespan = timed(fleet, NaiveStar)
        # A run of the star is so short that one alone would mostly measure what else the machine is doing.
        runs = [timed(fleet, Tree) for _ in range(STAR_RUNS)]
        star = statistics.median(cpu for _, cpu, _ in runs)
        naives.append(naive)
        stars.append(star)
        ratios.append(naive / star)
    print(f"Re-solving everything against the star: {clients:,} clients x {rounds} rounds")
    print(f"  naive [s CPU]   star [s CPU]   ratio (range)        repeats: {repeats} naive, {STAR_RUNS} star runs each")
    print(f"  {statistics.median(naives):13.3f}   {statistics.median(stars):12.4f}", end="   ")
    print(f"{statistics.median(ratios):5.1f} ({min(ratios):.1f}-{max(ratios):.1f})   goal >= 40")
    print(f"  makespans differ by {abs(runs[-1][2] / naive_makespan - 1):.1e} relative\n")


def against_star(clients: int, repeats: int) -> None:
    """Print the ratio between clients behind shared links and the same clients directly at the server."""
    fleets = Fleet(clients, 1), Fleet(clients, 1, SITES)
    times = [[timed(fleet, Tree)[1] for fleet in fleets] for _ in range(repeats)]
    star, tree = (statistics.median(run) for run in zip(*times, strict=True))
    ratios = [with_sites / without for without, with_sites in times]
    goal = "goal <= 5" if clients == 10_000 else ""
    print(f"  {clients:>9,}   {star:12.3f}   {tree:12.3f}", end="   ")
    print(f"{statistics.median(ratios):5.2f} ({min(ratios):.2f}-{max(ratios):.2f})   {repeats:>7}   {goal}")


def large(clients: int, repeats: int) -> None:
    """Print wall-clock and peak memory of a large fleet, each repeat in its own process."""
    results = []
    for _ in range(repeats):
        command = [sys.executable, __file__, "--one", str(clients)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        results.append(json.loads(output))
    wall = statistics.median(result["wall_s"] for result in results)
    peak = max(result["peak_mb"] for result in results)
    goal = {10_000: "goal <= 1 s", 100_000: "goal <= 15 s, <= 500 MB"}.get(clients, "")
    print(f"  {clients:>9,}   {wall:8.3f}   {peak:8.0f}   {repeats:>7}   {goal}")


def one(clients: int) -> None:
    """Run one large fleet and print its figures as JSON; the fleet and all spans are in the peak."""
    wall, _, makespan = timed(Fleet(clients, rounds=1), Tree)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({"wall_s": wall, "peak_mb": peak, "makespan_s": makespan}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", type=int, metavar="CLIENTS", help="run a single large fleet and print JSON")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if options.one:
        one(options.one)
        return
    against_naive(1_000, 3, options.repeats)
    print("Large fleets on a star, 1 round, binding server links")
    print("    clients   wall [s]   peak [MB]   repeats")
    large(10_000, options.repeats)
    large(100_000, max(options.repeats // 2, 1))
    # Last: the peaks above must not include the memory of this process.
    print(f"\nClients behind {SITES} shared links, against the same directly at the server, 1 round")
    print("    clients   star [s CPU]   tree [s CPU]   ratio (range)        repeats")
    for clients in (1_000, 10_000, 100_000):
        against_star(clients, options.repeats if clients < 100_000 else 1)


if __name__ == "__main__":
    main()
