"""Plot of the rows in each tier and their rate of positives."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from kyc_ml.display.plots import style
from kyc_ml.display.presentation import format_rate
from kyc_ml.metrics import Ints


def plot_tiers(table: pd.DataFrame) -> Figure:
    """Draw rows per tier, highest on top, with expected and observed rates.

    Parameters
    ----------
    table : DataFrame
        As `compute_tier_table` gives it; without outcomes only expected rates are drawn. An
        observed rate of 0 is on a separate line, marked 0.
    """
    figure = style.Drawing(figsize=style.SIZE, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.15, 1.0])
    for axes in (left, right):
        style.dress(axes)
    place = np.arange(len(table))
    rows = table["rows"].to_numpy(dtype=np.float64)
    left.set_xscale("log")
    # dots: on a logarithmic axis a bar's length says nothing, and no rows have no place
    left.plot(rows[rows > 0], place[rows > 0], "o", color=style.MODEL, markersize=7)
    for y, count, share in zip(place, rows, table["share"], strict=True):
        left.annotate(
            f"{count:,.0f}\n{format_rate(share)}" if count else "0",
            (max(count, 0.6), y),
            xytext=(8 if count else 0, 0),
            textcoords="offset points",
            fontsize=style.SMALL - 0.5,
            va="center",
        )
    top = 10.0 * max(rows.max(initial=1.0), 10.0)
    decades = 10.0 ** np.arange(0, int(np.log10(top)) + 1, 2 if top > 1e4 else 1)
    left.set_xticks(decades, labels=[style.short_count(value) for value in decades])
    left.xaxis.set_minor_locator(NullLocator())
    left.set(xlim=(0.5, 6 * top))
    left.set_yticks(
        place, labels=[str(name).replace("_", "-").capitalize() for name in table["tier"]]
    )
    left.tick_params(axis="y", length=0)
    left.grid(visible=False, axis="y")
    left.set_xlabel("rows (log scale)")
    _draw_tier_rates(right, table, place)
    right.set_ylim(-0.6, len(table) - 0.4)
    handles, labels = right.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper right", frameon=False, fontsize=style.SMALL, ncols=2
    )
    return style.finish(figure)


def _draw_tier_rates(axes: Axes, table: pd.DataFrame, place: Ints) -> None:
    columns = [
        name for name in ("expected_rate", "observed_rate", "ci_low", "ci_high") if name in table
    ]
    rates = table[columns].drop(columns="ci_low", errors="ignore").to_numpy(dtype=np.float64)
    zero = style.log_rates(axes, "x", rates, zero=bool((rates == 0).any()))
    if "observed_rate" in table:
        low, high = (np.maximum(table[name].to_numpy(), zero) for name in ("ci_low", "ci_high"))
        observed = table["observed_rate"].to_numpy(dtype=np.float64)
        axes.hlines(place - 0.14, low, high, color=style.OTHER, linewidth=1.4, alpha=0.7)
        axes.plot(
            np.maximum(observed, zero),
            place - 0.14,
            "o",
            color=style.OTHER,
            markersize=5,
            clip_on=False,
            label="observed, 95%",
        )
    axes.plot(
        np.maximum(table["expected_rate"].to_numpy(dtype=np.float64), zero),
        place + 0.14,
        "D",
        markerfacecolor=style.PAPER,
        markeredgecolor=style.MODEL,
        markersize=5,
        label="expected",
    )
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("rate of positives (log scale)")
