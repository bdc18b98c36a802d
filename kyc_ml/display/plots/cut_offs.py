"""Plot of proposed cut-offs and those in force."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kyc_ml.display.plots.style import (
    MODEL,
    OTHER,
    draw_legend,
    finish,
    label_rows,
    log_rates,
    new_figure,
)


def plot_cut_offs(table: pd.DataFrame) -> Figure:
    """Draw each tier's proposed cut-off with its interval, and the one in force.

    The lowest tier begins at 0 and is not drawn; the axis is logarithmic, in per cent.

    Parameters
    ----------
    table : DataFrame[segment, tier, in_force, proposed, low, high]
        As `CutOffProposal.table` gives it.
    """
    shown = table[table["proposed"] > 0]
    several = len(set(shown["segment"])) > 1
    labels = [
        f"{line['tier']}".replace("_", " ") + (f" ({line['segment']})" if several else "")
        for line in shown.to_dict("records")
    ]
    places = np.arange(len(shown))
    figure, axes = new_figure(size=(7.6, 1.3 + 0.42 * max(len(shown), 1)))
    numbers = shown[["in_force", "proposed", "low", "high"]].to_numpy(dtype=np.float64)
    log_rates(axes, "x", numbers)
    axes.hlines(places, numbers[:, 2], numbers[:, 3], color=MODEL, linewidth=2.0, alpha=0.5)
    axes.plot(numbers[:, 1], places, "o", color=MODEL, markersize=7, label="proposed, 95% interval")
    axes.plot(numbers[:, 0], places, "D", color=OTHER, markersize=6, label="in force")
    label_rows(axes, places, labels)
    axes.set_ylim(-0.6, len(shown) + 0.2)
    axes.set_xlabel("lowest probability of the tier")
    draw_legend(axes, loc="upper left", coloured=False)
    return finish(figure)
