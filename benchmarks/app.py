"""What the page of `paraSim app` computes at every place that a slider passes, beside one plain simulation.

    python benchmarks/app.py

Prints the least processor time of each question over some repetitions, and how many simulations of the paper's setting
all of them together are. The aim is 200 ms in all on an idle core.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import parasim
from parasim.app.forms import computing
from parasim.app.lines import lines
from parasim.app.methods import methods
from parasim.app.running import run
from parasim_core.calibration.paper.cells import paper_setting

_REPETITIONS = 7


def seconds(call: Callable[[], object]) -> float:
    """Least processor time of a call [s]."""
    times = []
    for _ in range(_REPETITIONS):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    """Measure and print."""
    paper = paper_setting("llama-3-8b")
    asked = {"fields": paper, "timeline": True, "live": True}
    plain = seconds(lambda: parasim.simulate(paper))
    total = 0.0
    for question in (run, computing, methods, lines):
        own = seconds(lambda question=question: question(asked))  # type: ignore[misc]
        total += own
        print(f"{question.__name__:10} {1e3 * own:7.1f} ms")
    print(f"{'together':10} {1e3 * total:7.1f} ms, {total / plain:.0f} x one simulation")


if __name__ == "__main__":
    main()
