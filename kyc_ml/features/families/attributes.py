"""Features of the attributes that a source adds to customers, accounts, bookings and reviews.

The source says which attributes there are, so `with_attributes` takes them from contracted
tables into a configuration.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from kyc_ml.config import AttributeType, FeatureConfig, Reading, TableAttribute
from kyc_ml.contract import (
    ACCOUNT_ID,
    ACCOUNTS,
    CUSTOMER_ID,
    CUSTOMERS,
    REVIEWS,
    TRANSACTION_ID,
    TRANSACTIONS,
)
from kyc_ml.errors import ConfigError
from kyc_ml.features import values
from kyc_ml.features.how import How
from kyc_ml.features.kinds.formula import Formula
from kyc_ml.features.kinds.own import Own
from kyc_ml.features.kinds.rows_of_key import Latest, Statistic, Window
from kyc_ml.features.made import CURRENT_ACCOUNTS, LABELS
from kyc_ml.features.periods import DAY_US, EVER, WindowLength, period_of
from kyc_ml.features.spec import FeatureSpec

ATTRIBUTES: Final = "attributes"
LABEL_HISTORY: Final = "label_history"
_SOURCE: Final = "declared in the source mapping"

_STEMS: Final = {
    CUSTOMERS: "customer_attr",
    ACCOUNTS: "account_attr",
    TRANSACTIONS: "transaction_attr",
    REVIEWS: "review_attr",
}
_ALL_ACCOUNTS: Final = "accounts_attr"
"""Stem of what a customer's accounts have together; of one account, see `_STEMS`."""

_READINGS: Final[dict[AttributeType, tuple[values.Reading, str]]] = {
    "number": ("value", ""),
    "text": ("category", ""),
    "boolean": ("flag", ""),
    "date": ("days_since", "_days"),
}
"""How the one value of a row is read, and how the feature's name then ends."""

_STATISTICS: Final[dict[Reading, tuple[Statistic, str, str, str]]] = {
    "mean": ("mean", "mean", "mean {}{}", "{}{}均值"),
    "maximum": ("max", "max", "highest {}{}", "{}{}最高值"),
    "minimum": ("min", "min", "lowest {}{}", "{}{}最低值"),
    "sum": ("sum", "sum", "total {}{}", "{}{}合计"),
    "trend": ("trend", "trend", "trend of {}{}, change per 30 days", "{}{}的趋势（每30天变化）"),
    "distinct": ("distinct", "distinct", "different values of {}{}", "{}{}的不同取值数"),
    "commonest_share": (
        *("first_share", "commonest_share"),
        *("share of the most frequent {}{}", "{}{}最常见取值的占比"),
    ),
}
"""Of a reading: its statistic, its part of the feature's name, and its words.

English words take the description and then the period, Chinese words the other way round."""

_TOGETHER: Final[dict[AttributeType, tuple[Reading, ...]]] = {
    "number": ("sum", "mean", "maximum", "minimum"),
    "text": ("distinct", "commonest_share"),
    "boolean": ("mean",),
    "date": (),
}
"""What the current accounts of a customer have together."""


def with_attributes(config: FeatureConfig, attributes: Sequence[TableAttribute]) -> FeatureConfig:
    """Return the feature configuration of a run on a source with these attributes.

    Raises ConfigError if the family is named and the source declares no attribute.
    """
    asked = ATTRIBUTES in config.families
    if asked and not attributes:
        raise ConfigError(
            f"features: families name {ATTRIBUTES}, but the source declares none: declare them "
            "under `attributes` of a table in the source mapping, or leave the family out"
        )
    declared = {spec.name for spec in declare(attributes)}
    if not asked and not declared.intersection((*config.include, *config.exclude)):
        return config
    return config.model_copy(update={"attributes": tuple(attributes)})


def declare(attributes: Sequence[TableAttribute]) -> tuple[FeatureSpec, ...]:
    """Declare the features of attributes, in the order of the mapping."""
    return tuple(spec for attribute in attributes for spec in _of_attribute(attribute))


def _of_attribute(attribute: TableAttribute) -> Iterator[FeatureSpec]:
    if "latest" in attribute.over_time:
        yield _latest(attribute)
        if attribute.table == ACCOUNTS:
            for reading in _TOGETHER[attribute.type]:
                yield _of_rows(attribute, reading, EVER, table=CURRENT_ACCOUNTS)
    for reading in attribute.over_time:
        for window in attribute.windows if reading != "latest" else ():
            yield _of_rows(attribute, reading, period_of(window), table=attribute.table)
    if attribute.table == TRANSACTIONS and attribute.type == "text":
        yield from _adverse_share(attribute)


def _latest(attribute: TableAttribute) -> FeatureSpec:
    """Declare the value known at the decision; of a transaction or a review, its own value."""
    reading, suffix = _READINGS[attribute.type]
    column = attribute.column
    how: How = Own(reading=reading, column=column)
    key = {CUSTOMERS: CUSTOMER_ID, ACCOUNTS: ACCOUNT_ID}.get(attribute.table)
    if key is not None:
        how = Latest(table=attribute.table, key=(key,), reading=reading, column=column)
    since = attribute.type == "date"
    return FeatureSpec(
        name=f"{_STEMS[attribute.table]}_{attribute.name}{suffix}",
        family=ATTRIBUTES,
        how=how,
        unit=_unit(attribute, "latest"),
        description=f"time since {attribute.description}" if since else attribute.description,
        description_zh=f"{attribute.chinese}距今时间" if since else attribute.chinese,
        source=_SOURCE,
        monotone=attribute.direction,
        observation_units={CUSTOMERS: ("fraud", "risk"), REVIEWS: ("risk",)}.get(
            attribute.table, ("fraud",)
        ),
        kind="category" if attribute.type == "text" else "number",
    )


def _of_rows(
    attribute: TableAttribute, reading: Reading, period: WindowLength, *, table: str
) -> FeatureSpec:
    """Declare a statistic of the customer's rows in a period, or of the current accounts."""
    statistic, short, english, chinese = _STATISTICS[reading]
    ending, when, when_zh = f"_{period.label}", f" in {period.english}", period.chinese
    if table == CURRENT_ACCOUNTS:
        ending, when, when_zh = "", " of the customer's accounts", "客户名下账户"
    stem = _ALL_ACCOUNTS if attribute.table == ACCOUNTS else _STEMS[attribute.table]
    return FeatureSpec(
        name=f"{stem}_{attribute.name}_{short}{ending}",
        family=ATTRIBUTES,
        how=Window(
            table=table,
            key=(CUSTOMER_ID,),
            statistic=statistic,
            period=period,
            value=attribute.column,
        ),
        unit=_unit(attribute, reading),
        description=english.format(attribute.description, when),
        description_zh=chinese.format(when_zh, attribute.chinese),
        source=_SOURCE,
        # the direction is that of the value; the trend of a value has none
        monotone=attribute.direction if reading != "trend" else 0,
    )


def _adverse_share(attribute: TableAttribute) -> Iterator[FeatureSpec]:
    """Declare how often transactions of the same value are known to be adverse, over all history.

    As the shares of `label_history.yaml` by the fields of a transaction: of its family, over
    transactions that are 7 days old, and shrunk towards the bank's share.
    """
    stem = f"{_STEMS[TRANSACTIONS]}_{attribute.name}"
    rows = f"transactions with the same {attribute.description} in all history ending 7 days ago"
    rows_zh = f"{attribute.chinese}相同的交易全部历史（截至7天前）"
    declare_one = partial(
        FeatureSpec, family=LABEL_HISTORY, source=_SOURCE, observation_units=("fraud",)
    )
    counts: dict[str, tuple[str, Statistic, str | None, str, str]] = {
        "transactions": (TRANSACTIONS, "count", None, rows, f"{rows_zh}笔数"),
        "adverse": (
            *(LABELS, "distinct", TRANSACTION_ID),
            *(f"{rows} that are known to be adverse", f"{rows_zh}已知不良交易笔数"),
        ),
    }
    for what, (table, statistic, value, english, chinese) in counts.items():
        yield declare_one(
            name=f"{stem}_{what}_ever_lag7d",
            how=Window(
                table=table,
                key=(attribute.column,),
                statistic=statistic,
                period=EVER,
                value=value,
                lag_us=7 * DAY_US,
            ),
            unit="transactions",
            description=english,
            description_zh=chinese,
            intermediate=True,
        )
    inputs = (f"{stem}_adverse", f"{stem}_transactions", "bank_adverse", "bank_transactions")
    yield declare_one(
        name=f"{stem}_adverse_share_ever_lag7d",
        how=Formula(
            operation="shrunk_share",
            inputs=tuple(f"{name}_ever_lag7d" for name in inputs),
            parameter=20.0,
        ),
        unit="share",
        description=f"smoothed share of the {rows} that are known to be adverse",
        description_zh=f"{rows_zh}已知不良交易平滑占比",
        monotone=1,
    )


def _unit(attribute: TableAttribute, reading: Reading) -> str:
    if reading in {"distinct", "commonest_share"}:
        return "values" if reading == "distinct" else "share"
    if attribute.type == "boolean":
        return {"mean": "share", "trend": "share", "sum": "number"}.get(reading, "0 or 1")
    return {"number": attribute.unit, "text": "category", "date": "days"}[attribute.type]
