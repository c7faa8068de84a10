"""CUDA's caching allocator by hand: segments, blocks that are cut and grow together, and a step that repeats."""

from __future__ import annotations

from parasim_core.calibration.memory.allocations import Ledger
from parasim_core.calibration.memory.caching_allocator import MIB, CachingAllocator, reserved


def test_sizes_come_from_segments_of_three_kinds() -> None:
    # 100 B from 2 MiB, 3 MiB from 20 MiB, 11.5 MiB from one of its own, rounded up to 12 MiB.
    for size, segment in ((100, 2), (3 * MIB, 20), (11 * MIB + MIB // 2, 12)):
        allocator = CachingAllocator()
        allocator.allocate(size)
        assert allocator.reserved == segment * MIB


def test_what_is_left_of_a_segment_is_used() -> None:
    # Six of 3 MiB fit into 20 MiB, the seventh needs another segment. Of small ones, 4096 of 512 B fit into 2 MiB.
    allocator = CachingAllocator()
    for _ in range(6):
        allocator.allocate(3 * MIB)
    assert allocator.reserved == 20 * MIB
    allocator.allocate(3 * MIB)
    assert allocator.reserved == 40 * MIB
    small = CachingAllocator()
    for _ in range(4096):
        small.allocate(1)
    assert small.reserved == 2 * MIB


def test_free_neighbours_grow_together() -> None:
    # 40 MiB once held two of 20; both given back, they are one block of 40 again. Of the lower one alone, not.
    allocator = CachingAllocator()
    allocator.free(allocator.allocate(40 * MIB))
    halves = [allocator.allocate(20 * MIB) for _ in range(2)]
    assert allocator.reserved == 40 * MIB
    allocator.free(halves[0])
    allocator.free(allocator.allocate(15 * MIB))
    allocator.free(halves[1])
    allocator.allocate(40 * MIB)
    assert allocator.reserved == 40 * MIB


def test_a_hole_that_is_too_small_costs_another_segment() -> None:
    # A tensor of 30 MiB stays where 40 were: 25 MiB more do not fit into the 10 that are left.
    ledger = Ledger()
    wide = ledger.allocate(40 * MIB)
    ledger.free(wide)
    ledger.allocate(30 * MIB)
    ledger.free(ledger.allocate(25 * MIB))
    assert reserved(ledger.events, repeats=1) == (40 + 26) * MIB
    # In the second step what stays is there from the start, and 40 MiB need a segment of their own once more.
    assert reserved(ledger.events) == (40 + 26 + 40) * MIB
