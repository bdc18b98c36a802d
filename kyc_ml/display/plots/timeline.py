"""The parts and the folds of a split on an axis of time."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import dates as mdates
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from kyc_ml.config import TEST, TRAIN
from kyc_ml.display.plots import style

_COLOURS = {TRAIN: style.MODEL, TEST: style.OTHER}


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
    figure, axes = style.new_figure(size=(2 * style.SIZE[0], 2.6))
    last = _day(as_of)
    known = [_day(day) for column in ("start", "end") for day in shown[column].dropna()]
    first = min([*known, _day(development_cutoff)])
    if shown["start"].isna().any():  # room for what began before all that is known
        first -= 0.4 * (last - first)
    labels = []
    for y, row in enumerate(shown.to_dict("records")):
        opened = pd.isna(row["start"])
        start = first if opened else _day(row["start"])
        colour = style.OTHER if row["part"] == TEST else style.MODEL
        width = _day(row["end"]) - start
        axes.barh(y, width, left=start, height=0.56, color=colour, edgecolor=colour, alpha=0.85)
        name = str(row["part"]).replace("_", " ") + (", from the beginning" if opened else "")
        labels.append(f"{name}\n{row['used']:,} used, {row['positives']:,} positive")
    style.label_rows(axes, np.arange(len(shown)), labels)
    top = len(shown) - 0.45
    marks = (("labels of development read", development_cutoff), ("labels of test read", as_of))
    for line, (label, day) in enumerate(marks):
        axes.axvline(_day(day), color=style.INK, linewidth=1.0, linestyle=(0, (4, 2)))
        axes.annotate(
            f"{label} {day.date().isoformat()}",
            (_day(day), top),
            xytext=(-4, 3 + 11 * line),
            textcoords="offset points",
            fontsize=style.SMALL,
            ha="right",
            va="bottom",
            annotation_clip=False,
        )
    axes.set(xlim=(first, last + 0.02 * (last - first)), ylim=(-0.55, top))
    style.date_axis(axes)
    return style.finish(figure)


def plot_periods(periods: pd.DataFrame) -> Figure:
    """Draw each fold's training and test on an axis of time, the first fold on top.

    A bar runs over its period, or, where folds have none, from the first to the last row
    used; parts that overlap are below one another. The dotted line between train and test is
    what was left out: label delay, embargo, purged rows. A tick on it marks the day on which
    the training labels were read. Above each bar is its number of positives.

    Parameters
    ----------
    periods : DataFrame
        As `describe` of a splitter gives it; of its columns: fold, part, start, end,
        labels_read, first, last, rows, positives. A part with no place in time is not drawn.
    """
    shown = periods.assign(
        left=periods["start"].fillna(periods["first"]),
        right=periods["end"].fillna(periods["last"]),
    )
    shown = shown[shown["left"].notna() & shown["right"].notna()]
    numbers = sorted(shown["fold"].unique())
    figure, axes = style.new_figure(size=(2 * style.SIZE[0], 1.2 + 0.56 * max(len(numbers), 1)))
    labels = []
    for place, number in enumerate(numbers):
        parts = {part["part"]: part for part in _records(shown[shown["fold"] == number])}
        _draw_fold(axes, -place, parts)
        rows = " + ".join(f"{part['rows']:,}" for part in parts.values())
        labels.append(f"fold {number}\n{rows} rows")
    style.label_rows(axes, -np.arange(len(numbers)), labels)
    _draw_key(axes, with_gap=bool(shown["labels_read"].notna().any()))
    axes.set(ylim=(-max(len(numbers), 1) + 0.6, 0.5))
    axes.margins(x=0.02)
    style.date_axis(axes)
    return style.finish(figure)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _draw_key(axes: Axes, *, with_gap: bool) -> None:
    """Draw the legend in a line above the axes, where no bar is."""
    handles: list[Artist] = [
        Patch(color=colour, alpha=0.85, label=f"{part}, number of positives above")
        for part, colour in _COLOURS.items()
    ]
    if with_gap:
        gap = Line2D([], [], color=style.MUTED, linewidth=1.0, linestyle=":", label="left out")
        read = Line2D(
            [],
            [],
            color=style.INK,
            marker="|",
            markersize=10,
            linestyle="",
            label="training labels read",
        )
        handles += [gap, read]
    style.legend_above(axes, handles=handles, coloured=False)


def _draw_fold(axes: Axes, place: float, parts: dict[str, dict[str, Any]]) -> None:
    overlap = TRAIN in parts and TEST in parts and parts[TRAIN]["right"] > parts[TEST]["left"]
    height = 0.18 if overlap else 0.4
    for name, part in parts.items():
        lane = place + ((0.2 if name == TRAIN else -0.2) if overlap else 0.0)
        left, right = _day(part["left"]), _day(part["right"])
        axes.barh(lane, right - left, left=left, height=height, color=_COLOURS[name], alpha=0.85)
        if not pd.isna(part["positives"]):
            axes.annotate(
                f"{part['positives']:,}",
                ((left + right) / 2, lane + height / 2),
                xytext=(0, 1),
                textcoords="offset points",
                fontsize=style.SMALL,
                color=_COLOURS[name],
                ha="center",
                va="bottom",
            )
    if len(parts) == 2 and not overlap:
        train = parts[TRAIN]
        ends = [_day(train["right"]), _day(parts[TEST]["left"])]
        axes.plot(ends, [place, place], color=style.MUTED, linewidth=1.0, linestyle=":")
        if not pd.isna(train["labels_read"]):
            read = _day(train["labels_read"])
            axes.plot(
                [read], [place], color=style.INK, marker="|", markersize=12, markeredgewidth=1.4
            )


def _day(when: pd.Timestamp) -> float:
    """Place an instant on matplotlib's axis of days."""
    return float(mdates.date2num(when.to_pydatetime()))  # type: ignore[no-untyped-call]
