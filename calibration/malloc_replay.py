"""A program: replay allocations and frees through the C library's own allocator, and print what it took at most.

Reads `calibration.heap.Heap.events` from standard input, as 64-bit integers. Run in a process of its own by
`calibration.allocator`, with glibc.
"""

from __future__ import annotations

import ctypes
import sys
from array import array

_FIELDS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class _Mallinfo(ctypes.Structure):
    """glibc's ``struct mallinfo2``."""

    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS]


def replay(events: array[int]) -> int:
    """Allocate and free, and return the most that the allocator had from the system, beyond what it had before [B]."""
    c = ctypes.CDLL(None)
    c.malloc.restype = ctypes.c_void_p
    c.malloc.argtypes = [ctypes.c_size_t]
    c.free.argtypes = [ctypes.c_void_p]
    c.posix_memalign.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]
    c.mallinfo2.restype = _Mallinfo

    def taken() -> int:
        info = c.mallinfo2()
        return int(info.arena) + int(info.hblkhd)

    before = highest = taken()
    held: dict[int, int | None] = {}
    address = ctypes.c_void_p()
    place = ctypes.byref(address)
    for number, size, alignment in zip(events[::3], events[1::3], events[2::3], strict=True):
        if size < 0:
            c.free(held.pop(number))
            continue
        if not alignment:
            held[number] = c.malloc(size)
            continue
        if c.posix_memalign(place, alignment, max(size, 1)):
            raise MemoryError
        held[number] = address.value
        # Looking costs time; the objects beside the tensors hardly move the mark.
        highest = max(highest, taken())
    return highest - before


if __name__ == "__main__":
    given = array("q")
    given.frombytes(sys.stdin.buffer.read())
    print(replay(given))
