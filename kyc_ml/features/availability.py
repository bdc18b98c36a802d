"""Which declared features a source can give, and why the others are left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from kyc_ml.config import attribute_of
from kyc_ml.contract import (
    ACCOUNTS,
    AMOUNT,
    CASES,
    CUSTOMER_ID,
    DIRECTION,
    TRANSACTION_ID,
    TRANSACTIONS,
)
from kyc_ml.display import ProgressReporter
from kyc_ml.features.prepare import MADE_FROM
from kyc_ml.features.spec import (
    CURRENT_ACCOUNTS,
    LABELS,
    FeatureSpec,
    Latest,
    LatestValue,
    Matched,
    Own,
    RowColumn,
    RowFormula,
    RowFunction,
    Window,
    columns_of_observer,
    columns_of_table,
    made_of,
)

_OBSERVATIONS = "the observations"
_NO_LIST = "no country_lists are configured"

Columns = Mapping[str, Collection[str]]


def split_available(
    specs: Sequence[FeatureSpec], tables: Columns, observations: Collection[str]
) -> tuple[list[FeatureSpec], dict[str, str]]:
    """Part the specs into those that can be computed and those left out, with the reason.

    A feature is never filled with zeros because its table or column is absent.

    Parameters
    ----------
    tables : mapping of table name to its columns
    observations : collection of str
        Columns of the observations.

    Returns
    -------
    available : list of FeatureSpec
        In the given order.
    unavailable : dict of name to reason
    """
    known = {spec.name: spec for spec in specs}
    there = {**tables, _OBSERVATIONS: observations}
    reasons: dict[str, str] = {}

    def reason_of(spec: FeatureSpec) -> str:
        if spec.name not in reasons:
            inputs = (reason_of(known[name]) for name in made_of(spec))
            reasons[spec.name] = next(filter(None, (*_faults(spec.how, there), *inputs)), "")
        return reasons[spec.name]

    unavailable = {spec.name: reason_of(spec) for spec in specs if reason_of(spec)}
    return [spec for spec in specs if spec.name not in unavailable], unavailable


def _faults(how: object, there: Columns, *, observing: str = _OBSERVATIONS) -> Iterator[str]:
    """Say what a reading lacks of its table and of the one that observes."""
    match how:
        case Window() | Latest():
            if how.table not in there:
                yield _absent(how.table, there)
                return
            yield from _lacking(there, how.table, *columns_of_table(how))
            yield from _lacking(there, observing, *columns_of_observer(how))
        case Own(column=column):
            yield from _lacking(there, observing, column)


def _lacking(there: Columns, table: str, *columns: str | RowColumn | None) -> Iterator[str]:
    """Name columns that a table, or what its row columns are made of, does not have."""
    for column in columns:
        if isinstance(column, str) and column not in there[table]:
            who = "the observations have" if table == _OBSERVATIONS else ""
            own = attribute_of(column)
            what = f"column {column}" if own is None else f"attribute {own}"
            yield f"{who or f'table {_origin(table, column)} has'} no {what}"
        if not isinstance(column, RowColumn):
            continue
        match column.how:
            case RowFunction(operation="listed", listing=()):
                yield _NO_LIST
            case RowFunction(inputs=inputs) | RowFormula(inputs=inputs):
                yield from _lacking(there, table, *inputs)
            case LatestValue(how=how):
                yield from _faults(how, there, observing=table)
            case Matched():
                yield from _lacking(there, table, CUSTOMER_ID, DIRECTION, AMOUNT)


def _absent(table: str, there: Columns) -> str:
    """Say why a table is absent: a made one, for what it would be made of."""
    for base, columns in MADE_FROM.get(table, {}).items():
        if base not in there:
            return f"the source has no table {base}"
        for reason in _lacking(there, base, *columns):
            return reason
    return f"the source has no table {table}"


def _origin(table: str, column: str) -> str:
    """Name the user's table a column would come from: labels are made of two of them."""
    if table == CURRENT_ACCOUNTS:
        return ACCOUNTS
    if table != LABELS:
        return table
    return CASES if column == TRANSACTION_ID else TRANSACTIONS


_NAMED = 5


def report_unavailable(
    unavailable: Mapping[str, str], reporter: ProgressReporter, *, and_so: str = ""
) -> None:
    """Report which features are left out: one line for each reason.

    Parameters
    ----------
    unavailable : mapping of feature to reason
    and_so : str
        What follows from it, after "left out".
    """
    by_reason: dict[str, list[str]] = defaultdict(list)
    for name, reason in unavailable.items():
        by_reason[reason].append(name)
    for reason, names in by_reason.items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        features = "feature" if len(names) == 1 else "features"
        reporter.info(
            f"{len(names)} {features} left out{and_so}: {reason}: {', '.join(names[:_NAMED])}{more}"
        )
