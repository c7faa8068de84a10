"""Whether training gives the same as another checkout of paraSim: metrics, timelines and models, to the last bit.

    git worktree add ../before 9f738f2
    python benchmarks/same_training.py --before ../before
    python benchmarks/same_training.py --before ../before --cases plain,stale --keep results/same

Both versions train a small Llama (and a small vision transformer) with the same seeds, one thread and given seconds, by
the command line. Ends with status 1 if anything differs. Only runs of one machine can be compared: processors round
differently.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[1]
METHODS = ("parablock", "fedbcd", "fedit", "ffa-lora", "flora", "fedcybgd", "full-ft", "overlapped-lora")
SCENARIO: dict[str, Any] = {
    "name": "same training",
    "model": "demo",
    "rounds": 4,
    "seed": 3,
    "blocks": {"count": 4},
    "local": {"steps": 2, "batch_size": 4, "sequence_length": 48},
    "lora": {"rank": 4, "targets": ["q_proj", "v_proj"]},
    "fleet": [{"count": 2, "uplink": "8MB/s"}, {"uplink": "3MB/s", "latency": "20ms", "speed": 0.7}],
    "server": {"ingress": "9MB/s"},
    "compute": {"seconds": 1.0, "non_overlapping": 0.1},
    "train": {
        "data": {"source": "word-problems", "examples": 200, "held_out_examples": 10},
        "learning_rate": 3e-3,
        "pretraining": {"steps": 2},
        "evaluation": {"every": 2, "answer_tokens": 2},
        "device": "cpu",
    },
}
CASES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "plain": (METHODS, {}),
    "compressed": (
        ("parablock", "fedbcd", "fedit", "flora", "full-ft"),
        {
            "wire": {"upload": {"top_k": 0.3, "bits": 8}, "download": {"bits": 8}},
            "participation": {"fraction": 0.67},
            "train.error_feedback": True,
            "train.stochastic_rounding": True,
            "train.mean": "weighted",
        },
    ),
    "stale": (("parablock", "overlapped-lora"), {"method": {"name": "parablock", "staleness": 2}}),
    "gradient": (("parablock", "fedbcd"), {"blocks": {"count": 4, "schedule": "gradient", "gradient_pass": 0.5}}),
    "turns": (("fedcybgd",), {"method": "fedcybgd", "rounds": 7, "cyclic": {"download_fraction": 0.5}}),
    "digits": (("parablock", "fedit"), {"train.data": {"source": "digits"}, "train.pretraining": None}),
}
"""Methods, and what differs from the scenario above."""


def train(checkout: Path, case: str, folder: Path) -> None:
    """Train all methods of a case with one checkout."""
    methods, fields = CASES[case]
    data = json.loads(json.dumps(SCENARIO))
    for field, value in fields.items():
        section, _, name = field.rpartition(".")
        (data[section] if section else data)[name] = value
    scenario = folder.with_suffix(".json")
    scenario.write_text(json.dumps(data), encoding="utf-8")
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "parasim", "train", str(scenario), "--method", ",".join(methods)]
    command += ["--clock", "profile", "--out", str(folder)]
    environment = {**os.environ, **threads, "PYTHONPATH": str(checkout)}
    ended = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, encoding="utf-8")
    if ended.returncode:
        sys.exit(f"{checkout}: {case} ended with status {ended.returncode}:\n{ended.stderr}")


def differences(case: str, before: Path, now: Path) -> Iterator[str]:
    """Compare what two versions left behind: a sentence for each file that differs, with the first place."""
    methods, _ = CASES[case]
    for name in ("metrics.csv", *(f"{method}/timeline.csv" for method in methods)):
        one, other = (
            (folder / name).read_bytes().decode().splitlines(keepends=True) if (folder / name).exists() else []
            for folder in (before, now)
        )
        pairs = enumerate(zip_longest(one, other), start=1)
        if first := next(((line, *pair) for line, pair in pairs if pair[0] != pair[1]), None):
            yield "{}: line {} was {!r} and is {!r}".format(name, *first)
        elif not one:
            yield f"{name}: neither version has written it"
    for method in methods:
        models = [load_file(folder / method / "model" / "model.safetensors") for folder in (before, now)]
        if models[0].keys() != models[1].keys():
            yield f"{method}: the models have other tensors: {sorted(models[0].keys() ^ models[1].keys())}"
            continue
        unequal = [name for name in models[0] if not _bits_equal(models[0][name], models[1][name])]
        if unequal:
            most = float((models[0][unequal[0]].double() - models[1][unequal[0]].double()).abs().max())
            yield f"{method}: {len(unequal)} of {len(models[0])} tensors differ, {unequal[0]} by up to {most:.3g}"


def _bits_equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    alike = one.dtype == other.dtype and one.shape == other.shape
    return alike and torch.equal(one.contiguous().view(torch.uint8), other.contiguous().view(torch.uint8))


def main() -> None:
    """Train and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, metavar="DIR", required=True, help="the other checkout")
    parser.add_argument("--cases", default=",".join(CASES), help="with commas between them: %(default)s")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where the results stay; nowhere if left out")
    given = parser.parse_args()
    cases = given.cases.split(",")
    if unknown := [case for case in cases if case not in CASES]:
        parser.error(f"--cases: no case {unknown[0]!r}; allowed are {', '.join(CASES)}")
    if not (given.before / "parasim" / "__init__.py").is_file():
        parser.error("--before: name the folder of another checkout")
    if given.keep is not None and given.keep.exists():
        parser.error(f"--keep {given.keep}: is there already")
    found = 0
    with tempfile.TemporaryDirectory() as temporary:
        for case in cases:
            start, folder = time.perf_counter(), (given.keep or Path(temporary)).resolve() / case
            folder.mkdir(parents=True)
            train(given.before.resolve(), case, folder / "before")
            train(ROOT, case, folder / "now")
            differing = list(differences(case, folder / "before", folder / "now"))
            found += len(differing)
            verdict = "DIFFERENT" if differing else "equal"
            print(f"{case}: {', '.join(CASES[case][0])}: {verdict} ({time.perf_counter() - start:.0f} s)", flush=True)
            for sentence in differing:
                print(f"  {sentence}", flush=True)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
