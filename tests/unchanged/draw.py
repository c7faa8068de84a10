"""Draws the scenarios of `scenarios.jsonl`: 25 of each method, over all that a simulation looks at.

    python tests/unchanged/draw.py > tests/unchanged/scenarios.jsonl

Messages are whole numbers of bytes (given payloads only with powers of two as bytes per value): sums of them are
exact in any order, so that what is recorded does not depend on how a version of Python adds floats.
"""

from __future__ import annotations

import json
import random
from typing import Any

METHODS = ("parablock", "fedbcd", "fedit", "ffa-lora", "flora", "fedcybgd", "full-ft", "overlapped-lora")
BLOCK_METHODS = ("parablock", "fedbcd", "fedcybgd")
LAYERS = {"llama-3-8b": 32, "llama-3.2-3b": 28, "qwen2.5-7b": 28, "smollm2-135m": 30, "gpt2": 12, "vit-b16": 12}
PAPER, MEASURED = "paper-a100", "smollm2-135m-cpu"

Data = dict[str, Any]


def draw(random: random.Random, method: str, number: int) -> Data:
    """Draw one scenario."""
    # Profiles know few models; the last of each method take their seconds from one.
    profile = {22: PAPER, 23: PAPER, 24: MEASURED}.get(number)
    overlapped, cyclic = method in ("parablock", "overlapped-lora"), method == "fedcybgd"
    data: Data = {"name": f"{method} {number}", "method": method}
    if overlapped and (staleness := random.choice((0, 1, 2, 3))):
        data["method"] = {"name": method, "staleness": staleness}
    data["rounds"] = rounds = random.randint(1, 12)
    data["seed"] = random.randrange(1000)
    model, payload = None, None
    if profile is None:
        model = random.choice((None, *LAYERS))
        if model is None or random.random() < 0.2:
            payload = {"upload": f"{random.randint(1, 400_000) * 1000}B"}
            if random.random() < 0.5:
                payload["download"] = f"{random.randint(1, 400_000_000)}B"
    else:
        model = "smollm2-135m" if profile == MEASURED else random.choice(("llama-3-8b", "llama-3.2-3b"))
    data |= {"model": model} if model else {}
    data |= {"payload": payload} if payload else {}
    groups, clients = fleet(random, profile, most=LAYERS[model] if cyclic and model else 60)
    data["fleet"] = groups
    if method in BLOCK_METHODS:
        if blocks := cut(random, method, rounds, LAYERS.get(model or "", 40), profile):
            data["blocks"] = blocks
    elif method != "full-ft" and profile is None and model and payload is None:
        other = "all-linear" if model in ("gpt2", "vit-b16") else ["q_proj", "k_proj", "up_proj"]
        data["lora"] = {"rank": random.choice((4, 8, 64)), "targets": random.choice(("all-linear", other))}
    if cyclic and random.random() < 0.6:
        data["cyclic"] = {"download_fraction": random.choice((0.0, 0.25, 0.5, 0.8))}
    if profile is None:
        data["compute"] = given_seconds(random, rounds, clients)
    else:
        data |= of_profile(random, profile)
    if profile is None and not cyclic and method != "flora" and random.random() < 0.3:
        data["participation"] = {"fraction": random.choice((0.1, 0.25, 0.5, 0.9))}
    elif random.random() < 0.25:
        sizes = [1 if cyclic else random.randint(1, clients) for _ in range(rounds)]
        data["participation"] = {"rounds": [random.sample(range(clients), size) for size in sizes]}
    data |= server_and_wire(random, clients)
    return data


def fleet(random: random.Random, profile: str | None, most: int) -> tuple[list[Data], int]:
    """Draw the groups, some of them alike, and count their clients."""
    groups: list[Data] = []
    clients, half = 0, random.random() < 0.25
    most = random.choice((3, 10, 25, most)) if most > 25 else most
    if profile == MEASURED:
        most = min(most, 8)
    for index in range(random.randint(1, 5)):
        count = random.choice((1, 1, 2, 3, 5, 8, 20))
        if clients + count > most:
            break
        clients += count
        if groups and random.random() < 0.25:
            groups.append(random.choice(groups) | {"name": f"again {index}", "count": count})
            continue
        group: Data = {"count": count}
        optional = {
            "name": f"{random.choice(('clinic', 'bank', 'phone'))} {index}",
            "uplink": f"{round(random.uniform(1, 200), 2)}{random.choice(('MB/s', 'MB/s', 'Mbit/s', 'MiB/s'))}",
            "downlink": f"{round(random.uniform(5, 400), 1)}{random.choice(('MB/s', 'Mbps'))}",
            "latency": f"{random.randint(1, 400)}ms",
            "speed": round(random.uniform(0.3, 4), 2),
        }
        group |= {field: value for field, value in optional.items() if random.random() < 0.7}
        if half and random.random() < 0.6:
            group["duplex"] = "half"
        if profile == PAPER and random.random() < 0.3:
            group["device"] = "a100"
        groups.append(group)
    return (groups, clients) if groups else ([{"count": 2, "uplink": "30MB/s"}], 2)


def cut(random: random.Random, method: str, rounds: int, layers: int, profile: str | None) -> Data:
    """Draw the blocks and their order."""
    blocks: Data = {}
    count = layers if method == "fedcybgd" else 16
    if method == "fedcybgd" or random.random() < 0.35:
        if profile == MEASURED or random.random() < 0.7:
            blocks["count"] = count = random.randint(8 if profile == MEASURED else 1, layers)
    elif random.random() < 0.75:
        blocks["layers"] = random.choice((1, 2, 4) if profile == MEASURED else (0.5, 1, 2, 3, 5))
        count = 3
    else:
        count = 6
    schedule = random.choice((None, "random", "sequential", "reverse", "gradient", "gradient", "list", "list"))
    if schedule == "list" and method != "fedcybgd":
        blocks["schedule"] = [random.randrange(min(count, 6)) for _ in range(rounds)]
    elif schedule in ("sequential", "reverse", "gradient", "random"):
        blocks["schedule"] = schedule
    if schedule == "gradient" and random.random() < 0.6:
        blocks["gradient_pass"] = round(random.uniform(0.1, 9), 2)
    return blocks


def given_seconds(random: random.Random, rounds: int, clients: int) -> Data:
    """Draw the seconds of updates: one number, one per client, or one per round and client."""

    def one() -> float:
        return round(random.uniform(0.5, 60), 2)

    kind = random.choice(("one", "one", "clients", "both"))
    seconds: Any = one()
    if kind == "clients":
        seconds = [one() for _ in range(clients)]
    elif kind == "both" and rounds * clients <= 120:
        seconds = [[one() for _ in range(clients)] for _ in range(rounds)]
    return {"seconds": seconds} | ({"non_overlapping": f"{random.randint(1, 4000)}ms"} if random.random() < 0.4 else {})


def of_profile(random: random.Random, profile: str) -> Data:
    """Draw local work that a profile covers."""
    compute: Data = {"profile": profile}
    if profile == PAPER:
        compute["dataset"] = random.choice(("alpaca-gpt4", "mathinstruct"))
        local: Data = {"batch_size": random.randint(2, 8), "steps": random.choice((10, 40, 40))}
    else:
        local = {"batch_size": random.randint(1, 4), "sequence_length": random.choice((32, 64, 128)), "steps": 7}
    if random.random() < 0.3:
        compute["non_overlapping"] = 0.75
    return {"compute": compute, "local": local}


def server_and_wire(random: random.Random, clients: int) -> Data:
    """Draw the server's links, which bind more often than not where they are limited, and the form of messages."""
    server: Data = {}
    for link in ("ingress", "egress"):
        if random.random() < 0.45:
            server[link] = f"{round(random.uniform(2, 60) * clients**0.7, 1)}MB/s"
    if random.random() < 0.4:
        server["aggregation"] = f"{random.randint(1, 3000)}ms"
    wire: Data = {}
    if random.random() < 0.5:
        wire["bytes_per_parameter"] = random.choice((0.5, 1, 2, 4))
    if random.random() < 0.35:
        wire["serialization"] = f"{random.randint(1, 900)}ms"
    for direction in ("upload", "download"):
        if random.random() < 0.3:
            smaller = {"top_k": random.choice((0.01, 0.1, 0.5)), "index_bytes": random.choice((2, 4))}
            coarser = {"bits": random.choice((4, 8)), "group_size": random.choice((64, 256)), "scale_bytes": 2}
            wire[direction] = random.choice((smaller, coarser, smaller | coarser))
    return {name: section for name, section in (("server", server), ("wire", wire)) if section}


def main() -> None:
    """Print one scenario a line."""
    source = random.Random(20261130)
    for method in METHODS:
        for number in range(25):
            print(json.dumps(draw(source, method, number)))


if __name__ == "__main__":
    main()
