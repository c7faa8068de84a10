"""What a million what-ifs cost: ParaBlock with ten clients that all differ, 32 rounds.

Each what-if has links, latencies and speeds of its own for every client. Prints wall-clock, the time of all
processors, the memory of all processes together at its highest, and what the same would take simulated;
then what `paraSim explain` takes, start included.

    python benchmarks/replay.py
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from parasim.api import load, set_up
from parasim_core.sim.replay.conditions import Variants
from parasim_core.sim.replay.replay import Recording, record, replay

COMMAND = Path(sys.executable).parent / "paraSim"
EXAMPLES = Path(__file__).parent.parent / "examples"
CLIENTS, ROUNDS, CHUNK = 10, 32, 32_768
SCENARIO = {
    "rounds": ROUNDS,
    "fleet": [
        {
            "uplink": f"{60 + 10 * i}MB/s",
            "downlink": f"{90 + 10 * i}MB/s",
            "latency": f"{5 + i}ms",
            "speed": 1 - 0.03 * i,
        }
        for i in range(CLIENTS)
    ],
    "compute": {"seconds": 38.0, "non_overlapping": 1.4},
    "payload": {"upload": "872MB"},
}


def what_ifs(count: int) -> Iterator[Variants]:
    """Draw links, latencies and speeds of every client, chunk by chunk."""
    draws = np.random.default_rng(0)
    for first in range(0, count, CHUNK):
        shape = (min(CHUNK, count - first), CLIENTS)
        yield Variants(
            uplink=draws.uniform(20e6, 400e6, shape),
            downlink=draws.uniform(20e6, 400e6, shape),
            latency=draws.uniform(0.001, 0.1, shape),
            speed=draws.uniform(0.5, 4.0, shape),
        )


def resident_bytes() -> int:
    """Memory of this process and its children, shared pages counted once [B]."""
    me = os.getpid()
    children = Path(f"/proc/{me}/task/{me}/children").read_text().split()
    total = 0
    for process in (str(me), *children):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # it has just ended
        total += next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def processor_seconds() -> float:
    """Time of this process and of its children that have ended [s]."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measure(recording: Recording, count: int, jobs: int | None) -> tuple[float, float, int]:
    """Answer `count` what-ifs; return seconds, those of all processors, and peak memory [B]."""
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.05):
            peak = max(peak, resident_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start, used, answered = time.perf_counter(), processor_seconds(), 0
    for answers in replay(recording, what_ifs(count), jobs=jobs):
        answered += len(answers.wall_clock)
        assert answers.replayed.all()
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    assert answered == count
    return seconds, processor_seconds() - used, peak


def explain_seconds(example: str) -> float:
    """CPU time of explaining an example [s]."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([COMMAND, "explain", EXAMPLES / example], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=None)
    given = parser.parse_args()
    recording = record(*set_up(load(SCENARIO)))
    seconds, used, peak = measure(recording, given.count, given.jobs)

    some = next(what_ifs(20))
    start = time.perf_counter()
    simulated = np.array([recording.simulate(some, which).wall_clock for which in range(20)])
    each = (time.perf_counter() - start) / 20
    difference = np.max(np.abs(recording.replay(some).wall_clock / simulated - 1))
    spans = len(recording.result.timeline.spans)
    print(f"{given.count:,} what-ifs of {spans} spans: {seconds:.2f} s, {peak / 1e6:.0f} MB at most; goal 10 s, 2 GB")
    print(f"time of all processors: {used:.2f} s, {used / given.count * 1e6:.2f} microseconds each")
    print(f"each simulated: {each * 1e3:.1f} ms, so {each * given.count / seconds:,.0f} times as long on one core")
    print(f"largest relative difference to the event simulation in 20 of them: {difference:.1e}; goal 1e-9")
    for example in ("paper.yaml", "cross-silo-50.yaml"):
        least = min(explain_seconds(example) for _ in range(3))
        print(f"paraSim explain {example}: {least:.2f} s of CPU; goal 2 s")


if __name__ == "__main__":
    main()
