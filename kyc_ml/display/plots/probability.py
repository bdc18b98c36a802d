"""Reliability and distribution of probabilities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import logit

from kyc_ml.display.plots import style
from kyc_ml.metrics import Floats

_BOTH: Final = ((style.MODEL, "o"), (style.OTHER, "D"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One group of a plot: places, heights, ends of intervals if there are any, and colour."""

    label: str
    colour: str
    at: Any
    heights: Floats
    whiskers: tuple[Floats, Floats] | None
    marker: str = "o"


def plot_reliability(bins: pd.DataFrame) -> Figure:
    """Draw observed over predicted rates of one model; see `plot_reliabilities`.

    Parameters
    ----------
    bins : DataFrame[bin, n, mean_proba, event_rate, ci_low, ci_high]
    """
    return plot_reliabilities(bins.assign(model="bin, 95% interval"))


def plot_reliabilities(bins: pd.DataFrame) -> Figure:
    """Draw observed over predicted rates of each model, with intervals, and the line of equality.

    Both axes are logarithmic where rates are small. A bin without a positive then is a
    hollow mark on a separate line, marked 0, under its interval: it is not left out.

    `bins`: DataFrame[model, bin, n, mean_proba, event_rate, ci_low, ci_high]; of one model or two,
    the last the one to look at.
    """
    figure, axes = style.new_figure()
    parts = list(bins.groupby("model", sort=False))
    layers = []
    for (name, part), (colour, marker) in zip(parts, _BOTH[len(parts) - 1 :: -1], strict=False):
        x, y, low, high = (
            part[column].to_numpy(dtype=np.float64)
            for column in ("mean_proba", "event_rate", "ci_low", "ci_high")
        )
        layers.append(
            Layer(label=str(name), colour=colour, at=x, heights=y, whiskers=(low, high),
                  marker=marker)
        )  # fmt: skip
    axes.set_xlabel("mean predicted probability")
    axes.set_ylabel("observed rate, 95% interval")
    draw_reliability(axes, layers, equal="predicted = observed", none="bin without a positive")
    style.legend_above(axes, coloured=False)
    return style.finish(figure)


def draw_reliability(
    axes: Axes, layers: Sequence[Layer], *, equal: str = "", none: str = ""
) -> None:
    """Draw observed over predicted rates of each layer; `equal` and `none` are for the legend."""
    across = np.concatenate([layer.at for layer in layers])
    up = np.concatenate([layer.heights for layer in layers])
    ends = [layer.whiskers or (layer.heights, layer.heights) for layer in layers]
    left, floor = style.scale_rates(
        axes, across, np.concatenate([up, *(high for _, high in ends)]), zero=bool((up == 0).any())
    )
    if floor and (up == 0).any():  # a separate strip: its height is not a rate
        axes.axhspan(axes.get_ylim()[0], floor * 1.5, color=style.GRID, alpha=0.5, linewidth=0)
    line = [max(axes.get_xlim()[0], axes.get_ylim()[0]), axes.get_xlim()[1]]
    axes.plot(
        line,
        line,
        color=style.MUTED,
        linewidth=0.8,
        linestyle=(0, (2, 2)),
        zorder=1,
        label=equal or None,
    )
    for layer, (low, high) in zip(layers, ends, strict=True):
        x, y = np.maximum(layer.at, left), np.maximum(layer.heights, floor)
        empty = layer.heights == 0
        axes.vlines(
            x, np.maximum(low, floor), high, color=layer.colour, linewidth=1.2, alpha=0.55, zorder=2
        )
        axes.plot(
            x[~empty], y[~empty], layer.marker, color=layer.colour, markersize=4.5,
            label=layer.label,
        )  # fmt: skip
        if empty.any():
            axes.plot(
                x[empty], y[empty], "v", markerfacecolor=style.PAPER, markeredgecolor=layer.colour,
                markersize=5.5, clip_on=False, label=none or None,
            )  # fmt: skip
            none = ""  # named once


def plot_score_distribution(
    bins: pd.DataFrame, *, cut_offs: Mapping[str, float] | None = None
) -> Figure:
    """Draw how probabilities of positives and of negatives spread, each summing to 100 %.

    The axis is one of log-odds, marked in per cent: rare and near-certain rows both have room.

    `bins`: DataFrame[low, high, label, share]; as `compute_score_distribution` gives it; low above
    0, high below 1.
    `cut_offs`: mapping of tier to its lowest probability; each is marked with a line; tiers that
    start at 0 or 1 have none.
    """
    figure, axes = style.new_figure()
    marks = {name: at for name, at in (cut_offs or {}).items() if 0.0 < at < 1.0}
    colours = {"negative": style.LOWERS, "positive": style.RAISES}
    lines = {"negative": "--", "positive": "-"}
    for label, part in bins.groupby("label", sort=True):
        edges = logit(np.append(part["low"].to_numpy(), part["high"].to_numpy()[-1]))
        colour = colours.get(str(label), style.MUTED)
        share = part["share"].to_numpy()
        axes.stairs(share, edges, fill=True, color=colour, alpha=0.18, linewidth=0)
        axes.stairs(
            share,
            edges,
            color=colour,
            linewidth=1.4,
            linestyle=lines.get(str(label), ":"),
            label=f"{label} rows",
        )
    places = logit(np.concatenate([bins["low"], bins["high"], list(marks.values())]))
    style.log_odds_axis(axes, places)
    axes.set_ylim(0, 1.08 * float(bins["share"].max()) if len(bins) else 1.0)
    _mark_cut_offs(axes, marks)
    axes.set_xlabel("predicted probability (axis of log-odds)")
    axes.set_ylabel("share of the rows of a label")
    style.percent_axis(axes, "y")
    style.legend_above(axes, lift=26 if marks else 0)
    return style.finish(figure)


def _mark_cut_offs(axes: Axes, marks: Mapping[str, float]) -> None:
    """Draw a line where each tier begins, and its name above, in two lines by turns."""
    for number, (name, at) in enumerate(sorted(marks.items(), key=lambda mark: mark[1])):
        place = float(logit(at))
        axes.axvline(place, color=style.INK, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
        axes.annotate(
            str(name).replace("_", " "),
            (place, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2 + 11 * (number % 2)),
            textcoords="offset points",
            fontsize=style.SMALL - 0.5,
            ha="center",
            va="bottom",
            annotation_clip=False,
        )
