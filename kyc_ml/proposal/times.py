"""How a column tells time: readings are tried on its values, none is taken on its name.

A reading counts where at least `ENOUGH` of the values become a time between 1900 and 2100.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import duckdb

from kyc_ml.engine.local import quote_name
from kyc_ml.proposal.looking import ColumnLook, Desk, FileLook
from kyc_ml.proposal.mixed_times import find_mixed
from kyc_ml.proposal.vocabulary import CLOCK, name_score

ENOUGH: Final = 0.98
EPOCH_OF_STEPS: Final = "2020-01-01"
_FIRST_ROWS: Final = 200
_TRIED_ROWS: Final = 20_000
_ISO: Final = (
    r"\d{4}[-/]\d{1,2}[-/]\d{1,2}([T ]+\d{1,2}:\d{2}(:\d{2}([.,]\d*)?)?\s*"
    r"(Z|z|[+-]\d{2}(:?\d{2})?)?)?"
)
_ZONED: Final = r".*\d{2}:\d{2}.*(Z|z|[+-]\d{2}(:?\d{2})?)"
_CLOCKS: Final = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f")
_DAYS: Final = {
    "%Y.%m.%d": "yyyy.mm.dd",
    "%d.%m.%Y": "dd.mm.yyyy",
    "%d/%m/%Y": "dd/mm/yyyy",
    "%m/%d/%Y": "mm/dd/yyyy",
    "%d-%m-%Y": "dd-mm-yyyy",
    "%Y年%m月%d日": "yyyy年mm月dd日",
    "%d-%b-%Y": "dd-Mon-yyyy",
    "%d %b %Y": "dd Mon yyyy",
}
_DIGITS: Final = {
    "%Y%m%d": ("yyyymmdd", 8),
    "%Y%m%d%H%M%S": ("yyyymmddhhmmss", 14),
    "%Y%m%d%H%M": ("yyyymmddhhmm", 12),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeReading:
    """An expression that turns a column into times.

    Attributes
    ----------
    share : float
        Share of the values tried that became a time, in [0, 1].
    low, high : datetime
        Range of the times, without a zone.
    daily : bool
        True where none has an hour.
    zoned : bool
        True where the values carry their own zone.
    doubt : str
        What the user has to confirm; empty where the values leave no doubt.
    """

    sql: str
    form: str
    share: float
    low: datetime
    high: datetime
    daily: bool
    zoned: bool = False
    doubt: str = ""


def read_time(
    desk: Desk, look: FileLook, column: ColumnLook, *, named: float, birth: bool = False
) -> TimeReading | None:
    """Find the reading that makes times of nearly all values; None if there is none.

    Parameters
    ----------
    named : float
        How well the name speaks for a time, in [0, 1]. Whole numbers that may be something
        else need it.
    birth : bool
        True for dates of birth: years before 1969 are likely.
    """
    if column.family in {"date", "naive", "instant"}:
        tried = _try(desk, look, column.sql, column)
        return tried and _reading(
            tried, column.sql, f"type {column.type}", zoned=column.family == "instant"
        )
    if column.family not in {"text", "integer", "decimal"} or not column.filled:
        return None
    found = []
    for sql, form, doubt, least in _candidates(column, birth=birth):
        if named < least:
            continue
        tried = _try(desk, look, sql, column)
        if tried is None or tried[0] < ENOUGH:
            continue
        late = tried[2] > datetime.now() + timedelta(days=366)  # noqa: DTZ005  a year is enough
        if late and (birth or form.startswith("yymmdd")):
            continue  # the other century
        zoned = form == "ISO 8601 with a zone" or form.startswith("epoch")
        found.append(_reading(tried, sql, form, doubt=doubt, zoned=zoned))
    if not found:
        return _read_mixed(desk, look, column, named=named)
    best = found[0]
    rivals = [each for each in found[1:] if {best.form[:2], each.form[:2]} == {"dd", "mm"}]
    if rivals:
        doubt = f"day and month can be exchanged: {rivals[0].form} fits as well"
        return _doubted(best, doubt)
    return best


def _read_mixed(
    desk: Desk, look: FileLook, column: ColumnLook, *, named: float
) -> TimeReading | None:
    mixed = find_mixed(desk, look, column, named=named)
    if mixed is None or not mixed.sql:
        return None
    tried = _try(desk, look, mixed.sql, column)
    return tried and _reading(tried, mixed.sql, mixed.form, doubt=mixed.doubt)


def read_clock(desk: Desk, look: FileLook, column: ColumnLook) -> str | None:
    """Give SQL for the time of day, ``HH:MM:SS`` as text; None if the column holds none."""
    if name_score(CLOCK, column.normal) <= 0 or column.family not in {"text", "integer"}:
        return None
    text = column.text
    colons = (
        f"CASE WHEN regexp_full_match({text}, '\\d{{1,2}}:\\d{{2}}(:\\d{{2}})?') THEN {text} END"
    )
    digits = f"lpad({text}, 6, '0')"
    parted = (
        f"substr({digits}, 1, 2) || ':' || substr({digits}, 3, 2) || ':' || substr({digits}, 5, 2)"
    )
    # small numbers are no times of day: 149 is hardly 00:01:49
    written = column.longest == 6 and column.high >= 60_000
    for sql in (colons, parted) if written else (colons,):
        row = desk.one(
            f"SELECT count(TRY_CAST({sql} AS TIME)) / count(*) FROM (SELECT * FROM "
            f"{quote_name(look.name)} WHERE {column.sql} IS NOT NULL LIMIT {_TRIED_ROWS})"
        )
        if float(row[0] or 0) >= ENOUGH:  # type: ignore[arg-type]
            return text if sql == colons else parted
    return None


def with_clock(desk: Desk, look: FileLook, day: TimeReading, clock: str) -> TimeReading | None:
    """Add the time of day to a reading of days."""
    sql = f"CAST({day.sql} AS DATE) + TRY_CAST({clock} AS TIME)"
    if day.form.startswith("ISO"):
        sql = f"TRY_CAST({day.sql} AS DATE) + TRY_CAST({clock} AS TIME)"
    tried = _try(desk, look, sql, None)
    if tried is None or tried[0] < ENOUGH:
        return None
    return _reading(tried, sql, f"{day.form} and a time of day", doubt=day.doubt)


def _candidates(column: ColumnLook, *, birth: bool) -> list[tuple[str, str, str, float]]:
    """List (SQL, form, doubt, evidence the name must give), the safest first."""
    x, text = column.sql, column.text
    found: list[tuple[str, str, str, float]] = []
    if column.number < ENOUGH:
        iso = f"CASE WHEN regexp_full_match(trim({text}), '{_ISO}') THEN {text} END"
        zoned = f"CASE WHEN regexp_full_match({text}, '{_ZONED}') THEN {iso} END"
        found += [(zoned, "ISO 8601 with a zone", "", 0.0), (iso, "ISO 8601", "", 0.0)]
        for day, form in _DAYS.items():
            found += [
                (
                    f"try_strptime({text}, '{day}{clock}')",
                    form + (" and hour" if clock else ""),
                    "",
                    0,
                )
                for clock in _CLOCKS
            ]
        found += [
            (f"try_strptime({text}, '{day}{clock}')", f"{form} and hour", "", 0.0)
            for day, form in (("%Y%m%d", "yyyymmdd"), ("%y%m%d", "yymmdd"))
            for clock in _CLOCKS[1:]
        ]
        return found
    if column.whole < ENOUGH:
        return found
    for form, (shown, length) in _DIGITS.items():
        if column.shortest >= length - 1 and column.longest == length:
            found.append((f"try_strptime({text}, '{form}')", shown, "", 0.0))
    if 5 <= column.longest <= 6 and column.high > 10_000:
        padded = text if column.shortest == 6 else f"lpad({text}, 6, '0')"
        found += [
            (f"try_strptime({padded}, '%y%m%d')", "yymmdd", "", 0.4),
            (f"try_strptime('19' || {padded}, '%Y%m%d')", "yymmdd, all 19yy", "", 0.4),
        ]
        if birth:
            month = f"substr({padded}, 3, 2)::INTEGER"
            decoded = (
                f"CASE WHEN {month} > 50 THEN ({padded}::INTEGER - 5000)::VARCHAR ELSE {padded} END"
            )
            found.append(
                (
                    f"try_strptime('19' || {decoded}, '%Y%m%d')",
                    "yymmdd, 50 added to the month of women",
                    "birth number as in Czechia and Slovakia",
                    0.4,
                )
            )
    for low, high, scale, form in (
        (3e8, 4.2e9, "", "epoch seconds"),
        (3e11, 4.2e12, " / 1000", "epoch milliseconds"),
        (3e14, 4.2e15, " / 1000000", "epoch microseconds"),
    ):
        if low <= column.low and column.high <= high:
            number = x if column.family == "integer" else f"TRY_CAST({x} AS BIGINT)"
            found.append((f"to_timestamp({number}{scale})", form, "", 0.3))
    if column.low >= 0 and 1 < column.high < 20_000:
        days = f"TIMESTAMP '{EPOCH_OF_STEPS}' + to_days(TRY_CAST({x} AS INTEGER))"
        doubt = f"steps are taken as days since {EPOCH_OF_STEPS}; for hours write to_hours"
        found.append((days, "a count of steps", doubt, 0.5))
    return found


def _try(
    desk: Desk, look: FileLook, sql: str, column: ColumnLook | None
) -> tuple[float, datetime, datetime, bool] | None:
    """Compute an expression on a sample: share read, range, and whether all are midnights."""
    where = "" if column is None else f"WHERE nullif(trim({column.text}), '') IS NOT NULL"
    moment = f"CAST(TRY_CAST({sql} AS TIMESTAMPTZ) AS TIMESTAMP)"
    rows = f"SELECT {moment} AS m FROM (SELECT * FROM {quote_name(look.name)} {where} LIMIT"
    try:
        # most expressions make a time of no value at all, and a few rows show it
        if desk.one(f"SELECT count(m) FROM ({rows} {_FIRST_ROWS}))")[0] == 0:
            return None
        share, low, high, daily = desk.one(
            "SELECT count(m) FILTER (year(m) BETWEEN 1900 AND 2100) / nullif(count(*), 0), min(m), "
            f"max(m), bool_and(m = date_trunc('day', m)) FROM ({rows} {_TRIED_ROWS}))"
        )
    except duckdb.Error:
        return None  # the expression does not fit the column: it is no candidate
    if share is None or not isinstance(low, datetime) or not isinstance(high, datetime):
        return None
    return float(share), low, high, bool(daily)  # type: ignore[arg-type]


def _reading(
    tried: tuple[float, datetime, datetime, bool],
    sql: str,
    form: str,
    *,
    doubt: str = "",
    zoned: bool = False,
) -> TimeReading:
    share, low, high, daily = tried
    # the contract reads ISO text itself, and refuses what is none
    plain = sql.rpartition("THEN ")[2].removesuffix(" END").removesuffix(" END")
    return TimeReading(
        sql=plain if form.startswith("ISO") else sql,
        form=form,
        share=share,
        low=low,
        high=high,
        daily=daily,
        zoned=zoned,
        doubt=doubt,
    )


def _doubted(reading: TimeReading, doubt: str) -> TimeReading:
    return TimeReading(
        sql=reading.sql,
        form=reading.form,
        share=reading.share,
        low=reading.low,
        high=reading.high,
        daily=reading.daily,
        zoned=reading.zoned,
        doubt=doubt,
    )
