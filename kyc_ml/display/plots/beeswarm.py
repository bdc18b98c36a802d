"""Contributions of many rows to their scores, feature by feature."""

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from kyc_ml.display.plots import style
from kyc_ml.metrics import Floats, Ints

# Both ends and the middle stand out on white and on dark paper.
_LEVELS: Final = LinearSegmentedColormap.from_list("levels", ["#2b7bba", "#9a76b0", "#d0433a"])
_COLUMNS: Final = 120
"""Places along the axis in which dots are stacked."""
_REACH: Final = 0.42
_DOT: Final = 5.0
_DOTS_PER_INCH: Final = 220


def plot_beeswarm(table: pd.DataFrame) -> Figure:
    """Draw a dot for each row and feature at its contribution, coloured by the value.

    Where many rows have nearly the same contribution the dots spread up and down. Dots are
    an image inside the drawing: thousands of single marks would make it large.

    `table`: DataFrame[feature, contribution, level]; as `ExplainedRows.beeswarm` gives it:
    log-odds, and the value's rank from 0 to 1, NaN for missing values and categories; the first
    feature is drawn on top.
    """
    names = list(dict.fromkeys(table["feature"]))
    figure, axes = style.new_figure(size=(2 * style.SIZE[0], 1.0 + 0.32 * max(len(names), 3)))
    pushes = table["contribution"].to_numpy(dtype=np.float64)
    low, high = (float(pushes.min()), float(pushes.max())) if pushes.size else (0.0, 0.0)
    width = (max(high, 0.0) - min(low, 0.0)) or 1.0
    axes.axvline(0, color=style.MUTED, linewidth=0.8, zorder=1)
    for place, name in enumerate(names):
        part = table[table["feature"] == name]
        _draw_feature(
            axes,
            -place,
            part["contribution"].to_numpy(dtype=np.float64),
            part["level"].to_numpy(dtype=np.float64),
            width=width,
        )
    style.label_rows(
        axes, -np.arange(len(names)), [style.in_two_lines(str(name), 44) for name in names]
    )
    axes.set_ylim(-max(len(names), 1) + 0.4, 0.6)
    axes.set_xlim(min(low, 0.0) - 0.03 * width, max(high, 0.0) + 0.03 * width)
    axes.set_xlabel("contribution to the log-odds (right raises, left lowers the risk)")
    bar = figure.colorbar(
        ScalarMappable(cmap=_LEVELS), ax=axes, aspect=30, fraction=0.03, pad=0.015
    )
    bar.set_ticks([0.0, 1.0], labels=["lowest", "highest"])
    bar.set_label(
        "value of the feature (grey: missing, or a category)", fontsize=style.SMALL, color=style.INK
    )
    bar.ax.tick_params(length=0, labelsize=style.SMALL, labelcolor=style.INK)
    bar.outline.set_visible(False)
    for band in bar.ax.collections:
        band.set_rasterized(True)
    figure.set_dpi(_DOTS_PER_INCH)
    return style.finish(figure)


def _draw_feature(axes: Axes, place: int, pushes: Floats, levels: Floats, *, width: float) -> None:
    """Draw one feature's dots: those without a level below the others."""
    height = place + _stack(pushes, width=width)
    known = ~np.isnan(levels)
    plain = axes.scatter(
        pushes[~known], height[~known], s=_DOT, color=style.MUTED, alpha=0.6, zorder=2
    )
    coloured = axes.scatter(
        pushes[known],
        height[known],
        s=_DOT,
        c=levels[known],
        cmap=_LEVELS,
        vmin=0,
        vmax=1,
        zorder=3,
    )
    for dots in (plain, coloured):
        dots.set(linewidth=0.0, rasterized=True)


def _stack(pushes: Floats, *, width: float) -> Floats:
    """Spread dots of one column of paper evenly about their line, the fullest the widest."""
    column = np.floor(pushes / width * _COLUMNS).astype(np.int64)
    # in a fixed order without a pattern: sorted ones would draw arrows
    mixed = np.random.default_rng(0).permutation(pushes.size)
    order = np.lexsort((mixed, column))
    _, starts, counts = np.unique(column[order], return_index=True, return_counts=True)
    rank: Ints = np.arange(pushes.size) - np.repeat(starts, counts)
    # 0, 1, -1, 2, -2: the first dot of a column is on the line
    step = np.where(rank % 2 == 1, (rank + 1) // 2, -(rank // 2))
    most = max(int(np.abs(step).max(initial=0)), 6)
    height = np.empty(pushes.size)
    height[order] = _REACH * step / most
    return height
