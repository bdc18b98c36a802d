"""Curves of how well scores rank."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kyc_ml.display.plots import style
from kyc_ml.display.presentation import format_rate
from kyc_ml.metrics import Floats

_COLUMNS: Final = 200


def plot_roc(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw ROC curves, the model's first, above the diagonal of no skill.

    `curves`: mapping of name to DataFrame[false_positive_rate, recall], in order of the curve.
    """
    figure, axes = style.new_figure()
    axes.plot([0, 1], [0, 1], color=style.MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.text(0.5, 0.46, "no skill", color=style.MUTED, fontsize=style.SMALL, ha="left", va="top")
    _draw_curves(axes, curves, x="false_positive_rate", y="recall")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.set_xlabel("false-positive rate (negatives flagged)")
    axes.set_ylabel("recall (positives flagged)")
    style.percent_axis(axes, "x")
    style.percent_axis(axes, "y")
    style.legend_above(axes)
    return style.finish(figure)


def plot_precision_recall(curves: Mapping[str, pd.DataFrame], *, prevalence: float) -> Figure:
    """Draw precision over recall, above the line of prevalence that chance reaches.

    Parameters
    ----------
    curves : mapping of name to DataFrame[recall, precision], in order of the curve
        The point at recall 0 is a convention without a row behind it, and is not drawn.
    prevalence : float
        Share of positives among the rows the curves come from.
    """
    figure, axes = style.new_figure()
    shown = {name: curve[curve["recall"] > 0] for name, curve in curves.items()}
    _draw_curves(axes, shown, x="recall", y="precision")
    highest = max([prevalence, *(float(curve["precision"].max()) for curve in shown.values())])
    top = min(1.02, 1.12 * highest) or 1.02
    axes.axhline(
        prevalence,
        color=style.MUTED,
        linewidth=1.0,
        linestyle=(0, (2, 2)),
        label=f"prevalence {format_rate(prevalence)}",
    )
    axes.set(xlim=(0, 1), ylim=(0, top))
    axes.set_xlabel("recall (positives flagged)")
    axes.set_ylabel("precision (flagged that are positive)")
    style.percent_axis(axes, "x")
    style.percent_axis(axes, "y")
    style.legend_above(axes)
    return style.finish(figure)


def _draw_curves(axes: Axes, curves: Mapping[str, pd.DataFrame], *, x: str, y: str) -> None:
    """Draw the first curve on top, solid; the others dashed or dotted."""
    looks = (
        (style.MODEL, "-", 1.8),
        (style.OTHER, (0, (4, 1.5)), 1.4),
        (style.MUTED, (0, (1, 1)), 1.4),
    )
    for place, (name, curve) in enumerate(curves.items()):
        colour, line, width = looks[min(place, len(looks) - 1)]
        across, up = _thin(curve[x].to_numpy(np.float64), curve[y].to_numpy(np.float64))
        axes.plot(
            across, up, color=colour, linestyle=line, linewidth=width, label=name, zorder=5 - place
        )


def _thin(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Keep of each column of paper the first, lowest, highest and last point of a curve.

    What is drawn stays the same to the width of a column (x must be in [0, 1]).
    Source: Jugel et al. 2014, "M4", PVLDB 7, 797-808.
    """
    if x.size <= 4 * _COLUMNS:
        return x, y
    starts = np.flatnonzero(np.diff((x * _COLUMNS).astype(np.int64), prepend=-1))
    kept: list[int] = []
    for start, end in zip(starts, [*starts[1:], x.size], strict=True):
        part = y[start:end]
        corners = (0, int(part.argmin()), int(part.argmax()), part.size - 1)
        kept += [int(start) + corner for corner in corners]
    places = np.unique(np.array(kept))
    return x[places], y[places]
