"""Pictures of figures over time, and of two distributions: numbers in, shapes out."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from kyc_ml.display.drawing import Drawing, Shape, text_at
from kyc_ml.metrics import Floats

_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 10.0, 10.0, 22.0
_TICKS: Final = 4
_LABEL: Final = 86.0
"""Width for one label of the time axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One figure over time; NaN where there is none: the line has a gap."""

    name: str
    role: str
    """Class of its shapes: a stylesheet gives it the colour."""
    values: Floats
    low: Floats | None = None
    high: Floats | None = None
    """`low` and `high`: ends of its interval, together or not at all."""
    dots: bool = False
    """Draw points with their intervals instead of a line with a band."""


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

    `labels`: sequence of str, length n; what the axis says of each time, such as its day.
    `write`: writes a figure of the vertical axis.
    `reference`: where a dashed line is drawn, such as a limit.
    `logarithmic`: draw powers of ten at equal distances; figures of 0 or less are left out.
    """
    ends = [each for one in series for each in (one.values, one.low, one.high) if each is not None]
    known = np.concatenate([np.asarray(each, dtype=np.float64) for each in (*ends, [])])
    known = known[np.isfinite(known) & ((known > 0) | (not logarithmic))]
    if not known.size:
        return None
    low, high = min(*known, reference or known[0]), max(*known, reference or known[0])
    marks = _powers(low, high) if logarithmic else _steps(low, high)
    frame = _Frame(labels, marks, write, logarithmic, *size)
    shapes = [*frame.axes()]
    if reference is not None:
        shapes.append(frame.level(reference, "reference"))
    for one in series:
        shapes += frame.points(one) if one.dots else frame.curve(one)
    return Drawing(width=size[0], height=size[1], shapes=tuple(shapes))


def draw_distributions(
    before: Sequence[float],
    now: Sequence[float],
    *,
    labels: Sequence[str] = (),
    size: tuple[float, float] = (220.0, 64.0),
) -> Drawing:
    """Draw the shares of two distributions over the same bins, side by side in each bin.

    `labels`: names of the bins, or empty.
    """
    width, height = size
    most, step = max(*before, *now, 1e-12), width / max(len(before), 1)
    shapes = [_line(0.0, height - 1, width, height - 1, "axis")]
    for place, pair in enumerate(zip(before, now, strict=True)):
        for part, share in enumerate(pair):
            tall = round((height - 4) * share / most, 2)
            at: dict[str, float | str] = {"width": round(0.38 * step, 2), "height": tall}
            at |= {"x": round(step * (place + 0.1 + 0.4 * part), 2), "y": height - 1 - tall}
            text = f"{labels[place]}: {share:.1%}" if len(labels) == len(before) else f"{share:.1%}"
            role = ("before", "now")[part]
            shapes.append(Shape(tag="rect", role=role, attributes=at, text=text))
    return Drawing(width=width, height=height, shapes=tuple(shapes))


@dataclass(frozen=True, slots=True)
class _Frame:
    """Axes: where a time and a figure are in a picture."""

    labels: Sequence[str]
    marks: Sequence[float]
    write: Callable[[float], str]
    logarithmic: bool
    width: float
    height: float

    def across(self, place: float) -> float:
        """Return where a time is."""
        room = self.width - _LEFT - _RIGHT
        return round(_LEFT + room * place / max(len(self.labels) - 1, 1), 1)

    def up(self, value: float) -> float:
        """Return where a figure is."""
        first, last = self.marks[0], self.marks[-1]
        if self.logarithmic:
            value, first, last = (math.log10(each) for each in (value, first, last))
        part = (value - first) / ((last - first) or 1.0)
        return round(self.height - _BOTTOM - part * (self.height - _TOP - _BOTTOM), 1)

    def level(self, value: float, role: str) -> Shape:
        """Return a line across the picture."""
        return _line(_LEFT, self.up(value), self.width - _RIGHT, self.up(value), role)

    def axes(self) -> Iterator[Shape]:
        """Yield the marks of figures and some times."""
        for mark in self.marks:
            yield self.level(mark, "grid")
            yield text_at(self.write(mark), _LEFT - 6, self.up(mark) + 4, "tick", anchor="end")
        last = len(self.labels) - 1
        # the first and the last label lie inside, so that their neighbours need half a label more
        many = max(int((self.width - _LEFT) / (1.5 * _LABEL)), 1)
        if last < 4 * many:  # few times: equal steps
            many = max(each for each in range(1, many + 1) if last % each == 0)
        for place in sorted({round(last * each / many) for each in range(many + 1)}):
            anchor = "start" if place == 0 else "end" if place == last else "middle"
            at = self.across(place), self.height - 6
            yield text_at(self.labels[place], *at, "tick", anchor=anchor)

    def curve(self, one: Series) -> Iterator[Shape]:
        """Yield the band and the line of each run of times that have a figure."""
        for run in self._runs(one.values):
            if one.low is not None and one.high is not None:
                ends = [p for p in run if np.isfinite(one.low[p] + one.high[p])]
                there = [f"{self.across(p)},{self.up(one.high[p])}" for p in ends]
                there += [f"{self.across(p)},{self.up(one.low[p])}" for p in reversed(ends)]
                if len(ends) > 1:
                    path = {"d": f"M{' L'.join(there)}Z"}
                    yield Shape(tag="path", role=f"band {one.role}", attributes=path)
            if len(run) == 1:
                yield self._dot(one, run[0])
            else:
                path = {
                    "d": f"M{' L'.join(f'{self.across(p)},{self.up(one.values[p])}' for p in run)}"
                }
                yield Shape(tag="path", role=f"curve {one.role}", attributes=path, text=one.name)

    def points(self, one: Series) -> Iterator[Shape]:
        """Yield each figure with its interval."""
        for place in (p for run in self._runs(one.values) for p in run):
            if one.low is not None and one.high is not None and np.isfinite(one.low[place]):
                x, ends = self.across(place), (self.up(one.low[place]), self.up(one.high[place]))
                yield _line(x, ends[0], x, ends[1], f"whisker {one.role}")
            yield self._dot(one, place)

    def _dot(self, one: Series, place: int) -> Shape:
        value = one.values[place]
        at: dict[str, float | str] = {"cx": self.across(place), "cy": self.up(value), "r": 3.2}
        text = f"{one.name} {self.labels[place]}: {self.write(value)}".strip()
        return Shape(tag="circle", role=f"dot {one.role}", attributes=at, text=text)

    def _runs(self, values: Floats) -> list[list[int]]:
        """Return the places of figures that follow each other without a gap."""
        known = np.isfinite(values) & ((values > 0) | (not self.logarithmic))
        places = np.flatnonzero(known)
        runs = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
        return [run.tolist() for run in runs if run.size]


def _steps(low: float, high: float) -> list[float]:
    """Return round figures at equal distances that enclose a range; from 0 where that is near."""
    low = 0.0 if 0 < low < 0.6 * high else low
    rough = ((high - low) or abs(high) or 1.0) / _TICKS
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(s * size for s in (1, 2, 2.5, 5, 10) if s * size >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * each, 12) for each in range(first, max(last, first + 1) + 1)]


def _powers(low: float, high: float) -> list[float]:
    """Return powers of ten that enclose a range."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    every = max(1, round((last - first) / _TICKS))
    steps = max(1, math.ceil((last - first) / every))
    return [10.0 ** (first + every * each) for each in range(steps + 1)]


def _line(x1: float, y1: float, x2: float, y2: float, role: str) -> Shape:
    return Shape(tag="line", role=role, attributes={"x1": x1, "y1": y1, "x2": x2, "y2": y2})
