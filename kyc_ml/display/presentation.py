"""The short description of a result: a few facts as text, and as HTML in a notebook.

Facts are counts, names and dates; a customer's value has no place here.
"""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd


def say_plainly(title: str, facts: Mapping[str, object]) -> str:
    r"""Write a title and its facts, one a line, aligned.

    Examples
    --------
    >>> print(say_plainly("FeatureTable", {"rows": "1,200", "features": 31}))
    FeatureTable
      rows      1,200
      features  31
    """
    width = max((len(name) for name in facts), default=0)
    return "\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in facts.items())])


def say_in_html(
    title: str, facts: Mapping[str, object], *, tables: Iterable[pd.DataFrame] = ()
) -> str:
    """Write a title, its facts and small tables as HTML without scripts or styles."""
    rows = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th>'
        f'<td style="text-align:left">{escape(str(value))}</td></tr>'
        for name, value in facts.items()
    )
    shown = "".join(table.to_html(index=False, border=0, na_rep="") for table in tables)
    return f"<div><p><strong>{escape(title)}</strong></p><table>{rows}</table>{shown}</div>"


def say_count(count: float, noun: str, plural: str = "") -> str:
    """Write a whole number and what it counts, one or many.

    Examples
    --------
    >>> [say_count(n, "row") for n in (0, 1, 1200)]
    ['0 rows', '1 row', '1,200 rows']
    >>> say_count(2, "match", "matches")
    '2 matches'
    """
    return f"{count:,.0f} {noun if count == 1 else plural or f'{noun}s'}"


def say_number(value: float, form: str) -> str:
    """Write a number for people: its minus is a minus, as long as a plus.

    Examples
    --------
    >>> say_number(-0.5, "+.3f")
    '−0.500'
    """
    return format(value, form).replace("-", "\N{MINUS SIGN}")


def format_rate(value: float) -> str:
    """Write a rate in per cent; NaN as a dash.

    Examples
    --------
    >>> [format_rate(v) for v in (0.5, 0.0123, 0.00012, 0.0, float("nan"))]
    ['50.0%', '1.23%', '0.012%', '0%', '–']
    """
    if np.isnan(value):
        return "–"
    percent = 100.0 * value
    if percent == 0:
        return "0%"
    if percent < 0.001:
        return "< 0.001%"
    decimals = 1 if percent >= 10 else 2 if percent >= 0.1 else 3
    return f"{percent:.{decimals}f}%"


def say_span(first: Any, last: Any) -> str:  # noqa: ANN401  anything with a date
    """Write the days between two instants, or a dash if a date is missing.

    Examples
    --------
    >>> say_span(pd.Timestamp("2024-01-01"), pd.Timestamp("2024-02-03 10:00"))
    '2024-01-01 to 2024-02-03'
    """
    if pd.isna(first) or pd.isna(last):
        return "–"
    return f"{pd.Timestamp(first):%Y-%m-%d} to {pd.Timestamp(last):%Y-%m-%d}"


def say_moment(moment: pd.Timestamp, zone: str | None = None) -> str:
    """Write a moment to the minute on the clock of a zone, by default its own, and name the clock.

    A user who names that date in an option means the clock of the source: no other is of use.

    Examples
    --------
    >>> say_moment(pd.Timestamp("2024-02-29 16:00", tz="UTC"), "Asia/Taipei")
    '2024-03-01 00:00 Asia/Taipei'
    """
    local = moment if zone is None else moment.tz_convert(zone)
    return f"{local:%Y-%m-%d %H:%M} {local.tz}"
