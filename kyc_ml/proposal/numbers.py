"""How a column tells numbers: decimal commas, thousands, currency signs, minor units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import duckdb

from kyc_ml.engine.local import quote_name
from kyc_ml.proposal.looking import ColumnLook, Desk, FileLook
from kyc_ml.proposal.vocabulary import MINOR_UNITS

ENOUGH: Final = 0.98
_TRIED_ROWS: Final = 20_000
_COMMA: Final = r"-?\d{1,3}([. ]?\d{3})*(,\d+)?|-?\d+(,\d+)?"
_POINT: Final = r"-?\d{1,3}(,\d{3})*(\.\d+)?|-?\d+(\.\d+)?"


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberReading:
    """An expression that turns a column into numbers.

    Attributes
    ----------
    numeric : str
        The same as a number, to compute with.
    negative : float
        Share of the numbers below zero, in [0, 1].
    doubt : str
        What the user has to confirm; empty where there is none.
    """

    sql: str
    numeric: str
    form: str
    negative: float
    doubt: str = ""
    alternatives: tuple[str, ...] = ()


def read_number(
    desk: Desk, look: FileLook, column: ColumnLook, *, money: bool = False
) -> NumberReading | None:
    """Find the expression that makes numbers of nearly all values; None if there is none.

    Parameters
    ----------
    money : bool
        True for amounts: the name may say that they are in a hundredth of the currency.
    """
    if column.family in {"integer", "decimal", "float"}:
        return _scaled(
            column,
            column.sql,
            column.sql,
            f"type {column.type}",
            negative=column.negative,
            money=money,
        )
    if column.family != "text" or not column.distinct:
        return None
    if column.number >= ENOUGH:
        number = f"TRY_CAST({column.sql} AS DOUBLE)"
        return _scaled(
            column, column.sql, number, "numbers as text", negative=column.negative, money=money
        )
    stripped = f"regexp_replace({column.sql}, '[^0-9,.-]', '', 'g')"
    bare = f"replace(replace({stripped}, '.', ''), ',', '.')"
    for pattern, sql, form in (
        (_COMMA, bare, "decimal comma"),
        (_POINT, f"replace({stripped}, ',', '')", "thousands separators or a currency sign"),
    ):
        tried = _try(desk, look, column, stripped=stripped, pattern=pattern, sql=sql)
        if tried is not None:
            return _scaled(
                column, sql, f"TRY_CAST({sql} AS DOUBLE)", form, negative=tried, money=money
            )
    return None


def _try(
    desk: Desk, look: FileLook, column: ColumnLook, *, stripped: str, pattern: str, sql: str
) -> float | None:
    """Share of negative numbers, if nearly all values are numbers of this form."""
    try:
        # letters around a number are no currency sign: at most three may go
        read, negative = desk.one(
            f"SELECT count(n) / nullif(count(*), 0), count(n) FILTER (n < 0) / nullif(count(n), 0) "
            f"FROM (SELECT CASE WHEN regexp_full_match({stripped}, '{pattern}') AND "
            f"length({column.sql}) - length({stripped}) <= 5 THEN TRY_CAST({sql} AS DOUBLE) END "
            f"AS n FROM (SELECT * FROM {quote_name(look.name)} "
            f"WHERE nullif(trim({column.sql}), '') IS NOT NULL LIMIT {_TRIED_ROWS}))"
        )
    except duckdb.Error:
        return None  # the expression does not fit the column: it is no candidate
    if read is None or float(read) < ENOUGH:  # type: ignore[arg-type]
        return None
    return float(negative or 0.0)  # type: ignore[arg-type]


def _scaled(
    column: ColumnLook, sql: str, numeric: str, form: str, *, negative: float, money: bool
) -> NumberReading:
    whole = column.whole >= 1.0
    words = column.normal.split("_")
    minor = (
        money
        and whole
        and any(
            word in words or (not word.isascii() and column.normal.endswith(word))
            for word in MINOR_UNITS
        )
    )
    if minor:
        return NumberReading(
            sql=f"{numeric} / 100.0",
            numeric=f"({numeric} / 100.0)",
            form=f"{form}, whole hundredths by its name",
            negative=negative,
            doubt="the unit is taken from the name",
            alternatives=(sql,),
        )
    doubt = money and whole and column.distinct > 20 and column.high >= 1000
    return NumberReading(
        sql=sql,
        numeric=numeric,
        form=form,
        negative=negative,
        doubt="all are whole numbers: hundredths (cents, fen) are possible" if doubt else "",
        alternatives=(f"{numeric} / 100.0",) if doubt else (),
    )
