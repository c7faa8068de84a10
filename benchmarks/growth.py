"""How the cost of a command grows with the number of clients: processor times at three sizes, and the exponent.

    python benchmarks/growth.py
    python benchmarks/growth.py --parts simulate,report --sizes 2500,5000,10000 --repeats 3

Each part runs in a process of its own, sizes in turn; printed are the least of the processor times [s], without that of
starting, and the power of the number of clients between the first size and the last. n log n is about n^1.1 here. What
is more than that are objects that no longer fit into the processor's caches: the same operations, but slower.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

PARAMETERS = {"compute": {"seconds": 30}, "payload": {"upload": "100MB"}, "method": "parablock"}


def uneven(clients: int, rounds: int, **fields: Any) -> dict[str, Any]:
    """Build a fleet of groups of one client each, all with other links."""
    draws = random.Random(clients)
    links = [
        {"uplink": f"{draws.uniform(5, 50):.3f}MB/s", "latency": f"{draws.uniform(1, 50):.2f}ms"}
        for _ in range(clients)
    ]
    return {**PARAMETERS, "fleet": links, "rounds": rounds, **fields}


def apart(clients: int, rounds: int, **fields: Any) -> dict[str, Any]:
    """Build a single group whose clients compute for different times."""
    draws = random.Random(clients)
    seconds = [draws.uniform(20, 40) for _ in range(clients)]
    fleet = [{"count": clients, "uplink": "20MB/s"}]
    return {**PARAMETERS, "fleet": fleet, "rounds": rounds, "compute": {"seconds": seconds}, **fields}


def binding(clients: int) -> dict[str, Any]:
    """Put a server in front that carries an eighth of what all links do."""
    return apart(clients, 1, server={"ingress": f"{2.5 * clients}MB/s", "egress": f"{2.5 * clients}MB/s"})


def half(clients: int) -> dict[str, Any]:
    """Let up and down share the air."""
    return uneven(clients, 3) | {"fleet": [{**group, "duplex": "half"} for group in uneven(clients, 3)["fleet"]]}


PARTS: dict[str, tuple[str, Callable[[int], dict[str, Any]], tuple[int, ...], tuple[str, ...]]] = {
    "simulate": ("simulate --out, 8 rounds", lambda n: apart(n, 8), (2500, 5000, 10_000), ("simulate",)),
    "report": ("report of it", lambda n: apart(n, 8), (1250, 2500, 5000), ("simulate", "report")),
    "groups": ("simulate --out, groups of one", lambda n: uneven(n, 3), (1000, 2000, 4000), ("simulate",)),
    "binding": ("behind a binding server", binding, (10_000, 20_000, 50_000), ("api",)),
    "half": ("half duplex", half, (3000, 6000, 12_000), ("api",)),
    "explain": ("explain, groups of one", lambda n: uneven(n, 3), (500, 1000, 2000), ("explain",)),
    "hiding": ("plan --hide-communication", lambda n: uneven(n, 3), (100, 200, 400), ("hide",)),
}


def seconds(commands: tuple[str, ...], scenario: dict[str, Any]) -> float:
    """Run commands one after the other, and return the processor time of the last [s]."""
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder, "scenario.json"), str(Path(folder, "out"))
        file.write_text(json.dumps(scenario), encoding="utf-8")
        arguments = {
            "simulate": ["-m", "parasim", "simulate", str(file), "--out", out],
            "explain": ["-m", "parasim", "explain", str(file), "--out", out],
            "hide": ["-m", "parasim", "plan", str(file), "--hide-communication"],
            "report": ["-m", "parasim", "report", out],
            "api": ["-c", f"import json, parasim; parasim.simulate(json.load(open({str(file)!r}))).figures()"],
        }
        for command in commands:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, *arguments[command]], check=True, stdout=subprocess.DEVNULL)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), help="with commas between them: %(default)s")
    parser.add_argument("--sizes", help="numbers of clients, rising, instead of each part's own")
    parser.add_argument(
        "--repeats", type=int, default=3, help="runs of each, of which the fastest counts (%(default)s)"
    )
    given = parser.parse_args()
    if unknown := [name for name in given.parts.split(",") if name not in PARTS]:
        parser.error(f"--parts: no part {unknown[0]!r}; allowed are {', '.join(PARTS)}")
    print(f"{'processor seconds':32}{'clients: seconds':>48}   exponent")
    for name in given.parts.split(","):
        what, build, sizes, commands = PARTS[name]
        if given.sizes:
            sizes = tuple(int(size) for size in given.sizes.split(","))
        start = seconds(commands, build(2))
        runs = [[seconds(commands, build(size)) - start for size in sizes] for _ in range(given.repeats)]
        times = [min(column) for column in zip(*runs, strict=True)]
        power = math.log(times[-1] / times[0]) / math.log(sizes[-1] / sizes[0])
        told = ", ".join(f"{size:,}: {time:.2f}" for size, time in zip(sizes, times, strict=True))
        print(f"{what:32}{told:>48}   {power:.2f}", flush=True)


if __name__ == "__main__":
    main()
