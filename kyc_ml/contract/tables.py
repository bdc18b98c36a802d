"""What each contracted table holds: columns, types, units, keys and times.

Every row carries when it happened (``event_time``) and when the institution knew
(``known_at``, by default the same). Timestamps are UTC, microseconds. Amounts are in
the base currency that the source mapping names. The tables are declared in `tables.yaml`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa

from kyc_ml.config import TableAttribute, read_packaged

CUSTOMER_ID: Final = "customer_id"
ACCOUNT_ID: Final = "account_id"
TRANSACTION_ID: Final = "transaction_id"
COUNTERPARTY_ID: Final = "counterparty_id"
DEVICE_ID: Final = "device_id"
EVENT_ID: Final = "event_id"
REPORT_ID: Final = "report_id"
CASE_ID: Final = "case_id"
REVIEW_ID: Final = "review_id"
EVENT_TIME: Final = "event_time"
KNOWN_AT: Final = "known_at"
DIRECTION: Final = "direction"
AMOUNT: Final = "amount"
BALANCE: Final = "balance"
INSTRUMENT: Final = "instrument"
CHANNEL: Final = "channel"
COUNTRY: Final = "country"
REGION: Final = "region"
OUTCOME: Final = "outcome"
TYPOLOGY: Final = "typology"
CUSTOMER_TYPE: Final = "customer_type"
SEGMENT: Final = "segment"
INDUSTRY: Final = "industry"
RESIDENCE_COUNTRY: Final = "residence_country"
NATIONALITY: Final = "nationality"
BIRTH_DATE: Final = "birth_date"
ONBOARDED_AT: Final = "onboarded_at"
ONBOARDING_CHANNEL: Final = "onboarding_channel"
DOCUMENT_TYPE: Final = "document_type"
DOCUMENT_NUMBER: Final = "document_number"
DOCUMENT_EXPIRY: Final = "document_expiry"
DECLARED_INCOME: Final = "declared_income"
PEP_STATUS: Final = "pep_status"
LIST_HIT: Final = "list_hit"
ACCOUNT_TYPE: Final = "account_type"
STATUS: Final = "status"
EVENT_TYPE: Final = "event_type"
PROVIDER: Final = "provider"
ITEM: Final = "item"
VALUE: Final = "value"

CUSTOMERS: Final = "customers"
ACCOUNTS: Final = "accounts"
TRANSACTIONS: Final = "transactions"
EVENTS: Final = "events"
THIRD_PARTY: Final = "third_party"
CASES: Final = "cases"
REVIEWS: Final = "reviews"

ADVERSE_OUTCOMES: Final = ("confirmed_fraud", "str_filed", "default")
"""Any adverse outcome: what features of label history count. Which of them make a label
positive is `DatasetConfig.adverse_outcomes`: a confirmed fraud is history also of a model that
predicts reports only."""
CLEARED: Final = "cleared"
OPEN: Final = "open"
NO_CURRENCY: Final = "XXX"
"""ISO 4217: no currency involved."""

ColumnType = Literal["string", "double", "boolean", "date", "timestamp"]

_ARROW: Final[dict[ColumnType, pa.DataType]] = {
    "string": pa.string(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One contracted column."""

    name: str
    type: ColumnType
    description: str
    required: bool = False
    """The mapping must give it and no row may leave it empty. An optional column that a mapping
    leaves out is absent from the table, never filled in."""
    unit: str = ""
    """Unit of the values; empty where a value has none."""
    minimum: float | None = None
    maximum: float | None = None
    """`minimum` and `maximum`: inclusive bounds; numbers must also be finite."""
    allowed: tuple[str, ...] = ()
    """The only values a text column may take; empty for free text."""
    pattern: str | None = None
    """Regular expression (RE2) that a text value must match in full."""
    identifier: bool = False
    """True if values identify something that other rows and tables refer to."""

    @property
    def arrow(self) -> pa.Field:
        """The column as an Arrow field."""
        return pa.field(self.name, _ARROW[self.type], nullable=not self.required)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableContract:
    """One contracted table."""

    name: str
    description: str
    key: tuple[str, ...]
    """Columns that together name a row; duplicates are quarantined."""
    columns: tuple[Column, ...]
    known_after_event: bool = True
    """True if ``known_at`` may not be before ``event_time``. Profile versions and planned reviews
    may be known ahead of the day they take effect."""

    def column(self, name: str) -> Column:
        """Return the column called `name`; KeyError if it is not contracted."""
        return {column.name: column for column in self.columns}[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all contracted columns, in order."""
        return tuple(column.name for column in self.columns)

    def extended(self, attributes: Iterable[TableAttribute]) -> TableContract:
        """Add the columns of the attributes that a source declares for this table."""
        own = [each for each in attributes if each.table == self.name]
        return replace(self, columns=(*self.columns, *map(_attribute, own))) if own else self


_TYPE_OF_ATTRIBUTE: Final[dict[str, ColumnType]] = {
    "number": "double",
    "text": "string",
    "boolean": "boolean",
    "date": "date",
}
# Beyond this a number is a fault of the source, and squares of it would not be finite.
_LARGEST_NUMBER: Final = 1e100


def _attribute(declared: TableAttribute) -> Column:
    bounded = declared.type == "number"
    return Column(
        name=declared.column,
        type=_TYPE_OF_ATTRIBUTE[declared.type],
        description=declared.description,
        unit=declared.unit if bounded else "",
        minimum=-_LARGEST_NUMBER if bounded else None,
        maximum=_LARGEST_NUMBER if bounded else None,
    )


def _read_contract() -> dict[str, TableContract]:
    content = read_packaged(Path(__file__).with_name("tables.yaml"))
    return {name: _table({"name": name, **given}) for name, given in content.items()}


def _table(given: Mapping[str, Any]) -> TableContract:
    columns = [
        Column(name=name, **{**column, "allowed": tuple(column.get("allowed", ()))})
        for name, column in given["columns"].items()
    ]
    return TableContract(**{**given, "key": tuple(given["key"]), "columns": tuple(columns)})


CONTRACT: Final = _read_contract()


def column_of(table: str, field: pa.Field) -> Column:
    """Return the contract of a column of a contracted table; an attribute's by its Arrow type."""
    contract = CONTRACT[table]
    if field.name in contract.names:
        return contract.column(field.name)
    types = {arrow: name for name, arrow in _ARROW.items()}
    return Column(name=field.name, type=types[field.type], description="")
