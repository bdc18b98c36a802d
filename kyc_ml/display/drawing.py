"""Pictures of a case drawn by hand: numbers in, shapes out; a template only places them.

Every shape has a class, and a stylesheet gives it its colour, so that a picture follows the
theme of its page. A picture is drawn for a width: text keeps its size on a narrow screen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

NARROW: Final = 600.0
"""Width below which labels stand one above the other."""

MOST_NODES: Final = 30
"""Nodes of a flow, the customer and the sums of the rest included."""

_HALF: Final = 82.0
_LEFT: Final = 54.0
_TOP: Final = 22.0
_BUCKET: Final = 4.0
"""Width in which payments are added up: bars that touch could not be told apart."""
_THICKEST: Final = 14.0
_CHARACTER: Final = 6.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One element of a picture.

    Attributes
    ----------
    role : str
        Its class.
    at : mapping of attribute to value
        Where it is.
    text : str
        What a text says; the description of any other shape, empty for none.
    """

    tag: Literal["rect", "line", "path", "circle", "text"]
    role: str
    at: Mapping[str, float | str]
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A picture and its size in pixels."""

    width: float
    height: float
    shapes: tuple[Shape, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A payment of a timeline.

    Attributes
    ----------
    role : str
        Class of its bar; of payments that share a bar the last role in order counts.
    """

    when: pd.Timestamp
    incoming: bool
    amount: float
    role: str = "paid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Money between the customer and one counterparty.

    Attributes
    ----------
    first : bool
        True for a counterparty that is drawn before others, whatever its amount.
    """

    name: str
    incoming: bool
    amount: float
    note: str = ""
    first: bool = False


def draw_timeline(
    dots: Sequence[Dot],
    *,
    start: pd.Timestamp,
    end: pd.Timestamp,
    width: float,
    ways: tuple[str, str],
    bands: Sequence[tuple[pd.Timestamp, pd.Timestamp, str]] = (),
) -> Drawing:
    """Draw payments in (up) and out (down) over time, on a logarithmic scale of amounts.

    Payments of one direction that would share a bar are added up; amounts of 0 have none.

    Parameters
    ----------
    ways : tuple of str
        What the halves above and below are called.
    bands : sequence of (first, last, label)
        Periods that are marked.
    """
    span = max((end - start) / pd.Timedelta(seconds=1), 1.0)
    middle = _TOP + _HALF

    def x_of(when: pd.Timestamp) -> float:
        share = (when - start) / pd.Timedelta(seconds=1) / span
        return round(_LEFT + (width - _LEFT - 8.0) * float(np.clip(share, 0.0, 1.0)), 1)

    bars: dict[tuple[float, bool], list[Dot]] = {}
    for dot in sorted(dots, key=lambda each: each.when):
        if dot.amount > 0.0 and start <= dot.when <= end:
            place = x_of(dot.when) // _BUCKET * _BUCKET
            bars.setdefault((place, dot.incoming), []).append(dot)
    sums = {key: sum(each.amount for each in found) for key, found in bars.items()}
    low, high = decades(sums.values())
    shapes = [*_bands(bands, x_of, width), *_decade_lines(low, high, width, middle)]
    for (place, incoming), found in bars.items():
        tall = max(_HALF * (np.log10(sums[place, incoming]) - low) / (high - low), 1.5)
        count = f" ({len(found)})" if len(found) > 1 else ""
        shapes.append(
            Shape(
                tag="rect",
                role=max(dot.role for dot in found),
                at={
                    "x": place,
                    "y": round(middle - tall if incoming else middle, 1),
                    "width": _BUCKET - 0.5,
                    "height": round(float(tall), 1),
                },
                text=f"{found[0].when:%Y-%m-%d %H:%M} {ways[not incoming]} "
                f"{sums[place, incoming]:,.2f}{count}",
            )
        )
    shapes.append(
        Shape(tag="line", role="axis", at={"x1": _LEFT, "x2": width, "y1": middle, "y2": middle})
    )
    bottom = middle + _HALF
    for label, y in ((ways[0], _TOP + 4.0), (ways[1], bottom)):
        shapes.append(_text(label, 0.0, y, "way"))
    shapes += [
        _text(f"{day:%m-%d}" if day.month > 1 else f"{day:%Y-%m-%d}", x_of(day), bottom + 20.0,
              "tick", anchor="middle")
        for day in _ticks(start, end, few=width < NARROW)
    ]  # fmt: skip
    return Drawing(width=width, height=bottom + 26.0, shapes=tuple(shapes))


def decades(amounts: Sequence[float] | object) -> tuple[int, int]:
    """Return the powers of ten that enclose amounts above 0; 10 to 1,000 without any.

    Examples
    --------
    >>> decades([52.0, 8_000.0]), decades([100.0]), decades([])
    ((1, 4), (1, 2), (1, 3))
    """
    known = np.array(list(amounts), np.float64)  # type: ignore[call-overload]
    if not known.size:
        return 1, 3
    low = int(np.floor(np.log10(known.min())))
    high = int(np.ceil(np.log10(known.max())))
    # the smallest amount must have a height too
    return (low - 1, high) if 10.0**low == known.min() else (low, max(high, low + 1))


def _decade_lines(low: int, high: int, width: float, middle: float) -> Iterator[Shape]:
    step = max(1, round((high - low) / 3))
    for power in range(low + step, high + 1, step):
        tall = _HALF * (power - low) / (high - low)
        for y in (middle - tall, middle + tall):
            at = {"x1": _LEFT, "x2": width, "y1": round(y, 1), "y2": round(y, 1)}
            yield Shape(tag="line", role="grid", at=at)
        yield _text(short_amount(10.0**power), _LEFT - 6.0, middle - tall + 4.0, "tick",
                    anchor="end")  # fmt: skip


def _bands(
    bands: Sequence[tuple[pd.Timestamp, pd.Timestamp, str]], x_of: object, width: float
) -> Iterator[Shape]:
    for first, last, label in bands:
        left, right = x_of(first) - 4.0, x_of(last) + 8.0  # type: ignore[operator]
        at = {"x": left, "y": _TOP - 4.0, "width": right - left, "height": 2 * _HALF + 8.0}
        yield Shape(tag="rect", role="band", at=at)
        # a label that would leave the picture ends where its band ends
        fits = left + _CHARACTER * len(label) <= width
        yield _text(label, left if fits else min(right, width), _TOP - 9.0, "label",
                    anchor="start" if fits else "end")  # fmt: skip


def _ticks(start: pd.Timestamp, end: pd.Timestamp, *, few: bool) -> Iterator[pd.Timestamp]:
    """Return the firsts of months; in a short period, or with room, the fifteenths too."""
    days = pd.date_range(start.normalize(), end, freq="D")
    wanted = {1} if few else {1, 15}
    edge = (end - start) * 0.04
    return (
        day for day in days if day.day in wanted and start + edge <= day <= end - edge
    )


def draw_flow(
    links: Sequence[Link],
    *,
    customer: str,
    width: float,
    rest: tuple[str, str],
    most: int = MOST_NODES,
) -> Drawing:
    """Draw who paid the customer (left) and whom the customer paid (right).

    Lines are as thick as their share of the largest amount. The largest counterparties are
    drawn, those marked `first` before all others; what is left is added up, one node a side.

    Parameters
    ----------
    rest : tuple of str
        What the sums are called, payers and payees, with ``{n}`` for their number.
    most : int
        Number of nodes at most, the customer included; at least 5.
    """
    ordered = sorted(links, key=lambda each: (not each.first, -each.amount, each.name))
    drawn = list(ordered) if len(ordered) < most else [*ordered[: most - 3]]
    for incoming in (True, False):
        left = [each for each in ordered[len(drawn) :] if each.incoming == incoming]
        left = [each for each in left if each not in drawn]
        if left:
            name = rest[not incoming].format(n=len(left))
            total = sum(each.amount for each in left)
            drawn.append(Link(name=name, incoming=incoming, amount=total, note="rest"))
    stacked = width < NARROW
    row = 36.0 if stacked else 24.0
    column = width * (0.31 if stacked else 0.27)
    sides = {way: [each for each in drawn if each.incoming is way] for way in (True, False)}
    height = row * max(*(len(side) for side in sides.values()), 2) + 16.0
    centre = (width / 2, height / 2)
    largest = max((each.amount for each in drawn), default=0.0) or 1.0
    shapes: list[Shape] = []
    for way, side in sides.items():
        top = (height - row * len(side)) / 2
        for place, link in enumerate(side):
            y = top + row * (place + 0.5)
            shapes += _link(link, y, way, centre, width, column, largest, stacked=stacked)
    radius = 9.0 if stacked else 13.0
    at = {"cx": centre[0], "cy": centre[1], "r": radius}
    shapes.append(Shape(tag="circle", role="self", at=at))
    shapes.append(_text(customer, centre[0], centre[1] + radius + 16.0, "name", anchor="middle"))
    return Drawing(width=width, height=height, shapes=tuple(shapes))


def _link(
    link: Link,
    y: float,
    incoming: bool,  # noqa: FBT001
    centre: tuple[float, float],
    width: float,
    column: float,
    largest: float,
    *,
    stacked: bool,
) -> Iterator[Shape]:
    """Draw one counterparty: name and amount, node, line to the customer."""
    side = -1.0 if incoming else 1.0
    node = column if incoming else width - column
    near = centre[0] + side * 14.0
    bend = (node + near) / 2
    thick = 1.0 + (_THICKEST - 1.0) * link.amount / largest
    way = ("in" if incoming else "out") + (" marked" if link.first else "")
    yield Shape(
        tag="path",
        role=f"link {way}",
        at={
            "d": f"M{node:.1f} {y:.1f}C{bend:.1f} {y:.1f} {bend:.1f} {centre[1]:.1f} "
            f"{near:.1f} {centre[1]:.1f}",
            "stroke-width": round(thick, 1),
        },
        text=f"{link.name}: {link.amount:,.2f}",
    )
    yield Shape(tag="circle", role=f"node {way}", at={"cx": node, "cy": y, "r": 4.0})
    room = column - 12.0
    outer, anchor = (0.0, "start") if incoming else (width, "end")
    inner, other = (node - 10.0, "end") if incoming else (node + 10.0, "start")
    amount = f"{link.amount:,.0f}" if not stacked else short_amount(link.amount)
    note = f" {link.note}" if link.note and link.note != "rest" else ""
    if stacked:
        yield _text(shortened(link.name, room), outer, y - 2.0, "name", anchor=anchor)
        yield _text(amount + note, outer, y + 13.0, "sum", anchor=anchor)
        return
    name = shortened(link.name, room - _CHARACTER * (len(amount) + len(note) + 1))
    yield _text(name + note, outer, y + 4.0, "name", anchor=anchor)
    yield _text(amount, inner, y + 4.0, "sum", anchor=other)


def shortened(text: str, room: float) -> str:
    """Leave out the middle of a text that is wider than some pixels.

    Examples
    --------
    >>> shortened("GB29NWBK60161331926819", 80.0), shortened("X1", 80.0)
    ('GB29NW…6819', 'X1')
    """
    most = max(int(room / _CHARACTER), 5)
    if len(text) <= most:
        return text
    end = (most - 1) // 2 if most < 9 else 4  # noqa: PLR2004
    return f"{text[: most - 1 - end]}…{text[-end:]}"


def short_amount(amount: float) -> str:
    """Write an amount in few characters.

    Examples
    --------
    >>> [short_amount(each) for each in (0.5, 940, 12_345, 2_500_000, 3e9)]
    ['0.5', '940', '12k', '2.5M', '3B']
    """
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if amount >= size:
            value = amount / size
            return f"{value:.1f}".removesuffix(".0") + unit if value < 10 else f"{value:.0f}{unit}"  # noqa: PLR2004
    return f"{amount:.3g}"


def _text(text: str, x: float, y: float, role: str, *, anchor: str = "start") -> Shape:
    at = {"x": round(x, 1), "y": round(y, 1), "text-anchor": anchor}
    return Shape(tag="text", role=role, at=at, text=text)
