"""Files of every format with something in them replaced: they are read into a fleet that is valid, or refused."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

import parasim
from parasim.importing.links import import_links
from parasim_core.sim.errors import ParaSimError
from tests.parasim.importing import test_ping
from tests.parasim.importing.samples import OOKLA, SPEEDTEST_CLI, iperf, iperf_both, iperf_udp, mtr

DOCUMENTS = [
    iperf(20e6, streams=2),
    iperf(20e6, reverse=True),
    iperf_both(20e6, 30e6),
    iperf_udp(20e6, 1.0, target=1e6),
    SPEEDTEST_CLI,
    OOKLA,
    mtr(("a", 1.0, 2.0), ("b", 3.0, 4.0)),
]
TEXTS = [text for name, text in vars(test_ping).items() if name.isupper() and isinstance(text, str)] + [
    "name,uplink (Mbit/s),downlink,rtt_ms,loss %,count\na,20,3MB/s,18,0.1,3\nb,20,,,-,1\n",
    "seconds,uplink_mbit_s,latency_ms\n0,8,20\n1,16,20\n2,0,24\n",
    "1\n1\n3\n1500\n",
]
WORST = (
    None,
    True,
    -1,
    0,
    1e-300,
    1e300,
    10**70,
    "",
    "x",
    "nan",
    "-1",
    [],
    {},
    [1],
    {"bits_per_second": None},
    [[]],
    "\x1b[1m",
)


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every place in a document: what holds it, and where in it."""
    found: list[tuple[Any, Any]] = []
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, below in pairs:
        found += [(node, key), *places(below)]
    return found


def is_read_or_refused(path: Path, content: str) -> bool:
    """Whether a file becomes a valid fleet; if not, one line names it."""
    path.write_text(content)
    refusal = ""
    try:
        fleet = import_links([path], trace=len(content) % 2 == 0).fleet
    except ParaSimError as error:
        refusal = str(error)
    if refusal:
        assert str(path) in refusal
        assert "\n" not in refusal
        return False
    parasim.load({"model": "llama-3-8b", "fleet": fleet})
    return True


@pytest.mark.parametrize("document", DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_documents_with_a_value_replaced(tmp_path: Path, document: dict[str, Any]):
    draw = random.Random(0)
    ends = []
    for _ in range(100):
        spoiled = copy.deepcopy(document)
        node, key = draw.choice(places(spoiled))
        node[key] = draw.choice(WORST)
        ends.append(is_read_or_refused(tmp_path / "x", json.dumps(spoiled)))
    assert set(ends) == {True, False}


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_texts_with_some_characters_replaced(tmp_path: Path, text: str):
    draw = random.Random(0)
    for _ in range(100):
        characters = list(text)
        for _ in range(draw.randrange(1, 4)):
            begin = draw.randrange(len(characters))
            characters[begin : begin + draw.randrange(3)] = draw.choice("0987=<>,;%.-+eE\n\t xn/()µ")
        is_read_or_refused(tmp_path / "x", "".join(characters))
