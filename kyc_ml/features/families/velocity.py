"""Velocity: how often and how much a customer or a counterparty moves money."""

from __future__ import annotations

from typing import Final

from kyc_ml.contract.tables import AMOUNT, COUNTERPARTY_ID, CUSTOMER_ID, DIRECTION, TRANSACTIONS
from kyc_ml.features.spec import (
    D1,
    D7,
    D30,
    D90,
    D365,
    H1,
    FeatureSpec,
    Formula,
    Period,
    Where,
    Window,
)

_SOURCE: Final = "Fraud Detection Handbook, ch. 3; FFIEC manual, appendix F"
_DIRECTIONS: Final = (("in", "received", "转入"), ("out", "sent", "转出"))


def _count(period: Period) -> FeatureSpec:
    return FeatureSpec(
        name=f"customer_count_{period.label}",
        family="velocity",
        how=Window(table=TRANSACTIONS, key=(CUSTOMER_ID,), statistic="count", period=period),
        unit="transactions",
        description=f"transactions in {period.english}",
        description_zh=f"{period.chinese}交易笔数",
        source=_SOURCE,
    )


def _sum(period: Period) -> FeatureSpec:
    return FeatureSpec(
        name=f"customer_amount_sum_{period.label}",
        family="velocity",
        how=Window(
            table=TRANSACTIONS, key=(CUSTOMER_ID,), statistic="sum", period=period, value=AMOUNT
        ),
        unit="base currency",
        description=f"amount moved in {period.english}",
        description_zh=f"{period.chinese}交易金额合计",
        source=_SOURCE,
    )


def _directed(
    period: Period, direction: str, english: str, chinese: str
) -> tuple[FeatureSpec, ...]:
    where = Where(column=DIRECTION, values=(direction,))
    count = FeatureSpec(
        name=f"customer_{direction}_count_{period.label}",
        family="velocity",
        how=Window(
            table=TRANSACTIONS, key=(CUSTOMER_ID,), statistic="count", period=period, where=where
        ),
        unit="transactions",
        description=f"payments {english} in {period.english}",
        description_zh=f"{period.chinese}{chinese}笔数",
        source=_SOURCE,
    )
    total = FeatureSpec(
        name=f"customer_{direction}_sum_{period.label}",
        family="velocity",
        how=Window(
            table=TRANSACTIONS,
            key=(CUSTOMER_ID,),
            statistic="sum",
            period=period,
            value=AMOUNT,
            where=where,
        ),
        unit="base currency",
        description=f"amount {english} in {period.english}",
        description_zh=f"{period.chinese}{chinese}金额合计",
        source=_SOURCE,
    )
    return count, total


def _through(period: Period) -> FeatureSpec:
    return FeatureSpec(
        name=f"customer_out_to_in_{period.label}",
        family="velocity",
        how=Formula(
            operation="ratio",
            inputs=(f"customer_out_sum_{period.label}", f"customer_in_sum_{period.label}"),
        ),
        unit="ratio",
        description=f"amount sent for each unit received in {period.english}",
        description_zh=f"{period.chinese}转出与转入金额之比",
        source=_SOURCE,
        typology="flow_through",
    )


def _burst(short: Period, long: Period) -> FeatureSpec:
    return FeatureSpec(
        name=f"customer_count_{short.label}_to_{long.label}",
        family="velocity",
        how=Formula(
            operation="ratio",
            inputs=(f"customer_count_{short.label}", f"customer_count_{long.label}"),
        ),
        unit="ratio",
        description=f"share of the transactions of {long.english} that fell in {short.english}",
        description_zh=f"{short.chinese}交易笔数占{long.chinese}的比例",
        source=_SOURCE,
    )


def _counterparty_count(period: Period) -> FeatureSpec:
    return FeatureSpec(
        name=f"counterparty_count_{period.label}",
        family="velocity",
        how=Window(table=TRANSACTIONS, key=(COUNTERPARTY_ID,), statistic="count", period=period),
        unit="transactions",
        description=f"transactions of all customers with this counterparty in {period.english}",
        description_zh=f"{period.chinese}全部客户与该对手方的交易笔数",
        source=_SOURCE,
        units=("fraud",),
    )


FEATURES: Final = (
    *(_count(period) for period in (H1, D1, D7, D30, D90, D365)),
    *(_sum(period) for period in (D1, D7, D30, D90, D365)),
    *(
        spec
        for period in (D7, D30, D90)
        for direction in _DIRECTIONS
        for spec in _directed(period, *direction)
    ),
    *(_through(period) for period in (D7, D30, D90)),
    _burst(D1, D30),
    _burst(D7, D90),
    *(_counterparty_count(period) for period in (D1, D7, D30)),
)
