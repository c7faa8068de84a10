"""A program: replay allocations and frees through the C library's own allocator, and print what it took at most.

Reads from standard input, as 64-bit integers, pairs of a number and a size: a size of 0 or more allocates that many
bytes [B] under that number, -1 frees them. Run in a process of its own by `calibration.allocator`, with glibc.
"""

from __future__ import annotations

import ctypes
import sys
from array import array

ALIGNMENT = 64
"""PyTorch's, for memory on a CPU [B]."""
BESIDE = 2 * (176, 104, 24, 16, 32, 24, 312)
"""What PyTorch allocates with every tensor and keeps about as long [B]: the tensor and its storage, their sizes and
strides, nodes of the graph and what they save. Such sizes were seen with torch 2.13; how many there are was chosen on
a small Llama."""


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
    held: dict[int, list[int | None]] = {}
    address = ctypes.c_void_p()
    place = ctypes.byref(address)
    for number, size in zip(events[::2], events[1::2], strict=True):
        if size < 0:
            for each in held.pop(number):
                c.free(each)
            continue
        if c.posix_memalign(place, ALIGNMENT, max(size, 1)):
            raise MemoryError
        held[number] = [address.value, *map(c.malloc, BESIDE)]
        # Looking costs time, and small pieces hardly move the mark.
        if size >= 1 << 16:
            highest = max(highest, taken())
    return highest - before


if __name__ == "__main__":
    given = array("q")
    given.frombytes(sys.stdin.buffer.read())
    print(replay(given))
