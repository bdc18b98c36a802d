"""Rows dated far from all others: one wrong clock must not move the end of the data."""

from dataclasses import dataclass
from datetime import date, datetime
from itertools import accumulate, pairwise
from typing import Final

import pyarrow as pa

_STRAY_SHARE: Final = 0.05
"""Convention: one row in twenty is few."""
_STRAY_DAYS: Final = 30
"""Convention: a month without a row is rare in a table of what customers do."""
_EARLY_DAYS: Final = 365
"""Convention: data is sparse where it begins; only a wrong year or century is meant."""
_TIMES_WIDER: Final = 10
"""Convention: a gap is wide if it is ten times as wide as any other gap between the rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strays:
    """The few rows of a table that happened far before or after all others."""

    before: int = 0
    after: int = 0
    """`before` and `after`: how many rows."""
    first: datetime | None = None
    last: datetime | None = None
    """`first` and `last`: first and last time without them, UTC; None without rows."""


def find_strays(days: pa.Table, *, today: date) -> Strays:
    """Find the rows beyond a gap far wider than all other gaps, and those of the future.

    Strays are at most one row in twenty at either end. They lie beyond a gap that is ten times as
    wide as any other on the way to it, and at least 30 days at the end, a year at the beginning.
    Rows after tomorrow are strays if all of them together are within that share, or only one.

    `days`: one row per day with rows, sorted: day (since 1970), rows, first and last (UTC).
    """
    if not days.num_rows:
        return Strays()
    day, rows = days["day"].to_pylist(), days["rows"].to_pylist()
    gaps = [later - earlier for earlier, later in pairwise(day)]
    few = _STRAY_SHARE * sum(rows)
    start, end = _core(rows, few), len(rows) - _core(rows[::-1], few)
    widest = max(gaps[start : max(end - 1, start)], default=0)
    early = _stray_days(gaps[:start][::-1], widest, least=_EARLY_DAYS)
    late = _stray_days(gaps[end - 1 :], widest, least=_STRAY_DAYS)
    tomorrow = (today - date(1970, 1, 1)).days + 1
    future = sum(each > tomorrow for each in day)
    if future == len(day) or sum(rows[len(day) - future :]) > max(few, 1):
        future = 0  # the calendar of the data is not that of this machine
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


def _stray_days(gaps: list[int], widest: int, *, least: int) -> int:
    """Count the days beyond the first wide gap on the way outwards, one day beyond each gap."""
    for place, gap in enumerate(gaps):
        if gap >= max(least, _TIMES_WIDER * widest):
            return len(gaps) - place
        widest = max(widest, gap)
    return 0
