"""Third party: the latest value of what others report, as known at the decision.

Providers and items are the user's own, so a configuration lists the items to read.
"""

from __future__ import annotations

from kyc_ml.config import FeatureConfig
from kyc_ml.contract.tables import CUSTOMER_ID, ITEM, THIRD_PARTY, VALUE
from kyc_ml.features.spec import D365, FeatureSpec, Latest, Where, Window


def features_of(config: FeatureConfig) -> tuple[FeatureSpec, ...]:
    """Declare the latest value of each item, its age, and how many reports there were."""
    items = config.third_party_items
    return tuple(spec for item in items for spec in (_value(item), _age(item), _count(item)))


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
        source="银发〔2013〕2号: 涉及客户的风险提示信息",
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
        source="银发〔2013〕2号: 涉及客户的风险提示信息",
    )


def _count(item: str) -> FeatureSpec:
    words = item.replace("_", " ")
    return FeatureSpec(
        name=f"third_party_{item}_count_365d",
        family="third_party",
        how=Window(
            table=THIRD_PARTY,
            key=(CUSTOMER_ID,),
            statistic="count",
            period=D365,
            where=Where(column=ITEM, values=(item,)),
        ),
        unit="reports",
        description=f"reports of {words} in the last 365 days",
        description_zh=f"近365天第三方报告（{words}）次数",
        source="银发〔2013〕2号: 涉及客户的风险提示信息或权威媒体报道",
    )
