"""What each contracted table holds: columns, types, units, keys and times.

Every row carries when it happened (``event_time``) and when the institution knew
(``known_at``, by default the same). Timestamps are UTC, microseconds. Amounts are in
the base currency that the source mapping names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

import pyarrow as pa

from kyc_ml.config import TableAttribute

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
    """One contracted column.

    Attributes
    ----------
    required : bool
        The mapping must give it and no row may leave it empty. An optional column
        that a mapping leaves out is absent from the table, never filled in.
    unit : str
        Unit of the values; empty where a value has none.
    minimum, maximum : float or None
        Inclusive bounds; numbers must also be finite.
    allowed : tuple of str
        The only values a text column may take; empty for free text.
    pattern : str or None
        Regular expression (RE2) that a text value must match in full.
    identifier : bool
        True where values name something that other rows and tables name too.
    """

    name: str
    type: ColumnType
    description: str
    required: bool = False
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    pattern: str | None = None
    identifier: bool = False

    @property
    def arrow(self) -> pa.Field:
        """The column as an Arrow field."""
        return pa.field(self.name, _ARROW[self.type], nullable=not self.required)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableContract:
    """One contracted table.

    Attributes
    ----------
    key : tuple of str
        Columns that together name a row; duplicates are quarantined.
    known_after_event : bool
        True where ``known_at`` may not lie before ``event_time``. Profile versions and
        planned reviews may be known ahead of the day they take effect.
    """

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    known_after_event: bool = True

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


def _id(name: str, description: str, *, required: bool = False) -> Column:
    return Column(
        name=name, type="string", description=description, required=required, identifier=True
    )


def _country(name: str, description: str) -> Column:
    return Column(
        name=name,
        type="string",
        description=f"{description}, ISO 3166-1 alpha-2",
        pattern="[A-Z]{2}",
    )


def _times(event: str) -> tuple[Column, Column]:
    return (
        Column(name=EVENT_TIME, type="timestamp", description=event, required=True, unit="UTC"),
        Column(
            name=KNOWN_AT,
            type="timestamp",
            description="when the institution knew; defaults to event_time",
            required=True,
            unit="UTC",
        ),
    )


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


# A single booking above this is a unit error (cents for yuan), not a payment.
# Convention, not theory: about the yearly product of the largest economies.
_LARGEST_AMOUNT: Final = 1e14

_CUSTOMER = _id(CUSTOMER_ID, "the customer", required=True)

_TABLES: Final = (
    TableContract(
        name=CUSTOMERS,
        description="Versioned profile facts: one row for each state a profile was in.",
        key=(CUSTOMER_ID, EVENT_TIME, KNOWN_AT),
        known_after_event=False,
        columns=(
            _CUSTOMER,
            *_times("when this version of the profile became true"),
            Column(
                name=CUSTOMER_TYPE,
                type="string",
                description="natural person or legal entity",
                allowed=("person", "entity"),
            ),
            Column(name=SEGMENT, type="string", description="line of business that serves it"),
            Column(name=INDUSTRY, type="string", description="industry, or a person's occupation"),
            _country(RESIDENCE_COUNTRY, "country of residence or registration"),
            _country(NATIONALITY, "nationality of a person"),
            Column(name=BIRTH_DATE, type="date", description="date of birth or of founding"),
            Column(
                name=ONBOARDED_AT,
                type="timestamp",
                description="start of the business relationship",
                unit="UTC",
            ),
            Column(
                name=ONBOARDING_CHANNEL, type="string", description="how the relationship began"
            ),
            Column(
                name=DOCUMENT_TYPE,
                type="string",
                description="kind of identity document: resident_id and company_code are checked",
            ),
            Column(
                name=DOCUMENT_NUMBER,
                type="string",
                description="number of the identity document; checked, never a feature",
            ),
            Column(name=DOCUMENT_EXPIRY, type="date", description="last day the document is valid"),
            Column(
                name=DECLARED_INCOME,
                type="double",
                description="declared income or turnover of a year",
                unit="base currency a year",
                minimum=0.0,
                maximum=_LARGEST_AMOUNT,
            ),
            Column(
                name=PEP_STATUS,
                type="string",
                description="politically exposed person",
                allowed=("none", "domestic", "foreign"),
            ),
            Column(name=LIST_HIT, type="boolean", description="on a sanctions or watch list"),
        ),
    ),
    TableContract(
        name=ACCOUNTS,
        description="Versioned account facts: one row for each owner and state of an account.",
        key=(ACCOUNT_ID, CUSTOMER_ID, EVENT_TIME, KNOWN_AT),
        known_after_event=False,
        columns=(
            _id(ACCOUNT_ID, "the account", required=True),
            _id(CUSTOMER_ID, "its owner, or one of several", required=True),
            *_times("when this state of the account began"),
            Column(name=ACCOUNT_TYPE, type="string", description="product, such as current"),
            Column(
                name=STATUS,
                type="string",
                description="state of the account",
                allowed=("open", "closed", "frozen"),
            ),
        ),
    ),
    TableContract(
        name=TRANSACTIONS,
        description="One row for each booking on a customer's account.",
        key=(TRANSACTION_ID,),
        columns=(
            _id(TRANSACTION_ID, "the transaction", required=True),
            _CUSTOMER,
            *_times("when the transaction happened"),
            Column(
                name=AMOUNT,
                type="double",
                description="amount; the sign is in direction",
                required=True,
                unit="base currency",
                minimum=0.0,
                maximum=_LARGEST_AMOUNT,
            ),
            Column(
                name=DIRECTION,
                type="string",
                description="into or out of the customer's account",
                allowed=("in", "out"),
            ),
            Column(
                name=BALANCE,
                type="double",
                description="balance of the account after the booking",
                unit="base currency",
                minimum=-_LARGEST_AMOUNT,
                maximum=_LARGEST_AMOUNT,
            ),
            _id(ACCOUNT_ID, "the customer's account"),
            _id(COUNTERPARTY_ID, "payee, payer, merchant or terminal"),
            Column(
                name=INSTRUMENT,
                type="string",
                description="means of payment: card, cash, transfer, cheque, ...",
            ),
            Column(name=CHANNEL, type="string", description="where it was ordered"),
            _country(COUNTRY, "country of the counterparty"),
            Column(name=REGION, type="string", description="province or state it was ordered in"),
            _id(DEVICE_ID, "device that ordered it"),
        ),
    ),
    TableContract(
        name=EVENTS,
        description="What customers do besides paying: logins, device and document events.",
        key=(EVENT_ID,),
        columns=(
            _id(EVENT_ID, "the event", required=True),
            _CUSTOMER,
            *_times("when the event happened"),
            Column(
                name=EVENT_TYPE,
                type="string",
                description="login, failed_login, device_change, document_check, ...",
                required=True,
            ),
            _id(DEVICE_ID, "device used"),
            Column(name=CHANNEL, type="string", description="where it happened"),
            _country(COUNTRY, "country of the connection"),
        ),
    ),
    TableContract(
        name=THIRD_PARTY,
        description="What others report of a customer: due diligence, bureaus, media.",
        key=(REPORT_ID,),
        columns=(
            _id(REPORT_ID, "the report", required=True),
            _CUSTOMER,
            *_times("the day the report speaks of"),
            Column(name=PROVIDER, type="string", description="who reports", required=True),
            Column(
                name=ITEM,
                type="string",
                description="what is reported: bureau_score, adverse_media, ...",
                required=True,
            ),
            Column(name=VALUE, type="double", description="value of the item", unit="item's own"),
        ),
    ),
    TableContract(
        name=CASES,
        description="The label life cycle: one row for each state of a case.",
        key=(CASE_ID, KNOWN_AT),
        columns=(
            _id(CASE_ID, "the case", required=True),
            _CUSTOMER,
            *_times("when the conduct in question happened"),
            Column(
                name=OUTCOME,
                type="string",
                description="what the case was found to be, as known at known_at",
                required=True,
                allowed=(*ADVERSE_OUTCOMES, CLEARED, OPEN),
            ),
            _id(TRANSACTION_ID, "the transaction in question, where the case is about one"),
            _id(REVIEW_ID, "the review in question, where the case decides one"),
            Column(name=TYPOLOGY, type="string", description="kind of misconduct, for evaluation"),
        ),
    ),
    TableContract(
        name=REVIEWS,
        description="When customers were or will be reviewed: the risk model's observations.",
        key=(REVIEW_ID,),
        known_after_event=False,
        columns=(
            _id(REVIEW_ID, "the review", required=True),
            _CUSTOMER,
            *_times("the review date"),
        ),
    ),
)

CONTRACT: Final[dict[str, TableContract]] = {table.name: table for table in _TABLES}


def column_of(table: str, field: pa.Field) -> Column:
    """Give the contract of a column of a contracted table; an attribute's by its Arrow type."""
    contract = CONTRACT[table]
    if field.name in contract.names:
        return contract.column(field.name)
    types = {arrow: name for name, arrow in _ARROW.items()}
    return Column(name=field.name, type=types[field.type], description="")
