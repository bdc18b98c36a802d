"""Dormancy: silence before the current activity, and large flows that follow it.

A silence is the time between a transaction and the customer's one before, so it counts
from the transaction that ends it. Ten working days are taken as 14 days.
"""

from __future__ import annotations

from typing import Final

from kyc_ml.config import FeatureConfig
from kyc_ml.contract.tables import AMOUNT, CUSTOMER_ID, TRANSACTIONS
from kyc_ml.features.families.declaring import Family
from kyc_ml.features.families.timing import HOURS_SINCE_PREVIOUS
from kyc_ml.features.spec import (
    D14,
    D30,
    D365,
    DAY_US,
    FeatureSpec,
    Formula,
    Mix,
    Period,
    RowColumn,
    Window,
)

SILENCES_DAYS: Final = (180, 365)
"""Silences that make an account dormant: China's year, and half of it."""

BUSY_MONTHS: Final = 5.0
"""Monthly means of the year before that a sudden flow exceeds."""

_MONTHS: Final = 12.0
_SOURCE: Final = "PBOC Order 2006 No. 2, art. 11 (4): dormant reactivation 长期闲置突然启用"
_LAG: Final = "ending 14 days ago"
_LAG_ZH: Final = "（截至14天前）"


_feature: Final = Family(family="dormancy", source=_SOURCE, typology="dormant_reactivation")


def _longest(period: Period) -> tuple[FeatureSpec, FeatureSpec]:
    english = f"longest silence that a transaction of {period.english} ended"
    chinese = f"{period.chinese}内被交易打破的最长静默时间"
    hours = _feature(
        f"customer_silence_max_hours_{period.label}",
        Window(
            table=TRANSACTIONS,
            key=(CUSTOMER_ID,),
            statistic="max",
            period=period,
            value=HOURS_SINCE_PREVIOUS,
        ),
        unit="hours",
        english=english,
        chinese=chinese,
        hidden=True,
    )
    days = _feature(
        f"customer_silence_max_days_{period.label}",
        Formula(operation="scaled", inputs=(hours.name,), parameter=1 / 24),
        unit="days",
        english=english,
        chinese=chinese,
    )
    return hours, days


def _ended(days: int) -> FeatureSpec:
    """Count silences, so that a customer without a transaction has none, not a missing one."""
    is_long = RowColumn(
        name=f"ends_silence_{days}d",
        how=Mix(operation="at_least", inputs=(HOURS_SINCE_PREVIOUS,), parameter=24.0 * days),
    )
    return _feature(
        f"customer_silences_{days}d_ended_30d",
        Window(
            table=TRANSACTIONS,
            key=(CUSTOMER_ID,),
            statistic="sum",
            period=D30,
            value=is_long,
        ),
        unit="transactions",
        english=f"transactions of {D30.english} after a silence of {days} days or more",
        chinese=f"{D30.chinese}静默{days}天以上后的交易笔数",
        hidden=True,
    )


_YEAR_BEFORE: Final = _feature(
    "customer_amount_sum_365d_lag14d",
    Window(
        table=TRANSACTIONS,
        key=(CUSTOMER_ID,),
        statistic="sum",
        period=D365,
        value=AMOUNT,
        lag_us=14 * DAY_US,
    ),
    unit="base currency",
    english=f"amount moved in {D365.english} {_LAG}",
    chinese=f"{D365.chinese}{_LAG_ZH}交易金额合计",
    hidden=True,
)
_MONTHLY: Final = _feature(
    "customer_amount_monthly_mean_365d_lag14d",
    Formula(operation="scaled", inputs=(_YEAR_BEFORE.name,), parameter=1 / _MONTHS),
    unit="base currency",
    english=f"mean monthly amount in {D365.english} {_LAG}",
    chinese=f"{D365.chinese}{_LAG_ZH}月均交易金额",
)
_MANY_MONTHS: Final = _feature(
    "customer_amount_busy_365d_lag14d",
    Formula(operation="scaled", inputs=(_YEAR_BEFORE.name,), parameter=BUSY_MONTHS / _MONTHS),
    unit="base currency",
    english=f"{BUSY_MONTHS:.0f} times the mean monthly amount in {D365.english} {_LAG}",
    chinese=f"{D365.chinese}{_LAG_ZH}月均交易金额的{BUSY_MONTHS:.0f}倍",
    hidden=True,
)
_AGAINST_MONTH: Final = _feature(
    "customer_amount_14d_to_month_before",
    Formula(operation="ratio", inputs=("customer_amount_sum_14d", _MONTHLY.name)),
    unit="times",
    english=f"amount moved in {D14.english} over the mean month of the year before",
    chinese=f"{D14.chinese}交易金额与此前一年月均金额之比",
)
_BUSIER: Final = _feature(
    "customer_busier_14d",
    Formula(operation="at_least", inputs=("customer_amount_sum_14d", _MANY_MONTHS.name)),
    unit="0 or 1",
    english=f"amount of {D14.english} of at least {BUSY_MONTHS:.0f} mean months of the year before",
    chinese=f"{D14.chinese}交易金额达到此前一年月均金额的{BUSY_MONTHS:.0f}倍",
    hidden=True,
)


def features_of(config: FeatureConfig) -> tuple[FeatureSpec, ...]:
    """Declare silences, and flags of a large flow after one of `SILENCES_DAYS`."""
    report = config.amounts.transfer_report
    return (
        *(spec for period in (D30, D365) for spec in _longest(period)),
        _YEAR_BEFORE,
        _MONTHLY,
        _MANY_MONTHS,
        _AGAINST_MONTH,
        _BUSIER,
        _feature(
            "customer_large_flow_14d",
            Formula(operation="at_least", inputs=("customer_amount_sum_14d",), parameter=report),
            unit="0 or 1",
            english=f"amount of {D14.english} of at least {report:,.15g}",
            chinese=f"{D14.chinese}交易金额达到{report:,.15g}",
            hidden=True,
        ),
        _feature(
            "amount_large_flow",
            Formula(operation="at_least", inputs=("amount",), parameter=report),
            unit="0 or 1",
            english=f"amount of this transaction of at least {report:,.15g}",
            chinese=f"本笔交易金额达到{report:,.15g}",
            units=("fraud",),
            hidden=True,
        ),
        _feature(
            "amount_busier",
            Formula(operation="at_least", inputs=("amount", _MANY_MONTHS.name)),
            unit="0 or 1",
            english=f"amount of at least {BUSY_MONTHS:.0f} mean months of the year before",
            chinese=f"本笔金额达到此前一年月均金额的{BUSY_MONTHS:.0f}倍",
            units=("fraud",),
            hidden=True,
        ),
        *(spec for days in SILENCES_DAYS for spec in (_ended(days), *_reactivated(days))),
    )


def _reactivated(days: int) -> tuple[FeatureSpec, ...]:
    """Flag a silence that ended with a flow of at least the report and the busy months."""
    any_ended = _feature(
        f"customer_silence_{days}d_ended_30d",
        Formula(
            operation="at_least", inputs=(f"customer_silences_{days}d_ended_30d",), parameter=1.0
        ),
        unit="0 or 1",
        english=f"silence of {days} days or more that ended in {D30.english}",
        chinese=f"{D30.chinese}结束了{days}天以上的静默",
    )
    flag = _feature(
        f"customer_reactivated_{days}d",
        Formula(
            operation="product",
            inputs=(any_ended.name, "customer_large_flow_14d", _BUSIER.name),
        ),
        unit="0 or 1",
        english=f"large flow of {D14.english} after a silence of {days} days or more",
        chinese=f"静默{days}天以上后{D14.chinese}大额交易",
        monotone=1,
    )
    own_silence = _feature(
        f"own_silence_{days}d",
        Formula(operation="at_least", inputs=("customer_hours_since_last",), parameter=24.0 * days),
        unit="0 or 1",
        english=f"silence of {days} days or more before this transaction",
        chinese=f"本笔交易前静默{days}天以上",
        units=("fraud",),
        hidden=True,
    )
    own = _feature(
        f"reactivates_{days}d",
        Formula(
            operation="product",
            inputs=(own_silence.name, "amount_large_flow", "amount_busier"),
        ),
        unit="0 or 1",
        english=f"large transaction that ends a silence of {days} days or more",
        chinese=f"静默{days}天以上后的首笔大额交易",
        monotone=1,
        units=("fraud",),
    )
    return any_ended, flag, own_silence, own
