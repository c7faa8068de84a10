"""How bars of runtimes are arranged: models, panels, groups of bars, groups within groups, and scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from parasim.figures.breakdown import PARTS
from parasim.figures.rows import Row, check_columns, pretty_value, swept_columns, text
from parasim.figures.style import FigureError
from parasim.text import BAND_COLUMNS

GROUP_GAP, _OUTER_GAP = 0.8, 1.2
"""Between groups, and more between those of different values of the first field, in bars."""
_FLAT = 6.0
"""Where one panel's bars are so many times as long as another's, each has a scale of its own."""
NEEDED = [column for column in PARTS if column != "failed_s"]


@dataclass(frozen=True)
class Arrangement:
    """Rows, arranged.

    Attributes
    ----------
    models, panels : sequence of str
        Columns of the picture, and bandwidths of the panels below one another; an empty text where that is not swept.
    groups : sequence of tuple of str
        Values of `group_fields`, as groups of bars follow one another.
    methods : sequence of str
        Bars of a group.
    group_fields : sequence of str
        Columns that were varied besides.
    constant : str
        What holds for all bars.
    bars : mapping
        Rows by model, panel, group and method.
    """

    models: Sequence[str]
    panels: Sequence[str]
    groups: Sequence[tuple[str, ...]]
    methods: Sequence[str]
    group_fields: Sequence[str]
    constant: str
    bars: Mapping[tuple[str, str, tuple[str, ...], str], Row]

    @property
    def nested(self) -> bool:
        """Whether groups stand within larger ones."""
        return len(self.group_fields) > 1

    @cached_property
    def starts(self) -> dict[tuple[str, ...], float]:
        """Left edge of the first bar of each group, in bars from the left."""
        starts, place = {}, 0.0
        for before, group in zip([None, *self.groups], self.groups, strict=False):
            place += _OUTER_GAP if self.nested and before and before[0] != group[0] else 0.0
            starts[group] = place + GROUP_GAP / 2
            place += len(self.methods) + GROUP_GAP
        return starts

    @property
    def slots(self) -> float:
        """Width of a panel, in bars."""
        return self.starts[self.groups[-1]] + len(self.methods) + GROUP_GAP / 2

    def place(self, group: tuple[str, ...], method: str) -> float:
        """Middle of a bar, in bars from the left."""
        return self.starts[group] + 0.5 + self.methods.index(method)

    def middle(self, groups: Sequence[tuple[str, ...]]) -> float:
        """Middle of groups that stand side by side, in bars from the left."""
        return (self.starts[groups[0]] + self.starts[groups[-1]] + len(self.methods)) / 2

    @cached_property
    def longest(self) -> dict[tuple[str, str], float]:
        """Longest runtime [s] of each model's panels."""
        own: dict[tuple[str, str], float] = {}
        for (*panel, _, _), row in self.bars.items():
            key = (panel[0], panel[1])
            own[key] = max(own.get(key, 0.0), ends(row)[1])
        return own

    def scales(self) -> tuple[dict[tuple[str, str], float], bool]:
        """Longest runtime [s] to show in each panel, and whether models have the same and can stand side by side.

        One for all, unless some would look empty with it; then one for each bandwidth; then each its own.
        """
        own = self.longest
        top = max(own.values())
        by_panel = {panel: max(own[key] for key in own if key[1] == panel) for panel in self.panels}
        if min(own.values()) * _FLAT >= top:
            return dict.fromkeys(own, top), True
        if all(longest * _FLAT >= by_panel[panel] for (_, panel), longest in own.items()):
            return {key: by_panel[key[1]] for key in own}, True
        return own, False

    def heading(self, panel: str, *, own_scale: bool) -> str:
        """What holds for all bars of a panel."""
        rate = pretty_value("bandwidth", panel) if panel or len(self.panels) > 1 else ""
        return ", ".join(filter(None, (rate, self.constant, "on a scale of its own" if own_scale else "")))


def ends(row: Row) -> tuple[float, float]:
    """Between which wall-clocks a run lies by the band of its predicted times [s]."""
    low, high = (float(row.get(column, row["wall_clock_s"])) for column in BAND_COLUMNS)
    return low, high


def arrange(rows: Sequence[Row]) -> Arrangement:
    """Arrange rows; the parameters and errors are those of `parasim.figures.runtime.draw_runtime`."""
    check_columns(rows, ("method", "wall_clock_s", *NEEDED))
    swept = swept_columns(rows)
    group_fields = [field for field in swept if field not in ("method", "model", "bandwidth")]
    panel_field = "bandwidth"
    if not group_fields and "bandwidth" in swept:
        # Panels of one group each would waste the page: the bandwidths become the groups.
        group_fields, panel_field = ["bandwidth"], ""
    bars: dict[tuple[str, str, tuple[str, ...], str], Row] = {}
    for row in rows:
        group = tuple(text(row, field) for field in group_fields)
        key = (text(row, "model"), text(row, panel_field), group, text(row, "method"))
        if key in bars:
            fields = ", ".join(filter(None, (*key[:2], *group, key[3])))
            raise FigureError(f"two rows for one bar: {fields}; tell them apart by a column before wall_clock_s")
        bars[key] = row
    models, panels, groups, methods = (list(dict.fromkeys(parts)) for parts in zip(*bars, strict=True))
    # Those of one value of the first field stand together, whatever the order of the rows.
    orders = [list(dict.fromkeys(values)) for values in zip(*groups, strict=True)]
    groups.sort(key=lambda group: [order.index(value) for order, value in zip(orders, group, strict=True)])
    batch = "" if "batch_size" in swept else text(rows[0], "batch_size")
    return Arrangement(models, panels, groups, methods, group_fields, f"batch size {batch}" if batch else "", bars)
