"""What a round costs that is opened among very many clients which come and go and drop out: processor time and memory.

    python benchmarks/population.py
    python benchmarks/population.py --rounds 20 --parts sizes
    python benchmarks/population.py --method parablock --parts long

`sizes` runs the same number of rounds of as many clients, chosen among three populations: neither time nor memory may
grow with them. `long` is the goal: 1,000 rounds of 1,000 wanted clients among a million, within 10 minutes of one core
and 2 GB. Each run is a process of its own, without a timeline; printed are processor time [s], also per round and
without that of starting, and the peak of the resident memory [MB].
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import Any, NamedTuple

WANTED = 1000
SIZES = (10_000, 100_000, 1_000_000)
GOAL_SECONDS, GOAL_MEGABYTES = 600, 2000
SIMULATE = "import json, parasim, sys; parasim.simulate(json.load(sys.stdin), timeline=False).figures()"


class Cost(NamedTuple):
    """What a run took.

    Attributes
    ----------
    seconds : float
        Processor time [s].
    megabytes : float
        Peak of the resident memory [MB].
    """

    seconds: float
    megabytes: float


def scenario(population: int, rounds: int, method: str) -> dict[str, Any]:
    """Build ten groups that differ in links, speed and how long they are there; 1.3 times as many as wanted begin."""
    fleet = [
        {
            "count": population // 10,
            "uplink": f"{5 + 5 * group}MB/s",
            "downlink": f"{20 + 20 * group}MB/s",
            "latency": f"{5 + 5 * group}ms",
            "speed": 0.5 + 0.15 * group,
            "available": {"share": 0.2 + 0.06 * group, "session": "2h", "day_to_night": 4},
            "dropout": {"rate": "6%"},
        }
        for group in range(10)
    ]
    share = min(1.0, WANTED / population)
    participation = {"fraction": share, "over_selection": 1.3, "quorum": 0.8, "deadline": "30min", "short": "wait"}
    return {
        "method": method,
        "rounds": rounds,
        "fleet": fleet,
        "participation": participation,
        "compute": {"seconds": 600},
        "payload": {"upload": "100MB"},
    }


def cost(population: int, rounds: int, method: str) -> Cost:
    """Simulate in a process of its own."""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.Popen([sys.executable, "-c", SIMULATE], stdin=subprocess.PIPE, env={**os.environ, **threads})
    assert process.stdin is not None
    with process.stdin as told:
        told.write(json.dumps(scenario(population, rounds, method)).encode())
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{population:,} clients: ended with status {status}")
    unit = 1e-6 if sys.platform == "darwin" else 1.024e-3
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss * unit)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="sizes,long", help="with a comma between them: %(default)s")
    parser.add_argument("--method", default="fedbcd", help="%(default)s")
    parser.add_argument("--rounds", type=int, help="instead of 20 (sizes) and 1,000 (long)")
    given = parser.parse_args()
    parts = given.parts.split(",")
    if unknown := [name for name in parts if name not in ("sizes", "long")]:
        parser.error(f"--parts: no part {unknown[0]!r}; allowed are sizes, long")
    runs = [(size, given.rounds or 20) for size in SIZES] if "sizes" in parts else []
    runs += [(SIZES[-1], given.rounds or 1000)] if "long" in parts else []
    print(f"{'clients':>10}{'rounds':>8}{'wanted':>8}{'CPU s':>9}{'s/round':>9}{'MB':>8}   goal")
    start = cost(10, 1, given.method)
    for population, rounds in runs:
        took = cost(population, rounds, given.method)
        per_round = (took.seconds - start.seconds) / rounds
        figures = f"{population:10,}{rounds:8,}{WANTED:8,}{took.seconds:9.1f}{per_round:9.3f}{took.megabytes:8.0f}"
        goal = ""
        if (population, rounds) == (SIZES[-1], 1000):
            holds = took.seconds <= GOAL_SECONDS and took.megabytes <= GOAL_MEGABYTES
            goal = f"{GOAL_SECONDS} s, {GOAL_MEGABYTES:,} MB: {'holds' if holds else 'MISSED'}"
        print(f"{figures}   {goal}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
