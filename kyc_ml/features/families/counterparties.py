"""Counterparties: how many there are, and how the flow is spread over them."""

from __future__ import annotations

from typing import Final

from kyc_ml.contract.tables import (
    AMOUNT,
    COUNTERPARTY_ID,
    CUSTOMER_ID,
    DIRECTION,
    TRANSACTIONS,
)
from kyc_ml.features.families.declaring import Family, transactions_in
from kyc_ml.features.families.novelty import FIRST_WITH
from kyc_ml.features.spec import (
    D1,
    D7,
    D30,
    D90,
    DAY_US,
    EVER,
    AsOf,
    FeatureSpec,
    Formula,
    Mix,
    Period,
    RowColumn,
    Statistic,
    Where,
    Window,
)

_SOURCE: Final = "IBM AMLSim alert models; FFIEC manual, appendix F"
_NEW_SOURCE: Final = "typology: new counterparties (practice)"
_FAN_SOURCE: Final = (
    "PBOC Order 2006 No. 2, art. 11 (1): fan-in 分散转入集中转出, fan-out 集中转入分散转出"
)
_WEEKS_OF_90_DAYS: Final = 13.0

UNSEEN_30D_BEFORE: Final = RowColumn(
    name="counterparty_unseen_30d_before",
    how=Mix(
        operation="equals_zero",
        inputs=(
            RowColumn(
                name="pair_counterparty_count_until_30d_before",
                how=AsOf(
                    how=Window(
                        table=TRANSACTIONS,
                        key=(CUSTOMER_ID, COUNTERPARTY_ID),
                        statistic="count",
                        period=EVER,
                        lag_us=30 * DAY_US,
                    )
                ),
            ),
        ),
    ),
)
"""1 where the customer first met the row's counterparty at most 30 days before the row."""

AMOUNT_TO_NEW: Final = RowColumn(
    name="amount_to_counterparty_new_in_30d",
    how=Mix(operation="product", inputs=(UNSEEN_30D_BEFORE, AMOUNT)),
)

_SPREADS: Final[dict[Statistic, tuple[str, str, str]]] = {
    "first_share": ("share", "share of the largest {one} in {of}", "最大{zh}的{of_zh}占比"),
    "herfindahl": ("ratio", "concentration of {of} on few {many}", "{of_zh}的{zh}集中度"),
    "entropy": ("nats", "spread of {of} over many {many}", "{of_zh}的{zh}分散程度"),
}
_TYPOLOGIES: Final = {
    ("payer", False): "fan_in",
    ("payee", True): "fan_in",
    ("payee", False): "fan_out",
    ("payer", True): "fan_out",
}
"""What a side and the share of its largest show: many payers and one payee, or the mirror."""

_SIDES: Final = {
    "counterparty": (None, "counterparties", "amount moved", "交易金额", "对手方"),
    "payer": (
        Where(column=DIRECTION, values=("in",)),
        "payers",
        "amount received",
        "转入金额",
        "付款方",
    ),
    "payee": (
        Where(column=DIRECTION, values=("out",)),
        "payees",
        "amount sent",
        "转出金额",
        "收款方",
    ),
}
_CUSTOMER: Final = (CUSTOMER_ID,)
_COUNTERPARTY: Final = (COUNTERPARTY_ID,)


_feature: Final = Family(family="counterparties", source=_SOURCE)


def _distinct(period: Period) -> FeatureSpec:
    return _feature(
        f"customer_counterparties_{period.label}",
        transactions_in(_CUSTOMER, "distinct", period, COUNTERPARTY_ID),
        unit="counterparties",
        english=f"different counterparties in {period.english}",
        chinese=f"{period.chinese}不同对手方数",
    )


def _directed(direction: str, period: Period) -> FeatureSpec:
    english, chinese = {"in": ("payers", "付款方"), "out": ("payees", "收款方")}[direction]
    return _feature(
        f"customer_{english}_{period.label}",
        Window(
            table=TRANSACTIONS,
            key=(CUSTOMER_ID,),
            statistic="distinct",
            period=period,
            value=COUNTERPARTY_ID,
            where=Where(column=DIRECTION, values=(direction,)),
        ),
        unit="counterparties",
        english=f"different {english} in {period.english}",
        chinese=f"{period.chinese}不同{chinese}数",
        typology={"in": "fan_in", "out": "fan_out"}[direction],
    )


def _spread(period: Period) -> FeatureSpec:
    return _feature(
        f"customer_counterparties_per_transaction_{period.label}",
        Formula(
            operation="ratio",
            inputs=(
                f"customer_counterparties_{period.label}",
                f"customer_count_{period.label}",
            ),
        ),
        unit="ratio",
        english=f"different counterparties for each transaction in {period.english}",
        chinese=f"{period.chinese}每笔交易的不同对手方数",
    )


def _customers(period: Period) -> FeatureSpec:
    return _feature(
        f"counterparty_customers_{period.label}",
        transactions_in(_COUNTERPARTY, "distinct", period, CUSTOMER_ID),
        unit="customers",
        english=f"different customers paying or paid by this counterparty in {period.english}",
        chinese=f"{period.chinese}与该对手方交易的不同客户数",
        units=("fraud",),
    )


def _shares(side: str, statistic: Statistic, period: Period, *, weight: str | None) -> FeatureSpec:
    where, many, amount, amount_zh, whom_zh = _SIDES[side]
    unit, english, chinese = _SPREADS[statistic]
    of, of_zh = ("transactions", "交易笔数") if weight is None else (f"the {amount}", amount_zh)
    return _feature(
        f"customer_{side}_{statistic}_{'count' if weight is None else weight}_{period.label}",
        Window(
            table=TRANSACTIONS,
            key=(CUSTOMER_ID,),
            statistic=statistic,
            period=period,
            value=COUNTERPARTY_ID,
            weight=weight,
            where=where,
        ),
        unit=unit,
        english=english.format(one=side, many=many, of=f"{of} in {period.english}"),
        chinese=period.chinese + chinese.format(zh=whom_zh, of_zh=of_zh),
        typology=_TYPOLOGIES.get((side, statistic == "first_share")),
    )


def _fan(typology: str, many: str, one: str, words: tuple[str, str], period: Period) -> FeatureSpec:
    return _feature(
        f"customer_{typology}_{period.label}",
        Formula(
            operation="product",
            inputs=(
                f"customer_{many}s_{period.label}",
                f"customer_{one}_first_share_amount_{period.label}",
            ),
        ),
        unit="counterparties",
        english=f"{words[0]} in {period.english}",
        chinese=f"{period.chinese}{words[1]}",
        source=_FAN_SOURCE,
        typology=typology,
    )


def _burst(whom: str, whom_zh: str, typology: str) -> tuple[FeatureSpec, FeatureSpec]:
    """Compare a week's payers with a usual week's, one added to both: few weigh little."""
    weekly = _feature(
        f"customer_{whom}_weekly_90d",
        Formula(
            operation="scaled", inputs=(f"customer_{whom}_90d",), parameter=1 / _WEEKS_OF_90_DAYS
        ),
        unit="counterparties",
        english=f"different {whom} for each week of {D90.english}",
        chinese=f"{D90.chinese}平均每周不同{whom_zh}数",
        source=_FAN_SOURCE,
        typology=typology,
        hidden=True,
    )
    burst = _feature(
        f"customer_{whom}_burst_7d",
        Formula(operation="log_ratio", inputs=(f"customer_{whom}_7d", weekly.name), parameter=1.0),
        unit="log ratio",
        english=f"excess of different {whom} in {D7.english} over those of a usual week",
        chinese=f"{D7.chinese}不同{whom_zh}数与平时每周数之对数比",
        source=_FAN_SOURCE,
        typology=typology,
    )
    return weekly, burst


def _new(period: Period) -> FeatureSpec:
    return _feature(
        f"customer_new_counterparties_{period.label}",
        transactions_in(_CUSTOMER, "sum", period, FIRST_WITH["counterparty"]),
        unit="counterparties",
        english=f"counterparties first met in {period.english}",
        chinese=f"{period.chinese}首次交易的对手方数",
        source=_NEW_SOURCE,
        typology="new_counterparty",
    )


def _new_share(period: Period) -> FeatureSpec:
    return _feature(
        f"customer_new_counterparty_share_{period.label}",
        Formula(
            operation="ratio",
            inputs=(
                f"customer_new_counterparties_{period.label}",
                f"customer_counterparties_{period.label}",
            ),
        ),
        unit="share",
        english=f"share of the counterparties of {period.english} that were first met then",
        chinese=f"{period.chinese}对手方中首次交易者占比",
        source=_NEW_SOURCE,
        typology="new_counterparty",
    )


def _new_amount(period: Period) -> tuple[FeatureSpec, FeatureSpec]:
    english = f"amount of {period.english} with counterparties met at most 30 days before"
    total = _feature(
        f"customer_new_counterparty_amount_sum_{period.label}",
        transactions_in(_CUSTOMER, "sum", period, AMOUNT_TO_NEW),
        unit="base currency",
        english=english,
        chinese=f"{period.chinese}与结识不超过30天的对手方的交易金额合计",
        source=_NEW_SOURCE,
        typology="new_counterparty",
        hidden=True,
    )
    share = _feature(
        f"customer_new_counterparty_amount_share_{period.label}",
        Formula(operation="ratio", inputs=(total.name, f"customer_amount_sum_{period.label}")),
        unit="share",
        english=f"share of the {english}",
        chinese=f"{period.chinese}与结识不超过30天的对手方的交易金额占比",
        source=_NEW_SOURCE,
        typology="new_counterparty",
    )
    return total, share


def _new_customers(period: Period) -> FeatureSpec:
    return _feature(
        f"counterparty_new_customers_{period.label}",
        transactions_in(_COUNTERPARTY, "sum", period, FIRST_WITH["counterparty"]),
        unit="customers",
        english=f"customers that first met this counterparty in {period.english}",
        chinese=f"{period.chinese}首次与该对手方交易的客户数",
        source=_NEW_SOURCE,
        units=("fraud",),
    )


_STATISTICS: Final[tuple[Statistic, ...]] = ("first_share", "herfindahl", "entropy")

FEATURES: Final = (
    *(_distinct(period) for period in (D1, D7, D30, D90)),
    *(_directed(direction, period) for direction in ("in", "out") for period in (D7, D30, D90)),
    *(_spread(period) for period in (D7, D30)),
    *(_customers(period) for period in (D1, D7, D30)),
    *(
        _shares("counterparty", statistic, period, weight=weight)
        for period in (D30, D90)
        for weight in (None, AMOUNT)
        for statistic in _STATISTICS
    ),
    *(
        _shares(side, statistic, D90, weight=AMOUNT)
        for side in ("payer", "payee")
        for statistic in _STATISTICS
    ),
    *(_shares(side, "first_share", D30, weight=AMOUNT) for side in ("payer", "payee")),
    *(
        _fan(*fan, period)
        for fan in (
            (
                "fan_in",
                "payer",
                "payee",
                ("payers times the share of the largest payee", "付款方数与最大收款方占比之积"),
            ),
            (
                "fan_out",
                "payee",
                "payer",
                ("payees times the share of the largest payer", "收款方数与最大付款方占比之积"),
            ),
        )
        for period in (D30, D90)
    ),
    *_burst("payers", "付款方", "fan_in"),
    *_burst("payees", "收款方", "fan_out"),
    *(_new(period) for period in (D7, D30, D90)),
    _new_share(D30),
    *(spec for period in (D30, D90) for spec in _new_amount(period)),
    *(_new_customers(period) for period in (D7, D30)),
)
