"""Third party: the latest value of what others report, as known at the decision.

Providers and items are the user's own, so a configuration lists the items to read.
"""

from __future__ import annotations

from collections.abc import Iterable

from kyc_ml.contract.tables import CUSTOMER_ID, ITEM, THIRD_PARTY, VALUE
from kyc_ml.features.spec import FeatureSpec, Latest, Where


def features_of(items: Iterable[str]) -> tuple[FeatureSpec, ...]:
    """Declare the latest value of each item and the age of its report."""
    return tuple(spec for item in items for spec in (_value(item), _age(item)))


def _value(item: str) -> FeatureSpec:
    words = item.replace("_", " ")
    return FeatureSpec(
        name=f"third_party_{item}",
        family="third_party",
        how=Latest(
            table=THIRD_PARTY,
            key=(CUSTOMER_ID,),
            reading="value",
            column=VALUE,
            where=Where(column=ITEM, values=(item,)),
        ),
        unit="item's own unit",
        description=f"latest reported {words}",
        description_zh=f"第三方最新报告值（{words}）",
        source="DESIGN: third party",
    )


def _age(item: str) -> FeatureSpec:
    words = item.replace("_", " ")
    return FeatureSpec(
        name=f"third_party_{item}_age_hours",
        family="third_party",
        how=Latest(
            table=THIRD_PARTY,
            key=(CUSTOMER_ID,),
            reading="age_hours",
            where=Where(column=ITEM, values=(item,)),
        ),
        unit="hours",
        description=f"age of the latest report of {words}",
        description_zh=f"第三方报告（{words}）距今时间",
        source="DESIGN: third party",
    )
