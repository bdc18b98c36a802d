"""Where the data of a source begins and ends: one definition for all jobs."""

from typing import Final

import pandas as pd

from kyc_ml.contract.contracted import ContractedTables, Tables
from kyc_ml.contract.quality import DataQualityReport, TableQuality
from kyc_ml.contract.tables import EVENTS, REVIEWS, TRANSACTIONS

_BEHAVIOUR: Final = (TRANSACTIONS, EVENTS)
_DAY: Final = pd.Timedelta(days=1)
_INSTANT: Final = pd.Timedelta(microseconds=1)


def find_newest(tables: Tables) -> pd.Timestamp | None:
    """Return the instant of the last transaction or event; None where there is neither.

    Strays do not count: a wrong clock must not move the end of the data.
    """
    last = [each.last_usual for each in _behaviour(tables.quality) if each.last_usual]
    return pd.Timestamp(max(last)) if last else None


def find_oldest(tables: Tables) -> pd.Timestamp | None:
    """Return the instant of the first transaction or event; None where there is neither.

    Strays do not count.
    """
    first = [each.first_usual for each in _behaviour(tables.quality) if each.first_usual]
    return pd.Timestamp(min(first)) if first else None


def find_end_of_behaviour(tables: Tables) -> pd.Timestamp | None:
    """Return the midnight (UTC) after the last transaction or event; None without either."""
    newest = find_newest(tables)
    return None if newest is None else newest.normalize() + _DAY


def find_end(tables: Tables) -> pd.Timestamp | None:
    """Return the midnight (UTC) after the last transaction or event.

    A source without either is dated by all its other tables, see `say_dating`; None where no
    table has a row. Cases may be known later: outcomes of transactions take time.
    """
    last = _last_dated(tables.quality)
    return None if last is None else last[0].normalize() + _DAY


def say_dating(quality: DataQualityReport) -> str | None:
    """Return which table dates a source without transactions and events; None for other sources."""
    last = _last_dated(quality)
    if last is None or last[1] in _BEHAVIOUR:
        return None
    return (
        "the source has no transaction and no event: the end of its data is taken from its other "
        f"tables, and the last of their rows is of {last[0]:%Y-%m-%d}, in {last[1]}"
    )


def say_strays(quality: DataQualityReport) -> str | None:
    """Return which rows make the end of a source's data unclear; None if no row does."""
    late = [
        f"{each.strays.after:,} of {each.accepted:,} row(s) of {each.table}"
        for each in _behaviour(quality)
        if each.strays.after
    ]
    if not late:
        return None
    return (
        f"{', '.join(late)} are dated far after all others, or in the future, so the end of the "
        "data is not clear: give --as-of (as_of), such as the day of the extract, or name "
        "`latest` in the source mapping, which quarantines such rows"
    )


def observable_until(tables: ContractedTables, moment: pd.Timestamp) -> pd.Timestamp:
    """Return the instant before which observations lie: the earlier of `moment` and the data's end.

    Later decisions see no behaviour: active customers would look inactive. A planned review at
    the midnight at which the data ends, in UTC or in the zone of the source, sees all of the
    data and counts.
    """
    newest = find_newest(tables)
    if newest is None:
        return moment
    end = newest.normalize() + _DAY
    if REVIEWS in tables.tables:
        local = newest.tz_convert(tables.timezone).tz_localize(None).normalize() + _DAY
        # a midnight that a change of clocks repeats or skips must not stop a run
        midnight = local.tz_localize(tables.timezone, ambiguous=False, nonexistent="shift_forward")
        # the end is excluded: with this instant a review at midnight is before it
        end = max(end, midnight.tz_convert("UTC")) + _INSTANT
    return min(moment, end)


def _behaviour(quality: DataQualityReport) -> list[TableQuality]:
    """List the tables of what customers did, by which a source is dated."""
    return [each for each in quality.tables if each.table in _BEHAVIOUR]


def _last_dated(quality: DataQualityReport) -> tuple[pd.Timestamp, str] | None:
    """Return the time and table of the last row: of what customers did, or else of all tables."""
    dated = [
        (pd.Timestamp(each.last_usual), each.table)
        for each in quality.tables
        if each.last_usual is not None
    ]
    behaviour = [each for each in dated if each[1] in _BEHAVIOUR]
    return max(behaviour or dated, default=None)
