"""Runtime as grouped bars: where the wall-clock of each method goes, by bandwidth and batch size.

Models stand side by side, bandwidths below one another, and within a panel one group of bars for each value of what
else was varied; of two such fields, the values of the second stand within those of the first. With one group alone, the
methods are written under their bars. Panels side by side have one scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parasim.figures import style
from parasim.figures.breakdown import PARTS
from parasim.figures.look import USUAL, Look
from parasim.figures.marks import doubts_of, doubts_said, fill, write
from parasim.figures.rows import (
    Row,
    check_columns,
    model_name,
    pretty_name,
    pretty_value,
    short_names,
    swept_columns,
    text,
)
from parasim.figures.sheet import Key, Sheet, draw_to_width
from parasim.figures.style import FigureError
from parasim.text import BAND_COLUMNS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# All lengths are in inches, gaps between groups in bars.
_LEFT, _RIGHT, _GUTTER = 0.34, 0.04, 0.46
_NAME, _HEAD, _ROW_GAP, _BELOW = 0.17, 0.18, 0.11, 0.6
_PREDICTED = "predicted, within a factor "
"""How the origin of times begins that are predicted for a device, whose bars carry a whisker."""
_GROUP_GAP, _OUTER_GAP = 0.8, 1.2
_FLAT = 6.0
"""Where one panel's bars are so many times as long as another's, each has a scale of its own."""
_SLOTS_IN_COLUMN = 17
_NARROWEST_LABELLED = 0.095
_WIDEST_PICTURE, _LEAST_OF_TWO = 40.0, 5.0
"""Widest picture by itself, and the narrowest with two models side by side."""
_LINE = 0.1
_BAR, _WIDEST_BAR = 0.84, 0.5
"""Width of a bar beside the next one, in bars, and its most."""
_COMPUTING = "compute_s"
"""The part that has its method's colour."""
_NEEDED = [column for column in PARTS if column != "failed_s"]


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
    def nested(self) -> bool:
        """Whether groups stand within larger ones."""
        return len(self.group_fields) > 1

    @cached_property
    def starts(self) -> dict[tuple[str, ...], float]:
        """Left edge of the first bar of each group, in bars from the left."""
        starts, place = {}, 0.0
        for before, group in zip([None, *self.groups], self.groups, strict=False):
            place += _OUTER_GAP if self.nested and before and before[0] != group[0] else 0.0
            starts[group] = place + _GROUP_GAP / 2
            place += len(self.methods) + _GROUP_GAP
        return starts

    @property
    def slots(self) -> float:
        """Width of a panel, in bars."""
        return self.starts[self.groups[-1]] + len(self.methods) + _GROUP_GAP / 2

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
            own[key] = max(own.get(key, 0.0), _ends(row)[1])
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


def draw_runtime(rows: Sequence[Row], directory: Path, look: Look = USUAL) -> list[Path]:
    """Draw ``runtime``: a bar per run, stacked from what its wall-clock consists of.

    Parameters
    ----------
    rows : sequence of mappings
        One per run: `model`, `method`, `bandwidth`, `batch_size` and other swept fields (empty text where not
        swept), then `wall_clock_s`, `compute_s`, `exposed_communication_s`, `waiting_s`, `offline_s` [s], `failed_s`
        where anything can fail, and `compute_origin`. Models, bandwidths, groups and methods keep the order of the
        rows. Bars whose `compute_origin` speaks of extrapolation or of a bad fit carry a mark; whiskers go from
        `wall_clock_low_s` to `wall_clock_high_s` [s], where rows have them.
    directory : Path
        Where to write them; made if it is not there.
    look : Look
        How the picture is wanted.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    FigureError
        If there are no rows, a column is missing, or two rows are the same bar.
    OutputError
        If the files cannot be written.
    """
    chart = _arrange(rows)
    narrow = chart.slots <= _SLOTS_IN_COLUMN
    width = style.COLUMN_WIDTH if narrow and len(chart.models) == 1 else style.PAGE_WIDTH
    width = min(_WIDEST_PICTURE, max(width, chart.slots * _NARROWEST_LABELLED + _LEFT + _RIGHT))
    return draw_to_width(partial(_draw, chart=chart), directory / "runtime", look, width)


def _draw(drawn: Sheet, room: float, chart: _Arrangement) -> None:
    longest, alike = chart.scales()
    several = len(chart.models) > 1 and alike and chart.slots <= _SLOTS_IN_COLUMN and room >= _LEAST_OF_TWO
    columns = 2 if several else 1
    panel_width = (room - columns * _LEFT - _RIGHT - (columns - 1) * (_GUTTER - _LEFT)) / columns
    panel_height = 1.9 if len(chart.panels) == 1 else 1.2
    names = _tick_lines(chart, panel_width, drawn.look)
    band = _NAME * any(chart.models) + len(chart.panels) * (_HEAD + panel_height + _ROW_GAP) + _BELOW + names
    drawn.keys(_keys(chart, drawn.look), 0, _HEAD + 0.06 + _NAME * any(chart.models), room)
    own_scale = len(set(longest.values())) > 1
    for number, model in enumerate(chart.models):
        left = _LEFT + number % columns * (panel_width + _GUTTER)
        top = -(number // columns) * band
        drawn.title(drawn.look.labels.get(model, model_name(model)), left, top + _HEAD)
        for panel in chart.panels:
            if (model, panel) not in longest:
                continue
            axes = drawn.axes(left, top - panel_height, panel_width, panel_height)
            size = panel_width, panel_height
            unit = _draw_panel(axes, chart, (model, panel), longest[model, panel], size)
            heading = ", ".join(filter(None, (f"wall-clock [{unit.name}]", chart.heading(panel, own_scale=own_scale))))
            drawn.unit(axes, heading, above=_HEAD - 0.05)
            top -= panel_height + _HEAD + _ROW_GAP
        _draw_ticks(drawn, axes, chart, panel_width / chart.slots)


def _arrange(rows: Sequence[Row]) -> _Arrangement:
    check_columns(rows, ("method", "wall_clock_s", *_NEEDED))
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
    return _Arrangement(models, panels, groups, methods, group_fields, f"batch size {batch}" if batch else "", bars)


def _keys(chart: _Arrangement, look: Look) -> list[Key]:
    colours = style.method_colours(chart.methods)
    if len(chart.groups) > 1:
        keys = [Key("computing:"), *(Key(look.name(method), (colour,)) for method, colour in colours.items())]
    else:
        keys = [Key("computing", tuple(colours.values())[:4])]
    for column, part in PARTS.items():
        if column != _COMPUTING and any(_seconds(row, column) > 0 for row in chart.bars.values()):
            keys.append(Key(part.name, (part.colour,)))
    if bands := sorted({said for row in chart.bars.values() if (said := _band(row))}):
        keys.append(Key(f"computing predicted within a factor {' or '.join(bands)}", (style.INK,), marker="|"))
    doubts = [doubt for row in chart.bars.values() for doubt in doubts_of(text(row, "compute_origin"))]
    if doubts:
        keys.append(Key(doubts_said(doubts), (style.MUTED,), marker="D"))
    return keys


def _ends(row: Row) -> tuple[float, float]:
    """Between which wall-clocks a run lies by the band of its predicted times [s]."""
    low, high = (float(row.get(column, row["wall_clock_s"])) for column in BAND_COLUMNS)
    return low, high


def _band(row: Row) -> str:
    """Factor of a run's predicted times; empty if they are none."""
    origin = text(row, "compute_origin")
    return origin.removeprefix(_PREDICTED) if origin.startswith(_PREDICTED) else ""


def _seconds(row: Row, column: str) -> float:
    return float(row.get(column) or 0.0)


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
    width = min(_BAR, _WIDEST_BAR / slot)
    upright = widest < slot
    # Space for the figure above the longest bar, whatever the height of the panel.
    top = max(longest / unit.seconds, 1e-9) / (1 - ((0.1 if upright else widest) + 0.04) / size[1])
    inch = top / size[1]
    axes.set(xlim=(0, chart.slots), ylim=(0, top), xticks=[])
    axes.locator_params(axis="y", nbins=4)
    looks: Any = {"ha": "center", "va": "bottom", "rotation": 0 if upright else 90}
    for (place, colour, row), label in zip(runs, labels, strict=True):
        bottom = 0.0
        for column, part in PARTS.items():
            height = _seconds(row, column) / unit.seconds
            if height > 0:
                fill(axes.bar(place, height, width, bottom)[0], colour if column == _COMPUTING else part.colour)
                bottom += height
        if slot >= _NARROWEST_LABELLED * 0.99:
            # It is within the panel: the picture's size need not be found from it.
            write(axes, place, _ends(row)[1] / unit.seconds + 0.02 * inch, label, in_layout=False, **looks)
    for place, _, row in runs:
        low, high = (end / unit.seconds for end in _ends(row))
        if high > low:
            axes.plot([place, place], [low, high], color=style.INK, linewidth=0.7, solid_capstyle="butt")
    marked = [place for place, _, row in runs if doubts_of(text(row, "compute_origin"))]
    axes.plot(marked, [-0.045 * inch] * len(marked), "D", ms=2.4, mew=0.6, mec=style.MUTED, mfc="white", clip_on=False)
    return unit


def _tick_texts(chart: _Arrangement, look: Look) -> dict[float, str]:
    """What is written below the panels, by its place: names of groups, or the methods of the only group."""
    if len(chart.groups) == 1:
        return {chart.place(chart.groups[0], method): look.name(method) for method in chart.methods}
    return {chart.middle([group]): _group_label(chart, group, look) for group in chart.groups}


def _turned(chart: _Arrangement, slot: float, texts: Mapping[float, str]) -> bool:
    """Tell whether names below the panels would touch, so that they are turned."""
    space = slot if len(chart.groups) == 1 else slot * (len(chart.methods) + _GROUP_GAP)
    return max(style.text_width(label, style.SMALL) for label in texts.values()) >= space - 0.03


def _tick_lines(chart: _Arrangement, width: float, look: Look) -> float:
    """Height that names below the panels take beyond a line [in]."""
    texts = _tick_texts(chart, look)
    lines = max(label.count("\n") for label in texts.values()) * _LINE
    if _turned(chart, width / chart.slots, texts):
        lines += 0.5 * max(style.text_width(label, style.SMALL) for label in texts.values())
    return lines + 0.2 * chart.nested


def _draw_ticks(drawn: Sheet, axes: Axes, chart: _Arrangement, slot: float) -> None:
    """Name the groups below the lowest panel of a column, or the methods of the only group."""
    texts = _tick_texts(chart, drawn.look)
    turned: Any = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(list(texts), list(texts.values()), **turned if _turned(chart, slot, texts) else {})
    axes.tick_params(axis="x", length=0, pad=style.points(6))
    if len(chart.groups) == 1:
        return
    place = axes.get_position()
    low = place.y0 - 0.2 - _tick_lines(chart, place.width, drawn.look) + 0.2 * chart.nested
    names = [pretty_name(field, drawn.look) for field in chart.group_fields]
    middle: Any = {"ha": "center", "size": style.NORMAL}
    if not chart.nested:
        drawn.text(place.x0 + place.width / 2, low - 0.06, names[0], **middle)
        return
    # The values of the first field, each below a line along the groups that stand within it, named where that fits.
    spans: dict[str, tuple[float, float]] = {}
    for group in chart.groups:
        left = place.x0 + chart.starts[group] * slot
        first, _ = spans.get(group[0], (left, left))
        spans[group[0]] = first, left + len(chart.methods) * slot
    values = {outer: pretty_value(chart.group_fields[0], outer, drawn.look) for outer in spans}
    told = {outer: f"{names[0]} {value}" for outer, value in values.items()}
    fit = all(style.text_width(told[outer], style.SMALL) < right - left for outer, (left, right) in spans.items())
    for outer, (left, right) in spans.items():
        drawn.page.plot([left, right], [low + 0.01] * 2, color=style.MUTED, linewidth=0.6, clip_on=False)
        drawn.text((left + right) / 2, low - 0.06, (told if fit else values)[outer], ha="center")
    label = names[1] if fit else f"{names[1]}, within {names[0]}"
    drawn.text(place.x0 + place.width / 2, low - 0.2, label, **middle)


def _group_label(chart: _Arrangement, group: tuple[str, ...], look: Look) -> str:
    """Values of a group that no line below it tells: the first alone, the others each with its name on a line."""
    values = [pretty_value(field, value, look) for field, value in zip(chart.group_fields, group, strict=True)]
    names = list(short_names(chart.group_fields, look).values())
    told = 1 if chart.nested else 0
    more = (f"{name} {value}" for name, value in zip(names[told + 1 :], values[told + 1 :], strict=True))
    return "\n".join((values[told], *more))
