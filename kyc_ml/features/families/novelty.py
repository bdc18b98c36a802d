"""Novelty: the first time a customer pays someone, uses a device or reaches a country."""

from __future__ import annotations

from typing import Final

from kyc_ml.contract.tables import (
    AMOUNT,
    COUNTERPARTY_ID,
    COUNTRY,
    CUSTOMER_ID,
    DEVICE_ID,
    TRANSACTIONS,
)
from kyc_ml.features.families.declaring import Family, transactions_in
from kyc_ml.features.spec import (
    D1,
    D30,
    D90,
    EVER,
    AsOf,
    Cell,
    FeatureSpec,
    Formula,
    Latest,
    Mix,
    Period,
    RowColumn,
    Where,
    Window,
)

_SOURCE: Final = "typology: new counterparties, new corridor, new device (practice)"
_ONE_IN_HUNDREDTHS: Final = "100"
"""A flag that is set, as `Cell` writes numbers: text, which is what `Where` compares."""

_PAIRS: Final = (
    ("counterparty", COUNTERPARTY_ID, "this counterparty", "该对手方"),
    ("device", DEVICE_ID, "this device", "该设备"),
    ("country", COUNTRY, "this country", "该国家或地区"),
)
_CUSTOMER: Final = (CUSTOMER_ID,)
_PAIR: Final = (CUSTOMER_ID, COUNTERPARTY_ID)


_feature: Final = Family(family="novelty", source=_SOURCE)


def _first(who: str, column: str) -> RowColumn:
    """1 where a row was the customer's first with its counterparty, device or country."""
    window = transactions_in((CUSTOMER_ID, column), "count", EVER)
    before = RowColumn(name=f"pair_{who}_count_before", how=AsOf(how=window))
    return RowColumn(
        name=f"is_first_with_{who}", how=Mix(operation="equals_zero", inputs=(before,))
    )


FIRST_WITH: Final = {who: _first(who, column) for who, column, *_ in _PAIRS}


def _pair(who: str, column: str, english: str, chinese: str) -> tuple[FeatureSpec, ...]:
    key = (CUSTOMER_ID, column)
    count = _feature(
        f"pair_{who}_count_ever",
        Window(table=TRANSACTIONS, key=key, statistic="count", period=EVER),
        unit="transactions",
        english=f"earlier transactions of the customer with {english}",
        chinese=f"客户此前与{chinese}的交易笔数",
        units=("fraud",),
    )
    first = _feature(
        f"first_with_{who}",
        Formula(operation="equals_zero", inputs=(count.name,)),
        unit="0 or 1",
        english=f"first transaction of the customer with {english}",
        chinese=f"客户首次与{chinese}交易",
        typology="new_counterparty",
        units=("fraud",),
    )
    since = _feature(
        f"pair_{who}_hours_since_last",
        Latest(table=TRANSACTIONS, key=key, reading="age_hours"),
        unit="hours",
        english=f"time since the customer's last transaction with {english}",
        chinese=f"距客户上次与{chinese}交易的时间",
        units=("fraud",),
    )
    return count, first, since


def _since_first(who: str, column: str, english: str, chinese: str) -> FeatureSpec:
    first = FIRST_WITH[who]
    said = RowColumn(name=f"{first.name}_text", how=Cell(operation="text", inputs=(first,)))
    return _feature(
        f"pair_{who}_hours_since_first",
        Latest(
            table=TRANSACTIONS,
            key=(CUSTOMER_ID, column),
            reading="age_hours",
            where=Where(column=said, values=(_ONE_IN_HUNDREDTHS,)),
        ),
        unit="hours",
        english=f"time since the customer's first transaction with {english}",
        chinese=f"距客户首次与{chinese}交易的时间",
        typology="new_counterparty",
        units=("fraud",),
    )


def _new_devices(period: Period) -> FeatureSpec:
    return _feature(
        f"customer_new_devices_{period.label}",
        transactions_in(_CUSTOMER, "sum", period, FIRST_WITH["device"]),
        unit="devices",
        english=f"devices that the customer first paid with in {period.english}",
        chinese=f"{period.chinese}客户首次用于交易的设备数",
        typology="account_takeover",
    )


def _in_pair(period: Period) -> FeatureSpec:
    return _feature(
        f"pair_counterparty_count_{period.label}",
        transactions_in(_PAIR, "count", period),
        unit="transactions",
        english=f"transactions of the customer with this counterparty in {period.english}",
        chinese=f"{period.chinese}客户与该对手方的交易笔数",
        units=("fraud",),
    )


def _share_of_pair(period: Period) -> tuple[FeatureSpec, FeatureSpec]:
    total = _feature(
        f"pair_counterparty_amount_sum_{period.label}",
        transactions_in(_PAIR, "sum", period, AMOUNT),
        unit="base currency",
        english=f"amount of the customer with this counterparty in {period.english}",
        chinese=f"{period.chinese}客户与该对手方的交易金额合计",
        units=("fraud",),
        hidden=True,
    )
    share = _feature(
        f"pair_counterparty_amount_share_{period.label}",
        Formula(operation="ratio", inputs=(total.name, f"customer_amount_sum_{period.label}")),
        unit="share",
        english=(
            f"share of the customer's amount of {period.english} that moved with this counterparty"
        ),
        chinese=f"{period.chinese}客户与该对手方的交易金额占比",
        typology="new_counterparty",
        units=("fraud",),
    )
    return total, share


FEATURES: Final = (
    *(spec for pair in _PAIRS for spec in _pair(*pair)),
    *(_since_first(*pair) for pair in _PAIRS),
    *(_new_devices(period) for period in (D30, D90)),
    *(_in_pair(period) for period in (D1, D30)),
    *_share_of_pair(D90),
)
