"""Flow-through: money that leaves soon after it came, and how little of it stays.

Money out is matched to the oldest money in that is left, first in, first out; an account
that passes on what it receives shows it whatever the amounts.
"""

from __future__ import annotations

from typing import Final

from kyc_ml.contract.tables import AMOUNT, CUSTOMER_ID, DIRECTION, TRANSACTIONS
from kyc_ml.features.families.declaring import Family, transactions_in
from kyc_ml.features.spec import (
    D1,
    D3,
    D7,
    D30,
    D90,
    HOUR_US,
    Cell,
    FeatureSpec,
    Formula,
    Matched,
    Mix,
    Own,
    Period,
    RowColumn,
    Statistic,
    Where,
    Window,
)

_SOURCE: Final = "FFIEC manual, appendix F: pass-through 快进快出/不留余额"
_HOURS: Final = (2, 24, 72)

MATCHED: Final = {
    hours: RowColumn(
        name=f"matched_{hours}h", how=Matched(reading="matched", within_us=hours * HOUR_US)
    )
    for hours in _HOURS
}
"""Part of a payment out that had come in at most so many hours before."""
_IS_OUT: Final = RowColumn(
    name="is_out", how=Cell(operation="is_any_of", inputs=(DIRECTION,), values=("out",))
)
_AMOUNT_OUT: Final = RowColumn(
    name="amount_out", how=Mix(operation="product", inputs=(_IS_OUT, AMOUNT))
)
_PAYMENT_OUT: Final = "payment_out"
H2: Final = Period(label="2h", us=2 * HOUR_US, english="the last 2 hours", chinese="近2小时")
DWELL: Final = RowColumn(name="dwell_hours", how=Matched(reading="dwell"))


_feature: Final = Family(family="flow_through", source=_SOURCE, typology="flow_through")


def _rapid_out(hours: int, period: Period) -> tuple[FeatureSpec, ...]:
    """Declare what left within so many hours of coming in, over all that came in."""
    stem, label = f"customer_rapid_out_{hours}h", period.label
    total = _feature(
        f"{stem}_sum_{label}",
        transactions_in((CUSTOMER_ID,), "sum", period, MATCHED[hours]),
        unit="base currency",
        english=f"amount sent in {period.english} within {hours} hours of coming in",
        chinese=f"{period.chinese}转入后{hours}小时内转出的金额合计",
        hidden=True,
    )
    share = _feature(
        f"{stem}_share_{label}",
        Formula(operation="ratio", inputs=(total.name, f"customer_in_sum_{label}")),
        unit="share",
        english=f"amount sent within {hours} hours of coming in, as a share of the amount "
        f"received in {period.english}",
        chinese=f"{period.chinese}转入后{hours}小时内转出金额占转入金额的比例",
    )
    return total, share


def _covered(period: Period) -> tuple[FeatureSpec, ...]:
    """Declare how much of the own payment out the money just received covers.

    Not matched money: the payment is not booked yet when it is scored.
    """
    label = period.label
    received = _feature(
        f"customer_received_sum_{label}",
        Window(
            table=TRANSACTIONS,
            key=(CUSTOMER_ID,),
            statistic="sum",
            period=period,
            value=AMOUNT,
            where=Where(column=DIRECTION, values=("in",)),
        ),
        unit="base currency",
        english=f"amount received in {period.english}",
        chinese=f"{period.chinese}转入金额合计",
        units=("fraud",),
        hidden=True,
    )
    covered = _feature(
        f"payment_covered_{label}",
        Formula(operation="minimum", inputs=(_PAYMENT_OUT, received.name)),
        unit="base currency",
        english=f"part of this payment that money received in {period.english} covers",
        chinese=f"本笔转出中{period.chinese}转入资金可覆盖的金额",
        units=("fraud",),
        hidden=True,
    )
    share = _feature(
        f"payment_covered_share_{label}",
        Formula(operation="ratio", inputs=(covered.name, _PAYMENT_OUT)),
        unit="share",
        english=f"share of this payment that money received in {period.english} covers",
        chinese=f"本笔转出金额中{period.chinese}转入资金可覆盖的占比",
        units=("fraud",),
    )
    return received, covered, share


def _dwell(statistic: Statistic, period: Period) -> FeatureSpec:
    english, chinese = {"mean": ("mean", "平均值"), "median": ("median", "中位数")}[statistic]
    return _feature(
        f"customer_dwell_hours_{statistic}_{period.label}",
        transactions_in((CUSTOMER_ID,), statistic, period, DWELL),
        unit="hours",
        english=f"{english} time that money sent in {period.english} had stayed",
        chinese=f"{period.chinese}转出资金停留时间的{chinese}",
    )


def _through(period: Period) -> tuple[FeatureSpec, ...]:
    """Declare the smaller of money in and out over the larger: 1 where all passes through."""
    label = period.label
    inputs = (f"customer_in_sum_{label}", f"customer_out_sum_{label}")
    smaller = _feature(
        f"customer_in_out_smaller_{label}",
        Formula(operation="minimum", inputs=inputs),
        unit="base currency",
        english=f"smaller of the amounts received and sent in {period.english}",
        chinese=f"{period.chinese}转入与转出金额的较小值",
        hidden=True,
    )
    larger = _feature(
        f"customer_in_out_larger_{label}",
        Formula(operation="maximum", inputs=inputs),
        unit="base currency",
        english=f"larger of the amounts received and sent in {period.english}",
        chinese=f"{period.chinese}转入与转出金额的较大值",
        hidden=True,
    )
    ratio = _feature(
        f"customer_through_ratio_{label}",
        Formula(operation="ratio", inputs=(smaller.name, larger.name)),
        unit="ratio",
        english=f"balance between amounts received and sent in {period.english}",
        chinese=f"{period.chinese}转入与转出金额的均衡度",
    )
    return smaller, larger, ratio


def _residual(period: Period) -> FeatureSpec:
    return _feature(
        f"customer_residual_{period.label}",
        Formula(
            operation="ratio", inputs=("customer_balance_latest", f"customer_in_sum_{period.label}")
        ),
        unit="ratio",
        english=f"balance left over the amount received in {period.english}",
        chinese=f"账户余额与{period.chinese}转入金额之比",
    )


FEATURES: Final = (
    *(spec for hours in _HOURS for period in (D7, D30, D90) for spec in _rapid_out(hours, period)),
    _feature(
        _PAYMENT_OUT,
        Own(reading="value", column=_AMOUNT_OUT),
        unit="base currency",
        english="amount of this payment out",
        chinese="本笔转出金额",
        units=("fraud",),
        hidden=True,
    ),
    *(spec for period in (H2, D1, D3) for spec in _covered(period)),
    *(_dwell("mean", period) for period in (D30, D90)),
    _dwell("median", D90),
    *(spec for period in (D7, D30, D90) for spec in _through(period)),
    *(_residual(period) for period in (D30, D90)),
)
