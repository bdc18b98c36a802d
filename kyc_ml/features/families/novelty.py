"""Novelty: the first time a customer pays someone, uses a device or reaches a country."""

from __future__ import annotations

from typing import Final

from kyc_ml.contract.tables import COUNTERPARTY_ID, COUNTRY, CUSTOMER_ID, DEVICE_ID, TRANSACTIONS
from kyc_ml.features.spec import EVER, FeatureSpec, Formula, Latest, Window

_SOURCE: Final = "DOMAIN typology: new counterparties, new corridor, new device"
_PAIRS: Final = (
    ("counterparty", COUNTERPARTY_ID, "this counterparty", "该对手方"),
    ("device", DEVICE_ID, "this device", "该设备"),
    ("country", COUNTRY, "this country", "该国家或地区"),
)


def _pair(who: str, column: str, english: str, chinese: str) -> tuple[FeatureSpec, ...]:
    key = (CUSTOMER_ID, column)
    count = FeatureSpec(
        name=f"pair_{who}_count_ever",
        family="novelty",
        how=Window(table=TRANSACTIONS, key=key, statistic="count", period=EVER),
        unit="transactions",
        description=f"earlier transactions of the customer with {english}",
        description_zh=f"客户此前与{chinese}的交易笔数",
        source=_SOURCE,
        units=("fraud",),
    )
    first = FeatureSpec(
        name=f"first_with_{who}",
        family="novelty",
        how=Formula(operation="equals_zero", inputs=(count.name,)),
        unit="0 or 1",
        description=f"first transaction of the customer with {english}",
        description_zh=f"客户首次与{chinese}交易",
        source=_SOURCE,
        typology="new_counterparty",
        units=("fraud",),
    )
    since = FeatureSpec(
        name=f"pair_{who}_hours_since_last",
        family="novelty",
        how=Latest(table=TRANSACTIONS, key=key, reading="age_hours"),
        unit="hours",
        description=f"time since the customer's last transaction with {english}",
        description_zh=f"距客户上次与{chinese}交易的时间",
        source=_SOURCE,
        units=("fraud",),
    )
    return count, first, since


FEATURES: Final = tuple(spec for pair in _PAIRS for spec in _pair(*pair))
