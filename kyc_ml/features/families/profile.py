"""Profile: who the customer is, by the version of the profile known at the decision."""

from __future__ import annotations

from typing import Final

from kyc_ml.contract.tables import (
    ACCOUNT_ID,
    ACCOUNTS,
    AMOUNT,
    BIRTH_DATE,
    CHANNEL,
    COUNTERPARTY_ID,
    CUSTOMER_ID,
    CUSTOMER_TYPE,
    CUSTOMERS,
    DECLARED_INCOME,
    DIRECTION,
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
    STATUS,
    TRANSACTIONS,
)
from kyc_ml.features.families.declaring import Family
from kyc_ml.features.spec import (
    D14,
    D30,
    D90,
    D365,
    EVER,
    AsOf,
    Cell,
    FeatureSpec,
    Formula,
    Kind,
    Latest,
    Mix,
    Own,
    Period,
    Reading,
    RowColumn,
    Where,
    Window,
)

_SOURCE: Final = "银发〔2013〕2号: 客户特性, 地域, 行业(职业)"
_ACCOUNTS_SOURCE: Final = "PBOC Order 2006 No. 2, art. 11 (6): opened and closed often"
_MISMATCH_SOURCE: Final = "FFIEC manual, appendix F: profile mismatch 与身份不符"
_ENTITY_SOURCE: Final = "PBOC Order 2006 No. 2, art. 11 (3): 公转私"
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


_feature: Final = Family(family="profile", source=_SOURCE)


_OPEN: Final = Where(column=STATUS, values=("open",))
_CLOSED: Final = Where(column=STATUS, values=("closed",))
_STATES_BEFORE: Final = RowColumn(
    name="states_before",
    how=AsOf(how=Window(table=ACCOUNTS, key=(ACCOUNT_ID,), statistic="count", period=EVER)),
)
IS_OPENING: Final = RowColumn(
    name="is_opening", how=Mix(operation="equals_zero", inputs=(_STATES_BEFORE,))
)
"""1 for the first state of an account: a card unblocked later opens nothing."""
MOVED_BEFORE: Final = RowColumn(
    name="amount_of_account_14d",
    how=AsOf(
        how=Window(table=TRANSACTIONS, key=(ACCOUNT_ID,), statistic="sum", period=D14, value=AMOUNT)
    ),
)
"""Amount that moved on an account in the 14 days (10 working days) before its new state."""


def _accounts() -> tuple[FeatureSpec, ...]:
    """Declare accounts opened, used and closed again."""
    changes = (
        spec
        for period in (D90, D365)
        for spec in (
            _feature(
                f"customer_accounts_opened_{period.label}",
                Window(
                    table=ACCOUNTS,
                    key=(CUSTOMER_ID,),
                    statistic="sum",
                    period=period,
                    value=IS_OPENING,
                    where=_OPEN,
                ),
                unit="accounts",
                english=f"accounts opened in {period.english}",
                chinese=f"{period.chinese}新开账户数",
                source=_ACCOUNTS_SOURCE,
                typology="open_use_close",
            ),
            _feature(
                f"customer_accounts_closed_{period.label}",
                Window(
                    table=ACCOUNTS,
                    key=(CUSTOMER_ID,),
                    statistic="distinct",
                    period=period,
                    value=ACCOUNT_ID,
                    where=_CLOSED,
                ),
                unit="accounts",
                english=f"accounts closed in {period.english}",
                chinese=f"{period.chinese}销户数",
                source=_ACCOUNTS_SOURCE,
                typology="open_use_close",
            ),
        )
    )
    return (
        *changes,
        _feature(
            "customer_moved_before_closing_14d",
            Latest(
                table=ACCOUNTS,
                key=(CUSTOMER_ID,),
                reading="value",
                column=MOVED_BEFORE,
                where=_CLOSED,
            ),
            unit="base currency",
            english="amount moved on the account closed last in the 14 days before its closing",
            chinese="最近一次销户前14天该账户交易金额合计",
            source=_ACCOUNTS_SOURCE,
            typology="open_use_close",
        ),
        _feature(
            "customer_moved_before_closing_14d_max_365d",
            Window(
                table=ACCOUNTS,
                key=(CUSTOMER_ID,),
                statistic="max",
                period=D365,
                value=MOVED_BEFORE,
                where=_CLOSED,
            ),
            unit="base currency",
            english=f"largest amount moved in the 14 days before a closing in {D365.english}",
            chinese=f"{D365.chinese}各次销户前14天交易金额的最大值",
            source=_ACCOUNTS_SOURCE,
            typology="open_use_close",
        ),
        _feature(
            "account_hours_since_opened",
            Latest(table=ACCOUNTS, key=(ACCOUNT_ID,), reading="age_hours", where=_OPEN),
            unit="hours",
            english="time since this account was opened, or opened again",
            chinese="该账户开立或重新启用至今的时间",
            source=_ACCOUNTS_SOURCE,
            typology="open_use_close",
            units=("fraud",),
        ),
    )


_COUNTERPARTY_TYPE: Final = RowColumn(
    name="counterparty_type",
    how=AsOf(
        how=Latest(
            table=CUSTOMERS,
            key=(CUSTOMER_ID,),
            at=(COUNTERPARTY_ID,),
            reading="category",
            column=CUSTOMER_TYPE,
        )
    ),
)


def _with_type(
    kind: str, direction: str, period: Period, *, english: str, chinese: str
) -> tuple[FeatureSpec, ...]:
    """Declare what came from, or went to, the bank's own customers of a type."""
    is_kind = RowColumn(
        name=f"is_{kind}_counterparty",
        how=Cell(operation="is_any_of", inputs=(_COUNTERPARTY_TYPE,), values=(kind,)),
    )
    amount = RowColumn(
        name=f"{kind}_counterparty_amount",
        how=Mix(operation="product", inputs=(is_kind, AMOUNT)),
    )
    moved, moved_zh = {"in": ("received", "转入"), "out": ("sent", "转出")}[direction]
    stem, label = f"customer_{direction}_{kind}", period.label
    total = _feature(
        f"{stem}_sum_{label}",
        Window(
            table=TRANSACTIONS,
            key=(CUSTOMER_ID,),
            statistic="sum",
            period=period,
            value=amount,
            where=Where(column=DIRECTION, values=(direction,)),
        ),
        unit="base currency",
        english=f"amount {moved} in {period.english} that {english}",
        chinese=f"{period.chinese}{chinese}金额合计",
        source=_ENTITY_SOURCE,
        typology="profile_mismatch",
        hidden=True,
    )
    share = _feature(
        f"{stem}_share_{label}",
        Formula(operation="ratio", inputs=(total.name, f"customer_{direction}_sum_{label}")),
        unit="share",
        english=f"share of the amount {moved} in {period.english} that {english}",
        chinese=f"{period.chinese}{moved_zh}金额中{chinese}的占比",
        source=_ENTITY_SOURCE,
        typology="profile_mismatch",
    )
    return total, share


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
    _feature(
        "profile_document_expired",
        # the last valid day ends one day after it begins
        Formula(operation="below", inputs=("profile_document_days_left",), parameter=-1.0),
        unit="0 or 1",
        english="identity document expired",
        chinese="证件已过有效期",
        source=_SOURCE,
        typology="profile_mismatch",
    ),
    _feature(
        "profile_declared_income_quarter",
        Formula(operation="scaled", inputs=("profile_declared_income",), parameter=0.25),
        unit="base currency",
        english="a quarter of the declared yearly income or turnover",
        chinese="申报年收入或营业额的四分之一",
        source=_MISMATCH_SOURCE,
        typology="profile_mismatch",
        hidden=True,
    ),
    _feature(
        "profile_inflow_90d_to_quarter_income",
        Formula(
            operation="ratio", inputs=("customer_in_sum_90d", "profile_declared_income_quarter")
        ),
        unit="ratio",
        english="amount received in the last 90 days over a quarter of the declared yearly income",
        chinese="近90天转入金额与申报年收入或营业额四分之一之比",
        source=_MISMATCH_SOURCE,
        typology="profile_mismatch",
    ),
    _feature(
        "counterparty_customer_type",
        Latest(
            table=CUSTOMERS,
            key=(CUSTOMER_ID,),
            at=(COUNTERPARTY_ID,),
            reading="category",
            column=CUSTOMER_TYPE,
        ),
        unit="category",
        english="type of customer the counterparty is with this bank",
        chinese="对手方作为本行客户的类型",
        source=_ENTITY_SOURCE,
        typology="profile_mismatch",
        units=("fraud",),
        kind="category",
    ),
    *(
        spec
        for period in (D30, D90)
        for spec in (
            *_with_type(
                "entity",
                "in",
                period,
                english="came from legal entities among the customers",
                chinese="来自单位客户",
            ),
            *_with_type(
                "person",
                "out",
                period,
                english="went to natural persons among the customers",
                chinese="转给个人客户",
            ),
        )
    ),
    *_accounts(),
    _own_category(INSTRUMENT, "means of payment", "支付工具"),
    _own_category(CHANNEL, "channel of the transaction", "交易渠道"),
)
