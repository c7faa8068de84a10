"""What glibc's allocator takes for a given order of allocations."""

from __future__ import annotations

import platform
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.allocator import glibc_peak, replayed_peak
from calibration.heap import DATA_ALIGNMENT
from calibration.shapes import ShapeModel, Step
from parasim_demonstration.models import demo_config
from sim.blocks import partition
from sim.errors import CostError

MEBIBYTE = 1 << 20
FREED = -1

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks glibc's allocator")


def asked(events: list[tuple[int, int]]) -> array[int]:
    return array("q", (number for piece, size in events for number in (piece, size, DATA_ALIGNMENT)))


def live_peak(events: list[tuple[int, int]]) -> int:
    sizes: dict[int, int] = {}
    highest = 0
    for number, size in events:
        if size == FREED:
            del sizes[number]
        else:
            sizes[number] = size
        highest = max(highest, sum(sizes.values()))
    return highest


@glibc
def test_one_piece_takes_its_size_and_little_more() -> None:
    taken = replayed_peak(asked([(0, 8 * MEBIBYTE)]))
    # The piece, and a page for its header and alignment.
    assert 8 * MEBIBYTE <= taken <= 8 * MEBIBYTE + (1 << 13)


@glibc
def test_what_is_freed_is_used_again() -> None:
    # Above 32 MiB a piece is returned to the system whatever lies around it.
    size = 40 * MEBIBYTE
    again = [(0, size), (0, FREED), (1, size), (1, FREED), (2, size)]
    assert replayed_peak(asked(again)) < 41 * MEBIBYTE


@glibc
def test_holes_that_are_too_small_stay_empty() -> None:
    # After one freed piece of 30 MiB, glibc takes all that is smaller from the heap. Of 40 pieces of 1 MiB there, every
    # second is freed: 20 MiB in holes of 1 MiB, none of which takes 2 MiB. Ten such come on top: 40 + 20 MiB, though
    # no more than 40 MiB are ever in use.
    start = [(0, 30 * MEBIBYTE), (0, FREED)]
    pieces = [(number, MEBIBYTE) for number in range(1, 41)]
    holes = [(number, FREED) for number in range(1, 40, 2)]
    larger = [(number, 2 * MEBIBYTE) for number in range(41, 51)]
    events = start + pieces + holes + larger
    assert live_peak(events) == 40 * MEBIBYTE
    assert 59.5 * MEBIBYTE <= replayed_peak(asked(events)) <= 61 * MEBIBYTE


@glibc
def test_settings_of_this_process_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [(number, MEBIBYTE) for number in range(8)] + [(0, FREED), (2, FREED), (8, 3 * MEBIBYTE)]
    before = replayed_peak(asked(events))
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "65536")
    monkeypatch.setenv("MALLOC_TOP_PAD_", str(64 * MEBIBYTE))
    assert replayed_peak(asked(events)) == before


@glibc
@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.integers(1 << 16, 4 * MEBIBYTE), st.booleans()), min_size=1, max_size=30))
def test_no_less_than_is_in_use_and_no_more_than_was_ever_asked_for(steps: list[tuple[int, bool]]) -> None:
    events: list[tuple[int, int]] = []
    for number, (size, kept) in enumerate(steps):
        events.append((number, size))
        if not kept:
            events.append((number, FREED))
    in_all = sum(size for size, _ in steps)
    # Beside every piece: a header, up to a page of alignment, and the heap's growth.
    overhead = len(steps) * (4096 + 2 * DATA_ALIGNMENT) + (1 << 18)
    # The interpreter leaves a little free room in the heap, which counts as there before.
    assert live_peak(events) - (1 << 18) <= replayed_peak(asked(events)) <= in_all + overhead


@glibc
def test_a_local_update_takes_more_than_its_tensors() -> None:
    model = ShapeModel("small Llama", "float32", config=demo_config().to_dict())
    step = Step(block=partition(model.architecture, 1)[0], batch_size=8, sequence_length=256)
    assert 1.3 * model.trace(step).peak.total < glibc_peak(model, step, steps=2)


def test_another_c_library_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.31"))
    with pytest.raises(CostError, match=r"glibc 2\.33 or newer, not with glibc 2\.31"):
        replayed_peak(asked([(0, 1)]))
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    with pytest.raises(CostError, match=r"glibc 2\.33"):
        replayed_peak(asked([(0, 1)]))
