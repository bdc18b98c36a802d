"""Pictures of a case drawn by hand: numbers in, shapes out; a template only places them.

Every shape has a class, and a stylesheet gives it its colour, so that a picture follows the
theme of its page. A picture is drawn for a width: text keeps its size on a narrow screen.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

NARROW: Final = 600.0
"""Width below which labels stand one above the other."""

Band = tuple[pd.Timestamp, pd.Timestamp, str]
"""First and last instant of a marked period, and its label."""

MOST_NODES: Final = 30
"""Nodes of a flow, the customer and the sums of the rest included."""

_HALF: Final = 82.0
_LEFT: Final = 68.0
_TOP: Final = 22.0
_BUCKET: Final = 4.0
"""Width in which payments are added up: bars that touch look like one."""
_THICKEST: Final = 14.0
_VISIBLE: Final = 0.15
"""Part of a power of ten below which a bar would look like no bar."""
_CHARACTER: Final = 6.7
_AMOUNT: Final = 84.0
_FIRST_WIDE: Final = 0x2E7F


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One element of a picture."""

    tag: Literal["rect", "line", "path", "circle", "text"]
    role: str
    """Its class."""
    attributes: Mapping[str, float | str]
    """Mapping of name to value; where it is."""
    text: str = ""
    """What a text says; the description of any other shape, empty for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A picture and its size in pixels."""

    width: float
    height: float
    shapes: tuple[Shape, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A payment of a timeline."""

    when: pd.Timestamp
    incoming: bool
    amount: float
    role: str = "paid"
    """Class of its bar; of payments that share a bar the last role in order counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Money between the customer and one counterparty."""

    name: str
    incoming: bool
    amount: float
    note: str = ""
    first: bool = False
    """True for a counterparty that is drawn before others, whatever its amount."""


def draw_timeline(
    dots: Sequence[Dot],
    *,
    start: pd.Timestamp,
    end: pd.Timestamp,
    width: float,
    ways: tuple[str, str],
    bands: Sequence[Band] = (),
) -> Drawing:
    """Draw payments in (up) and out (down) over time, on a logarithmic scale of amounts.

    Payments of one direction that would share a bar are added up; amounts of 0 have none.

    `ways`: what the halves above and below are called.
    `bands`: sequence of (first, last, label); periods that are marked.
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
                attributes={
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
        Shape(
            tag="line",
            role="axis",
            attributes={"x1": _LEFT, "x2": width, "y1": middle, "y2": middle},
        )
    )
    bottom = middle + _HALF
    for label, y in ((ways[0], _TOP + 4.0), (ways[1], bottom)):
        shapes.append(text_at(label, 0.0, y, "way"))
    shapes += [
        text_at(f"{day:%m-%d}" if day.month > 1 else f"{day:%Y-%m-%d}", x_of(day), bottom + 20.0,
              "tick", anchor="middle")
        for day in _ticks(start, end, few=width < NARROW)
    ]  # fmt: skip
    return Drawing(width=width, height=bottom + 26.0, shapes=tuple(shapes))


def decades(amounts: Iterable[float]) -> tuple[int, int]:
    """Return the powers of ten that enclose amounts above 0; 10 to 1,000 without any.

    Examples
    --------
    >>> decades([52.0, 8_000.0]), decades([1_010.0, 9_000.0]), decades([])
    ((1, 4), (2, 4), (1, 3))
    """
    known = np.array(list(amounts), np.float64)
    if not known.size:
        return 1, 3
    low = int(np.floor(np.log10(known.min())))
    high = int(np.ceil(np.log10(known.max())))
    # the smallest amount must have a height too
    low -= int(np.log10(known.min()) - low < _VISIBLE)
    return low, max(high, low + 1)


def _decade_lines(low: int, high: int, width: float, middle: float) -> Iterator[Shape]:
    step = max(1, round((high - low) / 3))
    for power in range(low + step, high + 1, step):
        tall = _HALF * (power - low) / (high - low)
        for y in (middle - tall, middle + tall):
            at = {"x1": _LEFT, "x2": width, "y1": round(y, 1), "y2": round(y, 1)}
            yield Shape(tag="line", role="grid", attributes=at)
        yield text_at(short_amount(10.0**power), _LEFT - 6.0, middle - tall + 4.0, "tick",
                    anchor="end")  # fmt: skip


def _bands(
    bands: Sequence[Band], x_of: Callable[[pd.Timestamp], float], width: float
) -> Iterator[Shape]:
    for first, last, label in bands:
        left, right = x_of(first) - 4.0, x_of(last) + 8.0
        at = {"x": left, "y": _TOP - 4.0, "width": right - left, "height": 2 * _HALF + 8.0}
        yield Shape(tag="rect", role="band", attributes=at)
        # a label that would leave the picture ends where its band ends
        room = width_of(label)
        fits = left + room <= width
        # ends at the band, or at the edge where the band leaves too little room before it
        end = right if _LEFT + room <= right <= width else width
        yield text_at(label, left if fits else end, _TOP - 9.0, "label",
                    anchor="start" if fits else "end")  # fmt: skip


def _ticks(start: pd.Timestamp, end: pd.Timestamp, *, few: bool) -> Iterator[pd.Timestamp]:
    """Return the firsts of months; in a short period, or with room, the fifteenths too."""
    days = pd.date_range(start.normalize(), end, freq="D")
    wanted = {1} if few else {1, 15}
    edge = (end - start) * 0.04
    return (day for day in days if day.day in wanted and start + edge <= day <= end - edge)


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

    `rest`: what the sums are called, payers and payees, with ``{n}`` for their number.
    `most`: number of nodes at most, the customer included; at least 5.
    """
    ordered = sorted(links, key=lambda each: (not each.first, -each.amount, each.name))
    drawn = list(ordered) if len(ordered) < most else ordered[: most - 3]
    others = ordered[len(drawn) :]
    for incoming in (True, False):
        left = [each.amount for each in others if each.incoming is incoming]
        if left:
            name = rest[not incoming].format(n=len(left))
            drawn.append(Link(name=name, incoming=incoming, amount=sum(left)))
    sides = {way: [each for each in drawn if each.incoming is way] for way in (True, False)}
    rows = max(*(len(side) for side in sides.values()), 2)
    plan = _Plan(width=width, rows=rows, largest=max((x.amount for x in drawn), default=0.0) or 1.0)
    shapes: list[Shape] = []
    for side in sides.values():
        top = (plan.height - plan.row * len(side)) / 2
        for place, link in enumerate(side):
            shapes += plan.draw(link, top + plan.row * (place + 0.5))
    radius = 9.0 if plan.stacked else 13.0
    at = {"cx": width / 2, "cy": plan.height / 2, "r": radius}
    shapes.append(Shape(tag="circle", role="self", attributes=at))
    below = plan.height / 2 + radius + 16.0
    shapes.append(text_at(customer, width / 2, below, "name", anchor="middle"))
    return Drawing(width=width, height=plan.height, shapes=tuple(shapes))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Where the parts of a flow are."""

    width: float
    rows: int
    largest: float

    @property
    def stacked(self) -> bool:
        return self.width < NARROW

    @property
    def row(self) -> float:
        return 36.0 if self.stacked else 24.0

    @property
    def height(self) -> float:
        return self.row * self.rows + 16.0

    def draw(self, link: Link, y: float) -> Iterator[Shape]:
        """Draw one counterparty: name and amount, node, line to the customer."""
        side = -1.0 if link.incoming else 1.0
        middle = self.height / 2
        column = self.width * (0.31 if self.stacked else 0.27)
        node = column if link.incoming else self.width - column
        near = self.width / 2 + side * 14.0
        bend = (node + near) / 2
        way = ("in" if link.incoming else "out") + (" marked" if link.first else "")
        path = f"M{node:.1f} {y:.1f}C{bend:.1f} {y:.1f} {bend:.1f} {middle:.1f}"
        thick = 1.0 + (_THICKEST - 1.0) * link.amount / self.largest
        yield Shape(
            tag="path",
            role=f"link {way}",
            attributes={"d": f"{path} {near:.1f} {middle:.1f}", "stroke-width": round(thick, 1)},
            text=f"{link.name}: {link.amount:,.2f}",
        )
        yield Shape(tag="circle", role=f"node {way}", attributes={"cx": node, "cy": y, "r": 4.0})
        note = f" {link.note}" if link.note else ""
        room = column - 12.0
        if self.stacked:
            outer, anchor = (0.0, "start") if link.incoming else (self.width, "end")
            yield text_at(shortened(link.name, room), outer, y - 2.0, "name", anchor=anchor)
            said = short_amount(link.amount) + note
            yield text_at(said, outer, y + 13.0, "sum", anchor=anchor)
            return
        name = shortened(link.name, room - _AMOUNT - width_of(note)) + note
        outer = 0.0 if link.incoming else node + 10.0 + _AMOUNT
        yield text_at(name, outer, y + 4.0, "name")
        right = node - 10.0 if link.incoming else node + _AMOUNT
        yield text_at(f"{link.amount:,.0f}", right, y + 4.0, "sum", anchor="end")


def shortened(text: str, room: float) -> str:
    """Leave out the middle of a text that is wider than some pixels.

    Examples
    --------
    >>> shortened("GB29NWBK60161331926819", 80.0), shortened("X1", 80.0)
    ('GB29NW…6819', 'X1')
    """
    if width_of(text) <= room:
        return text
    most = max(int(room * len(text) / width_of(text)), 5)
    end = (most - 1) // 2 if most < 9 else 4
    return f"{text[: most - 1 - end]}…{text[-end:]}"


def width_of(text: str) -> float:
    """Estimate the width of a text in pixels; a Chinese character is as wide as two others."""
    return sum(_CHARACTER * (1 + (ord(each) > _FIRST_WIDE)) for each in text)


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
            return f"{value:.1f}".removesuffix(".0") + unit if value < 10 else f"{value:.0f}{unit}"
    return f"{amount:.3g}"


def text_at(text: str, x: float, y: float, role: str, *, anchor: str = "start") -> Shape:
    """Return a text; `anchor` says which end of it the place marks."""
    at: dict[str, float | str] = {"x": round(x, 1), "y": round(y, 1), "text-anchor": anchor}
    return Shape(tag="text", role=role, attributes=at, text=text)
