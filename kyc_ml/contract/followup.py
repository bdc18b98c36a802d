"""Warnings about rows that are accepted but should be checked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from stdnum.cn import ric, uscc
from stdnum.exceptions import ValidationError
from stdnum.util import isdigits

from kyc_ml.config import TableAttribute
from kyc_ml.contract.quality import RuleFinding, TableQuality, word_rule
from kyc_ml.contract.sinks import Columns
from kyc_ml.contract.tables import (
    AMOUNT,
    CASES,
    CUSTOMERS,
    DOCUMENT_NUMBER,
    DOCUMENT_TYPE,
    EVENT_TIME,
    EVENTS,
    KNOWN_AT,
    NO_CURRENCY,
    THIRD_PARTY,
    TRANSACTIONS,
)

_LATE_SHARE: Final = 0.5
"""Convention: where most cases become known after the bookings, their dates should be checked."""

_INSTANT_SHARE: Final = 0.99
"""Convention: few cases are found immediately; if nearly all are, the date is a different one."""

_MOST_CATEGORIES: Final = 1_000
"""Convention: merchant category codes, several hundred, still are categories."""

KNOWN_IMMEDIATELY, _ = word_rule("known immediately")
"""Rule of the finding about nearly all cases: an audit by labels must mention it."""


@cache
def _is_born(place: str, day: str) -> bool:
    """Return whether a day exists, and six digits are a place that gave numbers in that year.

    Cached, because python-stdnum searches the place for each number, most of the time of a check.
    """
    try:
        ric.get_birth_date(f"{place}{day}0000")
        return _is_place(place, day[:4])
    except ValidationError:
        return False


@cache
def _is_place(place: str, year: str) -> bool:
    try:
        return bool(ric.get_birth_place(f"{place}{year}01010000"))
    except (ValidationError, KeyError):  # KeyError: python-stdnum knows the province alone
        return False


def is_resident_id(number: str) -> bool:
    """Do what `stdnum.cn.ric.is_valid` does, several times as fast for many numbers.

    Without its KeyError for six digits of which the province alone is known.
    """
    number = ric.compact(number)
    if len(number) != 18 or not isdigits(number[:-1]):
        return False
    return number[-1] == ric.calc_check_digit(number) and _is_born(number[:6], number[6:14])


# Both carry a check digit: GB 11643-1999 and GB 32100-2015, as python-stdnum has them.
_DOCUMENT_CHECKS: Final[dict[str, Callable[[str], bool]]] = {
    "resident_id": is_resident_id,
    "company_code": uscc.is_valid,
}


def follow_up(
    tables: Mapping[str, Columns],
    found: Mapping[str, TableQuality],
    *,
    mapped: Collection[str],
    left_out: Mapping[str, str],
    attributes: Iterable[TableAttribute],
    base_currency: str,
) -> list[RuleFinding]:
    """List what to check in accepted tables: counts, never a value.

    Parameters
    ----------
    tables, found : mapping by name of table
        The tables that were read, and their quality.
    mapped : collection of str
        Tables that the source has, read now or not.
    left_out : mapping of optional table to why it cannot be read
    """
    times = [found[name].last_usual for name in (TRANSACTIONS, EVENTS) if name in found]
    last = max((time for time in times if time is not None), default=None)
    return [
        *(
            RuleFinding.of("left out", table=table, column="", count=0, why=why)
            for table, why in left_out.items()
        ),
        *_absent_transactions(mapped),
        *_attributes(attributes, tables),
        *_absent_currency(tables, base_currency),
        *_strays(found.values()),
        *_empty_tables(tables),
        *_unknown_documents(tables),
        *_late_cases(tables, last),
        *_instant_cases(tables),
    ]


def _absent_transactions(mapped: Collection[str]) -> list[RuleFinding]:
    """Warn where a source has no transactions: most models and features need them."""
    if TRANSACTIONS in mapped:
        return []
    return [RuleFinding.of("no transactions", table=TRANSACTIONS, column="", count=0)]


def _attributes(
    attributes: Iterable[TableAttribute], tables: Mapping[str, Columns]
) -> list[RuleFinding]:
    """Warn of attributes without a Chinese description, and of texts with too many values."""
    found = []
    for each in attributes:
        if each.table in tables:
            table = tables[each.table]
            keys = [] if each.description_zh else ["no Chinese"]
            if each.type == "text" and _has_too_many(table.pieces(each.column)):
                keys.append("too many values")
            about = {"table": each.table, "column": each.column}
            found += [
                RuleFinding.of(key, **about, count=table.num_rows, most=_MOST_CATEGORIES)
                for key in keys
            ]
    return found


def _has_too_many(pieces: Iterable[pa.RecordBatch]) -> bool:
    known: set[str] = set()
    for piece in pieces:
        known.update(pc.unique(piece.column(0)).drop_null().to_pylist())
        if len(known) > _MOST_CATEGORIES:
            return True
    return False


def _absent_currency(tables: Mapping[str, Columns], base_currency: str) -> list[RuleFinding]:
    """Warn of a missing currency; `kyc-ml init` writes XXX if no file names one."""
    if base_currency != NO_CURRENCY or TRANSACTIONS not in tables:
        return []
    count = tables[TRANSACTIONS].num_rows
    about = {"table": TRANSACTIONS, "column": AMOUNT}
    return [RuleFinding.of("no currency", **about, count=count, currency=base_currency)]


def _strays(tables: Iterable[TableQuality]) -> list[RuleFinding]:
    """Count the rows dated far from all others; reviews are excluded, as they are planned ahead."""
    return [
        RuleFinding.of(key, table=table.table, column=EVENT_TIME, count=count)
        for table in tables
        if table.table in {TRANSACTIONS, EVENTS, THIRD_PARTY, CASES}
        for key, count in (
            ("far before", table.strays.before),
            ("far after", table.strays.after),
        )
        if count
    ]


def _empty_tables(tables: Mapping[str, Columns]) -> list[RuleFinding]:
    return [
        RuleFinding.of("no row", table=name, column="", count=0)
        for name, table in tables.items()
        if not table.num_rows
    ]


def _late_cases(tables: Mapping[str, Columns], last: datetime | None) -> list[RuleFinding]:
    """Count the cases known after the last booking's day, when a model reads its labels.

    In any bank the cases of the latest bookings become known late, so a minority is not reported.
    """
    if last is None or CASES not in tables:
        return []
    day = last.replace(hour=0, minute=0, second=0, microsecond=0)
    midnight = pa.scalar(day + timedelta(days=1), pa.timestamp("us", "UTC"))
    count = sum(
        pc.sum(pc.greater(batch[KNOWN_AT], midnight)).as_py() or 0
        for batch in tables[CASES].pieces(KNOWN_AT)
    )
    if count <= _LATE_SHARE * tables[CASES].num_rows:
        return []
    return [RuleFinding.of("known late", table=CASES, column=KNOWN_AT, count=count)]


def _instant_cases(tables: Mapping[str, Columns]) -> list[RuleFinding]:
    """Count the cases known when their event happened, where nearly all of them are.

    Times that are wrong but consistent are the one fault that the audit of features cannot find.
    """
    if CASES not in tables:
        return []
    count = sum(
        pc.sum(pc.equal(batch[KNOWN_AT], batch[EVENT_TIME])).as_py() or 0
        for batch in tables[CASES].pieces(KNOWN_AT, EVENT_TIME)
    )
    if not count or count < _INSTANT_SHARE * tables[CASES].num_rows:
        return []
    return [RuleFinding.of("known immediately", table=CASES, column=KNOWN_AT, count=count)]


def _unknown_documents(tables: Mapping[str, Columns]) -> list[RuleFinding]:
    """Count identity documents whose check digit is wrong; a customer counts per version."""
    customers = tables.get(CUSTOMERS)
    if customers is None or not {DOCUMENT_TYPE, DOCUMENT_NUMBER} <= set(customers.column_names):
        return []
    found = []
    for kind, is_valid in _DOCUMENT_CHECKS.items():
        count = 0
        for batch in customers.pieces(DOCUMENT_TYPE, DOCUMENT_NUMBER):
            chosen = batch[DOCUMENT_NUMBER].filter(pc.equal(batch[DOCUMENT_TYPE], kind))
            counts = pc.value_counts(chosen.drop_null()).to_pylist()
            count += sum(each["counts"] for each in counts if not is_valid(each["values"]))
        if count:
            about = {"table": CUSTOMERS, "column": DOCUMENT_NUMBER}
            found.append(RuleFinding.of("invalid document", **about, count=count, kind=kind))
    return found
