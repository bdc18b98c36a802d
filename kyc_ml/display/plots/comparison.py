"""Two models compared: which rows change tier."""

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kyc_ml.display.plots import style
from kyc_ml.display.presentation import format_rate

_LARGEST: Final = 1900.0
"""Area of the largest bubble, in square points: it fills its cell."""


def plot_tier_moves(tiers: pd.DataFrame) -> Figure:
    """Draw how many rows move from each tier of the champion to each tier of the challenger.

    The area of a bubble grows with the logarithm of its rows: moves are few compared with rows
    that stay. Below the count is the observed rate of positives, where one is known.

    Parameters
    ----------
    tiers : DataFrame[champion_tier, challenger_tier, rows, judged, observed_rate]
        Every pair of tiers, lowest first.
    """
    names = list(dict.fromkeys(tiers["champion_tier"]))
    figure, axes = style.new_figure(size=(1.2 + 1.05 * len(names), 1.0 + 0.8 * len(names)))
    place = {name: number for number, name in enumerate(names)}
    shown = tiers[tiers["rows"] > 0]
    x, y = (shown[column].map(place).to_numpy() for column in ("challenger_tier", "champion_tier"))
    rows = shown["rows"].to_numpy(dtype=np.float64)
    scale = np.log1p(rows) / np.log1p(rows.max(initial=1.0))
    colours = [
        style.RAISES if to > of else style.LOWERS if to < of else style.MUTED
        for to, of in zip(x, y, strict=True)
    ]
    axes.scatter(x, y, s=_LARGEST * scale, c=colours, alpha=0.22, linewidths=0)
    for to, of, count, rate in zip(x, y, rows, shown["observed_rate"], strict=True):
        rate_line = "" if np.isnan(rate) else f"\n{format_rate(rate)}"
        axes.annotate(
            f"{count:,.0f}{rate_line}", (to, of), ha="center", va="center", fontsize=style.SMALL - 1
        )
    ends = (-0.6, len(names) - 0.4)
    axes.plot(ends, ends, color=style.GRID, linewidth=1.0, zorder=0)
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
        f"{risen:,} rows rise (red), {fallen:,} fall (blue)",
        fontsize=style.SMALL + 0.5,
        color=style.INK,
    )
    return style.finish(figure)
