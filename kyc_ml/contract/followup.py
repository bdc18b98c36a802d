"""Warnings about rows that are accepted but should be checked."""

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
from kyc_ml.contract import tables as c
from kyc_ml.contract.quality import RuleFinding, TableQuality
from kyc_ml.contract.sinks import Columns

_LATE_SHARE: Final = 0.5
"""Convention: where most cases become known after the bookings, their dates should be checked."""

_MOST_CATEGORIES: Final = 1_000
"""Convention: merchant category codes, several hundred, still are categories."""


@cache
def _is_born(place: str, day: str) -> bool:
    """Return whether a day exists, and six digits are a place that gave numbers in that year."""
    # cached, because python-stdnum searches the place for each number, most of the time of a check
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
DOCUMENT_CHECKS: Final[dict[str, Callable[[str], bool]]] = {
    "resident_id": is_resident_id,
    "company_code": uscc.is_valid,
}
"""Whether a number has its check digit, by type of document; others are not checked."""


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

    `tables`, `found`: mapping by name of table; the tables that were read, and their quality.
    `mapped`: tables that the source has, read now or not.
    `left_out`: mapping of optional table to why it cannot be read.
    """
    times = [found[name].last_usual for name in (c.TRANSACTIONS, c.EVENTS) if name in found]
    last = max((time for time in times if time is not None), default=None)
    return [
        *(RuleFinding.of("left out", table, why=why) for table, why in left_out.items()),
        # most models and features need transactions
        *([] if c.TRANSACTIONS in mapped else [RuleFinding.of("no transactions", c.TRANSACTIONS)]),
        *_attributes(attributes, tables),
        *_absent_currency(tables, base_currency),
        *_strays(found.values()),
        *(RuleFinding.of("no row", name) for name, table in tables.items() if not table.num_rows),
        *_unknown_documents(tables),
        *_late_cases(tables, last),
    ]


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
            rows, most = table.num_rows, _MOST_CATEGORIES
            found += [
                RuleFinding.of(key, each.table, each.column, count=rows, most=most) for key in keys
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
    if base_currency != c.NO_CURRENCY or c.TRANSACTIONS not in tables:
        return []
    count = tables[c.TRANSACTIONS].num_rows
    return [
        RuleFinding.of("no currency", c.TRANSACTIONS, c.AMOUNT, count=count, currency=base_currency)
    ]


def _strays(tables: Iterable[TableQuality]) -> list[RuleFinding]:
    """Count the rows dated far from all others; reviews are excluded, as they are planned ahead."""
    return [
        RuleFinding.of(key, table.table, c.EVENT_TIME, count=count)
        for table in tables
        if table.table in {c.TRANSACTIONS, c.EVENTS, c.THIRD_PARTY, c.CASES}
        for key, count in (("far before", table.strays.before), ("far after", table.strays.after))
        if count
    ]


def _late_cases(tables: Mapping[str, Columns], last: datetime | None) -> list[RuleFinding]:
    """Count the cases known after the last booking's day, when a model reads its labels."""
    # in any bank the cases of the latest bookings become known late, so a minority is not reported
    if last is None or c.CASES not in tables:
        return []
    day = last.replace(hour=0, minute=0, second=0, microsecond=0)
    midnight = pa.scalar(day + timedelta(days=1), pa.timestamp("us", "UTC"))
    count = sum(
        pc.sum(pc.greater(batch[c.KNOWN_AT], midnight)).as_py() or 0
        for batch in tables[c.CASES].pieces(c.KNOWN_AT)
    )
    if count <= _LATE_SHARE * tables[c.CASES].num_rows:
        return []
    return [RuleFinding.of("known late", c.CASES, c.KNOWN_AT, count=count)]


def _unknown_documents(tables: Mapping[str, Columns]) -> list[RuleFinding]:
    """Count identity documents whose check digit is wrong; a customer counts per version."""
    customers = tables.get(c.CUSTOMERS)
    if customers is None or not {c.DOCUMENT_TYPE, c.DOCUMENT_NUMBER} <= set(customers.column_names):
        return []
    found = []
    for kind, is_valid in DOCUMENT_CHECKS.items():
        count = 0
        for batch in customers.pieces(c.DOCUMENT_TYPE, c.DOCUMENT_NUMBER):
            chosen = batch[c.DOCUMENT_NUMBER].filter(pc.equal(batch[c.DOCUMENT_TYPE], kind))
            counts = pc.value_counts(chosen.drop_null()).to_pylist()
            count += sum(each["counts"] for each in counts if not is_valid(each["values"]))
        if count:
            finding = RuleFinding.of(
                "invalid document", c.CUSTOMERS, c.DOCUMENT_NUMBER, count=count, kind=kind
            )
            found.append(finding)
    return found
