"""Runtime as grouped bars: where the wall-clock of each method goes, by bandwidth and batch size.

Models stand side by side, bandwidths below one another, and within a panel one group of bars per batch size
and other swept field. With one group alone, the methods are written under their bars.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parasim.figures import style
from parasim.figures.style import FigureError, Key

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, Any]
"""One run: the fields that name it, then from `wall_clock_s` on the figures."""

_PARTS = {
    "compute_s": "compute",
    "exposed_communication_s": "exposed communication",
    "waiting_s": "waiting for its turn / others",
    "offline_s": "offline",
}
_PART_COLOURS = {"exposed_communication_s": style.EXPOSED, "waiting_s": style.WAITING, "offline_s": style.OFFLINE}
_AS_GIVEN = "as given"

# All lengths are in inches, gaps between groups in bars.
_LEFT, _RIGHT, _GUTTER, _INDENT = 0.42, 0.04, 0.46, 0.06
_TITLE, _NAME, _HEAD, _ROW_GAP = 0.20, 0.17, 0.18, 0.11
_GROUP_GAP = 0.8
_SLOTS_IN_COLUMN = 17
_NARROWEST_LABELLED = 0.095
_WIDEST_PICTURE = 40.0


def swept_fields(rows: Sequence[Row], wanted: Sequence[str] = ("wall_clock_s",)) -> list[str]:
    """Fields that tell the rows apart, besides method, in the order of their columns.

    Parameters
    ----------
    rows : sequence of Row
        The runs. What stands before `wall_clock_s` names a run; what follows are its figures.
    wanted : sequence of str
        Columns that every row must have.

    Raises
    ------
    FigureError
        If there are no rows, or a row lacks `method` or a wanted column.
    """
    if not rows:
        raise FigureError("nothing to draw: there are no rows")
    for number, row in enumerate(rows):
        missing = [column for column in ("method", *wanted) if column not in row]
        if missing:
            raise FigureError(f"row {number}: no {', '.join(missing)}; it has {', '.join(row) or 'nothing'}")
    columns: dict[str, None] = {}
    for row in rows:
        names = list(row)
        columns.update(dict.fromkeys(names[: names.index("wall_clock_s")]))
    columns.pop("method", None)
    # Not a choice that anyone swept, wherever a table puts it.
    columns.pop("compute_origin", None)
    return [column for column in columns if len({text(row, column) for row in rows}) > 1]


def text(row: Row, column: str) -> str:
    """A field as text; empty if it is missing."""
    value = row.get(column)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value)


def pretty(column: str, value: str) -> str:
    """A field's value as a reader wants it: a space between number and unit."""
    if not value:
        return _AS_GIVEN
    digits = len(value) - len(value.lstrip("0123456789."))
    return f"{value[:digits]} {value[digits:]}" if column == "bandwidth" and 0 < digits < len(value) else value


def pretty_name(column: str) -> str:
    """A field's name as a reader wants it: ``batch size``, ``local steps``."""
    return column.replace("_", " ").replace(".", " ")


@dataclass(frozen=True)
class _Chart:
    """The rows, arranged: what is a column, a panel, a group, a bar."""

    models: list[str]
    panels: list[str]
    groups: list[tuple[str, ...]]
    group_fields: list[str]
    methods: list[str]
    constant: str
    bars: Mapping[tuple[str, str, tuple[str, ...], str], Row]

    @property
    def slots(self) -> float:
        """Width of a panel, in bars."""
        return len(self.groups) * (len(self.methods) + _GROUP_GAP)

    def place(self, group: tuple[str, ...], method: str) -> float:
        """Middle of a bar, in bars from the left."""
        first = self.groups.index(group) * (len(self.methods) + _GROUP_GAP) + _GROUP_GAP / 2
        return first + self.methods.index(method) + 0.5

    def present(self, part: str) -> bool:
        """Whether a part of the wall-clock is more than nothing anywhere."""
        return any(float(row[part]) > 0 for row in self.bars.values())

    def longest(self, model: str) -> dict[str, float]:
        """Longest runtime [s] to show in each panel of a model: one for all, unless one would look empty with it."""
        own: dict[str, float] = {}
        for (name, panel, *_), row in self.bars.items():
            if name == model:
                own[panel] = max(own.get(panel, 0.0), float(row["wall_clock_s"]))
        top = max(own.values())
        return own if min(own.values()) < top / 6 else dict.fromkeys(own, top)

    def heading(self, panel: str) -> str:
        """What holds for all bars of a panel."""
        varied = "bandwidth" in self.group_fields
        rate = "" if varied or not (panel or len(self.panels) > 1) else pretty("bandwidth", panel)
        return ", ".join(filter(None, (rate, self.constant)))


def _arrange(rows: Sequence[Row]) -> _Chart:
    swept = swept_fields(rows, ("wall_clock_s", *_PARTS))
    group_fields = [field for field in swept if field not in ("model", "bandwidth")]
    group_fields.sort(key=lambda field: field != "batch_size")
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
    batch = "" if "batch_size" in swept else text(rows[0], "batch_size")
    return _Chart(
        models=list(dict.fromkeys(key[0] for key in bars)),
        panels=list(dict.fromkeys(key[1] for key in bars)),
        groups=list(dict.fromkeys(key[2] for key in bars)),
        group_fields=group_fields,
        methods=list(dict.fromkeys(key[3] for key in bars)),
        constant=f"batch size {batch}" if batch else "",
        bars=bars,
    )


def draw_runtime(rows: Sequence[Row], directory: Path, title: str = "") -> list[Path]:
    """Draw ``runtime.png`` and ``runtime.svg``: a bar per run, stacked from what its wall-clock consists of.

    Parameters
    ----------
    rows : sequence of mappings
        One per run: `model`, `method`, `bandwidth`, `batch_size` and other swept fields (empty text where not
        swept), then `wall_clock_s`, `compute_s`, `exposed_communication_s`, `waiting_s`, `offline_s` [s] and
        `compute_origin`. Models, bandwidths, groups and methods keep the order of the rows. Bars whose
        `compute_origin` speaks of extrapolation carry a mark.
    directory : Path
        Where to write them; made if it is not there.
    title : str
        Written above, if not empty.

    Returns
    -------
    list of Path
        The two files.

    Raises
    ------
    FigureError
        If there are no rows, a column is missing, or two rows are the same bar.
    OutputError
        If the files cannot be written.
    """
    chart = _arrange(rows)
    narrow = chart.slots <= _SLOTS_IN_COLUMN
    columns = min(2, len(chart.models)) if narrow else 1
    width = style.COLUMN_WIDTH if narrow and columns == 1 else style.PAGE_WIDTH
    width = min(_WIDEST_PICTURE, max(width, chart.slots * _NARROWEST_LABELLED + _LEFT + _RIGHT))
    panel_width = (width - _LEFT - _RIGHT - (columns - 1) * _GUTTER) / columns
    panel_height = 1.9 if len(chart.panels) == 1 else 1.2
    ticks = _ticks(chart, panel_width / chart.slots)
    keys = style.key_lines(_keys(chart), width - _INDENT - _RIGHT)

    above_keys = 0.05 + _TITLE * bool(title)
    header = above_keys + len(keys) * style.KEY_LINE + 0.08
    name = _NAME * any(chart.models)
    band = name + len(chart.panels) * (_HEAD + panel_height + _ROW_GAP) + ticks.height
    with style.sheet(width, header + math.ceil(len(chart.models) / columns) * band) as sheet:
        sheet.title(title, _INDENT, sheet.height - 0.05)
        sheet.keys(keys, _INDENT, sheet.height - above_keys)
        for number, model in enumerate(chart.models):
            left = _LEFT + number % columns * (panel_width + _GUTTER)
            top = sheet.height - header - number // columns * band
            sheet.title(model, left, top)
            top -= name
            for panel, longest in chart.longest(model).items():
                bottom = top - _HEAD - panel_height
                axes = sheet.axes(left, bottom, panel_width, panel_height)
                unit = _draw_panel(axes, chart, (model, panel), longest, (panel_width, panel_height))
                sheet.page.text(left - 0.05, top - 0.05, unit.name, size=style.SMALL, ha="right", va="top")
                sheet.page.text(left + 0.06, top - 0.05, chart.heading(panel), size=style.SMALL, va="top")
                top = bottom - _ROW_GAP
            ticks.write(axes)
        return sheet.save(directory / "runtime")


def _keys(chart: _Chart) -> list[Key]:
    colours = style.method_colours(chart.methods)
    if len(chart.groups) > 1:
        keys = [Key("compute:"), *(Key(method, (colour,)) for method, colour in colours.items())]
    else:
        keys = [Key("compute", tuple(colours.values())[:4])]
    keys += [Key(_PARTS[part], (colour,)) for part, colour in _PART_COLOURS.items() if chart.present(part)]
    if any(_is_extrapolated(row) for row in chart.bars.values()):
        keys.append(Key("compute time extrapolated", (style.MUTED,), marker="D"))
    return keys


def _is_extrapolated(row: Row) -> bool:
    return "extrapolated" in text(row, "compute_origin")


def _draw_panel(
    axes: Axes, chart: _Chart, panel: tuple[str, str], longest: float, size: tuple[float, float]
) -> style.TimeUnit:
    """Draw the bars of one panel; return the unit of its axis."""
    unit = style.time_unit(longest)
    runs = {chart.place(*key[2:]): row for key, row in chart.bars.items() if key[:2] == panel}
    labels = {place: style.format_time(float(row["wall_clock_s"]), unit) for place, row in runs.items()}
    widest = max(style.text_width(label, style.SMALL) for label in labels.values())
    slot = size[0] / chart.slots
    upright = widest < slot
    # Room for the figure above the longest bar, whatever the height of the panel.
    top = max(longest / unit.seconds, 1e-9) / (1 - ((0.1 if upright else widest) + 0.04) / size[1])
    inch = top / size[1]
    axes.set(xlim=(0, chart.slots), ylim=(0, top), xticks=[])
    axes.locator_params(axis="y", nbins=4)

    colours = style.method_colours(chart.methods)
    by_place = {chart.place(group, method): colours[method] for _, _, group, method in chart.bars}
    for place, row in runs.items():
        bottom = 0.0
        for part in _PARTS:
            height = float(row[part]) / unit.seconds
            if height > 0:
                colour = _PART_COLOURS.get(part, by_place[place])
                (bar,) = axes.bar(place, height, 0.84, bottom, color=colour)
                style.finish(bar, colour)
                bottom += height
        if slot >= _NARROWEST_LABELLED * 0.99:
            axes.text(
                place,
                float(row["wall_clock_s"]) / unit.seconds + 0.02 * inch,
                labels[place],
                size=style.SMALL,
                ha="center",
                va="bottom",
                rotation=0 if upright else 90,
            )
    marked = [place for place, row in runs.items() if _is_extrapolated(row)]
    axes.plot(marked, [-0.045 * inch] * len(marked), "D", ms=2.4, mew=0.6, mec=style.MUTED, mfc="white", clip_on=False)
    return unit


@dataclass(frozen=True)
class _Ticks:
    """What is written under the lowest panel of each column."""

    labels: Mapping[float, str]
    rotation: float
    name: str
    height: float

    def write(self, axes: Axes) -> None:
        """Write it."""
        turned: dict[str, Any] = (
            {"rotation": self.rotation, "ha": "right", "rotation_mode": "anchor"} if self.rotation else {}
        )
        axes.set_xticks(list(self.labels), list(self.labels.values()), **turned)
        axes.tick_params(axis="x", length=0, pad=6)
        axes.set_xlabel(self.name, labelpad=2)


def _ticks(chart: _Chart, slot: float) -> _Ticks:
    if len(chart.groups) == 1:
        labels = {chart.place(chart.groups[0], method): method for method in chart.methods}
        name, room = "", slot
    else:
        middle = (len(chart.methods) - 1) / 2
        first = chart.methods[0]
        labels = {chart.place(group, first) + middle: _group_label(chart, group) for group in chart.groups}
        name, room = pretty_name(chart.group_fields[0]), slot * (len(chart.methods) + _GROUP_GAP)
    widest = max(style.text_width(label, style.SMALL) for label in labels.values())
    lines = max(label.count("\n") + 1 for label in labels.values())
    rotation = 0 if widest < room - 0.03 else 30
    height = 0.08 + lines * 0.1 if rotation == 0 else 0.14 + widest * math.sin(math.radians(rotation)) + 0.1 * lines
    return _Ticks(labels, rotation, name, height + 0.16 * bool(name))


def _group_label(chart: _Chart, group: tuple[str, ...]) -> str:
    """Values of a group: the first alone, as the axis names it, the others each with its name on a line."""
    first, *others = (pretty(field, value) for field, value in zip(chart.group_fields, group, strict=True))
    named = (f"{field.rsplit('.', 1)[-1]} {value}" for field, value in zip(chart.group_fields[1:], others, strict=True))
    return "\n".join((first, *(line.replace("_", " ") for line in named)))
