"""Plots of feature importance and of the contributions to one score."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from kyc_ml.display.plots.style import (
    FAMILIES,
    INK,
    LOWERS,
    MUTED,
    RAISES,
    SIZE,
    SMALL,
    finish,
    format_rate,
    in_two_lines,
    label_rows,
    new_figure,
    percent_axis,
    shorten,
)

_TOP_FEATURES: Final = 15


def plot_importance(table: pd.DataFrame) -> Figure:
    """Draw the strongest features as bars, coloured by family.

    Parameters
    ----------
    table : DataFrame[feature, family, share]
        Share of the total contribution, of all features; the strongest 15 are drawn.
    """
    shown = table.nlargest(_TOP_FEATURES, "share").iloc[::-1]
    figure, axes = new_figure(size=(SIZE[0], 0.9 + 0.34 * max(len(shown), 5)))
    place = np.arange(len(shown))
    own = shown["family"].astype(str)
    # the strongest families have a colour each, and no two the same; further ones are grey
    strongest = own.iloc[::-1].drop_duplicates()
    colour = dict.fromkeys(own, MUTED) | dict(zip(strongest, FAMILIES, strict=False))
    axes.barh(place, shown["share"], height=0.68, color=[colour[name] for name in own])
    label_rows(axes, place, [in_two_lines(str(name), 36) for name in shown["feature"]])
    axes.tick_params(axis="y", labelsize=SMALL - 1)
    for y, share in zip(place, shown["share"], strict=True):
        axes.annotate(
            format_rate(share),
            (share, y),
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=SMALL - 1,
            color=MUTED,
            va="center",
        )
    axes.set_xlim(0, 1.22 * float(shown["share"].max()) if len(shown) else 1.0)
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlabel("share of the total gain")
    percent_axis(axes, "x")
    handles = [Patch(color=colour[name], label=name.replace("_", " ")) for name in strongest]
    figure.legend(
        handles=handles, loc="outside upper left", frameon=False, fontsize=SMALL - 0.5,
        handlelength=1.0, ncols=3,
    )  # fmt: skip
    return finish(figure)


def plot_contributions(table: pd.DataFrame) -> Figure:
    """Draw one row's contributions as bars from 0: what raises the risk and what lowers it.

    Parameters
    ----------
    table : DataFrame[label, contribution]
        Log-odds, in the order to draw from the top.
    """
    shown = table.iloc[::-1]
    figure, axes = new_figure(size=(SIZE[0], 0.85 + 0.26 * max(len(shown), 3)))
    pushes = shown["contribution"].to_numpy(dtype=np.float64)
    place = np.arange(len(shown))
    axes.barh(place, pushes, height=0.62, color=np.where(pushes > 0, RAISES, LOWERS).tolist())
    label_rows(axes, place, [shorten(str(label), 46) for label in shown["label"]])
    for y, push in zip(place, pushes, strict=True):
        axes.annotate(
            f"{push:+.2f}".replace("-", "−"),
            (push, y),
            xytext=(3 if push > 0 else -3, 0),
            textcoords="offset points",
            fontsize=SMALL - 1,
            ha="left" if push > 0 else "right",
            va="center",
        )
    reach = 1.3 * float(np.abs(pushes).max(initial=0.0)) or 1.0
    axes.set_xlim(-reach if (pushes < 0).any() else 0.0, reach if (pushes > 0).any() else 0.0)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlabel("log-odds (red raises, blue lowers the risk)")
    return finish(figure)
