"""Pictures of figures over time, and of two distributions: numbers in, shapes out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from kyc_ml.display.drawing import Drawing, Shape, text_at
from kyc_ml.metrics import Floats

_LEFT: Final = 52.0
_RIGHT: Final = 10.0
_TOP: Final = 10.0
_BOTTOM: Final = 22.0
_TICKS: Final = 4
_LABEL: Final = 86.0
"""Width for one label of the time axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One figure over time.

    Attributes
    ----------
    role : str
        Class of its shapes: a stylesheet gives it the colour.
    values : float64 array of shape (n,)
        NaN where there is no figure: the line has a gap.
    low, high : float64 array of shape (n,) or None
        Ends of its interval.
    dots : bool
        Draw points with their intervals instead of a line with a band.
    """

    name: str
    role: str
    values: Floats
    low: Floats | None = None
    high: Floats | None = None
    dots: bool = False


def draw_series(
    labels: Sequence[str],
    series: Sequence[Series],
    *,
    write: Callable[[float], str],
    reference: float | None = None,
    logarithmic: bool = False,
    size: tuple[float, float] = (560.0, 190.0),
) -> Drawing | None:
    """Draw figures over equally spaced times; None if there is no figure.

    Parameters
    ----------
    labels : sequence of str, length n
        What the axis says of each time, such as its day.
    write : callable
        Writes a figure of the vertical axis.
    reference : float, optional
        Where a dashed line is drawn, such as a limit.
    logarithmic : bool
        Draw powers of ten at equal distances; figures of 0 or less are left out.
    """
    ends = [each for one in series for each in (one.values, one.low, one.high) if each is not None]
    known = np.concatenate([np.asarray(each, dtype=np.float64) for each in ends] or [np.zeros(0)])
    known = known[np.isfinite(known) & (~np.full(known.shape, logarithmic) | (known > 0))]
    if not known.size:
        return None
    if reference is not None:
        known = np.append(known, reference)
    width, height = size
    low, high = float(known.min()), float(known.max())
    marks = _powers(low, high) if logarithmic else _steps(low, high)
    scaled = math.log10 if logarithmic else float
    bottom, top = scaled(marks[0]), scaled(marks[-1])

    def across(place: float) -> float:
        return round(_LEFT + (width - _LEFT - _RIGHT) * place / max(len(labels) - 1, 1), 1)

    def up(value: float) -> float:
        part = (scaled(value) - bottom) / ((top - bottom) or 1.0)
        return round(height - _BOTTOM - part * (height - _TOP - _BOTTOM), 1)

    shapes = [*_axes(labels, marks, across=across, up=up, write=write, size=size)]
    if reference is not None:
        shapes.append(_line(_LEFT, up(reference), width - _RIGHT, up(reference), "reference"))
    for one in series:
        draw = _points if one.dots else _curve
        shapes += draw(one, labels, across=across, up=up, write=write, logarithmic=logarithmic)
    return Drawing(width=width, height=height, shapes=tuple(shapes))


def draw_distributions(
    before: Sequence[float],
    now: Sequence[float],
    *,
    labels: Sequence[str] = (),
    size: tuple[float, float] = (220.0, 64.0),
) -> Drawing:
    """Draw the shares of two distributions over the same bins, side by side in each bin.

    Parameters
    ----------
    labels : sequence of str
        Names of the bins, or empty.
    """
    width, height = size
    most = max(*before, *now, 1e-12)
    step = width / max(len(before), 1)
    shapes = [_line(0.0, height - 1, width, height - 1, "axis")]
    for place, (old, new) in enumerate(zip(before, now, strict=True)):
        for part, (share, role) in enumerate(((old, "before"), (new, "now"))):
            tall = (height - 4) * share / most
            at: dict[str, float | str] = {
                "x": round(step * (place + 0.1 + 0.4 * part), 2),
                "y": round(height - 1 - tall, 2),
                "width": round(0.38 * step, 2),
                "height": round(tall, 2),
            }
            text = f"{labels[place]}: {share:.1%}" if len(labels) == len(before) else f"{share:.1%}"
            shapes.append(Shape(tag="rect", role=role, attributes=at, text=text))
    return Drawing(width=width, height=height, shapes=tuple(shapes))


def _axes(
    labels: Sequence[str],
    marks: Sequence[float],
    *,
    across: Callable[[float], float],
    up: Callable[[float], float],
    write: Callable[[float], str],
    size: tuple[float, float],
) -> Iterator[Shape]:
    width, height = size
    for mark in marks:
        yield _line(_LEFT, up(mark), width - _RIGHT, up(mark), "grid")
        yield text_at(write(mark), _LEFT - 6, up(mark) + 4, "tick", anchor="end")
    many = max(int((width - _LEFT) / _LABEL), 2)
    last = len(labels) - 1
    for place in sorted({round(last * each / max(many - 1, 1)) for each in range(many)}):
        anchor = "end" if place == last and last else ("start" if place == 0 else "middle")
        yield text_at(labels[place], across(place), height - 6, "tick", anchor=anchor)


def _curve(
    one: Series,
    labels: Sequence[str],
    *,
    across: Callable[[float], float],
    up: Callable[[float], float],
    write: Callable[[float], str],
    logarithmic: bool,
) -> Iterator[Shape]:
    """Yield the band and the line of each run of times that have a figure."""
    for run in _runs(one.values, logarithmic=logarithmic):
        if one.low is not None and one.high is not None:
            ends = [p for p in run if np.isfinite(one.low[p]) and np.isfinite(one.high[p])]
            there = [f"{across(p)},{up(one.high[p])}" for p in ends]
            back = [f"{across(p)},{up(one.low[p])}" for p in reversed(ends)]
            if len(ends) > 1:
                path = f"M{' L'.join(there + back)}Z"
                yield Shape(tag="path", role=f"band {one.role}", attributes={"d": path})
        if len(run) == 1:
            yield _dot(one, labels, run[0], across=across, up=up, write=write)
            continue
        path = f"M{' L'.join(f'{across(p)},{up(one.values[p])}' for p in run)}"
        yield Shape(tag="path", role=f"curve {one.role}", attributes={"d": path}, text=one.name)


def _points(
    one: Series,
    labels: Sequence[str],
    *,
    across: Callable[[float], float],
    up: Callable[[float], float],
    write: Callable[[float], str],
    logarithmic: bool,
) -> Iterator[Shape]:
    for place in (p for run in _runs(one.values, logarithmic=logarithmic) for p in run):
        if one.low is not None and one.high is not None and np.isfinite(one.low[place]):
            x = across(place)
            yield _line(x, up(one.low[place]), x, up(one.high[place]), f"whisker {one.role}")
        yield _dot(one, labels, place, across=across, up=up, write=write)


def _dot(
    one: Series,
    labels: Sequence[str],
    place: int,
    *,
    across: Callable[[float], float],
    up: Callable[[float], float],
    write: Callable[[float], str],
) -> Shape:
    at: dict[str, float | str] = {"cx": across(place), "cy": up(one.values[place]), "r": 3.2}
    text = f"{one.name} {labels[place]}: {write(one.values[place])}".strip()
    return Shape(tag="circle", role=f"dot {one.role}", attributes=at, text=text)


def _runs(values: Floats, *, logarithmic: bool) -> Iterator[list[int]]:
    """Yield the places of figures that follow each other without a gap."""
    run: list[int] = []
    for place, value in enumerate(values):
        if np.isfinite(value) and (value > 0 or not logarithmic):
            run.append(place)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _steps(low: float, high: float) -> list[float]:
    """Return round figures at equal distances that enclose a range; from 0 where that is near."""
    if low > 0 and low < 0.6 * high:
        low = 0.0
    span = (high - low) or abs(high) or 1.0
    rough = span / _TICKS
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(s * size for s in (1, 2, 2.5, 5, 10) if s * size >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * each, 12) for each in range(first, max(last, first + 1) + 1)]


def _powers(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    last = max(last, first + 1)
    every = max(1, round((last - first) / _TICKS))
    last = first + every * math.ceil((last - first) / every)
    return [10.0**each for each in range(first, last + 1, every)]


def _line(x1: float, y1: float, x2: float, y2: float, role: str) -> Shape:
    return Shape(tag="line", role=role, attributes={"x1": x1, "y1": y1, "x2": x2, "y2": y2})
