"""Warnings about rows that are readable, but want following up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache, reduce
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from stdnum.cn import ric, uscc
from stdnum.exceptions import ValidationError
from stdnum.util import isdigits

from kyc_ml.contract.quality import Finding
from kyc_ml.contract.shelves import Columns
from kyc_ml.contract.tables import (
    CASES,
    CUSTOMER_ID,
    CUSTOMERS,
    DOCUMENT_NUMBER,
    DOCUMENT_TYPE,
    REVIEW_ID,
    REVIEWS,
    TRANSACTION_ID,
    TRANSACTIONS,
)


@cache
def _is_born(place: str, day: str) -> bool:
    """Tell whether a day was one, and six digits a place that numbers were given in that year.

    python-stdnum looks a place up for each number anew, which is most of the work of a check.
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


def warn_of(tables: Mapping[str, Columns]) -> tuple[Finding, ...]:
    """List what to follow up in accepted tables: counts, never a value."""
    found = [*_empty_tables(tables), *_unknown_documents(tables)]
    links = [(name, CUSTOMER_ID, CUSTOMERS) for name in tables if name != CUSTOMERS]
    links += [(CASES, TRANSACTION_ID, TRANSACTIONS), (CASES, REVIEW_ID, REVIEWS)]
    for table, column, target in links:
        if table in tables and target in tables and column in tables[table].column_names:
            count = _count_unmatched(tables[table], tables[target], column)
            if count:
                cure = "such rows meet no counterpart: check the extract's dates and identifiers"
                rule = f"not in {target}"
                found.append(Finding(table=table, column=column, rule=rule, count=count, cure=cure))
    return tuple(found)


def _count_unmatched(table: Columns, target: Columns, column: str) -> int:
    """Count the rows whose value the target does not have; memory holds each value once."""
    asked = _distinct(batch[column] for batch in table.pieces(column))
    met = _distinct(
        batch[column].filter(pc.is_in(batch[column], value_set=asked))
        for batch in target.pieces(column)
    )
    strange = asked.filter(pc.invert(pc.is_in(asked, value_set=met)))
    if not len(strange):
        return 0
    return sum(
        pc.sum(pc.is_in(batch[column], value_set=strange)).as_py() or 0
        for batch in table.pieces(column)
    )


def _distinct(pieces: Iterable[pa.Array]) -> pa.Array:
    """List the values of a column's pieces, each once, without null."""

    def add(known: pa.Array, piece: pa.Array) -> pa.Array:
        new = pc.unique(piece).drop_null()
        new = new.filter(pc.invert(pc.is_in(new, value_set=known)))
        return pa.concat_arrays([known, new]) if len(new) else known

    return reduce(add, pieces, pa.array([], pa.string()))


def _empty_tables(tables: Mapping[str, Columns]) -> list[Finding]:
    cure = "features and labels that need it will be absent: check the file or `where`"
    return [
        Finding(table=name, column="", rule="no row", count=0, cure=cure)
        for name, table in tables.items()
        if not table.num_rows
    ]


def _unknown_documents(tables: Mapping[str, Columns]) -> list[Finding]:
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
            cure = "ask for the document again; the rows stay in use"
            rule = f"not a valid {kind}"
            found.append(
                Finding(table=CUSTOMERS, column=DOCUMENT_NUMBER, rule=rule, count=count, cure=cure)
            )
    return found
