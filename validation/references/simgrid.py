"""SimGrid's answers for rounds of a star network: its makespans, and when each client's first upload ended."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from simpy import Environment, Event

from parasim_core.sim.network import star_network
from parasim_core.sim.network.model import Network
from validation.reference import Figure, Reference

DATA = Path(__file__).parents[2] / "tests" / "sim" / "network" / "data"
AIM_PCT = 1e-7
"""1e-9 of SimGrid's value (issue 2, point 4) [%]."""


@cache
def cases() -> tuple[Mapping[str, Any], ...]:
    """The cases: their inputs, and what SimGrid answered without latency and with 1 ms."""
    return tuple(json.loads(path.read_text(encoding="utf-8")) for path in sorted(DATA.glob("simgrid_*.json")))


def federated_rounds(
    network_class: Callable[[Environment, float, float], Network], case: Mapping[str, Any], latency: float
) -> tuple[list[float], float]:
    """Run the protocol of the cases: in every round each client computes and uploads, waits for all, and downloads.

    Parameters
    ----------
    network_class : callable
        Makes a network of an environment and the server's ingress and egress [B/s].
    case : mapping
        One of `cases`.
    latency : float
        Of every message [s].

    Returns
    -------
    list of float
        When the first upload of each client ended [s].
    float
        When the last download of all did [s].
    """
    env = Environment()
    network = network_class(env, case["server_ingress"], case["server_egress"])
    clients, rounds = case["n"], case["rounds"]
    missing = [clients] * rounds
    all_uploaded = [env.event() for _ in range(rounds)]
    first_uploads = [math.nan] * clients
    ends = [math.nan] * clients

    def run(client: int) -> Generator[Event, Any, None]:
        port = network.attach(case["up_Bps"][client], case["down_Bps"][client], latency)
        for index in range(rounds):
            yield env.timeout(case["compute_s"][index][client])
            uploaded = yield network.upload(port, case["bytes_up"])
            if index == 0:
                first_uploads[client] = uploaded
            missing[index] -= 1
            if missing[index] == 0:
                all_uploaded[index].succeed()
            yield all_uploaded[index]
            ends[client] = yield network.download(port, case["bytes_down"])

    for client in range(clients):
        env.process(run(client))
    env.run()
    return first_uploads, max(ends)


@cache
def makespan_errors() -> tuple[float, ...]:
    """Errors of paraSim's makespans, in the order of cases and of their latencies [%]."""
    return tuple(makespan for makespan, _ in _errors())


@cache
def _errors() -> tuple[tuple[float, float], ...]:
    """Of each answer: the makespan's error, and the largest one of a first upload's end [%]."""
    found = []
    for case in cases():
        for answer in case["expected_simgrid_4_1"]:
            ends, makespan = federated_rounds(star_network, case, answer["latency_s"])
            uploads = zip(ends, answer["first_upload_end_s"], strict=True)
            worst = max(100 * abs(end / expected - 1) for end, expected in uploads)
            found.append((100 * (makespan / answer["makespan_s"] - 1), worst))
    return tuple(found)


def figures() -> list[Figure]:
    """Largest errors of both."""
    errors = _errors()
    uploads = sum(case["n"] * len(case["expected_simgrid_4_1"]) for case in cases())
    makespan, upload = (max(map(abs, kind)) for kind in zip(*errors, strict=True))
    return [
        Figure("makespans, largest", makespan, len(errors), decimals=7, most=AIM_PCT),
        Figure("ends of uploads, largest", upload, uploads, decimals=7, most=AIM_PCT),
    ]


REFERENCE = Reference(
    name="SimGrid",
    kind="oracle",
    source="SimGrid 4.1 (CM02) on stars of 10 to 1,000 clients, alike and lognormal; `tests/sim/network/data`.",
    figures=figures,
)
