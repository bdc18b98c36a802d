"""Differences between two models with their intervals."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kyc_ml.display.plots import style


def plot_differences(table: pd.DataFrame) -> Figure:
    """Draw how much better or worse the newer of two is in each figure, with its interval.

    Figures are of different sizes: each is drawn in half widths of its interval, the
    better side to the right. An interval that touches the line in the middle shows nothing.

    Parameters
    ----------
    table : DataFrame[figure, difference, low, high, better]
        As `Comparison.metrics` or `ParameterComparison.table` give it; a row without an
        interval is not drawn.
    """
    width = (table["high"] - table["low"]) / 2.0
    shown = table[width > 0].drop_duplicates("figure")
    half = (shown["high"] - shown["low"]).to_numpy() / 2.0
    sign = np.where(shown["better"] == "higher", 1.0, -1.0)
    middle = sign * shown["difference"].to_numpy() / half
    ends = np.sort(np.stack([shown["low"], shown["high"]]) * sign / half, axis=0)
    places = -np.arange(len(shown))
    figure, axes = style.new_figure(size=(7.6, 1.1 + 0.36 * max(len(shown), 1)))
    axes.axvline(0, color=style.INK, linewidth=0.9, zorder=1)
    colours = [
        style.LOWERS if low > 0 else style.RAISES if high < 0 else style.MUTED
        for low, high in ends.T
    ]
    axes.hlines(places, *ends, color=colours, linewidth=2.0)
    axes.scatter(middle, places, c=colours, s=34, zorder=3)
    for place, line in zip(places, shown.to_dict("records"), strict=True):
        interval = f"{line['difference']:+.3g}  ({line['low']:+.3g} to {line['high']:+.3g})"
        axes.annotate(
            interval,
            (1.02, place),
            xycoords=("axes fraction", "data"),
            fontsize=style.SMALL,
            va="center",
            annotation_clip=False,
        )
    style.label_rows(axes, places, [str(name).replace("_", " ") for name in shown["figure"]])
    reach = 1.1 * float(np.abs(ends).max(initial=1.0))
    axes.set(xlim=(-reach, reach), ylim=(-len(shown) + 0.4, 0.6))
    axes.set_xticks([])
    axes.set_xlabel("worse   ◂   no difference   ▸   better      (95% intervals)")
    return style.finish(figure)
