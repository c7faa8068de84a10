"""How far the prices of single operators are from measured ones: the NeuSight data set, float32 without TF32.

The files are not shipped: `linear.csv`, `bmm.csv`, `elem.csv`, `ln.csv` and `softmax.csv` with the columns `device`,
`milliseconds` and B, M, N, K or B, H (github sitar-lab/NeuSight, scripts/asplos/data/dataset/test). A column per kind
of operator: median size of the errors, and their median with its sign.

    python benchmarks/operators.py DIR
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median

# Run as a script, Python looks for modules beside this file and not in the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from parasim_core.calibration.devices.catalogue import as_driver_says
from parasim_core.calibration.devices.kernels import seconds
from parasim_core.calibration.devices.operators import Operator, Phase

KINDS = ("linear", "bmm", "elem", "ln", "softmax")
BINARY = ("add", "mul", "div", "pow")
"""Elementwise operators that read two tensors; the same with a `u` read one and a number."""
SIZE = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    errors: dict[str, dict[str, list[float]]] = {}
    directory = parser.parse_args().directory
    for kind in KINDS:
        with (directory / f"{kind}.csv").open() as file:
            for row in csv.DictReader(file):
                # Measured one at a time, with pauses, a card's power lasts.
                device = replace(as_driver_says(row["device"]), sustained=1.0)
                guess = seconds(operator(kind, row), device)
                found = errors.setdefault(device.name, {}).setdefault(kind, [])
                found.append(100 * (1e3 * guess / float(row["milliseconds"]) - 1))
    print(f"{'device':<16}", *(f"{kind:>16}" for kind in KINDS))
    for name, own in errors.items():
        print(f"{name:<16}", *(f"{cell(own.get(kind, [])):>16}" for kind in KINDS))


def operator(kind: str, row: dict[str, str]) -> Operator:
    """The operator that a row of a file is about."""
    if kind in ("linear", "bmm"):
        batch, rows, columns, inner = (int(row[name]) for name in "BMNK")
        if kind == "linear":
            # One matrix product for the whole batch.
            batch, rows = 1, batch * rows
        traffic = SIZE * batch * (rows * inner + inner * columns + rows * columns)
        flops = 2 * batch * rows * columns * inner
        return Operator("aten.mm", Phase.FORWARD, "float32", flops, traffic, (batch, rows, columns, inner))
    tensors = 3 if row["operator"] in BINARY else 2
    name = {"ln": "aten.native_layer_norm", "softmax": "aten._softmax"}.get(kind, "aten.add")
    return Operator(name, Phase.FORWARD, "float32", 0, tensors * SIZE * int(row["B"]) * int(row["H"]))


def cell(errors: list[float]) -> str:
    return f"{median(map(abs, errors)):.0f} % ({median(errors):+.0f})" if errors else "-"


if __name__ == "__main__":
    main()
