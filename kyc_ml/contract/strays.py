"""Rows dated far from all others: one wrong clock must not move the end of the data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import accumulate, pairwise
from typing import Final

import pyarrow as pa

_STRAY_SHARE: Final = 0.05
"""Convention: a tenth of a month's rows may be the first of a new product; a twentieth is few."""
_STRAY_GAP: Final = timedelta(days=30)
"""Convention: a month without a row is rare in a table of what customers do."""
_TIMES_WIDER: Final = 10
"""Convention: and so many times as wide as any other gap between the rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strays:
    """The few rows of a table that happened far before or after all others.

    Attributes
    ----------
    before, after : int
        How many rows.
    first, last : datetime or None
        First and last time without them, UTC; None without rows.
    """

    before: int = 0
    after: int = 0
    first: datetime | None = None
    last: datetime | None = None


def find_strays(days: pa.Table, *, today: date) -> Strays:
    """Find the rows beyond a gap that is wide beside all other gaps, and those of the future.

    Strays are at most one row in twenty at either end. They lie beyond a gap of at least 30
    days that is ten times as wide as any other gap on the way to it, or after tomorrow.

    Parameters
    ----------
    days : pyarrow.Table
        One row a day that has rows, sorted: day, rows, first and last (UTC).
    """
    if not days.num_rows:
        return Strays()
    day, rows = days["day"].to_pylist(), days["rows"].to_pylist()
    gaps = [later - earlier for earlier, later in pairwise(day)]
    few = _STRAY_SHARE * sum(rows)
    start, end = _core(rows, few), len(rows) - _core(rows[::-1], few)
    widest = max(gaps[start : max(end - 1, start)], default=timedelta(0))
    early = _stray_days(gaps[:start][::-1], widest)
    late = _stray_days(gaps[end - 1 :], widest)
    future = sum(each > today + timedelta(days=1) for each in day[end:])
    kept = slice(early, len(day) - max(late, future))
    return Strays(
        before=sum(rows[: kept.start]),
        after=sum(rows[kept.stop :]),
        first=days["first"][kept.start].as_py(),
        last=days["last"][kept.stop - 1].as_py(),
    )


def _core(rows: list[int], few: float) -> int:
    """Count the days at one end that have few rows altogether."""
    return sum(total <= few for total in accumulate(rows))


def _stray_days(gaps: list[timedelta], widest: timedelta) -> int:
    """Count the days beyond the first wide gap on the way outwards, one day beyond each gap."""
    for place, gap in enumerate(gaps):
        if gap >= max(_STRAY_GAP, _TIMES_WIDER * widest):
            return len(gaps) - place
        widest = max(widest, gap)
    return 0
