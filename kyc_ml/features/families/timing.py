"""Timing: when a customer pays, against the clock and against the own habit."""

from __future__ import annotations

from typing import Final

from kyc_ml.contract.tables import AMOUNT, COUNTERPARTY_ID, CUSTOMER_ID, TRANSACTIONS
from kyc_ml.features.families.declaring import Family, transactions_in
from kyc_ml.features.spec import (
    D1,
    D7,
    D30,
    D90,
    D180,
    D365,
    AsOf,
    Cell,
    FeatureSpec,
    Formula,
    Latest,
    Mix,
    Own,
    Period,
    Reading,
    RowColumn,
    Statistic,
    Window,
)

_SOURCE: Final = "Fraud Detection Handbook, ch. 3; typology 夜间交易"
_HABIT_SOURCE: Final = "typology: unusual hour 夜间交易, -ln P(hour | customer)"
_GAP_SOURCE: Final = "FFIEC manual, appendix F: sudden bursts of activity"

SHRINKAGE: Final = 5.0
"""Transactions the bank's habit weighs as much as. Convention."""

NIGHT: Final = RowColumn(name="is_night", how=Cell(operation="night"))
NIGHT_AMOUNT: Final = RowColumn(
    name="night_amount", how=Mix(operation="product", inputs=(NIGHT, AMOUNT))
)
HOUR: Final = RowColumn(name="local_hour", how=Cell(operation="hour"))
WEEKDAY: Final = RowColumn(name="local_weekday", how=Cell(operation="weekday"))
HOURS_SINCE_PREVIOUS: Final = RowColumn(
    name="hours_since_previous",
    how=AsOf(how=Latest(table=TRANSACTIONS, key=(CUSTOMER_ID,), reading="age_hours")),
)


def _counted(name: str, key: tuple[str | RowColumn, ...], period: Period) -> RowColumn:
    window = Window(table=TRANSACTIONS, key=key, statistic="count", period=period)
    return RowColumn(name=f"{name}_{period.label}", how=AsOf(how=window))


def _surprise(of: RowColumn, period: Period) -> RowColumn:
    """-ln of the customer's share of an hour or weekday, shrunk towards the bank's."""
    share = RowColumn(
        name=f"{of.name}_share_{period.label}",
        how=Mix(
            operation="shrunk_share",
            inputs=(
                _counted(f"customer_{of.name}_count", (CUSTOMER_ID, of), period),
                _counted("customer_count", (CUSTOMER_ID,), period),
                _counted(f"bank_{of.name}_count", (of,), D365),
                _counted("bank_count", (), D365),
            ),
            parameter=SHRINKAGE,
        ),
    )
    return RowColumn(
        name=f"{of.name}_surprise_{period.label}",
        how=Mix(operation="minus_log", inputs=(share,)),
    )


HOUR_SURPRISE: Final = _surprise(HOUR, D90)
WEEKDAY_SURPRISE: Final = _surprise(WEEKDAY, D180)
_CUSTOMER: Final = (CUSTOMER_ID,)


_feature: Final = Family(family="timing", source=_SOURCE)


def _clock(name: str, reading: Reading, unit: str, english: str, chinese: str) -> FeatureSpec:
    return _feature(
        name,
        Own(reading=reading),
        unit=unit,
        english=english,
        chinese=chinese,
        units=("fraud",),
    )


def _night_share(period: Period) -> FeatureSpec:
    return _feature(
        f"customer_night_share_{period.label}",
        transactions_in(_CUSTOMER, "mean", period, NIGHT),
        unit="share",
        english=f"share of transactions between 00:00 and 06:00 in {period.english}",
        chinese=f"{period.chinese}0至6时交易占比",
        typology="unusual_hour",
    )


def _since_last(
    who: str, key: str, english: str, chinese: str, units: tuple[str, ...]
) -> FeatureSpec:
    return _feature(
        f"{who}_hours_since_last",
        Latest(table=TRANSACTIONS, key=(key,), reading="age_hours"),
        unit="hours",
        english=english,
        chinese=chinese,
        units=units,
    )


def _surprise_of(
    column: RowColumn, what: str, period: Period, english: str, chinese: str
) -> FeatureSpec:
    return _feature(
        f"{what}_surprise_{period.label}",
        Own(reading="value", column=column),
        unit="nats",
        english=f"surprise of {english} against the customer's habit of {period.english}",
        chinese=f"{chinese}相对客户{period.chinese}习惯的意外程度",
        source=_HABIT_SOURCE,
        typology="unusual_hour",
        units=("fraud",),
    )


def _mean_surprise(period: Period) -> FeatureSpec:
    return _feature(
        f"customer_hour_surprise_mean_{period.label}",
        transactions_in(_CUSTOMER, "mean", period, HOUR_SURPRISE),
        unit="nats",
        english=(
            f"mean surprise of the hours of transactions in {period.english} against the habit "
            "before each"
        ),
        chinese=f"{period.chinese}交易时刻相对此前习惯的平均意外程度",
        source=_HABIT_SOURCE,
        typology="unusual_hour",
    )


def _night_amount(period: Period) -> tuple[FeatureSpec, FeatureSpec]:
    total = _feature(
        f"customer_night_amount_sum_{period.label}",
        transactions_in(_CUSTOMER, "sum", period, NIGHT_AMOUNT),
        unit="base currency",
        english=f"amount moved between 00:00 and 06:00 in {period.english}",
        chinese=f"{period.chinese}0至6时交易金额合计",
        typology="unusual_hour",
        hidden=True,
    )
    share = _feature(
        f"customer_night_amount_share_{period.label}",
        Formula(operation="ratio", inputs=(total.name, f"customer_amount_sum_{period.label}")),
        unit="share",
        english=f"share of the amount moved between 00:00 and 06:00 in {period.english}",
        chinese=f"{period.chinese}0至6时交易金额占比",
        typology="unusual_hour",
    )
    return total, share


def _gap(statistic: Statistic, period: Period) -> FeatureSpec:
    word, english, chinese = {
        "gap_mean": ("mean", "mean", "均值"),
        "gap_std": ("std", "standard deviation of the", "标准差"),
    }[statistic]
    return _feature(
        f"customer_gap_{word}_hours_{period.label}",
        transactions_in(_CUSTOMER, statistic, period),
        unit="hours",
        english=f"{english} time between transactions of {period.english}",
        chinese=f"{period.chinese}的交易间隔时间{chinese}",
        source=_GAP_SOURCE,
    )


def _gap_variation(period: Period) -> FeatureSpec:
    return _feature(
        f"customer_gap_variation_{period.label}",
        Formula(
            operation="ratio",
            inputs=(
                f"customer_gap_std_hours_{period.label}",
                f"customer_gap_mean_hours_{period.label}",
            ),
        ),
        unit="ratio",
        english=f"unevenness of the time between transactions of {period.english}",
        chinese=f"{period.chinese}的交易间隔时间变异系数",
        source=_GAP_SOURCE,
    )


def _overdue(period: Period) -> FeatureSpec:
    return _feature(
        f"customer_hours_since_last_to_gap_mean_{period.label}",
        Formula(
            operation="ratio",
            inputs=("customer_hours_since_last", f"customer_gap_mean_hours_{period.label}"),
        ),
        unit="times",
        english=(
            "time since the customer's last transaction over the mean time between those of "
            f"{period.english}"
        ),
        chinese=f"距客户上一笔交易的时间与{period.chinese}平均交易间隔之比",
        source=_GAP_SOURCE,
    )


def _shortest_gap(period: Period) -> FeatureSpec:
    return _feature(
        f"customer_gap_min_hours_{period.label}",
        transactions_in(_CUSTOMER, "min", period, HOURS_SINCE_PREVIOUS),
        unit="hours",
        english=f"shortest time between a transaction of {period.english} and the one before",
        chinese=f"{period.chinese}交易与其上一笔的最短间隔时间",
        source=_GAP_SOURCE,
    )


FEATURES: Final = (
    _clock("hour", "hour", "hour of day", "local hour of this transaction", "本笔交易的当地小时"),
    _clock("weekday", "weekday", "day of week", "weekday of this transaction", "本笔交易的星期"),
    _clock("night", "night", "0 or 1", "transaction between 00:00 and 06:00", "0至6时的交易"),
    *(_night_share(period) for period in (D30, D90)),
    _feature(
        "night_against_habit_90d",
        Formula(operation="difference", inputs=("night", "customer_night_share_90d")),
        unit="share",
        english="night payment beyond the customer's night share of the last 90 days",
        chinese="本笔夜间交易相对客户近90天夜间占比的偏离",
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
    _surprise_of(HOUR_SURPRISE, "hour", D90, "this transaction's hour", "本笔交易时刻"),
    _surprise_of(WEEKDAY_SURPRISE, "weekday", D180, "this transaction's weekday", "本笔交易星期"),
    _mean_surprise(D30),
    _feature(
        "customer_hour_entropy_90d",
        transactions_in(_CUSTOMER, "entropy", D90, HOUR),
        unit="nats",
        english=f"spread of transactions over the hours of the day in {D90.english}",
        chinese=f"{D90.chinese}交易在一天各小时的分散程度",
        source=_HABIT_SOURCE,
        typology="unusual_hour",
    ),
    *(spec for period in (D30, D90) for spec in _night_amount(period)),
    *(_gap(statistic, period) for period in (D30, D90) for statistic in ("gap_mean", "gap_std")),
    *(_gap_variation(period) for period in (D30, D90)),
    _overdue(D90),
    *(_shortest_gap(period) for period in (D1, D7)),
)
