"""Attributes: what a source declares of its own, of customers, accounts, bookings and reviews.

Which attributes there are is the source's to say, so `with_attributes` takes them from contracted
tables into a configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from kyc_ml.config import FeatureConfig, TableAttribute
from kyc_ml.config.attributes import WINDOW, AttributeType, Reading
from kyc_ml.contract.tables import (
    ACCOUNT_ID,
    ACCOUNTS,
    CUSTOMER_ID,
    CUSTOMERS,
    REVIEWS,
    TRANSACTIONS,
)
from kyc_ml.errors import ConfigError
from kyc_ml.features import spec as s
from kyc_ml.features.families.declaring import Family
from kyc_ml.features.spec import (
    CURRENT_ACCOUNTS,
    DAY_US,
    EVER,
    HOUR_US,
    FeatureSpec,
    How,
    Kind,
    Latest,
    Own,
    Period,
    Statistic,
    Window,
)

ATTRIBUTES: Final = "attributes"

_feature: Final = Family(family=ATTRIBUTES, source="declared in the source mapping")

_STEMS: Final = {
    CUSTOMERS: "customer_attr",
    ACCOUNTS: "account_attr",
    TRANSACTIONS: "transaction_attr",
    REVIEWS: "review_attr",
}
_ALL_ACCOUNTS: Final = "accounts_attr"
"""Stem of what a customer's accounts have together; of one account, see `_STEMS`."""

_READINGS: Final[dict[AttributeType, tuple[s.Reading, str]]] = {
    "number": ("value", ""),
    "text": ("category", ""),
    "boolean": ("flag", ""),
    "date": ("days_since", "_days"),
}
"""How the one value of a row is read, and how the feature's name then ends."""

_STATISTICS: Final[dict[Reading, tuple[Statistic, str, str]]] = {
    "mean": ("mean", "mean {}{}", "{}{}均值"),
    "maximum": ("max", "highest {}{}", "{}{}最高值"),
    "minimum": ("min", "lowest {}{}", "{}{}最低值"),
    "sum": ("sum", "total {}{}", "{}{}合计"),
    "trend": ("trend", "change in 30 days of {}, by its trend{}", "{}{}的趋势（每30天变化）"),
    "distinct": ("distinct", "different values of {}{}", "{}{}的不同取值数"),
    "commonest_share": (
        "first_share",
        "share of the commonest {}{}",
        "{}{}最常见取值的占比",
    ),
}
"""The statistic of a reading, and its words: description, then period; Chinese the other way."""

_TOGETHER: Final[dict[AttributeType, tuple[Reading, ...]]] = {
    "number": ("sum", "mean", "maximum", "minimum"),
    "text": ("distinct", "commonest_share"),
    "boolean": ("mean",),
    "date": (),
}
"""What the current accounts of a customer have together."""

_KNOWN_PERIODS: Final = (
    s.H1,
    s.H6,
    s.D1,
    s.D2,
    s.D3,
    s.D5,
    s.D7,
    s.D14,
    s.D30,
    s.D90,
    s.D180,
    s.D365,
)


def with_attributes(config: FeatureConfig, attributes: Sequence[TableAttribute]) -> FeatureConfig:
    """Give the feature configuration of a run on a source with these attributes.

    Raises
    ------
    ConfigError
        If the family is named and the source declares no attribute.
    """
    asked = ATTRIBUTES in config.families
    if asked and not attributes:
        msg = (
            f"features: families name {ATTRIBUTES}, but the source declares none: declare them "
            "under `attributes` of a table in the source mapping, or leave the family out"
        )
        raise ConfigError(msg)
    declared = {spec.name for spec in declare(attributes)}
    if not asked and not declared.intersection((*config.include, *config.exclude)):
        return config
    return config.model_copy(update={"attributes": tuple(attributes)})


def features_of(config: FeatureConfig) -> tuple[FeatureSpec, ...]:
    """Declare what is read of each attribute, in the order of the mapping."""
    return declare(config.attributes)


def declare(attributes: Sequence[TableAttribute]) -> tuple[FeatureSpec, ...]:
    """Declare the features of attributes."""
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


def _latest(attribute: TableAttribute) -> FeatureSpec:
    """Declare the value known at the decision: of a booking or a review, its own."""
    reading, suffix = _READINGS[attribute.type]
    how: How = Own(reading=reading, column=attribute.column)
    units: tuple[str, ...] = ("fraud",)
    match attribute.table:
        case "customers":
            how = Latest(
                table=CUSTOMERS, key=(CUSTOMER_ID,), reading=reading, column=attribute.column
            )
            units = ("fraud", "risk")
        case "accounts":
            how = Latest(
                table=ACCOUNTS, key=(ACCOUNT_ID,), reading=reading, column=attribute.column
            )
        case "reviews":
            units = ("risk",)
    since = attribute.type == "date"
    kind: Kind = "category" if attribute.type == "text" else "number"
    return _feature(
        f"{_STEMS[attribute.table]}_{attribute.name}{suffix}",
        how,
        unit=_unit(attribute, "latest"),
        english=f"time since {attribute.description}" if since else attribute.description,
        chinese=f"{attribute.chinese}距今时间" if since else attribute.chinese,
        monotone=attribute.direction,
        units=units,
        kind=kind,
    )


def _of_rows(
    attribute: TableAttribute, reading: Reading, period: Period, *, table: str
) -> FeatureSpec:
    """Declare a statistic of the customer's rows in a period, or of the current accounts."""
    statistic, english, chinese = _STATISTICS[reading]
    short = {"distinct": "distinct", "first_share": "commonest_share"}.get(statistic, statistic)
    if table == CURRENT_ACCOUNTS:
        ending, when, when_zh = "", " of the customer's accounts", "客户名下账户"
    else:
        ending, when, when_zh = f"_{period.label}", f" in {period.english}", period.chinese
    stem = _ALL_ACCOUNTS if attribute.table == ACCOUNTS else _STEMS[attribute.table]
    return _feature(
        f"{stem}_{attribute.name}_{short}{ending}",
        Window(
            table=table,
            key=(CUSTOMER_ID,),
            statistic=statistic,
            period=period,
            value=attribute.column,
        ),
        unit=_unit(attribute, reading),
        english=english.format(attribute.description, when),
        chinese=chinese.format(when_zh, attribute.chinese),
        # a rise of the value is another thing than a high value
        monotone=attribute.direction if reading != "trend" else 0,
    )


def _unit(attribute: TableAttribute, reading: Reading) -> str:
    if reading in {"distinct", "commonest_share"}:
        return "values" if reading == "distinct" else "share"
    if attribute.type == "boolean":
        return {"mean": "share", "trend": "share", "sum": "number"}.get(reading, "0 or 1")
    return {"number": attribute.unit, "text": "category", "date": "days"}[attribute.type]


def period_of(window: str) -> Period:
    """Read a window that a mapping names, such as 90d.

    Examples
    --------
    >>> period_of("45d").english
    'the last 45 days'
    """
    known = {period.label: period for period in (*_KNOWN_PERIODS, EVER)}
    if window in known:
        return known[window]
    found = re.fullmatch(WINDOW, window)
    assert found is not None  # noqa: S101  the configuration has checked it
    count, unit = int(found[1]), found[2]
    english, chinese = {"d": ("days", "天"), "h": ("hours", "小时")}[unit]
    return Period(
        label=window,
        us=count * {"d": DAY_US, "h": HOUR_US}[unit],
        english=f"the last {count} {english}",
        chinese=f"近{count}{chinese}",
    )
