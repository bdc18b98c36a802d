"""Counterparties: how many there are, and how the flow is spread over them."""

from __future__ import annotations

from typing import Final

from kyc_ml.contract.tables import COUNTERPARTY_ID, CUSTOMER_ID, DIRECTION, TRANSACTIONS
from kyc_ml.features.spec import D1, D7, D30, D90, FeatureSpec, Formula, Period, Where, Window

_SOURCE: Final = "IBM AMLSim alert models; FFIEC manual, appendix F"


def _distinct(period: Period) -> FeatureSpec:
    return FeatureSpec(
        name=f"customer_counterparties_{period.label}",
        family="counterparties",
        how=Window(
            table=TRANSACTIONS,
            key=(CUSTOMER_ID,),
            statistic="distinct",
            period=period,
            value=COUNTERPARTY_ID,
        ),
        unit="counterparties",
        description=f"different counterparties in {period.english}",
        description_zh=f"{period.chinese}不同对手方数",
        source=_SOURCE,
    )


def _directed(direction: str, period: Period) -> FeatureSpec:
    english, chinese = {"in": ("payers", "付款方"), "out": ("payees", "收款方")}[direction]
    return FeatureSpec(
        name=f"customer_{english}_{period.label}",
        family="counterparties",
        how=Window(
            table=TRANSACTIONS,
            key=(CUSTOMER_ID,),
            statistic="distinct",
            period=period,
            value=COUNTERPARTY_ID,
            where=Where(column=DIRECTION, values=(direction,)),
        ),
        unit="counterparties",
        description=f"different {english} in {period.english}",
        description_zh=f"{period.chinese}不同{chinese}数",
        source=_SOURCE,
        typology={"in": "fan_in", "out": "fan_out"}[direction],
    )


def _spread(period: Period) -> FeatureSpec:
    return FeatureSpec(
        name=f"customer_counterparties_per_transaction_{period.label}",
        family="counterparties",
        how=Formula(
            operation="ratio",
            inputs=(
                f"customer_counterparties_{period.label}",
                f"customer_count_{period.label}",
            ),
        ),
        unit="ratio",
        description=f"different counterparties for each transaction in {period.english}",
        description_zh=f"{period.chinese}每笔交易的不同对手方数",
        source=_SOURCE,
    )


def _customers(period: Period) -> FeatureSpec:
    return FeatureSpec(
        name=f"counterparty_customers_{period.label}",
        family="counterparties",
        how=Window(
            table=TRANSACTIONS,
            key=(COUNTERPARTY_ID,),
            statistic="distinct",
            period=period,
            value=CUSTOMER_ID,
        ),
        unit="customers",
        description=f"different customers paying or paid by this counterparty in {period.english}",
        description_zh=f"{period.chinese}与该对手方交易的不同客户数",
        source=_SOURCE,
        units=("fraud",),
    )


FEATURES: Final = (
    *(_distinct(period) for period in (D1, D7, D30, D90)),
    *(_directed(direction, period) for direction in ("in", "out") for period in (D7, D30, D90)),
    *(_spread(period) for period in (D7, D30)),
    *(_customers(period) for period in (D1, D7, D30)),
)
