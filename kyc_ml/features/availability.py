"""Which declared features a source can give, and why the others are unavailable."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from kyc_ml.config import attribute_of
from kyc_ml.contract import ACCOUNTS, CASES, TRANSACTION_ID, TRANSACTIONS
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import some_of
from kyc_ml.features.how import How, RowColumn
from kyc_ml.features.made import CURRENT_ACCOUNTS, LABELS, OUTCOMES
from kyc_ml.features.prepare import MADE_FROM
from kyc_ml.features.spec import FeatureSpec

_OBSERVATIONS = "the observations"

Columns = Mapping[str, Collection[str]]


def split_available(
    specs: Sequence[FeatureSpec], tables: Columns, observations: Collection[str]
) -> tuple[list[FeatureSpec], dict[str, str]]:
    """Divide the specs into those that can be computed and the others, with the reason.

    A feature is never filled with zeros because its table or column is absent.

    `tables`: mapping of table name to its columns.
    `observations`: columns of the observations.
    Returns `available`: in the given order.
    Returns `unavailable`: dict of name to reason.
    """
    known = {spec.name: spec for spec in specs}
    there = {**tables, _OBSERVATIONS: observations}
    reasons: dict[str, str] = {}

    def reason_of(spec: FeatureSpec) -> str:
        if spec.name not in reasons:
            inputs = (reason_of(known[name]) for name in spec.how.features_read())
            reasons[spec.name] = next(filter(None, (*_faults(spec.how, there), *inputs)), "")
        return reasons[spec.name]

    unavailable = {spec.name: reason_of(spec) for spec in specs if reason_of(spec)}
    return [spec for spec in specs if spec.name not in unavailable], unavailable


def _faults(how: How, there: Columns, *, place: str = _OBSERVATIONS) -> Iterator[str]:
    """List what a reading lacks of its tables and of the place that looks."""
    if how.fault():
        yield how.fault()
    for table in how.tables():
        if table not in there:
            yield _absent(table, there)
            return
    for table, column in how.columns(place):
        if isinstance(column, RowColumn):
            yield from _faults(column.how, there, place=table)
        else:
            yield from _lacking(there, table, column)


def _lacking(there: Columns, table: str, *columns: str) -> Iterator[str]:
    """Name the columns that a table does not have."""
    for column in columns:
        if column not in there[table]:
            who = "the observations have"
            if table != _OBSERVATIONS:
                who = f"table {_origin(table, column)} has"
            own = attribute_of(column)
            yield f"{who} no {f'column {column}' if own is None else f'attribute {own}'}"


def _absent(table: str, there: Columns) -> str:
    """Return why a table is absent: of a made table, what it would be made of."""
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
    if table not in {LABELS, OUTCOMES}:
        return table
    return CASES if column == TRANSACTION_ID else TRANSACTIONS


def report_unavailable(
    unavailable: Mapping[str, str], reporter: ProgressReporter, *, and_so: str = ""
) -> None:
    """Report which features are unavailable: one line for each reason.

    `unavailable`: mapping of feature to reason.
    `and_so`: what follows from it, after "left out".
    """
    by_reason: dict[str, list[str]] = defaultdict(list)
    for name, reason in unavailable.items():
        by_reason[reason].append(name)
    for reason, names in by_reason.items():
        features = "feature" if len(names) == 1 else "features"
        reporter.info(f"{len(names)} {features} left out{and_so}: {reason}: {some_of(names)}")
