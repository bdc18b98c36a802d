"""Instruments and cash: how much is cash, how varied the means of payment are."""

from __future__ import annotations

from typing import Final

from kyc_ml.contract.tables import (
    AMOUNT,
    CHANNEL,
    CUSTOMER_ID,
    DIRECTION,
    INSTRUMENT,
    TRANSACTIONS,
)
from kyc_ml.features.families.declaring import Family
from kyc_ml.features.spec import (
    D1,
    D30,
    D90,
    AsOf,
    Cell,
    FeatureSpec,
    Formula,
    Mix,
    Period,
    RowColumn,
    Where,
    Window,
)

_SOURCE: Final = "cash intensity 现金密集; 银发〔2013〕2号: 与现金的关联程度"
CASH: Final = Where(column=INSTRUMENT, values=("cash",))
"""Rows paid in cash."""
IS_CASH: Final = RowColumn(
    name="is_cash", how=Cell(operation="is_any_of", inputs=(INSTRUMENT,), values=("cash",))
)
# direction, what cash is called, what all money is called
_DIRECTIONS: Final = (
    ("in", "paid in", "存入", "received", "转入"),
    ("out", "taken out", "支取", "sent", "转出"),
)


def _cash(direction: str) -> Where:
    return Where(
        column=INSTRUMENT,
        values=("cash",),
        also=Where(column=DIRECTION, values=(direction,)),
    )


_NOT_CASH: Final = RowColumn(
    name="is_not_cash", how=Mix(operation="equals_zero", inputs=(IS_CASH,))
)
_CASH_IN_DAY: Final = RowColumn(
    name="cash_in_day_before",
    how=AsOf(
        how=Window(
            table=TRANSACTIONS,
            key=(CUSTOMER_ID,),
            statistic="sum",
            period=D1,
            value=AMOUNT,
            where=_cash("in"),
        )
    ),
)
_COVERED: Final = RowColumn(
    name="amount_covered_by_cash", how=Mix(operation="minimum", inputs=(AMOUNT, _CASH_IN_DAY))
)
CASH_PASSED_ON: Final = RowColumn(
    name="cash_passed_on", how=Mix(operation="product", inputs=(_NOT_CASH, _COVERED))
)
"""Part of a payment by other means that cash of the 24 hours before it covers."""


_feature: Final = Family(family="instruments", source=_SOURCE, typology="cash_intensive")
_use: Final = Family(family="instruments", source=_SOURCE)


def _sum(name: str, period: Period, where: Where, english: str, chinese: str) -> FeatureSpec:
    return _feature(
        f"customer_{name}_sum_{period.label}",
        Window(
            table=TRANSACTIONS,
            key=(CUSTOMER_ID,),
            statistic="sum",
            period=period,
            value=AMOUNT,
            where=where,
        ),
        unit="base currency",
        english=f"cash {english} in {period.english}",
        chinese=f"{period.chinese}现金{chinese}金额合计",
    )


def _share(name: str, part: str, whole: str, *, english: str, chinese: str) -> FeatureSpec:
    return _feature(
        name,
        Formula(operation="ratio", inputs=(part, whole)),
        unit="share",
        english=english,
        chinese=chinese,
    )


def _of(period: Period) -> tuple[FeatureSpec, ...]:
    """Declare cash by number and amount, in both directions and in each."""
    label = period.label
    count = _feature(
        f"customer_cash_count_{label}",
        Window(
            table=TRANSACTIONS, key=(CUSTOMER_ID,), statistic="count", period=period, where=CASH
        ),
        unit="transactions",
        english=f"cash transactions in {period.english}",
        chinese=f"{period.chinese}现金交易笔数",
    )
    total = _sum("cash", period, CASH, "moved", "收付")
    return (
        count,
        total,
        _share(
            f"customer_cash_count_share_{label}",
            count.name,
            f"customer_count_{label}",
            english=f"share of the transactions of {period.english} that are cash",
            chinese=f"{period.chinese}现金交易笔数占比",
        ),
        _share(
            f"customer_cash_share_{label}",
            total.name,
            f"customer_amount_sum_{label}",
            english=f"share of cash in the amount moved in {period.english}",
            chinese=f"{period.chinese}现金交易金额占比",
        ),
        *(
            spec
            for direction, cash, cash_zh, english, chinese in _DIRECTIONS
            for spec in (
                _sum(f"cash_{direction}", period, _cash(direction), cash, cash_zh),
                _share(
                    f"customer_cash_{direction}_share_{label}",
                    f"customer_cash_{direction}_sum_{label}",
                    f"customer_{direction}_sum_{label}",
                    english=f"share of cash in the amount {english} in {period.english}",
                    chinese=f"{period.chinese}{chinese}金额中现金占比",
                ),
            )
        ),
    )


def _passed_on(period: Period) -> tuple[FeatureSpec, ...]:
    """Declare how much of the cash received leaves within a day by other means.

    Two payments may be covered by the same cash: the share is held at 1.
    """
    label = period.label
    total = _feature(
        f"customer_cash_passed_on_sum_{label}",
        Window(
            table=TRANSACTIONS,
            key=(CUSTOMER_ID,),
            statistic="sum",
            period=period,
            value=CASH_PASSED_ON,
            where=Where(column=DIRECTION, values=("out",)),
        ),
        unit="base currency",
        english=f"amount sent within 24 hours of paying in cash, in {period.english}",
        chinese=f"{period.chinese}现金存入后24小时内转出金额合计",
        hidden=True,
    )
    capped = _feature(
        f"customer_cash_passed_on_capped_{label}",
        Formula(operation="minimum", inputs=(total.name, f"customer_cash_in_sum_{label}")),
        unit="base currency",
        english=f"cash paid in during {period.english} and sent on within 24 hours",
        chinese=f"{period.chinese}现金存入后24小时内转出的金额",
        hidden=True,
    )
    share = _share(
        f"customer_cash_passed_on_share_{label}",
        capped.name,
        f"customer_cash_in_sum_{label}",
        english=f"share of the cash paid in during {period.english} sent on by other means within "
        "24 hours",
        chinese=f"{period.chinese}现金存入后24小时内以非现金方式转出的占比",
    )
    return total, capped, share


def _variety(column: str, unit: str, english: str, chinese: str) -> tuple[FeatureSpec, ...]:
    """Declare how many means of payment or channels there are, and how evenly used."""
    distinct = (
        _use(
            f"customer_{unit}_{period.label}",
            Window(
                table=TRANSACTIONS,
                key=(CUSTOMER_ID,),
                statistic="distinct",
                period=period,
                value=column,
            ),
            unit=unit,
            english=f"different {english} in {period.english}",
            chinese=f"{period.chinese}使用的{chinese}种类数",
        )
        for period in (D30, D90)
    )
    entropy = _use(
        f"customer_{column}_entropy_{D90.label}",
        Window(
            table=TRANSACTIONS,
            key=(CUSTOMER_ID,),
            statistic="entropy",
            period=D90,
            value=column,
        ),
        unit="nats",
        english=f"evenness of the use of {english} in {D90.english}, as entropy",
        chinese=f"{D90.chinese}{chinese}使用分布的熵",
    )
    return *distinct, entropy


FEATURES: Final = (
    *(spec for period in (D30, D90) for spec in _of(period)),
    *(spec for period in (D30, D90) for spec in _passed_on(period)),
    *_variety(INSTRUMENT, "instruments", "means of payment", "支付工具"),
    *_variety(CHANNEL, "channels", "channels", "交易渠道"),
)
