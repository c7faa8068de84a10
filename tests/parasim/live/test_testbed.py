"""The relay of the testbed gives packets the rate, the delay and the queue that it is told."""

import importlib.util
import random
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parents[3] / "examples" / "testbed" / "testbed.py"


@pytest.fixture
def direction():
    spec = importlib.util.spec_from_file_location("testbed", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["testbed"] = module
    spec.loader.exec_module(module)
    yield module.Direction
    del sys.modules["testbed"]


def test_packets_take_their_size_and_the_delay(direction) -> None:
    # 1,500 B at 1.5 MB/s are 1 ms; with a delay of 20 ms, packets that come in together arrive 1 ms apart.
    link = direction(0, 1, rate=1.5e6, delay=0.02, queue=0.1, loss=0.0)
    draws = random.Random(0)
    assert [link.arrival(1500, 0.0, draws) for _ in range(3)] == pytest.approx([0.021, 0.022, 0.023])
    # Later, the link is free again.
    assert link.arrival(1500, 1.0, draws) == pytest.approx(1.021)


def test_what_would_wait_too_long_is_dropped(direction) -> None:
    link = direction(0, 1, rate=1.5e6, delay=0.0, queue=0.0025, loss=0.0)
    draws = random.Random(0)
    # Waits of 0, 1 and 2 ms fit, one of 3 ms does not, and takes no time of the link.
    arrivals = [link.arrival(1500, 0.0, draws) for _ in range(4)]
    assert arrivals[:3] == pytest.approx([0.001, 0.002, 0.003])
    assert arrivals[3] is None


def test_a_share_of_packets_is_lost(direction) -> None:
    link = direction(0, 1, rate=1e9, delay=0.0, queue=1.0, loss=0.25)
    draws = random.Random(0)
    lost = sum(link.arrival(100, float(number), draws) is None for number in range(4000))
    # 1,000 in the mean, with a deviation of 27.
    assert 850 < lost < 1150
