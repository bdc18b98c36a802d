"""Figures of tidy tables in one house style; nothing is computed but places on paper.

Every function draws on a `Figure` of its own, never on pyplot's global state. Colours are
those of `THEME`, so that a page can exchange them for its light or dark ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import dates as mdates
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, NullLocator

from kyc_ml.splits import TEST

Floats = npt.NDArray[np.float64]

INK: Final = "#1f2933"
MUTED: Final = "#5f6b77"
GRID: Final = "#dfe4e9"
PAPER: Final = "#fefefe"
MODEL: Final = "#1f5fa8"
OTHER: Final = "#a8560d"
RAISES: Final = "#b83227"
LOWERS: Final = "#2a6f97"

THEME: Final[Mapping[str, str]] = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    PAPER: "paper",
    MODEL: "model",
    OTHER: "other",
    RAISES: "raises",
    LOWERS: "lowers",
}
"""Colour on paper to the name of its role."""

# Okabe and Ito's colours that a colour-blind reader tells apart, darkened where too pale for
# white paper, and four more. Source: Okabe and Ito 2008, "Color universal design".
_FAMILIES: Final = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#c2619a",
    "#a8862a",
    "#56a5d8",
    "#7a5195",
    "#8a8f98",
    "#b0413e",
    "#3f7d7d",
)
_CHINESE_FONTS: Final = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "PingFang SC",
    "Microsoft YaHei",
    "WenQuanYi Micro Hei",
)
_Corner = Literal["lower left", "lower right", "upper left", "upper right"]

_SIZE: Final = (5.0, 3.4)
_SMALL: Final = 8.5
_COLUMNS: Final = 200
_SMALL_RATE: Final = 0.2
_TOP_FEATURES: Final = 15


def format_rate(value: float) -> str:
    """Write a rate in per cent, with a no-break space; NaN as a dash.

    Examples
    --------
    >>> [format_rate(v).replace(chr(160), " ") for v in (0.5, 0.0123, 0.00012, 0.0, float("nan"))]
    ['50.0 %', '1.23 %', '0.012 %', '0 %', '–']
    """
    if np.isnan(value):
        return "–"
    percent = 100.0 * value
    if percent == 0:
        return "0\N{NO-BREAK SPACE}%"
    if percent < 0.001:
        return "<\N{NO-BREAK SPACE}0.001\N{NO-BREAK SPACE}%"
    decimals = 1 if percent >= 10 else 2 if percent >= 0.1 else 3
    return f"{percent:.{decimals}f}\N{NO-BREAK SPACE}%"


def plot_roc(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw ROC curves, the model's first, above the diagonal of no skill.

    Parameters
    ----------
    curves : mapping of name to DataFrame[false_positive_rate, recall], in order of the curve
    """
    figure, axes = _new()
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.text(0.5, 0.46, "no skill", color=MUTED, fontsize=_SMALL, ha="left", va="top")
    _draw_curves(axes, curves, x="false_positive_rate", y="recall")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.set_xlabel("false-positive rate (negatives flagged)")
    axes.set_ylabel("recall (positives flagged)")
    _percent_axis(axes, "x")
    _percent_axis(axes, "y")
    _legend(axes, loc="lower right")
    return _finish(figure)


def plot_precision_recall(curves: Mapping[str, pd.DataFrame], *, prevalence: float) -> Figure:
    """Draw precision over recall, above the line of prevalence that chance reaches.

    Parameters
    ----------
    curves : mapping of name to DataFrame[recall, precision], in order of the curve
        The point at recall 0 is a convention without a row behind it, and is not drawn.
    prevalence : float
        Share of positives among the rows the curves come from.
    """
    figure, axes = _new()
    shown = {name: curve[curve["recall"] > 0] for name, curve in curves.items()}
    _draw_curves(axes, shown, x="recall", y="precision")
    highest = max([prevalence, *(float(curve["precision"].max()) for curve in shown.values())])
    top = min(1.02, 1.12 * highest) or 1.02
    axes.axhline(
        prevalence,
        color=MUTED,
        linewidth=1.0,
        linestyle=(0, (2, 2)),
        label=f"prevalence {format_rate(prevalence)}",
    )
    axes.set(xlim=(0, 1), ylim=(0, top))
    axes.set_xlabel("recall (positives flagged)")
    axes.set_ylabel("precision (flagged that are positive)")
    _percent_axis(axes, "x")
    _percent_axis(axes, "y")
    _legend(axes, loc=_free_corner(shown.values(), top=top))
    return _finish(figure)


def plot_reliability(bins: pd.DataFrame) -> Figure:
    """Draw observed over predicted rates, with intervals, beside the diagonal of equality.

    Both axes are logarithmic where rates are small. A bin without a positive then stands on a
    line of its own, marked 0, as a hollow triangle under its interval: it is not left out.

    Parameters
    ----------
    bins : DataFrame[bin, n, mean_proba, event_rate, ci_low, ci_high]
    """
    figure, axes = _new()
    x, y, low, high = (
        bins[name].to_numpy(dtype=np.float64)
        for name in ("mean_proba", "event_rate", "ci_low", "ci_high")
    )
    none = y == 0
    rates = np.concatenate([x, y, high])
    axes.set_xlabel("mean predicted probability")
    axes.set_ylabel("observed rate")
    if x.size and 0 < float(np.median(x)) < _SMALL_RATE:
        x = np.maximum(x, _log_rates(axes, "x", rates, zero=bool((x == 0).any())))
        floor = _log_rates(axes, "y", rates, zero=bool(none.any()))
        y, low = np.maximum(y, floor), np.maximum(low, floor)
        if none.any():  # a strip of its own: its height is no rate
            axes.axhspan(axes.get_ylim()[0], floor * 1.5, color=GRID, alpha=0.5, linewidth=0)
    else:
        top = min(1.0, 1.08 * float(rates.max(initial=0.0)) or 1.0)
        axes.set(xlim=(0, top), ylim=(0, top))
        _percent_axis(axes, "x")
        _percent_axis(axes, "y")
    ends = [max(axes.get_xlim()[0], axes.get_ylim()[0]), axes.get_xlim()[1]]
    axes.plot(ends, ends, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    axes.vlines(x, low, high, color=MODEL, linewidth=1.2, alpha=0.55, zorder=2)
    axes.plot(x[~none], y[~none], "o", color=MODEL, markersize=4.5, label="bin, 95 % interval")
    if none.any():
        axes.plot(
            x[none],
            y[none],
            "v",
            markerfacecolor=PAPER,
            markeredgecolor=MODEL,
            markersize=5.5,
            clip_on=False,
            label="bin without a positive",
        )
    axes.plot(
        [], [], color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)), label="predicted = observed"
    )
    _legend(axes, loc="upper left", coloured=False)
    return _finish(figure)


def plot_score_distribution(bins: pd.DataFrame) -> Figure:
    """Draw how probabilities of positives and of negatives spread, each summing to 100 %.

    Parameters
    ----------
    bins : DataFrame[low, high, label, share]
        As `compute_score_distribution` gives it; low must be above 0.
    """
    figure, axes = _new()
    colours = {"negative": LOWERS, "positive": RAISES}
    lines = {"negative": "--", "positive": "-"}
    for label, part in bins.groupby("label", sort=True):
        edges = np.append(part["low"].to_numpy(), part["high"].to_numpy()[-1])
        colour = colours.get(str(label), MUTED)
        share = part["share"].to_numpy()
        axes.stairs(share, edges, fill=True, color=colour, alpha=0.18, linewidth=0)
        axes.stairs(
            share,
            edges,
            color=colour,
            linewidth=1.4,
            linestyle=lines.get(str(label), ":"),
            label=f"{label} rows",
        )
    if len(bins):
        _log_rates(axes, "x", bins[["low", "high"]].to_numpy().ravel())
        axes.set_xlim(float(bins["low"].min()), float(bins["high"].max()))
    axes.set_ylim(0, 1.25 * float(bins["share"].max()) if len(bins) else 1.0)  # room for the legend
    axes.set_xlabel("predicted probability (log scale)")
    axes.set_ylabel("share of the rows of a label")
    _percent_axis(axes, "y")
    _legend(axes, loc="upper right")
    return _finish(figure)


def plot_tiers(table: pd.DataFrame) -> Figure:
    """Draw rows per tier, highest on top, beside expected and observed rates.

    Parameters
    ----------
    table : DataFrame
        As `compute_tier_table` gives it; without outcomes only expected rates are drawn. An
        observed rate of 0 stands on a line of its own, marked 0.
    """
    figure = Figure(figsize=_SIZE, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.15, 1.0])
    for axes in (left, right):
        _dress(axes)
    place = np.arange(len(table))
    rows = table["rows"].to_numpy(dtype=np.float64)
    left.set_xscale("log")
    left.barh(place, np.maximum(rows, 0.5), left=0.5, height=0.62, color=MODEL, alpha=0.8)
    for y, count, share in zip(place, rows, table["share"], strict=True):
        left.annotate(
            f"{count:,.0f}\n{format_rate(share)}",
            (max(count, 0.6), y),
            xytext=(4, 0),
            textcoords="offset points",
            fontsize=_SMALL - 0.5,
            va="center",
        )
    top = 10.0 * max(rows.max(initial=1.0), 10.0)
    decades = 10.0 ** np.arange(0, int(np.log10(top)) + 1, 2 if top > 1e4 else 1)
    left.set_xticks(decades, labels=[_short(value) for value in decades])
    left.xaxis.set_minor_locator(NullLocator())
    left.set(xlim=(0.5, 6 * top))
    left.set_yticks(place, labels=[str(name) for name in table["tier"]])
    left.tick_params(axis="y", length=0)
    left.grid(visible=False, axis="y")
    left.set_xlabel("rows (log scale)")
    _draw_tier_rates(right, table, place)
    right.set_ylim(-0.6, len(table) - 0.4)
    handles, labels = right.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper right", frameon=False, fontsize=_SMALL, ncols=2
    )
    return _finish(figure)


def plot_importance(table: pd.DataFrame) -> Figure:
    """Draw the strongest features as bars, coloured by family.

    Parameters
    ----------
    table : DataFrame[feature, family, share]
        Share of the total contribution, of all features; the strongest 15 are drawn.
    """
    shown = table.nlargest(_TOP_FEATURES, "share").iloc[::-1]
    figure, axes = _new(size=(_SIZE[0], 0.9 + 0.215 * max(len(shown), 5)))
    families = sorted(table["family"].astype(str).unique())
    colour = {name: _FAMILIES[i % len(_FAMILIES)] for i, name in enumerate(families)}
    place = np.arange(len(shown))
    own = shown["family"].astype(str)
    axes.barh(place, shown["share"], height=0.68, color=[colour[name] for name in own])
    _label_rows(axes, place, [_shorten(str(name), 38) for name in shown["feature"]])
    for y, share in zip(place, shown["share"], strict=True):
        axes.annotate(
            format_rate(share),
            (share, y),
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=_SMALL - 1,
            color=MUTED,
            va="center",
        )
    axes.set_xlim(0, 1.22 * float(shown["share"].max()) if len(shown) else 1.0)
    axes.set_xlabel("share of the total gain")
    _percent_axis(axes, "x")
    handles = [Patch(color=colour[name], label=name) for name in dict.fromkeys(own.iloc[::-1])]
    axes.legend(
        handles=handles, loc="lower right", frameon=False, fontsize=_SMALL - 0.5, handlelength=1.0
    )
    return _finish(figure)


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
    figure, axes = _new(size=(2 * _SIZE[0], 2.6))
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
    _label_rows(axes, np.arange(len(shown)), labels)
    top = len(shown) - 0.45
    marks = (("labels of development read", development_cutoff), ("labels of test read", as_of))
    for line, (label, day) in enumerate(marks):
        axes.axvline(_day(day), color=INK, linewidth=1.0, linestyle=(0, (4, 2)))
        axes.annotate(
            f"{label} {day.date().isoformat()}",
            (_day(day), top),
            xytext=(-4, 3 + 11 * line),
            textcoords="offset points",
            fontsize=_SMALL,
            ha="right",
            va="bottom",
            annotation_clip=False,
        )
    axes.set(xlim=(first, last + 0.02 * (last - first)), ylim=(-0.55, top))
    axes.xaxis.set_major_locator(mdates.AutoDateLocator(minticks=4, maxticks=8))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%Y-%m-%d"))  # type: ignore[no-untyped-call]
    return _finish(figure)


def plot_contributions(table: pd.DataFrame) -> Figure:
    """Draw one row's contributions as bars from 0: what raises the risk and what lowers it.

    Parameters
    ----------
    table : DataFrame[label, contribution]
        Log-odds, in the order to draw from the top.
    """
    shown = table.iloc[::-1]
    figure, axes = _new(size=(_SIZE[0], 0.85 + 0.26 * max(len(shown), 3)))
    pushes = shown["contribution"].to_numpy(dtype=np.float64)
    place = np.arange(len(shown))
    axes.barh(place, pushes, height=0.62, color=np.where(pushes > 0, RAISES, LOWERS).tolist())
    _label_rows(axes, place, [_shorten(str(label), 46) for label in shown["label"]])
    for y, push in zip(place, pushes, strict=True):
        axes.annotate(
            f"{push:+.2f}".replace("-", "−"),
            (push, y),
            xytext=(3 if push > 0 else -3, 0),
            textcoords="offset points",
            fontsize=_SMALL - 1,
            ha="left" if push > 0 else "right",
            va="center",
        )
    reach = 1.3 * float(np.abs(pushes).max(initial=0.0)) or 1.0
    axes.set_xlim(-reach if (pushes < 0).any() else 0.0, reach if (pushes > 0).any() else 0.0)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlabel("log-odds (red raises, blue lowers the risk)")
    return _finish(figure)


def _new(*, size: tuple[float, float] = _SIZE) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    _dress(axes)
    return figure, axes


def _dress(axes: Axes) -> None:
    """Give axes the house style: light grid behind, two muted spines, small ink."""
    axes.set_facecolor("none")
    axes.set_axisbelow(True)
    axes.grid(visible=True, color=GRID, linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)
        axes.spines[side].set_linewidth(0.7)
    axes.tick_params(
        which="both",
        color=MUTED,
        labelcolor=INK,
        labelsize=_SMALL,
        width=0.7,
        labelfontfamily=list(_font_names()),
    )
    axes.xaxis.label.set_fontsize(_SMALL + 0.5)
    axes.yaxis.label.set_fontsize(_SMALL + 0.5)


def _finish(figure: Figure) -> Figure:
    """Set fonts and ink of all texts, then lay the figure out once and for all.

    A feature's name with two ``$`` is no formula. The layout would otherwise move a little
    with every drawing, and the same figure would not give the same file.
    """
    for text in figure.findobj(Text):
        if isinstance(text, Text):
            text.set_parse_math(False)
            text.set_fontfamily(list(_font_names()))
            if same_color(text.get_color(), "black"):
                text.set_color(INK)
    for _ in range(2):
        figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


@cache
def _font_names() -> tuple[str, ...]:
    """Name the fonts to try: matplotlib's own, then a Chinese one where there is one."""
    installed = set(font_manager.get_font_names())
    return ("DejaVu Sans", *(name for name in _CHINESE_FONTS if name in installed))


def _draw_curves(axes: Axes, curves: Mapping[str, pd.DataFrame], *, x: str, y: str) -> None:
    """Draw the first curve on top, solid; what it is held against dashed or dotted."""
    looks = ((MODEL, "-", 1.8), (OTHER, (0, (4, 1.5)), 1.4), (MUTED, (0, (1, 1)), 1.4))
    for place, (name, curve) in enumerate(curves.items()):
        colour, line, width = looks[min(place, len(looks) - 1)]
        across, up = _thin(curve[x].to_numpy(np.float64), curve[y].to_numpy(np.float64))
        axes.plot(
            across, up, color=colour, linestyle=line, linewidth=width, label=name, zorder=5 - place
        )


def _thin(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Keep of each column of paper the first, lowest, highest and last point of a curve.

    What is drawn stays the same to the width of a column (x must lie in [0, 1]).
    Source: Jugel et al. 2014, "M4", PVLDB 7, 797-808.
    """
    if x.size <= 4 * _COLUMNS:
        return x, y
    column = (x * _COLUMNS).astype(np.int64)
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    kept: list[int] = []
    for start, end in zip(starts, [*starts[1:], x.size], strict=True):
        part = y[start:end]
        corners = (0, int(part.argmin()), int(part.argmax()), part.size - 1)
        kept += [int(start) + corner for corner in corners]
    places = np.unique(np.array(kept))
    return x[places], y[places]


def _draw_tier_rates(axes: Axes, table: pd.DataFrame, place: npt.NDArray[np.int64]) -> None:
    columns = [
        name for name in ("expected_rate", "observed_rate", "ci_low", "ci_high") if name in table
    ]
    rates = table[columns].drop(columns="ci_low", errors="ignore").to_numpy(dtype=np.float64)
    zero = _log_rates(axes, "x", rates, zero=bool((rates == 0).any()))
    if "observed_rate" in table:
        low, high = (np.maximum(table[name].to_numpy(), zero) for name in ("ci_low", "ci_high"))
        observed = table["observed_rate"].to_numpy(dtype=np.float64)
        axes.hlines(place - 0.14, low, high, color=OTHER, linewidth=1.4, alpha=0.7)
        axes.plot(
            np.maximum(observed, zero),
            place - 0.14,
            "o",
            color=OTHER,
            markersize=5,
            clip_on=False,
            label="observed, 95 %",
        )
    axes.plot(
        np.maximum(table["expected_rate"].to_numpy(dtype=np.float64), zero),
        place + 0.14,
        "D",
        markerfacecolor=PAPER,
        markeredgecolor=MODEL,
        markersize=5,
        label="expected",
    )
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("rate of positives (log scale)")


def _log_rates(
    axes: Axes, which: Literal["x", "y"], values: npt.ArrayLike, *, zero: bool = False
) -> float:
    """Make an axis logarithmic in per cent; give the place where a rate of 0 is drawn.

    With `zero` the place has a tick of its own, half a decade below the lowest other.
    """
    flat = np.asarray(values, dtype=np.float64).ravel()
    above = flat[flat > 0]
    low, high = (float(above.min()), float(above.max())) if above.size else (0.001, 1.0)
    steps = (1.0, 2.0, 5.0) if high / low < 50 else (1.0,)
    decades = 10.0 ** np.arange(np.floor(np.log10(low)) - 1, 1.0)
    ticks = np.sort(np.outer(decades, steps).ravel())
    bottom = float(ticks[ticks <= low * 1.0001].max())
    ticks = ticks[(ticks >= bottom) & (ticks <= min(1.0, 1.6 * high))]
    labels = [f"{100 * tick:.6g}\N{NO-BREAK SPACE}%" for tick in ticks]
    place = bottom / 10**0.5
    if zero:
        ticks, labels = np.append(place, ticks), ["0", *labels]
    limits = (place / 1.5 if zero else bottom / 1.1, min(1.15, 1.8 * high))
    axes.set(**{f"{which}scale": "log", f"{which}lim": limits})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks(ticks, labels=labels)
    axis.set_minor_locator(NullLocator())
    return place


def _label_rows(axes: Axes, place: npt.NDArray[np.int64], labels: Sequence[str]) -> None:
    """Name horizontal bars, without a tick or a grid line across them."""
    axes.set_yticks(place, labels=labels)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def _free_corner(curves: Iterable[pd.DataFrame], *, top: float) -> _Corner:
    """Find where precision-recall curves are not: strong ones fill the upper right corner."""
    right = [curve.loc[curve["recall"] >= 0.5, "precision"].max() for curve in curves]
    return "lower left" if max(right, default=0.0) > 0.6 * top else "upper right"


def _legend(axes: Axes, *, loc: _Corner, coloured: bool = True) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.legend(
            handles,
            labels,
            loc=loc,
            frameon=False,
            fontsize=_SMALL,
            labelcolor="linecolor" if coloured else INK,
            handlelength=2.2,
        )


def _percent_axis(axes: Axes, which: Literal["x", "y"]) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{100 * value:.4g}\N{NO-BREAK SPACE}%")
    )


def _day(when: pd.Timestamp) -> float:
    """Place an instant on matplotlib's axis of days."""
    return float(mdates.date2num(when.to_pydatetime()))  # type: ignore[no-untyped-call]


def _short(count: float) -> str:
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:g}{suffix}"
    return f"{count:g}"


def _shorten(label: str, length: int) -> str:
    """Cut a long label in its middle: names of features differ at their end."""
    if len(label) <= length:
        return label
    tail = length // 3
    return f"{label[: length - tail - 1]}…{label[-tail:]}"
