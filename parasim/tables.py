"""Tables that say which columns a narrow terminal has no room for: rich leaves them out without a word."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Column, Table
from rich.text import Text

from parasim.text import alike


class PlainTable(Table):
    """A table without lines.

    Parameters
    ----------
    keep : sequence of str
        Headings of columns that are left out after all others, the most important one first.
    """

    def __init__(self, keep: Sequence[str] = ()):
        super().__init__(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        self._keep = keep

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the columns that there is room for, times in one unit, and name the others."""
        for column in self.columns:
            column._cells = alike(column._cells)
        shown, left_out = self._fitting(options.max_width)
        if not left_out:
            yield from super().__rich_console__(console, options)
            return
        narrow = copy(self)
        narrow.columns = [replace(column, _index=index) for index, column in enumerate(shown)]
        yield from Table.__rich_console__(narrow, console, options)
        names = ", ".join(str(column.header) for column in left_out)
        yield Text(
            f"{options.max_width} characters are too few for: {names}. A wider terminal shows them; so does "
            "--format json, where there is one."
        )

    def _fitting(self, width: int) -> tuple[list[Column], list[Column]]:
        """Columns that fit into a width, and those that do not."""
        needed = [_least(column) + self.padding[1] for column in self.columns]
        missing = sum(needed) - self.padding[1] - width
        kept = {heading: place for place, heading in enumerate(self._keep)}
        # The first column, which says what a row is of, always stays.
        leaving = sorted(
            range(1, len(self.columns)), key=lambda place: kept.get(str(self.columns[place].header), len(kept) + place)
        )
        left_out: set[int] = set()
        while missing > 0 and leaving:
            place = leaving.pop()
            left_out.add(place)
            missing -= needed[place]
        places = range(len(self.columns))
        return [self.columns[place] for place in places if place not in left_out], [
            self.columns[place] for place in sorted(left_out)
        ]


def _least(column: Column) -> int:
    """Width that a column needs: its heading's longest word, or its longest cell where cells are not to be broken."""
    longest = max((cell_len(str(cell)) for cell in column.cells), default=0) if column.no_wrap else 0
    return max(longest, column.min_width or 0)
