"""Timing: when a customer pays, against the clock and against the own habit."""

from __future__ import annotations

from typing import Final

from kyc_ml.contract.tables import COUNTERPARTY_ID, CUSTOMER_ID, TRANSACTIONS
from kyc_ml.features.spec import (
    D30,
    D90,
    IS_NIGHT,
    FeatureSpec,
    Formula,
    Latest,
    Own,
    Period,
    Reading,
    Window,
)

_SOURCE: Final = "Fraud Detection Handbook, ch. 3; typology 夜间交易"


def _clock(name: str, reading: Reading, unit: str, english: str, chinese: str) -> FeatureSpec:
    return FeatureSpec(
        name=name,
        family="timing",
        how=Own(reading=reading),
        unit=unit,
        description=english,
        description_zh=chinese,
        source=_SOURCE,
        units=("fraud",),
    )


def _night_share(period: Period) -> FeatureSpec:
    return FeatureSpec(
        name=f"customer_night_share_{period.label}",
        family="timing",
        how=Window(
            table=TRANSACTIONS,
            key=(CUSTOMER_ID,),
            statistic="mean",
            period=period,
            value=IS_NIGHT,
        ),
        unit="share",
        description=f"share of transactions between 00:00 and 06:00 in {period.english}",
        description_zh=f"{period.chinese}0至6时交易占比",
        source=_SOURCE,
        typology="unusual_hour",
    )


def _since_last(
    who: str, key: str, english: str, chinese: str, units: tuple[str, ...]
) -> FeatureSpec:
    return FeatureSpec(
        name=f"{who}_hours_since_last",
        family="timing",
        how=Latest(table=TRANSACTIONS, key=(key,), reading="age_hours"),
        unit="hours",
        description=english,
        description_zh=chinese,
        source=_SOURCE,
        units=units,
    )


FEATURES: Final = (
    _clock("hour", "hour", "hour of day", "local hour of this transaction", "本笔交易的当地小时"),
    _clock("weekday", "weekday", "day of week", "weekday of this transaction", "本笔交易的星期"),
    _clock("night", "night", "0 or 1", "transaction between 00:00 and 06:00", "0至6时的交易"),
    *(_night_share(period) for period in (D30, D90)),
    FeatureSpec(
        name="night_against_habit_90d",
        family="timing",
        how=Formula(operation="difference", inputs=("night", "customer_night_share_90d")),
        unit="share",
        description="night payment beyond the customer's night share of the last 90 days",
        description_zh="本笔夜间交易相对客户近90天夜间占比的偏离",
        source=_SOURCE,
        typology="unusual_hour",
        units=("fraud",),
    ),
    _since_last(
        "customer",
        CUSTOMER_ID,
        "time since the customer's last transaction",
        "距客户上一笔交易的时间",
        units=("fraud", "risk"),
    ),
    _since_last(
        "counterparty",
        COUNTERPARTY_ID,
        "time since the counterparty's last transaction with any customer",
        "距该对手方与任一客户上一笔交易的时间",
        units=("fraud",),
    ),
)
