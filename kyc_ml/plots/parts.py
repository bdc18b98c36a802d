"""The parts of a data set on a time axis."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import dates as mdates
from matplotlib.figure import Figure

from kyc_ml.config import TEST
from kyc_ml.plots.style import (
    INK,
    MODEL,
    OTHER,
    SIZE,
    SMALL,
    finish,
    label_rows,
    new_figure,
)


def plot_parts(
    parts: pd.DataFrame, *, development_cutoff: pd.Timestamp, as_of: pd.Timestamp
) -> Figure:
    """Draw the split on an axis of time, with the two days on which labels were read.

    Parameters
    ----------
    parts : DataFrame
        As `summarise_parts` gives it. A part without an end is not drawn; one without a start
        is drawn from the left edge.
    development_cutoff, as_of : Timestamp
        When the labels of the development parts, and of the test, are those known.
    """
    shown = parts[parts["end"].notna()].iloc[::-1]
    figure, axes = new_figure(size=(2 * SIZE[0], 2.6))
    last = _day(as_of)
    known = [_day(day) for column in ("start", "end") for day in shown[column].dropna()]
    first = min([*known, _day(development_cutoff)])
    if shown["start"].isna().any():  # room for what began before all that is known
        first -= 0.4 * (last - first)
    labels = []
    for y, row in enumerate(shown.to_dict("records")):
        opened = pd.isna(row["start"])
        start = first if opened else _day(row["start"])
        colour = OTHER if row["part"] == TEST else MODEL
        width = _day(row["end"]) - start
        axes.barh(y, width, left=start, height=0.56, color=colour, edgecolor=colour, alpha=0.85)
        name = str(row["part"]).replace("_", " ") + (", from the beginning" if opened else "")
        labels.append(f"{name}\n{row['used']:,} used, {row['positives']:,} positive")
    label_rows(axes, np.arange(len(shown)), labels)
    top = len(shown) - 0.45
    marks = (("labels of development read", development_cutoff), ("labels of test read", as_of))
    for line, (label, day) in enumerate(marks):
        axes.axvline(_day(day), color=INK, linewidth=1.0, linestyle=(0, (4, 2)))
        axes.annotate(
            f"{label} {day.date().isoformat()}",
            (_day(day), top),
            xytext=(-4, 3 + 11 * line),
            textcoords="offset points",
            fontsize=SMALL,
            ha="right",
            va="bottom",
            annotation_clip=False,
        )
    axes.set(xlim=(first, last + 0.02 * (last - first)), ylim=(-0.55, top))
    axes.xaxis.set_major_locator(mdates.AutoDateLocator(minticks=4, maxticks=8))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%Y-%m-%d"))  # type: ignore[no-untyped-call]
    return finish(figure)


def _day(when: pd.Timestamp) -> float:
    """Place an instant on matplotlib's axis of days."""
    return float(mdates.date2num(when.to_pydatetime()))  # type: ignore[no-untyped-call]
