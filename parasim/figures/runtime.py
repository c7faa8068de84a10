"""Runtime as grouped bars: where the wall-clock of each method goes, by bandwidth and batch size.

Models stand side by side, bandwidths below one another, and within a panel one group of bars per batch size
and other swept field. With one group alone, the methods are written under their bars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parasim.figures import style
from parasim.figures.rows import Row, check_columns, pretty_name, pretty_value, short_names, swept_columns, text
from parasim.figures.sheet import Key, fill, sheet
from parasim.figures.style import FigureError
from parasim.text import BAND_COLUMNS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PARTS = {
    "compute_s": ("compute", None),
    "exposed_communication_s": ("exposed communication", style.EXPOSED),
    "waiting_s": ("waiting for its turn / others", style.WAITING),
    "offline_s": ("offline", style.OFFLINE),
}
"""Name and colour of each part of a bar; computing has its method's."""

# All lengths are in inches, gaps between groups in bars.
_LEFT, _RIGHT, _GUTTER, _INDENT = 0.42, 0.04, 0.46, 0.06
_NAME, _HEAD, _ROW_GAP, _BELOW = 0.17, 0.18, 0.11, 0.6
_GROUP_GAP = 0.8
_DOUBTS = ("extrapolated", "badly fitted")
"""Words of an origin whose bars carry a mark."""
_PREDICTED = "predicted, within a factor "
"""How the origin of times begins that are predicted for a device, whose bars carry a whisker."""
_SLOTS_IN_COLUMN = 17
_NARROWEST_LABELLED = 0.095
_WIDEST_PICTURE = 40.0


@dataclass(frozen=True)
class _Arrangement:
    """The rows, arranged: what is a column, a panel, a group, a bar."""

    models: Sequence[str]
    panels: Sequence[str]
    groups: Sequence[tuple[str, ...]]
    methods: Sequence[str]
    group_fields: Sequence[str]
    constant: str
    bars: Mapping[tuple[str, str, tuple[str, ...], str], Row]

    @property
    def group_width(self) -> float:
        """Width of a group and the gap beside it, in bars."""
        return len(self.methods) + _GROUP_GAP

    @property
    def slots(self) -> float:
        """Width of a panel, in bars."""
        return len(self.groups) * self.group_width

    def place(self, group: tuple[str, ...], method: str) -> float:
        """Middle of a bar, in bars from the left."""
        return self.groups.index(group) * self.group_width + (_GROUP_GAP + 1) / 2 + self.methods.index(method)

    def longest(self, model: str) -> dict[str, float]:
        """Longest runtime [s] to show in each panel of a model: one for all, unless one would look empty with it."""
        own: dict[str, float] = {}
        for (name, panel, *_), row in self.bars.items():
            if name == model:
                own[panel] = max(own.get(panel, 0.0), _ends(row)[1])
        top = max(own.values())
        return own if min(own.values()) < top / 6 else dict.fromkeys(own, top)

    def heading(self, panel: str) -> str:
        """What holds for all bars of a panel."""
        rate = pretty_value("bandwidth", panel) if panel or len(self.panels) > 1 else ""
        return ", ".join(filter(None, (rate, self.constant)))


def draw_runtime(rows: Sequence[Row], directory: Path) -> list[Path]:
    """Draw ``runtime.png`` and ``runtime.svg``: a bar per run, stacked from what its wall-clock consists of.

    Parameters
    ----------
    rows : sequence of mappings
        One per run: `model`, `method`, `bandwidth`, `batch_size` and other swept fields (empty text where not
        swept), then `wall_clock_s`, `compute_s`, `exposed_communication_s`, `waiting_s`, `offline_s` [s] and
        `compute_origin`. Models, bandwidths, groups and methods keep the order of the rows. Bars whose
        `compute_origin` speaks of extrapolation or of a bad fit carry a mark; whiskers go from `wall_clock_low_s` to
        `wall_clock_high_s` [s], where rows have them.
    directory : Path
        Where to write them; made if it is not there.

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
    band = _NAME * any(chart.models) + len(chart.panels) * (_HEAD + panel_height + _ROW_GAP) + _BELOW
    with sheet() as drawn:
        drawn.keys(_keys(chart), -_INDENT, _HEAD + 0.06 + _NAME * any(chart.models), width)
        for number, model in enumerate(chart.models):
            left = number % columns * (panel_width + _GUTTER)
            top = -(number // columns) * band
            drawn.title(model, left, top + _HEAD)
            for panel, longest in chart.longest(model).items():
                axes = drawn.axes(left, top - panel_height, panel_width, panel_height)
                unit = _draw_panel(axes, chart, (model, panel), longest, (panel_width, panel_height))
                drawn.unit(axes, unit.name, above=_HEAD - 0.05)
                drawn.text(left + 0.06, top + _HEAD - 0.05, chart.heading(panel), va="top")
                top -= panel_height + _HEAD + _ROW_GAP
            _draw_ticks(axes, chart, panel_width / chart.slots)
        return drawn.save(directory / "runtime")


def _arrange(rows: Sequence[Row]) -> _Arrangement:
    check_columns(rows, ("method", "wall_clock_s", *_PARTS))
    swept = swept_columns(rows)
    group_fields = [field for field in swept if field not in ("method", "model", "bandwidth")]
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
    models, panels, groups, methods = (list(dict.fromkeys(parts)) for parts in zip(*bars, strict=True))
    batch = "" if "batch_size" in swept else text(rows[0], "batch_size")
    return _Arrangement(models, panels, groups, methods, group_fields, f"batch size {batch}" if batch else "", bars)


def _keys(chart: _Arrangement) -> list[Key]:
    colours = style.method_colours(chart.methods)
    if len(chart.groups) > 1:
        keys = [Key("compute:"), *(Key(method, (colour,)) for method, colour in colours.items())]
    else:
        keys = [Key("compute", tuple(colours.values())[:4])]
    for column, (name, colour) in _PARTS.items():
        if colour and any(float(row[column]) > 0 for row in chart.bars.values()):
            keys.append(Key(name, (colour,)))
    doubts = [doubt for doubt in _DOUBTS if any(doubt in text(row, "compute_origin") for row in chart.bars.values())]
    if bands := sorted({said for row in chart.bars.values() if (said := _band(row))}):
        keys.append(Key(f"compute time predicted within a factor {' or '.join(bands)}", (style.INK,), marker="|"))
    if doubts:
        keys.append(Key(f"compute time {' or '.join(doubts)}", (style.MUTED,), marker="D"))
    return keys


def _ends(row: Row) -> tuple[float, float]:
    """Between which wall-clocks a run lies by the band of its predicted times [s]."""
    low, high = (float(row.get(column, row["wall_clock_s"])) for column in BAND_COLUMNS)
    return low, high


def _band(row: Row) -> str:
    """Factor of a run's predicted times; empty if they are none."""
    origin = text(row, "compute_origin")
    return origin.removeprefix(_PREDICTED) if origin.startswith(_PREDICTED) else ""


def _is_doubtful(row: Row) -> bool:
    return any(doubt in text(row, "compute_origin") for doubt in _DOUBTS)


def _draw_panel(
    axes: Axes, chart: _Arrangement, panel: tuple[str, str], longest: float, size: tuple[float, float]
) -> style.TimeUnit:
    """Draw the bars of one panel; return the unit of its axis."""
    unit = style.time_unit(longest)
    colours = style.method_colours(chart.methods)
    runs = [(chart.place(*key[2:]), colours[key[3]], row) for key, row in chart.bars.items() if key[:2] == panel]
    labels = [style.format_time(float(row["wall_clock_s"]), unit) for _, _, row in runs]
    widest = max(style.text_width(label, style.SMALL) for label in labels)
    slot = size[0] / chart.slots
    upright = widest < slot
    # Space for the figure above the longest bar, whatever the height of the panel.
    top = max(longest / unit.seconds, 1e-9) / (1 - ((0.1 if upright else widest) + 0.04) / size[1])
    inch = top / size[1]
    axes.set(xlim=(0, chart.slots), ylim=(0, top), xticks=[])
    axes.locator_params(axis="y", nbins=4)
    looks: Any = {"size": style.SMALL, "ha": "center", "va": "bottom", "rotation": 0 if upright else 90}
    for (place, colour, row), label in zip(runs, labels, strict=True):
        bottom = 0.0
        for part, (_, own) in _PARTS.items():
            height = float(row[part]) / unit.seconds
            if height > 0:
                fill(axes.bar(place, height, 0.84, bottom)[0], own or colour)
                bottom += height
        if slot >= _NARROWEST_LABELLED * 0.99:
            # It is within the panel: the picture's size need not be found from it.
            axes.text(place, _ends(row)[1] / unit.seconds + 0.02 * inch, label, in_layout=False, **looks)
    for place, _, row in runs:
        low, high = (end / unit.seconds for end in _ends(row))
        if high > low:
            axes.plot([place, place], [low, high], color=style.INK, linewidth=0.7, solid_capstyle="butt")
    marked = [place for place, _, row in runs if _is_doubtful(row)]
    axes.plot(marked, [-0.045 * inch] * len(marked), "D", ms=2.4, mew=0.6, mec=style.MUTED, mfc="white", clip_on=False)
    return unit


def _draw_ticks(axes: Axes, chart: _Arrangement, slot: float) -> None:
    """Name the groups below the lowest panel of a column, or the methods of the only group."""
    if len(chart.groups) == 1:
        labels = {chart.place(chart.groups[0], method): method for method in chart.methods}
        space = slot
    else:
        middle, first = (len(chart.methods) - 1) / 2, chart.methods[0]
        labels = {chart.place(group, first) + middle: _group_label(chart, group) for group in chart.groups}
        axes.set_xlabel(pretty_name(chart.group_fields[0]), labelpad=2)
        space = slot * chart.group_width
    turned: Any = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
    fits = max(style.text_width(label, style.SMALL) for label in labels.values()) < space - 0.03
    axes.set_xticks(list(labels), list(labels.values()), **{} if fits else turned)
    axes.tick_params(axis="x", length=0, pad=6)


def _group_label(chart: _Arrangement, group: tuple[str, ...]) -> str:
    """Values of a group: the first alone, as the axis names it, the others each with its name on a line."""
    first, *others = (pretty_value(field, value) for field, value in zip(chart.group_fields, group, strict=True))
    names = list(short_names(chart.group_fields).values())[1:]
    return "\n".join((first, *(f"{name} {value}" for name, value in zip(names, others, strict=True))))
