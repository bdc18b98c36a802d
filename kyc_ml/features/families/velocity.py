"""Velocity: how often and how much a customer or a counterparty moves money."""

from __future__ import annotations

from typing import Final

from kyc_ml.contract.tables import AMOUNT, COUNTERPARTY_ID, CUSTOMER_ID, DIRECTION, TRANSACTIONS
from kyc_ml.features.families.declaring import Family, transactions_in
from kyc_ml.features.spec import (
    D1,
    D7,
    D14,
    D30,
    D90,
    D365,
    DAY_US,
    EVER,
    H1,
    H6,
    FeatureSpec,
    Formula,
    Period,
    Where,
    Window,
)

_DIRECTIONS: Final = (("in", "received", "转入"), ("out", "sent", "转出"))
_HALF_LIVES_DAYS: Final = (1, 7, 30)
"""Half-lives of the decayed sums, at the lengths of the Handbook's windows."""
_CUSTOMER: Final = (CUSTOMER_ID,)
_COUNTERPARTY: Final = (COUNTERPARTY_ID,)

_feature = Family(
    family="velocity", source="Fraud Detection Handbook, ch. 3; FFIEC manual, appendix F"
)


def _count(period: Period) -> FeatureSpec:
    return _feature(
        f"customer_count_{period.label}",
        transactions_in(_CUSTOMER, "count", period),
        unit="transactions",
        english=f"transactions in {period.english}",
        chinese=f"{period.chinese}交易笔数",
    )


def _sum(period: Period) -> FeatureSpec:
    return _feature(
        f"customer_amount_sum_{period.label}",
        transactions_in(_CUSTOMER, "sum", period, AMOUNT),
        unit="base currency",
        english=f"amount moved in {period.english}",
        chinese=f"{period.chinese}交易金额合计",
    )


def _directed(
    period: Period, direction: str, english: str, chinese: str
) -> tuple[FeatureSpec, ...]:
    where = Where(column=DIRECTION, values=(direction,))
    count = _feature(
        f"customer_{direction}_count_{period.label}",
        transactions_in(_CUSTOMER, "count", period, where=where),
        unit="transactions",
        english=f"payments {english} in {period.english}",
        chinese=f"{period.chinese}{chinese}笔数",
    )
    total = _feature(
        f"customer_{direction}_sum_{period.label}",
        transactions_in(_CUSTOMER, "sum", period, AMOUNT, where=where),
        unit="base currency",
        english=f"amount {english} in {period.english}",
        chinese=f"{period.chinese}{chinese}金额合计",
    )
    return count, total


def _through(period: Period) -> FeatureSpec:
    return _feature(
        f"customer_out_to_in_{period.label}",
        Formula(
            operation="ratio",
            inputs=(f"customer_out_sum_{period.label}", f"customer_in_sum_{period.label}"),
        ),
        unit="ratio",
        english=f"amount sent for each unit received in {period.english}",
        chinese=f"{period.chinese}转出与转入金额之比",
        typology="flow_through",
    )


def _burst(short: Period, long: Period) -> FeatureSpec:
    return _feature(
        f"customer_count_{short.label}_to_{long.label}",
        Formula(
            operation="ratio",
            inputs=(f"customer_count_{short.label}", f"customer_count_{long.label}"),
        ),
        unit="ratio",
        english=f"share of the transactions of {long.english} that fell in {short.english}",
        chinese=f"{short.chinese}交易笔数占{long.chinese}的比例",
    )


def _counterparty_count(period: Period) -> FeatureSpec:
    return _feature(
        f"counterparty_count_{period.label}",
        transactions_in(_COUNTERPARTY, "count", period),
        unit="transactions",
        english=f"transactions of all customers with this counterparty in {period.english}",
        chinese=f"{period.chinese}全部客户与该对手方的交易笔数",
        units=("fraud",),
    )


def _amount_burst(short: Period, long: Period) -> FeatureSpec:
    return _feature(
        f"customer_amount_sum_{short.label}_to_{long.label}",
        Formula(
            operation="ratio",
            inputs=(f"customer_amount_sum_{short.label}", f"customer_amount_sum_{long.label}"),
        ),
        unit="ratio",
        english=f"share of the amount moved in {long.english} that moved in {short.english}",
        chinese=f"{short.chinese}交易金额占{long.chinese}的比例",
    )


def _counterparty_sum(period: Period) -> FeatureSpec:
    return _feature(
        f"counterparty_amount_sum_{period.label}",
        transactions_in(_COUNTERPARTY, "sum", period, AMOUNT),
        unit="base currency",
        english=f"amount of all customers with this counterparty in {period.english}",
        chinese=f"{period.chinese}全部客户与该对手方的交易金额合计",
        units=("fraud",),
    )


def _decayed_count(days: int) -> FeatureSpec:
    return _feature(
        f"customer_count_half_life_{days}d",
        Window(
            table=TRANSACTIONS,
            key=(CUSTOMER_ID,),
            statistic="decayed_count",
            period=EVER,
            half_life_us=days * DAY_US,
        ),
        unit="transactions",
        english=f"transactions, each counting half as much for every {_days(days)} of age",
        chinese=f"交易笔数（每过{days}天权重减半）",
    )


def _decayed_sum(days: int) -> FeatureSpec:
    return _feature(
        f"customer_amount_sum_half_life_{days}d",
        Window(
            table=TRANSACTIONS,
            key=(CUSTOMER_ID,),
            statistic="decayed_sum",
            period=EVER,
            value=AMOUNT,
            half_life_us=days * DAY_US,
        ),
        unit="base currency",
        english=f"amount moved, counting half as much for every {_days(days)} of age",
        chinese=f"交易金额合计（每过{days}天权重减半）",
    )


def _counterparty_decayed_count(days: int) -> FeatureSpec:
    return _feature(
        f"counterparty_count_half_life_{days}d",
        Window(
            table=TRANSACTIONS,
            key=(COUNTERPARTY_ID,),
            statistic="decayed_count",
            period=EVER,
            half_life_us=days * DAY_US,
        ),
        unit="transactions",
        english=(
            "transactions of all customers with this counterparty, each counting half as much "
            f"for every {_days(days)} of age"
        ),
        chinese=f"全部客户与该对手方的交易笔数（每过{days}天权重减半）",
        units=("fraud",),
    )


def _days(days: int) -> str:
    return "day" if days == 1 else f"{days} days"


FEATURES: Final = (
    *(_count(period) for period in (H1, H6, D1, D7, D30, D90, D365)),
    *(_sum(period) for period in (H1, H6, D1, D7, D14, D30, D90, D365)),
    *(
        spec
        for period in (D1, D7, D30, D90, D365)
        for direction in _DIRECTIONS
        for spec in _directed(period, *direction)
    ),
    *(_through(period) for period in (D7, D30, D90)),
    *(_burst(*periods) for periods in ((H1, D1), (D1, D30), (D7, D90), (D30, D365))),
    *(_amount_burst(*periods) for periods in ((D1, D30), (D7, D90))),
    *(_decayed_count(days) for days in _HALF_LIVES_DAYS),
    *(_decayed_sum(days) for days in _HALF_LIVES_DAYS),
    *(_counterparty_count(period) for period in (H1, D1, D7, D30)),
    _counterparty_sum(D7),
    _counterparty_decayed_count(7),
)
