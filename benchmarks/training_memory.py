"""Peak memory of training against the number of clients and the width of blocks.

Every case runs in a process of its own: ParaBlock, two rounds on scikit-learn's digits, a vision transformer of 8
layers and 6.6 million parameters. `peak` is the resident size at its highest, less what the process held before it
built the model; `updates` is what the clients' deltas weigh (float32; two blocks each, the one that is sent and the one
that was trained meanwhile), and N models is what keeping one model per client would take.

    python benchmarks/training_memory.py
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

# Run as a script, Python looks for modules beside this file and not in the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

CLIENTS = (10, 50, 100, 200)
LAYERS = (1, 2, 4)
MEGABYTE = 1e6


def peak() -> float:
    """Largest resident size so far [B]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def case(clients: int, layers: int) -> None:
    """Train once and print the peak [B], and the bytes of a block and of the model."""
    import torch

    from parasim.training import train
    from parasim_core.train.models.files import load_model
    from parasim_demonstration.models import digits_config

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "config.json"
        digits_config(hidden_size=320, layers=8).to_json_file(config)
        model = load_model(config)
        size = 4 * sum(parameter.numel() for parameter in model.parameters())
        del model
        scenario = {
            "model": str(config),
            "rounds": 2,
            "blocks": {"layers": layers},
            "local": {"steps": 1, "batch_size": 4},
            "fleet": [{"count": clients, "uplink": "10MB/s"}],
            "wire": {"bytes_per_parameter": 4},
            "train": {"data": {"source": "digits"}, "partition": {"minimum": 1}},
        }
        before = peak()
        training = train(scenario, out=Path(directory) / "out")
        block = float(str(training.metrics[0]["uploaded_bytes"])) / clients
    print(json.dumps([peak() - before, block, size]))


def main() -> None:
    """Print the table."""
    print(f"{'clients':>7} {'layers':>6} {'peak':>8} {'updates':>8} {'N models':>9}   [MB]")
    for layers in LAYERS:
        for clients in CLIENTS:
            command = [sys.executable, __file__, str(clients), str(layers)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            used, block, size = json.loads(done.stdout.splitlines()[-1])
            figures = (used, 2 * clients * block, clients * size)
            print(f"{clients:>7} {layers:>6}" + "".join(f" {figure / MEGABYTE:>8.0f}" for figure in figures))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        case(int(sys.argv[1]), int(sys.argv[2]))
    else:
        main()
