"""Tables on narrow terminals: what there is no room for is named."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from rich.console import Console

from parasim.text import alike, clock, plain_table

HEADINGS = ("name", ">first", ">second one", "third", ">fourth")


def printed(width: int, headings: Sequence[str] = HEADINGS, keep: Sequence[str] = ()) -> list[str]:
    table = plain_table(*headings, keep=keep)
    for number in range(3):
        table.add_row(*(f"{number}c{column}" for column in range(len(headings))))
    out = Console(file=io.StringIO(), width=width, markup=False)
    out.print(table)
    return out.file.getvalue().splitlines()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("width", range(8, 60))
def test_every_column_is_shown_or_named(width: int):
    lines = printed(width)
    text = " ".join(lines)
    assert all(word in text for heading in HEADINGS for word in heading.removeprefix(">").split())
    shown = [column for column in range(len(HEADINGS)) if any(f"2c{column}" in line.split() for line in lines)]
    named = "too few for:" in " ".join(text.split())
    assert named == (len(shown) < len(HEADINGS))
    assert shown == list(range(len(shown)))
    assert max(map(len, lines)) <= width


def test_where_there_is_room_nothing_is_said():
    # name, first, second, third, fourth: 4 + 5 + 6 + 5 + 6 characters and 4 x 2 between them.
    assert "too few" not in " ".join(printed(34))
    assert "33 characters are too few for: fourth." in " ".join(" ".join(printed(33)).split())


def test_what_is_to_be_kept_goes_last():
    assert "too few for: first, third, fourth." in " ".join(" ".join(printed(13, keep=["second one"])).split())
    assert "too few for: first, second one, fourth." in " ".join(
        " ".join(printed(12, keep=["third", "second one"])).split()
    )


def test_columns_that_look_alike_are_not_confused():
    lines = printed(20, ("a", "value", "value", "value", "value"))
    assert lines[0].split() == ["a", "value", "value"]
    assert "too few for: value, value." in " ".join(" ".join(lines).split())


def test_cells_that_are_not_broken_have_the_room_that_they_need():
    table = plain_table("name", "unit", "meaning")
    table.columns[0].no_wrap = True
    table.add_row("backward_adapter_values", "s", "what it is")
    out = Console(file=io.StringIO(), width=30, markup=False)
    out.print(table)
    printed = " ".join(out.file.getvalue().split())  # type: ignore[attr-defined]
    # 23 characters, 2 and 4: no room for 2 and 7 more.
    assert printed.startswith("name unit backward_adapter_values s 30 characters are too few for: meaning.")


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        # In one unit already: as each is by itself.
        ([1500.0, 180.0], ["25.0 min", "3.0 min"]),
        # 8.72 s are 0.145 min: two digits, so that it is more than nothing.
        ([1274.0, 8.72, 0.0], ["21.23 min", "0.15 min", "0.00 min"]),
        # 3 s are 0.0008 h, no handy number of hours; 30 h are 1,800 min, and 3 s of them 0.05.
        ([108_000.0, 3.0], ["1,800.00 min", "0.05 min"]),
        # 1e-5 s are no number of minutes at all, and less than what is written of seconds.
        ([300.0, 1e-5], ["300.00 s", "<0.01 s"]),
        # Longer by 4.5 s, next to 2.5 min saved.
        ([150.0, -4.5], ["2.50 min", "-0.07 min"]),
    ],
)
def test_times_of_one_column_are_in_one_unit(seconds: list[float], written: list[str]):
    assert alike([*map(clock, seconds), "-", ""]) == [*written, "-", ""]
    table = plain_table(">time")
    for each in seconds:
        table.add_row(clock(each))
    out = Console(file=io.StringIO(), width=80)
    out.print(table)
    assert [line.strip() for line in out.file.getvalue().splitlines()[1:]] == written  # type: ignore[attr-defined]
