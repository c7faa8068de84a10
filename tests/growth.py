"""How work grows with its size, by counts of executed bytecodes: the same on any processor and under any load."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def bytecodes(work: Callable[[], object]) -> int:
    """Count the bytecodes that some work executes; what happens inside functions written in C counts as one."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def exponent(work: Callable[[int], Callable[[], object]], small: int, large: int) -> float:
    """Power of the size with which work grows.

    Parameters
    ----------
    work : callable
        Given a size, prepares the work, which is not counted, and returns it.
    small, large : int
        Two sizes. Where a term of the first power is still as large as one of the second, this is about 1.5.
    """
    # What is imported and remembered for later is no part of it.
    work(2)()
    return math.log(bytecodes(work(large)) / bytecodes(work(small))) / math.log(large / small)
