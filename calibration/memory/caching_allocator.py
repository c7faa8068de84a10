"""What PyTorch's caching allocator reserves for a step's tensors: blocks cut from segments, and segments kept for ever.

The rules are those of `CUDACachingAllocator` with its default settings: sizes are rounded up to 512 B; up to 1 MiB come
from segments of 2 MiB, up to 10 MiB from segments of 20 MiB, larger ones from segments of their own size, rounded up to
2 MiB. The smallest free block that is large enough is taken, and what is left of it stays a block; neighbours that are
free grow together again. A segment goes back to the driver only when it has no more.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field

from parasim_core.calibration.memory.allocations import Holding

MIB = 2**20
ROUNDING = 512
SMALL, SMALL_SEGMENT = MIB, 2 * MIB
MEDIUM, MEDIUM_SEGMENT = 10 * MIB, 20 * MIB
LARGE_ROUNDING = 2 * MIB


@dataclass(eq=False)
class _Block:
    size: int
    number: int
    small: bool
    free: bool = False
    before: _Block | None = None
    after: _Block | None = None


@dataclass
class CachingAllocator:
    """An allocator without memory.

    Attributes
    ----------
    reserved : int
        All segments together [B]; never shrinks.
    """

    reserved: int = 0
    _free: dict[bool, list[tuple[int, int, _Block]]] = field(default_factory=lambda: {True: [], False: []})
    _numbers: int = 0

    def allocate(self, size: int) -> _Block:
        """Set a block aside for so many bytes [B]."""
        size = -(-max(size, 1) // ROUNDING) * ROUNDING
        small = size <= SMALL
        free = self._free[small]
        place = bisect_left(free, size, key=lambda entry: entry[0])
        if place < len(free):
            block = free.pop(place)[2]
        else:
            block = self._block(self._segment(size), small)
            self.reserved += block.size
        block.free = False
        rest = block.size - size
        if rest >= (ROUNDING if small else SMALL + 1):
            self._cut(block, size, rest)
        return block

    def free(self, block: _Block) -> None:
        """Give a block back: it is kept, together with free neighbours."""
        for neighbour in (block.before, block.after):
            if neighbour is not None and neighbour.free:
                self._forget(neighbour)
                self._join(block, neighbour)
        block.free = True
        insort(self._free[block.small], (block.size, block.number, block))

    @staticmethod
    def _segment(size: int) -> int:
        if size <= SMALL:
            return SMALL_SEGMENT
        if size < MEDIUM:
            return MEDIUM_SEGMENT
        return -(-size // LARGE_ROUNDING) * LARGE_ROUNDING

    def _block(self, size: int, small: bool) -> _Block:
        self._numbers += 1
        return _Block(size, self._numbers, small)

    def _cut(self, block: _Block, size: int, rest: int) -> None:
        left = self._block(rest, block.small)
        left.free, left.before, left.after = True, block, block.after
        if block.after is not None:
            block.after.before = left
        block.after, block.size = left, size
        insort(self._free[block.small], (left.size, left.number, left))

    def _forget(self, block: _Block) -> None:
        free = self._free[block.small]
        free.pop(bisect_left(free, (block.size, block.number), key=lambda entry: entry[:2]))

    @staticmethod
    def _join(block: _Block, neighbour: _Block) -> None:
        block.size += neighbour.size
        if neighbour is block.before:
            block.before = neighbour.before
            if block.before is not None:
                block.before.after = block
        else:
            block.after = neighbour.after
            if block.after is not None:
                block.after.before = block


def reserved(events: Iterable[tuple[Holding, int]], repeats: int = 2) -> int:
    """Bytes that the allocator reserves for a step and its repetitions [B].

    Parameters
    ----------
    events : iterable of tuple of Holding and int
        Allocations (1) and frees (-1) in order, as `Ledger.events` has them.
    repeats : int
        Steps: the second one finds what the first left, such as AdamW's moments.
    """
    allocator = CachingAllocator()
    held: dict[Holding, _Block] = {}
    events = list(events)
    for _ in range(repeats):
        for holding, sign in events:
            if sign > 0 and holding not in held and holding.size:
                held[holding] = allocator.allocate(holding.size)
            elif sign < 0 and holding in held:
                allocator.free(held.pop(holding))
    return allocator.reserved
