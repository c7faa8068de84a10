"""How fast this version is, against another checkout of paraSim: ratios of processor times, each bounded by 1.05.

    git worktree add ../before 9f738f2
    python benchmarks/against.py --before ../before
    python benchmarks/against.py --before ../before --parts help,plan --repeats 15

Each part runs in a process of its own, the two versions in turn and the order changing (ABBA), after one run of each
that does not count. Only the command line, the public API and the checkouts' own `benchmarks/replay.py` are used, so
that modules may be elsewhere in the two. Printed are medians of the processor times of a run, and median and range of
the ratios. What workers of the sweep take counts too.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BOUND = 1.05
ROOT = Path(__file__).resolve().parents[1]
GROUPS = 100
"""Groups of a large fleet; its seconds of computing are given for each client, so that no two of them are alike."""


@dataclass(frozen=True)
class Part:
    """What is compared.

    Attributes
    ----------
    what : str
        In words.
    command : callable
        Arguments of the interpreter, for a folder that may be written to.
    figure : str
        Pattern of the processor time in what is printed [s]; that of the whole process if empty.
    times : int
        Runs of each version in a pair, added up: two of opposite order at least, more where one is short.
    """

    what: str
    command: Callable[[str], tuple[str, ...]]
    figure: str = ""
    times: int = 2


def large_fleet(clients: int, method: str, rounds: int, timeline: bool = False) -> Part:
    """Simulate clients that all differ behind a server that binds."""
    ends = "timeline.csv written" if timeline else "figures"
    return Part(
        f"{clients:,} clients, {method}, {rounds} round{'s' * (rounds > 1)}, {ends}",
        lambda out: (__file__, "--simulate", str(clients), method, str(rounds), out if timeline else ""),
        r"simulated in ([\d.]+) s",
    )


# The methods that both checkouts have: what the newer one knows besides is no slowness.
METHODS = "parablock,fedbcd,fedit,ffa-lora,flora,fedcybgd,full-ft,overlapped-lora"
PLAN = f"plan examples/paper.yaml --method {METHODS} --within 25min --solve-for bandwidth --jobs 1"
PARTS = {
    "10k": large_fleet(10_000, "parablock", 3),
    "10k-synchronous": large_fleet(10_000, "fedbcd", 3),
    "10k-timeline": large_fleet(10_000, "parablock", 3, timeline=True),
    "100k": large_fleet(100_000, "parablock", 1),
    "sweep": Part("default sweep, 72 runs and its charts", lambda out: ("-m", "parasim", "sweep", "--out", out)),
    "replay": Part(
        "one million replays",
        lambda out: ("benchmarks/replay.py", "--count", "1000000", "--jobs", "1"),
        r"time of all processors: ([\d.]+) s",
    ),
    "help": Part("--help", lambda out: ("-m", "parasim", "--help"), times=16),
    "plan": Part(
        "plan --within, bandwidth, eight methods",
        lambda out: ("-m", "parasim", *PLAN.split()),
        times=4,
    ),
}


def processor_seconds(part: Part, checkout: Path) -> float:
    """Run a part in a checkout and return its processor time [s]."""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    # Installed code is compiled once, not whenever it starts; the run that does not count does that here.
    cached = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPATH": str(checkout), "PYTHONHASHSEED": "0"}
    environment = {**os.environ, **threads, **cached}
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, *part.command(out)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ended = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, encoding="utf-8")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode:
        sys.exit(f"{checkout}: {' '.join(command)} ended with status {ended.returncode}:\n{ended.stderr}")
    if not part.figure:
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    printed = re.search(part.figure, ended.stdout)
    if printed is None:
        sys.exit(f"{checkout}: {' '.join(command)} does not print {part.figure!r}:\n{ended.stdout}")
    return float(printed[1])


def pair(part: Part, before: Path) -> tuple[float, float]:
    """Run a part in both checkouts in turn; return the processor times of the other one and of this one [s]."""
    seconds = {before: 0.0, ROOT: 0.0}
    for number in range(part.times):
        for checkout in (before, ROOT) if number % 2 == 0 else (ROOT, before):
            seconds[checkout] += processor_seconds(part, checkout)
    return seconds[before] / part.times, seconds[ROOT] / part.times


def simulate(clients: int, method: str, rounds: int, out: str) -> None:
    """Simulate a large fleet in this process, and print the processor time without that of starting."""
    import parasim

    draws = random.Random(clients)
    capacities = [0.1 + draws.lognormvariate(1.6, 1.0) for _ in range(GROUPS)]
    links = [{"uplink": f"{capacity}MB/s", "downlink": f"{4 * capacity}MB/s"} for capacity in capacities]
    data: dict[str, Any] = {
        "method": method,
        "rounds": rounds,
        "fleet": [{"count": clients // GROUPS, **link} for link in links],
        # About an eighth of what all links together could carry.
        "server": {"ingress": f"{clients}MB/s", "egress": f"{4 * clients}MB/s"},
        "compute": {"seconds": [draws.uniform(30.0, 50.0) for _ in range(clients)]},
        "payload": {"upload": "872MB"},
    }
    run = parasim.simulate
    start = time.process_time()
    result = run(data)
    result.figures()
    if out:
        result.write_timeline(Path(out, "timeline.csv"))
    print(f"simulated in {time.process_time() - start:.4f} s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, metavar="DIR", help="the other checkout")
    parser.add_argument("--parts", default=",".join(PARTS), help="with commas between them: %(default)s")
    parser.add_argument("--repeats", type=int, default=5, help="ratios of each part (%(default)s)")
    parser.add_argument("--simulate", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.simulate:
        clients, method, rounds, out = given.simulate
        simulate(int(clients), method, int(rounds), out)
        return
    parts = given.parts.split(",")
    if given.before is None or not (given.before / "parasim" / "__init__.py").is_file():
        parser.error("--before: name the folder of another checkout")
    if unknown := [name for name in parts if name not in PARTS]:
        parser.error(f"--parts: no part {unknown[0]!r}; allowed are {', '.join(PARTS)}")
    before = given.before.resolve()
    print(f"{'processor seconds':56}{'before':>8}{'now':>8}{'ratio':>8}{'range':>16}   bound")
    for name in parts:
        part = PARTS[name]
        for checkout in (before, ROOT):
            processor_seconds(part, checkout)
        pairs = [pair(part, before) for _ in range(given.repeats)]
        ratios = [now / then for then, now in pairs]
        then, now = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratio, spread = statistics.median(ratios), f"{min(ratios):.3f} to {max(ratios):.3f}"
        verdict = "holds" if ratio <= BOUND else "MISSED"
        print(f"{part.what:56}{then:8.3f}{now:8.3f}{ratio:8.3f}{spread:>16}   {BOUND} {verdict}", flush=True)


if __name__ == "__main__":
    main()
