"""How far probabilities can be believed, and how they are spread."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import logit

from kyc_ml.plots.style import (
    GRID,
    INK,
    LOWERS,
    MODEL,
    MUTED,
    PAPER,
    RAISES,
    SMALL,
    draw_legend,
    finish,
    log_odds_axis,
    log_rates,
    new_figure,
    percent_axis,
)

_SMALL_RATE = 0.2
"""Below this median rate the axes are logarithmic."""


def plot_reliability(bins: pd.DataFrame) -> Figure:
    """Draw observed over predicted rates, with intervals, beside the diagonal of equality.

    Both axes are logarithmic where rates are small. A bin without a positive then stands on a
    line of its own, marked 0, as a hollow triangle under its interval: it is not left out.

    Parameters
    ----------
    bins : DataFrame[bin, n, mean_proba, event_rate, ci_low, ci_high]
    """
    figure, axes = new_figure()
    x, y, low, high = (
        bins[name].to_numpy(dtype=np.float64)
        for name in ("mean_proba", "event_rate", "ci_low", "ci_high")
    )
    none = y == 0
    rates = np.concatenate([x, y, high])
    axes.set_xlabel("mean predicted probability")
    axes.set_ylabel("observed rate")
    if x.size and 0 < float(np.median(x)) < _SMALL_RATE:
        x = np.maximum(x, log_rates(axes, "x", rates, zero=bool((x == 0).any())))
        floor = log_rates(axes, "y", rates, zero=bool(none.any()))
        y, low = np.maximum(y, floor), np.maximum(low, floor)
        if none.any():  # a strip of its own: its height is no rate
            axes.axhspan(axes.get_ylim()[0], floor * 1.5, color=GRID, alpha=0.5, linewidth=0)
    else:
        top = min(1.0, 1.08 * float(rates.max(initial=0.0)) or 1.0)
        axes.set(xlim=(0, top), ylim=(0, top))
        percent_axis(axes, "x")
        percent_axis(axes, "y")
    ends = [max(axes.get_xlim()[0], axes.get_ylim()[0]), axes.get_xlim()[1]]
    axes.plot(ends, ends, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    axes.vlines(x, low, high, color=MODEL, linewidth=1.2, alpha=0.55, zorder=2)
    axes.plot(x[~none], y[~none], "o", color=MODEL, markersize=4.5, label="bin, 95 % interval")
    if none.any():
        axes.plot(
            x[none],
            y[none],
            "v",
            markerfacecolor=PAPER,
            markeredgecolor=MODEL,
            markersize=5.5,
            clip_on=False,
            label="bin without a positive",
        )
    axes.plot(
        [], [], color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)), label="predicted = observed"
    )
    draw_legend(axes, loc="upper left", coloured=False)
    return finish(figure)


def plot_score_distribution(
    bins: pd.DataFrame, *, cut_offs: Mapping[str, float] | None = None
) -> Figure:
    """Draw how probabilities of positives and of negatives spread, each summing to 100 %.

    The axis is one of log-odds, marked in per cent: rare and near-certain rows both have room.

    Parameters
    ----------
    bins : DataFrame[low, high, label, share]
        As `compute_score_distribution` gives it; low above 0, high below 1.
    cut_offs : mapping of tier to its lowest probability, optional
        Each is marked with a line; tiers that start at 0 or 1 have none.
    """
    figure, axes = new_figure()
    marks = {name: at for name, at in (cut_offs or {}).items() if 0.0 < at < 1.0}
    colours = {"negative": LOWERS, "positive": RAISES}
    lines = {"negative": "--", "positive": "-"}
    for label, part in bins.groupby("label", sort=True):
        edges = logit(np.append(part["low"].to_numpy(), part["high"].to_numpy()[-1]))
        colour = colours.get(str(label), MUTED)
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
    log_odds_axis(axes, places)
    axes.set_ylim(0, 1.25 * float(bins["share"].max()) if len(bins) else 1.0)  # room for the legend
    _mark_cut_offs(axes, marks)
    axes.set_xlabel("predicted probability (axis of log-odds)")
    axes.set_ylabel("share of the rows of a label")
    percent_axis(axes, "y")
    draw_legend(axes, loc="upper right")
    key = axes.get_legend()
    if key is not None:  # a line of a cut-off may run behind it
        key.set_frame_on(True)
        key.get_frame().set(facecolor=PAPER, edgecolor="none", alpha=0.9)
    return finish(figure)


def _mark_cut_offs(axes: Axes, marks: Mapping[str, float]) -> None:
    """Draw a line where each tier begins, and its name above, in two lines by turns."""
    for number, (name, at) in enumerate(sorted(marks.items(), key=lambda mark: mark[1])):
        place = float(logit(at))
        axes.axvline(place, color=INK, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
        axes.annotate(
            str(name).replace("_", " "),
            (place, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2 + 11 * (number % 2)),
            textcoords="offset points",
            fontsize=SMALL - 0.5,
            ha="center",
            va="bottom",
            annotation_clip=False,
        )
