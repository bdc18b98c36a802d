"""Profile: who the customer is, by the version of the profile known at the decision."""

from __future__ import annotations

from typing import Final

from kyc_ml.contract.tables import (
    BIRTH_DATE,
    CHANNEL,
    CUSTOMER_ID,
    CUSTOMER_TYPE,
    CUSTOMERS,
    DECLARED_INCOME,
    DOCUMENT_EXPIRY,
    DOCUMENT_TYPE,
    INDUSTRY,
    INSTRUMENT,
    LIST_HIT,
    NATIONALITY,
    ONBOARDED_AT,
    ONBOARDING_CHANNEL,
    PEP_STATUS,
    RESIDENCE_COUNTRY,
    SEGMENT,
)
from kyc_ml.features.spec import FeatureSpec, Formula, Kind, Latest, Own, Reading

_SOURCE: Final = "银发〔2013〕2号: 客户特性, 地域, 行业(职业)"
_CATEGORIES: Final = (
    (CUSTOMER_TYPE, "type of customer", "客户类型"),
    (SEGMENT, "segment", "客户条线"),
    (INDUSTRY, "industry or occupation", "行业或职业"),
    (RESIDENCE_COUNTRY, "country of residence", "居住国家或地区"),
    (NATIONALITY, "nationality", "国籍"),
    (ONBOARDING_CHANNEL, "onboarding channel", "开户渠道"),
    (DOCUMENT_TYPE, "kind of identity document", "证件种类"),
    (PEP_STATUS, "politically exposed person", "政治公众人物状态"),
)


def _fact(
    name: str, column: str, reading: Reading, *, unit: str, english: str, chinese: str
) -> FeatureSpec:
    kind: Kind = "category" if reading == "category" else "number"
    return FeatureSpec(
        name=name,
        family="profile",
        how=Latest(table=CUSTOMERS, key=(CUSTOMER_ID,), reading=reading, column=column),
        unit=unit,
        description=english,
        description_zh=chinese,
        source=_SOURCE,
        kind=kind,
    )


def _own_category(column: str, english: str, chinese: str) -> FeatureSpec:
    return FeatureSpec(
        name=f"transaction_{column}",
        family="profile",
        how=Own(reading="category", column=column),
        unit="category",
        description=english,
        description_zh=chinese,
        units=("fraud",),
        kind="category",
    )


FEATURES: Final = (
    *(
        _fact(
            f"profile_{column}",
            column,
            "category",
            unit="category",
            english=english,
            chinese=chinese,
        )
        for column, english, chinese in _CATEGORIES
    ),
    _fact(
        "profile_age_years",
        BIRTH_DATE,
        "years_since",
        unit="years",
        english="age, or years since founding",
        chinese="年龄或存续年限",
    ),
    _fact(
        "profile_tenure_years",
        ONBOARDED_AT,
        "years_since",
        unit="years",
        english="length of the relationship",
        chinese="业务关系年限",
    ),
    _fact(
        "profile_document_days_left",
        DOCUMENT_EXPIRY,
        "days_until",
        unit="days",
        english="days until the identity document expires",
        chinese="证件剩余有效天数",
    ),
    _fact(
        "profile_declared_income",
        DECLARED_INCOME,
        "value",
        unit="base currency a year",
        english="declared income or turnover",
        chinese="申报年收入或营业额",
    ),
    _fact(
        "profile_list_hit",
        LIST_HIT,
        "flag",
        unit="0 or 1",
        english="on a watch list",
        chinese="命中名单",
    ),
    FeatureSpec(
        name="profile_inflow_90d_to_income",
        family="profile",
        how=Formula(operation="ratio", inputs=("customer_in_sum_90d", "profile_declared_income")),
        unit="ratio",
        description="amount received in the last 90 days over the declared yearly income",
        description_zh="近90天转入金额与申报年收入或营业额之比",
        source="DOMAIN typology: profile mismatch 与身份不符",
        typology="profile_mismatch",
    ),
    _own_category(INSTRUMENT, "means of payment", "支付工具"),
    _own_category(CHANNEL, "channel of the transaction", "交易渠道"),
)
