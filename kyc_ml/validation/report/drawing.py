"""Draw the plots of checks from their tables."""

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from kyc_ml import display
from kyc_ml.metrics import Floats
from kyc_ml.validation.report.naming import Naming
from kyc_ml.validation.result import Plot

_COLOURS: Final = (display.MODEL, display.OTHER, *display.FAMILIES[2:])
_UPRIGHT: Final = 7  # more categories than this, or longer names, are drawn as rows
_LONG: Final = 9
_NAME: Final = {"en": 38, "zh": 19}  # characters of a name in one line; it has two at most
_ROW: Final = 0.27  # height of a category as a row, in inches
_SECOND_LINE: Final = 0.1  # more of it where names have two lines, and the plot is wider
_WIDER: Final = 0.7
_MOST: Final = 15  # categories that one plot can show as rows
_DODGE: Final = 0.7  # share of a category's width for its groups
_FEWEST_PERIODS: Final = 3  # with fewer there is no course over time to see
TIER: Final = ("tier", "grade")
"""Columns of tiers."""


def complete(plot: Plot, table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a table that a plot can draw."""
    return table.dropna(subset=[name for name in (plot.x, plot.y, plot.value) if name])


def draw(plot: Plot, table: pd.DataFrame, *, naming: Naming) -> Figure | None:
    """Draw a plot; return None if no row of its table is complete, or there are too few periods."""
    rows = complete(plot, table)
    if rows.empty or (_is_course(rows, plot) and rows[plot.x].nunique() < _FEWEST_PERIODS):
        return None
    if plot.kind == "heatmap":
        figure, axes = display.new_figure(size=_heatmap_size(rows, plot))
        _heatmap(axes, rows, plot, naming)
        axes.set(xlabel=naming.say(plot.x_label), ylabel=naming.say(plot.y_label))
    elif _is_lying(rows, plot):
        figure, axes = _lying(rows, plot, naming)
    else:
        figure, axes = display.new_figure()
        _upright(axes, rows, plot, naming)
        axes.set(xlabel=naming.say(plot.x_label), ylabel=naming.say(plot.y_label))
    return display.finish(figure)


def _is_course(rows: pd.DataFrame, plot: Plot) -> bool:
    return plot.x == "period" or _is_time(rows[plot.x])


def groups_of(rows: pd.DataFrame, plot: Plot) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of each line or bar of a plot with its name; '' where it has only one."""
    if not plot.group:
        return [("", rows)]
    return [(str(name), part) for name, part in rows.groupby(plot.group, sort=False)]


def _is_numeric(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _is_lying(rows: pd.DataFrame, plot: Plot) -> bool:
    """Return whether categories are drawn as rows: tiers, many categories, or long names."""
    values = rows[plot.x]
    if plot.kind not in ("bar", "interval") or _is_numeric(values) or _is_time(values):
        return False
    if plot.x in TIER:
        return True
    names = values.astype(str).unique()
    return len(names) > _UPRIGHT or max(map(len, names)) > _LONG


def _is_time(values: pd.Series) -> bool:
    return pd.api.types.is_datetime64_any_dtype(values)


def _places(values: pd.Series, names: Sequence[str]) -> Floats:
    place = {name: float(number) for number, name in enumerate(names)}
    return np.array([place[str(value)] for value in values])


def _layers(
    rows: pd.DataFrame, plot: Plot, naming: Naming, *, names: Sequence[str] | None
) -> list[display.Layer]:
    found = []
    for number, (name, part) in enumerate(groups_of(rows, plot)):
        found.append(
            display.Layer(
                label=naming.value(name),
                colour=_COLOURS[number % len(_COLOURS)],
                at=part[plot.x].to_numpy() if names is None else _places(part[plot.x], names),
                heights=_numbers(part[plot.y]),
                whiskers=(_numbers(part[plot.low]), _numbers(part[plot.high]))
                if plot.low
                else None,
            )
        )
    return found


def _numbers(values: pd.Series) -> Floats:
    return values.to_numpy(dtype=np.float64)


def _names(values: pd.Series) -> list[str]:
    return [str(name) for name in dict.fromkeys(values.astype(str))]


def _lying(rows: pd.DataFrame, plot: Plot, naming: Naming) -> tuple[Figure, Axes]:
    names = _names(rows[plot.x])[:_MOST]
    rows = rows[rows[plot.x].astype(str).isin(names)]
    layers = _layers(rows, plot, naming, names=names)
    labels = _ticks(names, naming)
    long = any("\n" in label for label in labels)
    height = 0.9 + (_ROW + _SECOND_LINE * long) * len(names) * max(1.0, 0.55 * len(layers))
    figure, axes = display.new_figure(size=(display.SIZE[0] + _WIDER * long, max(1.8, height)))
    width = _DODGE / len(layers)
    for number, layer in enumerate(layers):
        at = layer.at + (number - (len(layers) - 1) / 2) * width
        _lying_marks(axes, layer, at, plot=plot, width=width)
    display.label_rows(axes, np.arange(len(names)), labels)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set(xlabel=naming.say(plot.y_label))
    if display.is_share(plot.y):
        display.percent_axis(axes, "x")
    if plot.reference in ("zero", "one"):
        axes.axvline(
            float(plot.reference == "one"), color=display.MUTED, linewidth=0.9, linestyle="--"
        )
    if len(layers) > 1:
        display.legend_above(axes)
    return figure, axes


def _lying_marks(axes: Axes, layer: display.Layer, at: Floats, *, plot: Plot, width: float) -> None:
    bars = plot.kind == "bar"
    if bars:
        axes.barh(at, layer.heights, height=0.86 * width, color=layer.colour, label=layer.label)
    if layer.whiskers is not None:
        ink, line = (display.INK, 0.9) if bars else (layer.colour, 1.4)
        axes.hlines(at, *layer.whiskers, color=ink, linewidth=line)
    if not bars:
        axes.plot(layer.heights, at, "o", color=layer.colour, markersize=4.2, label=layer.label)


def _ticks(names: Sequence[str], naming: Naming) -> list[str]:
    width = _NAME[naming.language]
    shown = (display.shorten(naming.value(name).replace("_", " "), 2 * width - 4) for name in names)
    return ["\n".join(textwrap.wrap(each, width)[:2]) or each for each in shown]


def _upright(axes: Axes, rows: pd.DataFrame, plot: Plot, naming: Naming) -> None:
    values = rows[plot.x]
    names = None if _is_numeric(values) or _is_time(values) else _names(values)
    layers = _layers(rows, plot, naming, names=names)
    if plot.kind == "interval" and plot.reference == "diagonal" and names is None:
        display.draw_reliability(axes, layers)
        return
    for number, layer in enumerate(layers):
        if plot.kind == "bar":
            _bars(axes, layer, number=number, count=len(layers))
        elif plot.kind == "histogram":
            _outline(axes, layer)
        elif plot.kind == "interval":
            apart = 0.0 if names is None else 0.16 * (number - (len(layers) - 1) / 2)
            _points(axes, replace(layer, at=layer.at + apart))
        else:
            _line(axes, layer, steps=plot.kind == "step")
    if plot.reference == "diagonal":  # rates against rates, such as a ROC curve
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
    shown: tuple[tuple[Literal["x", "y"], str], ...] = (("x", plot.x), ("y", plot.y))
    for which, column in shown:
        if display.is_share(column) and _is_numeric(rows[column]):
            display.percent_axis(axes, which)
    if names is not None:
        axes.set_xticks(range(len(names)), labels=_ticks(names, naming))
        axes.set_xlim(-0.7, len(names) - 0.3)
        axes.grid(visible=False, axis="x")
    if _is_time(values):
        axes.tick_params(axis="x", rotation=30)
    _reference(axes, plot)
    if len(layers) > 1:
        display.legend_above(axes)


def _bars(axes: Axes, layer: display.Layer, *, number: int, count: int) -> None:
    places = np.unique(layer.at)
    step = np.diff(places).min() if places.size > 1 else 1.0
    width = 0.8 * step / count
    at = layer.at + (number - (count - 1) / 2) * width
    axes.bar(at, layer.heights, width=0.9 * width, color=layer.colour, label=layer.label)
    if layer.whiskers is not None:
        axes.vlines(at, *layer.whiskers, color=display.INK, linewidth=0.9)


def _points(axes: Axes, layer: display.Layer) -> None:
    if layer.whiskers is not None:
        axes.vlines(layer.at, *layer.whiskers, color=layer.colour, linewidth=1.2)
    axes.plot(layer.at, layer.heights, "o", color=layer.colour, markersize=4.2, label=layer.label)


def _line(axes: Axes, layer: display.Layer, *, steps: bool) -> None:
    style: dict[str, Any] = {"drawstyle": "steps-post"} if steps else {}
    axes.plot(
        layer.at, layer.heights, color=layer.colour, linewidth=1.5, label=layer.label, **style
    )
    if layer.whiskers is not None:
        axes.fill_between(layer.at, *layer.whiskers, color=layer.colour, alpha=0.16, linewidth=0)


def _outline(axes: Axes, layer: display.Layer) -> None:
    """Draw a histogram from its lower edges; the last bin is as wide as the one before it."""
    edges = np.asarray(layer.at, dtype=np.float64)
    width = edges[-1] - edges[-2] if edges.size > 1 else 1.0
    axes.stairs(
        layer.heights, np.append(edges, edges[-1] + width), color=layer.colour, linewidth=1.5,
        label=layer.label,
    )  # fmt: skip


def _reference(axes: Axes, plot: Plot) -> None:
    style: dict[str, Any] = {
        "color": display.MUTED,
        "linewidth": 0.9,
        "linestyle": "--",
        "zorder": 1,
    }
    if plot.reference == "diagonal":
        low = max(axes.get_xlim()[0], axes.get_ylim()[0])
        high = min(axes.get_xlim()[1], axes.get_ylim()[1])
        axes.plot([low, high], [low, high], **style)
    elif plot.reference != "none":
        axes.axhline(float(plot.reference == "one"), **style)


def _heatmap_size(rows: pd.DataFrame, plot: Plot) -> tuple[float, float]:
    across, down = rows[plot.x].nunique(), rows[plot.y].nunique()
    return max(3.4, min(7.5, 1.4 + 0.7 * across)), max(2.2, min(7.5, 1.0 + 0.42 * down))


def _heatmap(axes: Axes, rows: pd.DataFrame, plot: Plot, naming: Naming) -> None:
    """Draw cells with the value in each; larger values have a stronger tint."""
    across, down = _names(rows[plot.x]), _names(rows[plot.y])[::-1]
    values = rows[plot.value].to_numpy(dtype=np.float64)
    largest = float(np.abs(values).max()) or 1.0
    shares = bool(((values >= 0) & (values <= 1)).all())
    for x, y, value in zip(
        _places(rows[plot.x], across), _places(rows[plot.y], down), values, strict=True
    ):
        tint = 0.08 + 0.62 * abs(value) / largest
        colour = display.MODEL if value >= 0 else display.OTHER
        axes.add_patch(
            Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, alpha=tint, linewidth=0)
        )
        axes.add_patch(
            Rectangle(
                (x - 0.5, y - 0.5), 1, 1, facecolor="none", edgecolor=display.PAPER, linewidth=1.2
            )
        )
        text = display.format_rate(value) if shares else f"{value:,.4g}"
        axes.text(x, y, text, ha="center", va="center", fontsize=display.SMALL - 0.5)
    axes.set_xlim(-0.5, len(across) - 0.5)
    axes.set_ylim(len(down) - 0.5, -0.5)
    axes.set_xticks(range(len(across)), labels=_ticks(across, naming))
    axes.set_yticks(range(len(down)), labels=_ticks(down, naming))
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
