"""How far probabilities can be believed, and how they are spread."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kyc_ml.plots.style import (
    GRID,
    LOWERS,
    MODEL,
    MUTED,
    PAPER,
    RAISES,
    draw_legend,
    finish,
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


def plot_score_distribution(bins: pd.DataFrame) -> Figure:
    """Draw how probabilities of positives and of negatives spread, each summing to 100 %.

    Parameters
    ----------
    bins : DataFrame[low, high, label, share]
        As `compute_score_distribution` gives it; low must be above 0.
    """
    figure, axes = new_figure()
    colours = {"negative": LOWERS, "positive": RAISES}
    lines = {"negative": "--", "positive": "-"}
    for label, part in bins.groupby("label", sort=True):
        edges = np.append(part["low"].to_numpy(), part["high"].to_numpy()[-1])
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
    if len(bins):
        log_rates(axes, "x", bins[["low", "high"]].to_numpy().ravel())
        axes.set_xlim(float(bins["low"].min()), float(bins["high"].max()))
    axes.set_ylim(0, 1.25 * float(bins["share"].max()) if len(bins) else 1.0)  # room for the legend
    axes.set_xlabel("predicted probability (log scale)")
    axes.set_ylabel("share of the rows of a label")
    percent_axis(axes, "y")
    draw_legend(axes, loc="upper right")
    return finish(figure)
