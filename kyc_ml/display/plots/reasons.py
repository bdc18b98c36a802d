"""Plots of feature importance and of the contributions to one score."""

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from kyc_ml.display.plots import style
from kyc_ml.display.presentation import format_rate

_TOP_FEATURES: Final = 15


def plot_importance(table: pd.DataFrame) -> Figure:
    """Draw the strongest features as bars, coloured by family.

    Parameters
    ----------
    table : DataFrame[feature, family, share]
        Share of the total contribution, of all features; the strongest 15 are drawn.
    """
    shown = table.nlargest(_TOP_FEATURES, "share").iloc[::-1]
    figure, axes = style.new_figure(size=(style.SIZE[0], 0.9 + 0.34 * max(len(shown), 5)))
    place = np.arange(len(shown))
    own = shown["family"].astype(str)
    # the strongest families have a colour each, and no two the same; further ones are grey
    strongest = own.iloc[::-1].drop_duplicates()
    colour = dict.fromkeys(own, style.MUTED) | dict(zip(strongest, style.FAMILIES, strict=False))
    axes.barh(place, shown["share"], height=0.68, color=[colour[name] for name in own])
    style.label_rows(axes, place, [style.in_two_lines(str(name), 36) for name in shown["feature"]])
    axes.tick_params(axis="y", labelsize=style.SMALL - 1)
    for y, share in zip(place, shown["share"], strict=True):
        axes.annotate(
            format_rate(share),
            (share, y),
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=style.SMALL - 1,
            color=style.MUTED,
            va="center",
        )
    axes.set_xlim(0, 1.22 * float(shown["share"].max()) if len(shown) else 1.0)
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlabel("share of the total gain")
    style.percent_axis(axes, "x")
    handles = [Patch(color=colour[name], label=name.replace("_", " ")) for name in strongest]
    figure.legend(
        handles=handles, loc="outside upper left", frameon=False, fontsize=style.SMALL - 0.5,
        handlelength=1.0, ncols=3,
    )  # fmt: skip
    return style.finish(figure)
