"""The house style of all figures: colours, axes, legends, fonts."""

import io
import struct
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from matplotlib import dates as mdates
from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, NullLocator
from scipy.special import logit

from kyc_ml.metrics import Floats, Ints

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

# Okabe and Ito's colours that a colour-blind reader can distinguish, darkened where too pale for
# white paper, and four more. Source: Okabe and Ito 2008, "Color universal design".
FAMILIES: Final = (
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

_ODDS_TICKS: Final = (1e-5, 1e-4, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)

SMALL_RATE: Final = 0.2
"""Below this median rate the axes are logarithmic: small rates would look alike."""

_MOST_TICKS: Final = 5
SIZE: Final = (5.0, 3.4)
SMALL: Final = 8.5
_SHOWN_DPI: Final = 96
"""Pixels an inch that a notebook's page lays out."""


class Drawing(Figure):
    """A figure that a notebook shows by itself, whether pyplot was imported or not."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Return a picture of twice the pixels that it is shown with: sharp on any screen."""
        picture = io.BytesIO()
        self.savefig(picture, format="png", dpi=2 * _SHOWN_DPI, bbox_inches="tight")
        content = picture.getvalue()
        width, height = (int(each) for each in struct.unpack(">II", content[16:24]))
        return content, {"width": width // 2, "height": height // 2}


def new_figure(*, size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    """Return a figure of one plot, in the house style."""
    figure = Drawing(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    dress(axes)
    return figure, axes


def dress(axes: Axes) -> None:
    """Return axes the house style: light grid behind, two muted spines, small ink."""
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
        labelsize=SMALL,
        width=0.7,
        labelfontfamily=list(font_names()),
    )
    axes.xaxis.label.set_fontsize(SMALL + 0.5)
    axes.yaxis.label.set_fontsize(SMALL + 0.5)


def finish(figure: Figure) -> Figure:
    """Set fonts and ink of all texts, then lay the figure out once and for all.

    A feature's name with two ``$`` is not a formula. The layout would otherwise move a little
    with every drawing, and the same figure would not give the same file.
    """
    for text in figure.findobj(Text):
        if isinstance(text, Text):
            text.set_parse_math(False)
            text.set_fontfamily(list(font_names()))
            if same_color(text.get_color(), "black"):
                text.set_color(INK)
    engine = figure.get_layout_engine()
    if engine is not None:
        with keeping_text():
            for _ in range(2):
                engine.execute(figure)
    figure.set_layout_engine("none")
    return figure


@contextmanager
def keeping_text() -> Iterator[None]:
    """Draw without warnings about characters that no font of this machine has.

    For drawings whose text stays text, as in SVG: the reader's browser has the font.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


@cache
def font_names() -> tuple[str, ...]:
    """List the fonts to try: matplotlib's own, then a Chinese one if installed."""
    installed = set(font_manager.get_font_names())
    return ("DejaVu Sans", *(name for name in _CHINESE_FONTS if name in installed))


def log_rates(
    axes: Axes, which: Literal["x", "y"], values: npt.ArrayLike, *, zero: bool = False
) -> float:
    """Make an axis logarithmic in per cent; give the place where a rate of 0 is drawn.

    With `zero` the place has a separate tick, half a decade below the lowest other.
    """
    flat = np.asarray(values, dtype=np.float64).ravel()
    above = flat[flat > 0]
    low, high = (float(above.min()), float(above.max())) if above.size else (0.001, 1.0)
    steps = (1.0, 2.0, 5.0) if high / low < 50 else (1.0,)
    decades = 10.0 ** np.arange(np.floor(np.log10(low)) - 1, 1.0)
    ticks = np.sort(np.outer(decades, steps).ravel())
    bottom = float(ticks[ticks <= low * 1.0001].max())
    ticks = ticks[(ticks >= bottom) & (ticks <= min(1.0, 1.6 * high))]
    if ticks.size > _MOST_TICKS:  # names of more would touch each other
        ticks = ticks[::-2][::-1]
    labels = [f"{100 * tick:.6g}%" for tick in ticks]
    place = bottom / 10**0.5
    if zero:
        ticks, labels = np.append(place, ticks), ["0", *labels]
    limits = (place / 1.5 if zero else bottom / 1.1, min(1.15, 1.8 * high))
    axes.set(**{f"{which}scale": "log", f"{which}lim": limits})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks(ticks, labels=labels)
    axis.set_minor_locator(NullLocator())
    return place


def scale_rates(axes: Axes, across: Floats, up: Floats, *, zero: bool) -> tuple[float, float]:
    """Scale both axes to rates; return the place on each where a rate of 0 is drawn.

    `across`, `up`: ndarray; all rates on each axis, ends of intervals included.
    `zero`: whether a rate of 0 is drawn above: it needs a tick where the axis is logarithmic.
    """
    if 0 < (float(np.median(across)) if across.size else 0.0) < SMALL_RATE:
        left = log_rates(axes, "x", across, zero=bool((across == 0).any()))
        return left, log_rates(axes, "y", up, zero=zero)
    top = min(1.0, 1.08 * max(across.max(initial=0.0), up.max(initial=0.0))) or 1.0
    axes.set(xlim=(0, top), ylim=(0, top))
    percent_axis(axes, "x")
    percent_axis(axes, "y")
    return 0.0, 0.0


def date_axis(axes: Axes) -> None:
    """Make the x-axis one of days."""
    axes.xaxis.set_major_locator(mdates.AutoDateLocator(minticks=4, maxticks=8))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%Y-%m-%d"))  # type: ignore[no-untyped-call]


def log_odds_axis(axes: Axes, places: Floats) -> None:
    """Make the x-axis one of log-odds around `places` (log-odds), marked in per cent."""
    known = places[np.isfinite(places)]
    low, high = (float(known.min()), float(known.max())) if known.size else (-7.0, 7.0)
    ticks = [rate for rate in _ODDS_TICKS if low - 0.5 <= logit(rate) <= high + 0.5]
    labels = [f"{100 * rate:.6g}%" for rate in ticks]
    axes.set_xlim(low - 0.02 * (high - low), high + 0.02 * (high - low))
    axes.set_xticks([float(logit(rate)) for rate in ticks], labels=labels)


def label_rows(axes: Axes, place: Ints, labels: Sequence[str]) -> None:
    """Name horizontal bars, without a tick or a grid line across them."""
    axes.set_yticks(place, labels=labels)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def legend_above(
    axes: Axes, *, handles: Sequence[Artist] = (), coloured: bool = True, lift: float = 0.0
) -> None:
    """Draw the legend above the plot, where it covers no mark, `lift` points above its edge."""
    shown, labels = axes.get_legend_handles_labels()
    names = [str(handle.get_label()) for handle in handles] or labels
    if not names:
        return
    room = _LEGEND_CHARACTERS * axes.figure.bbox.width / axes.figure.dpi / SIZE[0]
    axes.legend(
        handles=list(handles) or shown,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        frameon=False,
        fontsize=SMALL,
        labelcolor="linecolor" if coloured else INK,
        handlelength=1.6,
        ncols=max(1, min(4, len(names), int(room // max(map(len, names))))),
        borderaxespad=0.2 + lift / SMALL,
        columnspacing=1.2,
    )


_LEGEND_CHARACTERS: Final = 52
"""Characters of names that fit side by side above a plot of the usual width."""


def percent_axis(axes: Axes, which: Literal["x", "y"]) -> None:
    """Write the ticks of an axis of shares in per cent."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g}%"))


_SHARES: Final = frozenset(
    {"share", "rate", "recall", "precision", "prevalence", "fpr", "tpr", "probability", "proba"}
    | {"coverage", "proportion", "missing"}
)


def is_share(column: str) -> bool:
    """Return whether a column of a table holds shares, by the words of its name.

    Examples
    --------
    >>> [is_share(name) for name in ("observed_rate", "precision", "average_precision", "auc")]
    [True, True, False, False]
    """
    words = set(column.split("_"))
    return not (_SHARES.isdisjoint(words) or {"average", "precision"} <= words)


def short_count(count: float) -> str:
    """Write a count in few letters: 12k, 3.4M."""
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:g}{suffix}"
    return f"{count:g}"


def in_two_lines(label: str, length: int) -> str:
    """Break a long label into two lines; one that needs more is cut in its middle."""
    return textwrap.fill(shorten(label, 2 * length - 10), length)


def shorten(label: str, length: int) -> str:
    """Cut a long label in its middle: names of features differ at their end."""
    if len(label) <= length:
        return label
    tail = length // 3
    return f"{label[: length - tail - 1]}…{label[-tail:]}"
