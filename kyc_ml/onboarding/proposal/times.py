"""Times of a column: readings are tried on its values; a name alone is not enough.

A reading counts if at least `ENOUGH` of the values become a time between 1900 and 2100.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import duckdb

from kyc_ml.onboarding.proposal.forms import CENTURY, list_forms, plain_halves
from kyc_ml.onboarding.proposal.mixed_times import find_mixed
from kyc_ml.onboarding.proposal.samples import ColumnSample, quoted_codes, words_held
from kyc_ml.onboarding.proposal.shapes import TRIED_ROWS, ZERO, shapes_of
from kyc_ml.onboarding.proposal.vocabulary import CLOCK, name_score, note, phrases
from kyc_ml.storage import quote_name

ENOUGH: Final = 0.98
EPOCH_OF_STEPS: Final = "2020-01-01"
_FIRST_ROWS: Final = 200
_ISO: Final = (
    r"\d{4}[-/]\d{1,2}[-/]\d{1,2}([T ]+\d{1,2}:\d{2}(:\d{2}([.,]\d*)?)?\s*"
    r"(Z|z|[+-]\d{2}(:?\d{2})?)?)?"
)
_ZONED: Final = r".*\d{2}:\d{2}.*(Z|z|[+-]\d{2}(:?\d{2})?)"
_EXCEL: Final = (20_000, 80_000)
"""Day numbers of Excel for 1954 to 2119."""
_MONTHS: Final = {"%Y-%m": r"9{4}-9{1,2}", "%Y/%m": r"9{4}/9{1,2}", "%Y年%m月": r"9{4}年9{1,2}月",
                  "%Y%m": r"9{6}"}  # fmt: skip
FOREVER: Final = "9999-12-31"
_FEWEST_DIGITS: Final = 4
_ABBREVIATED: Final = re.compile(
    r"(?<=9[ .])\(?((?![AP]M)[A-Z]{2,5}(?:[+-]9{1,2}(?::?99)?)?)\)?(?= 9{4}$|$)"
)
"""Finds the letters of a zone in the shape of a time; AM and PM are read before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeReading:
    """An expression that turns a column into times."""

    sql: str
    form: str
    share: float
    """Share of the values tried that became a time, in [0, 1]."""
    low: datetime
    high: datetime
    """`low` and `high`: range of the times, without a zone."""
    daily: bool
    """True where no value has an hour."""
    zoned: bool = False
    """True where the values carry their own zone."""
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An expression to try, and how well the column's name must fit a time.

    `plain` is what to propose instead, where the contract checks the form itself.
    """

    sql: str
    form: str
    doubt: str = ""
    least: float = 0.0
    order: str = ""
    zoned: bool = False
    plain: str = ""


def read_time(
    column: ColumnSample, *, named: float, birth: bool = False, expiry: bool = False
) -> TimeReading | None:
    """Find a reading that converts nearly all values to times; None without one.

    `named`: how well the name fits a time, in [0, 1]. Only whole numbers need it, because they may
    be something else.
    `birth`: True for dates of birth: years before 1969 are likely.
    `expiry`: True for the end of a validity: it may be far in the future, and words such as 长期
    mean no end. They become `FOREVER`.
    """
    latest = 9999 if expiry else 2100
    if column.family in {"date", "naive", "instant"}:
        zoned = column.family == "instant"
        stored = _Candidate(column.sql, f"type {column.type}", zoned=zoned)
        return _try(column, stored, latest=latest)
    if column.family not in {"text", "integer", "decimal", "float"} or not column.filled:
        return None
    endless: tuple[str, ...] = ()
    if expiry and column.family == "text":
        endless = words_held(column, phrases("endless"))
    found: list[tuple[_Candidate, TimeReading]] = []
    for each in _candidates(column, birth=birth, endless=endless):
        if named < each.least:
            continue
        reading = _try(column, each, latest=latest, endless=endless)
        if reading is None or reading.share < ENOUGH:
            continue
        late = reading.high > datetime.now() + timedelta(days=366)  # noqa: DTZ005  a year is enough
        if late and (birth or each.form.startswith("yymmdd")):
            continue  # the other century
        found.append((each, reading))
        if not each.order:
            break  # the safest come first
    if not found:
        mixed = find_mixed(column, named=named)
        if mixed is None or not mixed.sql:
            return None
        return _try(column, _Candidate(mixed.sql, mixed.form, mixed.doubt))
    # values that only one order of day and month reads decide between the orders
    first, best = max(found, key=lambda pair: pair[1].share)
    rivals = [
        each.form
        for each, reading in found
        if each.order and reading.share == best.share and each.order != first.order
    ]
    if first.order and rivals:
        doubt = note("exchanged", forms=", ".join(rivals))
        best = replace(best, doubt="; ".join(filter(None, (doubt, best.doubt))))
    if not endless:
        return best
    last = f"'{FOREVER}'" if best.form.startswith("ISO") else f"TIMESTAMP '{FOREVER}'"
    return replace(
        best,
        sql=(
            f"CASE WHEN lower(trim({column.text})) IN {quoted_codes(endless)} THEN {last}\n"
            f"ELSE {best.sql} END"
        ),
        form=f"{best.form}; {', '.join(endless)} become {FOREVER}",
    )


def read_clock(column: ColumnSample) -> str | None:
    """Return SQL for the time of day, ``HH:MM:SS`` as text; None if the column holds none."""
    if name_score(CLOCK, column.normal) <= 0 or column.family not in {"text", "integer"}:
        return None
    text = column.text
    colons = (
        f"CASE WHEN regexp_full_match({text}, '\\d{{1,2}}:\\d{{2}}(:\\d{{2}})?') THEN {text} END"
    )
    digits = f"lpad({text}, 6, '0')"
    split = (
        f"substr({digits}, 1, 2) || ':' || substr({digits}, 3, 2) || ':' || substr({digits}, 5, 2)"
    )
    # small numbers are not times of day: 149 is hardly 00:01:49
    written = column.longest == 6 and column.high >= 60_000
    for sql in (colons, split) if written else (colons,):
        row = column.engine.one(
            f"SELECT count(TRY_CAST({sql} AS TIME)) / count(*) FROM (SELECT * FROM "
            f"{quote_name(column.table)} WHERE {column.sql} IS NOT NULL LIMIT {TRIED_ROWS})"
        )
        if float(row[0] or 0) >= ENOUGH:  # type: ignore[arg-type]
            return text if sql == colons else split
    return None


def with_clock(column: ColumnSample, day: TimeReading, clock: str) -> TimeReading | None:
    """Add the time of day to a reading of a column of days; rows without a day count, too."""
    sql = f"CAST({day.sql} AS DATE) + TRY_CAST({clock} AS TIME)"
    if day.form.startswith("ISO"):
        sql = f"TRY_CAST({day.sql} AS DATE) + TRY_CAST({clock} AS TIME)"
    both = _try(column, _Candidate(sql, f"{day.form} and a time of day", day.doubt), empty=True)
    return None if both is None or both.share < ENOUGH else both


def _candidates(
    column: ColumnSample, *, birth: bool, endless: tuple[str, ...]
) -> Iterator[_Candidate]:
    shapes = shapes_of(column)
    counts = {shape: n for shape, n in shapes.counts.items() if shape.lower() not in endless}
    text, counts = plain_halves(shapes.text, counts)
    if counts and column.whole == 1.0 and all(shape.endswith(".9") for shape in counts):
        # whole numbers that went through a float
        text = f"regexp_replace({text}, '\\.0$', '')"
        counts = {shape.removesuffix(".9"): n for shape, n in counts.items()}
    if column.family == "text":
        iso = f"CASE WHEN regexp_full_match(trim({text}), '{_ISO}') THEN {text} END"
        zoned = f"CASE WHEN regexp_full_match(trim({text}), '{_ZONED}') THEN {iso} END"
        if column.number < ENOUGH:
            yield _Candidate(zoned, "ISO 8601 with a zone", zoned=True, plain=text)
            yield _Candidate(iso, "ISO 8601", plain=text)
    every = sum(counts.values())
    for form in list_forms():
        if (
            counts
            and sum(n for s, n in counts.items() if form.shape.fullmatch(s)) >= ENOUGH * every
        ):
            sql = f"try_strptime({text}, '{form.format}')"
            yield _Candidate(sql, form.shown, form.doubt, order=form.order)
    for month, shape in _MONTHS.items():
        if counts and all(re.fullmatch(shape, each) for each in counts):
            sql = f"try_strptime({text}, '{month}') + INTERVAL 1 MONTH"
            yield _Candidate(sql, "months", note("month_end"), least=0.4)
    if column.whole >= ENOUGH and 5 <= column.longest <= 6 and column.high > 10_000:
        yield from _six_digits(text if column.shortest == 6 else f"lpad({text}, 6, '0')", birth)
    if column.number >= ENOUGH:
        yield from _counted(column)


def _six_digits(padded: str, birth: bool) -> Iterator[_Candidate]:  # noqa: FBT001  as read_time
    yield _Candidate(f"try_strptime({padded}, '%y%m%d')", "yymmdd", CENTURY, least=0.4)
    last_century = "try_strptime('19' || {}, '%Y%m%d')"
    yield _Candidate(last_century.format(padded), "yymmdd, all 19yy", least=0.4)
    if birth:
        month = f"substr({padded}, 3, 2)::INTEGER"
        decoded = (
            f"CASE WHEN {month} > 50 THEN ({padded}::INTEGER - 5000)::VARCHAR ELSE {padded} END"
        )
        form = "yymmdd, 50 added to the month of women"
        yield _Candidate(last_century.format(decoded), form, note("birth_number"), least=0.4)


def _counted(column: ColumnSample) -> Iterator[_Candidate]:
    """List readings that count seconds or days from a day that the numbers do not give."""
    x = column.sql
    whole = column.whole >= ENOUGH
    named = {"unix", "epoch"} & set(column.normal.split("_"))
    for low, high, scale, form in (
        (3e8, 4.2e9, "", "epoch seconds"),
        (3e11, 4.2e12, " / 1000", "epoch milliseconds"),
        (3e14, 4.2e15, " / 1000000", "epoch microseconds"),
    ):
        if low <= column.low and column.high <= high:
            number = x if column.family == "integer" else f"TRY_CAST({x} AS DOUBLE)"
            doubt = "" if named else note("epoch", form=form)
            yield _Candidate(f"to_timestamp({number}{scale})", form, doubt, least=0.3, zoned=True)
    if _EXCEL[0] <= column.low and column.high <= _EXCEL[1]:
        seconds = f"CAST(round(86400 * TRY_CAST({x} AS DOUBLE)) AS BIGINT)"
        added = f"to_days(TRY_CAST({x} AS INTEGER))" if whole else f"to_seconds({seconds})"
        sql = f"TIMESTAMP '1899-12-30' + {added}"
        yield _Candidate(sql, "day numbers of Excel", note("excel_days"), least=0.4)
    if whole and column.low >= 0 and 1 < column.high < _EXCEL[0]:
        sql = f"TIMESTAMP '{EPOCH_OF_STEPS}' + to_days(TRY_CAST({x} AS INTEGER))"
        yield _Candidate(sql, "a count of steps", note("steps", start=EPOCH_OF_STEPS), least=0.5)


def _try(
    column: ColumnSample,
    each: _Candidate,
    *,
    latest: int = 2100,
    endless: tuple[str, ...] = (),
    empty: bool = False,
) -> TimeReading | None:
    """Compute an expression on a sample; None where no value becomes a time."""
    where = "" if empty else f"WHERE nullif(trim({column.text}), '') IS NOT NULL"
    if endless:
        where += f" AND lower(trim({column.text})) NOT IN {quoted_codes(endless)}"
    moment = f"CAST(TRY_CAST({each.sql} AS TIMESTAMPTZ) AS TIMESTAMP)"
    rows = f"SELECT {moment} AS m FROM (SELECT * FROM {quote_name(column.table)} {where} LIMIT"
    try:
        # most expressions read no value at all, and a few rows are enough to find that out
        if column.engine.one(f"SELECT count(m) FROM ({rows} {_FIRST_ROWS}))")[0] == 0:
            return None
        share, low, high, daily = column.engine.one(
            f"SELECT count(m) FILTER (year(m) BETWEEN 1900 AND {latest}) / nullif(count(*), 0), "
            f"min(m), max(m), bool_and(m = date_trunc('day', m)) FROM ({rows} {TRIED_ROWS}))"
        )
    except duckdb.Error:
        return None  # the expression does not fit the column
    if share is None or not isinstance(low, datetime) or not isinstance(high, datetime):
        return None
    return TimeReading(
        sql=each.plain or each.sql,
        form=each.form,
        share=float(share),  # type: ignore[arg-type]
        low=low,
        high=high,
        daily=bool(daily),
        zoned=each.zoned,
        doubt=each.doubt,
    )


def why_no_time(column: ColumnSample) -> str:
    """Explain the unknown form of a column that its name calls times, and what to write instead.

    Empty where the values do not look like times. Letters and digits are masked.
    """
    mixed = find_mixed(column, named=1.0)
    if mixed is not None:
        return note("mixed", mixed=mixed)
    if column.family != "text":
        return ""
    shapes = shapes_of(column)
    digits = {s: n for s, n in shapes.counts.items() if s.count("9") >= _FEWEST_DIGITS}
    if sum(digits.values()) < ENOUGH * shapes.values or not digits:
        return ""
    zones = sorted({zone for s in digits for zone in _ABBREVIATED.findall(s)})
    if zones:
        bare = {" ".join(_ABBREVIATED.sub(" ", shape).split()) for shape in digits}
        fits = [form for form in list_forms() if all(form.shape.fullmatch(s) for s in bare)]
        form = fits[0].format if fits else "%Y-%m-%d %H:%M:%S"
        cut = f"replace({column.sql}, ' {zones[0]}', '')"
        return note("zone_letters", zones=", ".join(zones), cut=cut, form=form)
    lower = re.sub(
        "[a-z]", "a", re.sub("[A-Z]", "A", max(digits, key=lambda s: digits[s]).replace(ZERO, "9"))
    )
    shown = re.sub(r"[^\x00-\x7f年月日时分秒点上下午星期周]", "?", lower)
    return note("unknown_form", shown=shown, sql=column.sql)
