"""Amounts: how a payment compares with the customer's and the counterparty's own history."""

from __future__ import annotations

from typing import Final

from kyc_ml.contract.tables import (
    AMOUNT,
    BALANCE,
    COUNTERPARTY_ID,
    CUSTOMER_ID,
    TRANSACTIONS,
)
from kyc_ml.features.spec import (
    D1,
    D7,
    D30,
    D90,
    FeatureSpec,
    Formula,
    Latest,
    Own,
    Period,
    Statistic,
    Window,
)

_SOURCE: Final = "Fraud Detection Handbook, ch. 3"
_WORDS: Final[dict[Statistic, tuple[str, str]]] = {
    "mean": ("mean amount", "平均金额"),
    "std": ("standard deviation of the amounts", "金额标准差"),
    "max": ("largest amount", "最大金额"),
    "min": ("smallest amount", "最小金额"),
}
_WHOSE: Final = {
    "customer": ("the customer's", "客户"),
    "counterparty": ("this counterparty's", "该对手方"),
}


def _customer(statistic: Statistic, period: Period) -> FeatureSpec:
    english, chinese = _WORDS[statistic]
    return FeatureSpec(
        name=f"customer_amount_{statistic}_{period.label}",
        family="amounts",
        how=Window(
            table=TRANSACTIONS, key=(CUSTOMER_ID,), statistic=statistic, period=period, value=AMOUNT
        ),
        unit="base currency",
        description=f"{english} in {period.english}",
        description_zh=f"{period.chinese}{chinese}",
        source=_SOURCE,
    )


def _counterparty(statistic: Statistic, period: Period) -> FeatureSpec:
    english, chinese = _WORDS[statistic]
    return FeatureSpec(
        name=f"counterparty_amount_{statistic}_{period.label}",
        family="amounts",
        how=Window(
            table=TRANSACTIONS,
            key=(COUNTERPARTY_ID,),
            statistic=statistic,
            period=period,
            value=AMOUNT,
        ),
        unit="base currency",
        description=f"{english} of all customers with this counterparty in {period.english}",
        description_zh=f"{period.chinese}全部客户与该对手方交易的{chinese}",
        source=_SOURCE,
        units=("fraud",),
    )


def _against(who: str, statistic: Statistic, period: Period) -> FeatureSpec:
    english, chinese = _WORDS[statistic]
    return FeatureSpec(
        name=f"amount_to_{who}_{statistic}_{period.label}",
        family="amounts",
        how=Formula(
            operation="ratio", inputs=("amount", f"{who}_amount_{statistic}_{period.label}")
        ),
        unit="times",
        description=f"this amount over {_WHOSE[who][0]} {english} of {period.english}",
        description_zh=f"本笔金额与{_WHOSE[who][1]}{period.chinese}{chinese}之比",
        source=_SOURCE,
        units=("fraud",),
    )


def _z_score(who: str, period: Period) -> FeatureSpec:
    stem = f"{who}_amount"
    return FeatureSpec(
        name=f"amount_z_{who}_{period.label}",
        family="amounts",
        how=Formula(
            operation="z_score",
            inputs=("amount", f"{stem}_mean_{period.label}", f"{stem}_std_{period.label}"),
        ),
        unit="standard deviations",
        description=f"distance of this amount from {_WHOSE[who][0]} mean of {period.english}",
        description_zh=f"本笔金额偏离{_WHOSE[who][1]}{period.chinese}均值的标准差数",
        source=_SOURCE,
        units=("fraud",),
    )


def _balance(statistic: Statistic, period: Period) -> FeatureSpec:
    english = {"mean": "mean", "min": "lowest", "std": "standard deviation of the"}[statistic]
    chinese = {"mean": "交易后余额均值", "min": "交易后最低余额", "std": "交易后余额标准差"}[
        statistic
    ]
    return FeatureSpec(
        name=f"customer_balance_{statistic}_{period.label}",
        family="amounts",
        how=Window(
            table=TRANSACTIONS,
            key=(CUSTOMER_ID,),
            statistic=statistic,
            period=period,
            value=BALANCE,
        ),
        unit="base currency",
        description=f"{english} balance after bookings of {period.english}",
        description_zh=f"{period.chinese}交易后余额{chinese}",
    )


FEATURES: Final = (
    FeatureSpec(
        name="amount",
        family="amounts",
        how=Own(reading="value", column=AMOUNT),
        unit="base currency",
        description="amount of this transaction",
        description_zh="本笔交易金额",
        source=_SOURCE,
        units=("fraud",),
    ),
    *(
        _customer(statistic, period)
        for period in (D1, D7, D30, D90)
        for statistic in ("mean", "std", "max", "min")
    ),
    *(_counterparty(statistic, D30) for statistic in ("mean", "std", "max")),
    *(_against("customer", "mean", period) for period in (D1, D7, D30, D90)),
    *(_against("customer", "max", period) for period in (D30, D90)),
    _against("counterparty", "mean", D30),
    *(_z_score("customer", period) for period in (D7, D30, D90)),
    _z_score("counterparty", D30),
    *(_balance(statistic, period) for period in (D30, D90) for statistic in ("mean", "min", "std")),
    FeatureSpec(
        name="customer_balance_latest",
        family="amounts",
        how=Latest(table=TRANSACTIONS, key=(CUSTOMER_ID,), reading="value", column=BALANCE),
        unit="base currency",
        description="balance after the latest booking",
        description_zh="最近一笔交易后的余额",
    ),
)
