"""Two models on one picture: how far each can be believed, and who changes tier."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kyc_ml.plots.style import (
    GRID,
    INK,
    LOWERS,
    MODEL,
    MUTED,
    OTHER,
    PAPER,
    RAISES,
    SMALL,
    draw_legend,
    finish,
    format_rate,
    log_rates,
    new_figure,
    percent_axis,
)

_SMALL_RATE: Final = 0.2
"""Below this median rate the axes are logarithmic."""
_COLOURS: Final = (OTHER, MODEL)
_MARKERS: Final = ("D", "o")
_LARGEST: Final = 1900.0
"""Area of the largest bubble, in square points: it fills its cell."""


def plot_reliabilities(bins: pd.DataFrame) -> Figure:
    """Draw observed over predicted rates of each model, with intervals.

    Both axes are logarithmic where rates are small; a bin without a positive, or of
    probability 0, then stands on the line marked 0, as a hollow mark.

    Parameters
    ----------
    bins : DataFrame[model, bin, n, mean_proba, event_rate, ci_low, ci_high]
        Of two models, the second the one to look at.
    """
    figure, axes = new_figure()
    floor = _scale(axes, bins)
    ends = [max(axes.get_xlim()[0], axes.get_ylim()[0]), axes.get_xlim()[1]]
    axes.plot(
        ends,
        ends,
        color=MUTED,
        linewidth=0.8,
        linestyle=(0, (2, 2)),
        zorder=1,
        label="predicted = observed",
    )
    for (name, part), colour, marker in zip(
        bins.groupby("model", sort=False), _COLOURS, _MARKERS, strict=False
    ):
        x, y, low, high = (
            part[column].to_numpy(dtype=np.float64)
            for column in ("mean_proba", "event_rate", "ci_low", "ci_high")
        )
        none = y == 0
        x, y, low = np.maximum(x, floor[0]), np.maximum(y, floor[1]), np.maximum(low, floor[1])
        axes.vlines(x, low, high, color=colour, linewidth=1.2, alpha=0.5, zorder=2)
        axes.plot(x[~none], y[~none], marker, color=colour, markersize=4.5, label=str(name))
        axes.plot(
            x[none],
            y[none],
            marker,
            markerfacecolor=PAPER,
            markeredgecolor=colour,
            markersize=4.5,
            clip_on=False,
        )
    axes.set_xlabel("mean predicted probability")
    axes.set_ylabel("observed rate, 95 % interval")
    draw_legend(axes, loc="upper left")
    return finish(figure)


def plot_tier_moves(tiers: pd.DataFrame) -> Figure:
    """Draw how many rows go from each tier of the champion to each of the challenger.

    The area of a bubble grows with the logarithm of its rows: moves are few beside those
    that stay. Below the count stands the observed rate of positives, where one is known.

    Parameters
    ----------
    tiers : DataFrame[champion_tier, challenger_tier, rows, judged, observed_rate]
        Every pair of tiers, lowest first.
    """
    names = list(dict.fromkeys(tiers["champion_tier"]))
    figure, axes = new_figure(size=(1.2 + 1.05 * len(names), 1.0 + 0.8 * len(names)))
    place = {name: number for number, name in enumerate(names)}
    shown = tiers[tiers["rows"] > 0]
    x, y = (shown[column].map(place).to_numpy() for column in ("challenger_tier", "champion_tier"))
    rows = shown["rows"].to_numpy(dtype=np.float64)
    scale = np.log1p(rows) / np.log1p(rows.max(initial=1.0))
    colours = [
        RAISES if to > of else LOWERS if to < of else MUTED for to, of in zip(x, y, strict=True)
    ]
    axes.scatter(x, y, s=_LARGEST * scale, c=colours, alpha=0.22, linewidths=0)
    for to, of, count, rate in zip(x, y, rows, shown["observed_rate"], strict=True):
        told = "" if np.isnan(rate) else f"\n{format_rate(rate)}"
        axes.annotate(f"{count:,.0f}{told}", (to, of), ha="center", va="center", fontsize=SMALL - 1)
    ends = (-0.6, len(names) - 0.4)
    axes.plot(ends, ends, color=GRID, linewidth=1.0, zorder=0)
    axes.set(xlim=ends, ylim=ends)
    labels = [name.replace("_", " ") for name in names]
    axes.set_xticks(range(len(names)), labels=labels)
    axes.set_yticks(range(len(names)), labels=labels)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.set_xlabel("tier by the challenger")
    axes.set_ylabel("tier by the champion")
    risen, fallen = (int(rows[side].sum()) for side in (x > y, x < y))
    axes.set_title(
        f"{risen:,} rows rise (red), {fallen:,} fall (blue)", fontsize=SMALL + 0.5, color=INK
    )
    return finish(figure)


def _scale(axes: Axes, bins: pd.DataFrame) -> tuple[float, float]:
    """Scale both axes to the rates of all models; give the least place on each to draw at."""
    predicted = bins["mean_proba"].to_numpy(dtype=np.float64)
    observed = bins[["event_rate", "ci_low", "ci_high"]].to_numpy(dtype=np.float64)
    if 0 < float(np.median(predicted)) < _SMALL_RATE:
        across = log_rates(axes, "x", predicted, zero=bool((predicted == 0).any()))
        return across, log_rates(axes, "y", observed, zero=bool((bins["event_rate"] == 0).any()))
    top = min(1.0, 1.08 * max(float(predicted.max()), float(observed.max())))
    axes.set(xlim=(0, top), ylim=(0, top))
    percent_axis(axes, "x")
    percent_axis(axes, "y")
    return 0.0, 0.0
