"""Label history: what was known, at the decision, of earlier misconduct around a key.

Outcomes count from the day they became known. A share compares outcomes with
transactions of the same age, so both windows end `LAG_DAYS` before the decision: a
younger transaction has had no time to be found out.
"""

from __future__ import annotations

from typing import Final

from kyc_ml.contract.tables import (
    COUNTERPARTY_ID,
    CUSTOMER_ID,
    DEVICE_ID,
    TRANSACTION_ID,
    TRANSACTIONS,
)
from kyc_ml.features.spec import (
    D1,
    D7,
    D14,
    D30,
    D90,
    DAY_US,
    EVER,
    LABELS,
    FeatureSpec,
    Formula,
    Latest,
    Period,
    Window,
)

LAG_DAYS: Final = 7
"""Source: Fraud Detection Handbook, ch. 3 (delay of the terminal's risk)."""

SHRINKAGE: Final = 5.0
"""Transactions a prior weighs as much as. Convention."""

_SOURCE: Final = "Fraud Detection Handbook, ch. 3, shrunk to the bank's share"
_KEYS: Final = {
    "customer": (CUSTOMER_ID, "the customer", "客户"),
    "counterparty": (COUNTERPARTY_ID, "this counterparty", "该对手方"),
    "device": (DEVICE_ID, "this device", "该设备"),
    "bank": ("", "all customers together", "全体客户"),
}
_LAG: Final = f"ending {LAG_DAYS} days ago"
_LAG_ZH: Final = f"（截至{LAG_DAYS}天前）"


def _units(who: str) -> tuple[str, ...]:
    return ("fraud", "risk") if who == "customer" else ("fraud",)


def _lagged(who: str, table: str, period: Period) -> FeatureSpec:
    column, english, chinese = _KEYS[who]
    stem, noun, noun_zh = {
        TRANSACTIONS: ("transactions", "transactions", "交易笔数"),
        LABELS: ("adverse", "transactions known as adverse", "已知不良交易笔数"),
    }[table]
    return FeatureSpec(
        name=f"{who}_{stem}_{period.label}_lag{LAG_DAYS}d",
        family="label_history",
        how=Window(
            table=table,
            key=(column,) if column else (),
            # outcomes of transactions, each transaction once: a part of those it is held against
            statistic="count" if table == TRANSACTIONS else "distinct",
            value=None if table == TRANSACTIONS else TRANSACTION_ID,
            period=period,
            lag_us=LAG_DAYS * DAY_US,
        ),
        unit="transactions",
        description=f"{noun} of {english} in {period.english} {_LAG}",
        description_zh=f"{chinese}{period.chinese}{_LAG_ZH}{noun_zh}",
        source=_SOURCE,
        units=_units(who),
        hidden=who == "bank" or table == TRANSACTIONS,
    )


def _share(who: str, period: Period) -> FeatureSpec:
    _, english, chinese = _KEYS[who]
    suffix = f"{period.label}_lag{LAG_DAYS}d"
    return FeatureSpec(
        name=f"{who}_adverse_share_{suffix}",
        family="label_history",
        how=Formula(
            operation="shrunk_share",
            inputs=(
                f"{who}_adverse_{suffix}",
                f"{who}_transactions_{suffix}",
                f"bank_adverse_30d_lag{LAG_DAYS}d",
                f"bank_transactions_30d_lag{LAG_DAYS}d",
            ),
            parameter=SHRINKAGE,
        ),
        unit="share",
        description=(
            f"smoothed share of the transactions of {english} in {period.english} {_LAG} "
            "that are known as adverse"
        ),
        description_zh=f"{chinese}{period.chinese}{_LAG_ZH}已知不良交易平滑占比",
        source=_SOURCE,
        typology="compromised_terminal" if who == "counterparty" else None,
        monotone=1,
        units=_units(who),
    )


def _known(who: str, period: Period) -> FeatureSpec:
    column, english, chinese = _KEYS[who]
    return FeatureSpec(
        name=f"{who}_adverse_known_{period.label}",
        family="label_history",
        how=Window(table=LABELS, key=(column,), statistic="count", period=period),
        unit="outcomes",
        description=f"adverse outcomes of {english} in {period.english}, as known then",
        description_zh=f"{chinese}{period.chinese}已知不良结果数",
        source=_SOURCE,
        units=_units(who),
    )


def _since(who: str) -> FeatureSpec:
    column, english, chinese = _KEYS[who]
    return FeatureSpec(
        name=f"{who}_hours_since_adverse",
        family="label_history",
        how=Latest(table=LABELS, key=(column,), reading="age_hours"),
        unit="hours",
        description=f"time since the conduct of the latest known adverse outcome of {english}",
        description_zh=f"距{chinese}最近一次已知不良行为的时间",
        source=_SOURCE,
        units=_units(who),
    )


_PERIODS: Final = {
    "customer": (D30, D90),
    "counterparty": (D1, D7, D14, D30),
    "device": (D30,),
}

FEATURES: Final = (
    *(_lagged("bank", table, D30) for table in (TRANSACTIONS, LABELS)),
    *(
        _lagged(who, table, period)
        for who, periods in _PERIODS.items()
        for period in periods
        for table in (TRANSACTIONS, LABELS)
    ),
    *(_share(who, period) for who, periods in _PERIODS.items() for period in periods),
    *(_known(who, period) for who in _PERIODS for period in (D14, D30, EVER)),
    *(_since(who) for who in _PERIODS),
)
