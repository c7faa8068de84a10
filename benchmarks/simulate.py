"""What a simulation costs: start-up, the default sweep, and a million alike clients.

Prints one table; each ratio is of two commands run in turn within this one run, and the median of the pairs.

    python benchmarks/simulate.py
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = str(Path(sys.executable).parent / "paraSim")
MILLION = """
name: a million
rounds: 32
compute: {seconds: 30}
payload: {upload: 872MB}
fleet: [{count: COUNT, uplink: 100MB/s}]
"""


def cpu_seconds(*command: str) -> float:
    """Run a command and return the CPU time of it and its children [s]."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ratio(repeats: int, first: tuple[str, ...], second: tuple[str, ...]) -> tuple[float, float, float]:
    """Median CPU times of two commands run in turn [s], and the median of their ratios."""
    pairs = [(cpu_seconds(*first), cpu_seconds(*second)) for _ in range(repeats)]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )


def simulate_count(count: int, repeats: int) -> float:
    """Median time of one simulation of `count` alike clients in this process [s]."""
    import parasim
    from parasim_core.sim.scenario.safe_parsing import parse_yaml

    data = parse_yaml(MILLION.replace("COUNT", str(count)))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        parasim.simulate(data).figures()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def row(what: str, seconds: float, against: float | None, ratio: float | None, goal: str) -> None:
    """Print one line of the table."""
    figures = [f"{'' if value is None else f'{value:.4g}':>9}" for value in (seconds, against, ratio)]
    print(f"{what:56}{''.join(figures)}   {goal}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    imports = (sys.executable, "-c", "import typer, rich, numpy")
    help_, base, help_ratio = ratio(repeats, (COMMAND, "--help"), imports)
    print(f"{'what':56}{'CPU s':>9}{'against':>9}{'ratio':>9}   goal")
    row("paraSim --help, against importing typer, rich and numpy", help_, base, help_ratio, "1.5")
    with tempfile.TemporaryDirectory() as folder:
        sweeps = [cpu_seconds(COMMAND, "sweep", "--out", f"{folder}/{i}") for i in range(max(3, repeats // 2))]
    row("default sweep, 72 runs and both charts", statistics.median(sweeps), None, None, "6 s")
    million, one = simulate_count(10**6, 5 * repeats), simulate_count(1, 5 * repeats)
    row("a million alike clients, against one, 32 rounds (wall)", million, one, million / one, "2")


if __name__ == "__main__":
    main()
