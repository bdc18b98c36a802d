"""Geography: where money comes from and goes to, by the lists of countries as they stood.

A payment is held against a list at its own time: a country that joined the list later
does not make an older payment risky, and one that left it does not clear it.
"""

from __future__ import annotations

from typing import Final

from kyc_ml.config import CountryList, FeatureConfig
from kyc_ml.contract.tables import (
    AMOUNT,
    COUNTRY,
    CUSTOMER_ID,
    CUSTOMERS,
    DIRECTION,
    EVENTS,
    NATIONALITY,
    REGION,
    RESIDENCE_COUNTRY,
    TRANSACTIONS,
)
from kyc_ml.features.families.declaring import Family
from kyc_ml.features.families.novelty import FIRST_WITH
from kyc_ml.features.spec import (
    D7,
    D30,
    D90,
    D365,
    EVER,
    AsOf,
    Cell,
    FeatureSpec,
    Formula,
    Latest,
    Mix,
    Own,
    Period,
    RowColumn,
    Statistic,
    Where,
    Window,
)

_SOURCE: Final = "FFIEC manual, appendix F: high-risk geography"
_LISTS: Final = "银发〔2013〕2号: 地域; lists as of the transaction date"
_PROVINCES: Final = "PBOC on Order 2025 No. 11: inflows from several provinces"

_RESIDENCE: Final = RowColumn(
    name="residence_then",
    how=AsOf(
        how=Latest(
            table=CUSTOMERS, key=(CUSTOMER_ID,), reading="category", column=RESIDENCE_COUNTRY
        )
    ),
)
IS_ABROAD: Final = RowColumn(
    name="is_abroad", how=Cell(operation="differs", inputs=(COUNTRY, _RESIDENCE))
)
"""1 where the counterparty's country is not the customer's country of residence."""
IS_CONNECTED_ABROAD: Final = RowColumn(
    name="is_connected_abroad", how=Cell(operation="differs", inputs=(COUNTRY, _RESIDENCE))
)
"""The same of an event: the country of the connection."""
_ABROAD_AMOUNT: Final = RowColumn(
    name="abroad_amount", how=Mix(operation="product", inputs=(IS_ABROAD, AMOUNT))
)
_EARLIER_IN_REGION: Final = RowColumn(
    name="earlier_in_region",
    how=AsOf(
        how=Window(table=TRANSACTIONS, key=(CUSTOMER_ID, REGION), statistic="count", period=EVER)
    ),
)
IS_NEW_REGION: Final = RowColumn(
    name="is_first_in_region", how=Mix(operation="equals_zero", inputs=(_EARLIER_IN_REGION,))
)
_NEW_COUNTRY_AMOUNT: Final = RowColumn(
    name="new_country_amount", how=Mix(operation="product", inputs=(FIRST_WITH["country"], AMOUNT))
)
_REGION_BEFORE: Final = RowColumn(
    name="region_before",
    how=AsOf(how=Latest(table=TRANSACTIONS, key=(CUSTOMER_ID,), reading="category", column=REGION)),
)
IS_REGION_CHANGE: Final = RowColumn(
    name="is_region_change", how=Cell(operation="differs", inputs=(REGION, _REGION_BEFORE))
)


_feature: Final = Family(family="geography", source=_SOURCE, typology="high_risk_geography")


def _window(
    statistic: Statistic,
    value: str | RowColumn,
    period: Period,
    where: Where | None = None,
    *,
    table: str = TRANSACTIONS,
) -> Window:
    return Window(
        table=table,
        key=(CUSTOMER_ID,),
        statistic=statistic,
        period=period,
        value=value,
        where=where,
    )


def _share(
    stem: str, amount: RowColumn, period: Period, *, english: str, chinese: str
) -> tuple[FeatureSpec, FeatureSpec]:
    """Declare a part of the amount moved and, hidden, its sum."""
    total = _feature(
        f"{stem}_sum_{period.label}",
        _window("sum", amount, period),
        unit="base currency",
        english=f"amount {english} in {period.english}",
        chinese=f"{period.chinese}{chinese}金额合计",
        hidden=True,
    )
    share = _feature(
        f"{stem}_share_{period.label}",
        Formula(operation="ratio", inputs=(total.name, f"customer_amount_sum_{period.label}")),
        unit="share",
        english=f"share of the amount moved in {period.english} that was {english}",
        chinese=f"{period.chinese}{chinese}金额占比",
    )
    return total, share


def _countries() -> tuple[FeatureSpec, ...]:
    distinct = (
        _feature(
            f"customer_countries_{period.label}",
            _window("distinct", COUNTRY, period),
            unit="countries",
            english=f"different countries of counterparties in {period.english}",
            chinese=f"{period.chinese}对手方所在国家或地区数",
        )
        for period in (D30, D90)
    )
    new = (
        _feature(
            f"customer_new_countries_{period.label}",
            _window("sum", FIRST_WITH["country"], period),
            unit="countries",
            english=f"countries first dealt with in {period.english}",
            chinese=f"{period.chinese}首次往来的国家或地区数",
        )
        for period in (D30, D90)
    )
    abroad = _feature(
        "payment_abroad",
        Own(reading="value", column=IS_ABROAD),
        unit="0 or 1",
        english="counterparty in another country than the customer's residence",
        chinese="对手方所在国家或地区与客户居住地不同",
        units=("fraud",),
    )
    shares = (
        spec
        for period in (D30, D90)
        for stem, amount, english, chinese in (
            (
                "customer_new_country",
                _NEW_COUNTRY_AMOUNT,
                "in first payments with a country",
                "与国家或地区首次往来的交易",
            ),
            (
                "customer_abroad",
                _ABROAD_AMOUNT,
                "with countries other than the residence",
                "与居住地以外国家或地区的交易",
            ),
        )
        for spec in _share(stem, amount, period, english=english, chinese=chinese)
    )
    return *distinct, *new, abroad, *shares


def _connections() -> tuple[FeatureSpec, ...]:
    """Declare from where the customer connects: the country of logins and other events."""
    return tuple(
        spec
        for period in (D7, D30)
        for spec in (
            _feature(
                f"customer_connection_countries_{period.label}",
                _window("distinct", COUNTRY, period, table=EVENTS),
                unit="countries",
                english=f"different countries connected from in {period.english}",
                chinese=f"{period.chinese}登录等事件所在国家或地区数",
            ),
            _feature(
                f"customer_connections_abroad_{period.label}",
                _window("sum", IS_CONNECTED_ABROAD, period, table=EVENTS),
                unit="events",
                english=f"events from countries other than the residence in {period.english}",
                chinese=f"{period.chinese}在居住地以外国家或地区发生的登录等事件次数",
            ),
        )
    )


def _regions() -> tuple[FeatureSpec, ...]:
    incoming = Where(column=DIRECTION, values=("in",))
    counted = (
        spec
        for period in (D7, D30)
        for spec in (
            _feature(
                f"customer_regions_{period.label}",
                _window("distinct", REGION, period),
                unit="regions",
                english=f"different provinces of transactions in {period.english}",
                chinese=f"{period.chinese}交易涉及的省份数",
                source=_PROVINCES,
            ),
            _feature(
                f"customer_in_regions_{period.label}",
                _window("distinct", REGION, period, incoming),
                unit="regions",
                english=f"different provinces of payments received in {period.english}",
                chinese=f"{period.chinese}转入交易涉及的省份数",
                source=_PROVINCES,
            ),
            _feature(
                f"customer_region_changes_{period.label}",
                _window("sum", IS_REGION_CHANGE, period),
                unit="transactions",
                english=(
                    f"transactions in another province than the one before in {period.english}"
                ),
                chinese=f"{period.chinese}与上一笔不同省份的交易笔数",
            ),
            _feature(
                f"customer_new_regions_{period.label}",
                _window("sum", IS_NEW_REGION, period),
                unit="regions",
                english=f"provinces first seen in {period.english}",
                chinese=f"{period.chinese}首次出现的省份数",
            ),
        )
    )
    own = (
        _feature(
            name,
            Own(reading="value", column=column),
            unit="0 or 1",
            english=english,
            chinese=chinese,
            units=("fraud",),
        )
        for name, column, english, chinese in (
            (
                "first_with_region",
                IS_NEW_REGION,
                "first transaction of the customer in this province",
                "客户首次在该省份交易",
            ),
            (
                "payment_changes_region",
                IS_REGION_CHANGE,
                "another province than that of the customer's last transaction",
                "与客户上一笔交易的省份不同",
            ),
        )
    )
    return *counted, *own


FEATURES: Final = (*_countries(), *_connections(), *_regions())


def features_of(config: FeatureConfig) -> tuple[FeatureSpec, ...]:
    """Declare what needs no list, then what each list of countries gives."""
    return (*FEATURES, *(spec for each in config.country_lists for spec in _list(each)))


def _list(countries: CountryList) -> tuple[FeatureSpec, ...]:
    """Declare payments with, and amounts from and to, countries on a list at the time."""
    listing = tuple(
        (stay.country, stay.since.isoformat(), stay.until.isoformat() if stay.until else None)
        for stay in countries.entries
    )
    name, english, chinese = countries.name, countries.english, countries.chinese
    listed = RowColumn(
        name=f"country_on_{name}", how=Cell(operation="listed", inputs=(COUNTRY,), listing=listing)
    )
    amount = RowColumn(
        name=f"amount_on_{name}", how=Mix(operation="product", inputs=(listed, AMOUNT))
    )
    profile = (
        _feature(
            f"{stem}_{name}",
            Latest(
                table=CUSTOMERS,
                key=(CUSTOMER_ID,),
                reading="listed",
                column=column,
                listing=listing,
            ),
            unit="0 or 1",
            english=f"{words} among {english}",
            chinese=f"{words_zh}列入{chinese}",
            source=_LISTS,
            monotone=1,
        )
        for stem, column, words, words_zh in (
            ("residence", RESIDENCE_COUNTRY, "country of residence", "居住国家或地区"),
            ("nationality", NATIONALITY, "nationality", "国籍"),
        )
    )
    own = _feature(
        f"payment_{name}",
        Own(reading="value", column=listed),
        unit="0 or 1",
        english=f"counterparty among {english}, as listed then",
        chinese=f"对手方所在国家或地区当时列入{chinese}",
        source=_LISTS,
        monotone=1,
        units=("fraud",),
    )
    connections = _feature(
        f"customer_connections_{name}_{D30.label}",
        _window("sum", listed, D30, table=EVENTS),
        unit="events",
        english=f"events in {D30.english} from {english}, as listed then",
        chinese=f"{D30.chinese}在当时列入{chinese}的国家或地区发生的登录等事件次数",
        source=_LISTS,
        monotone=1,
    )
    return (
        own,
        *profile,
        connections,
        *(
            spec
            for period in (D30, D90, D365)
            for spec in (
                _feature(
                    f"customer_{name}_count_{period.label}",
                    _window("sum", listed, period),
                    unit="transactions",
                    english=f"transactions of {period.english} with {english}, as listed then",
                    chinese=f"{period.chinese}与当时列入{chinese}的国家或地区的交易笔数",
                    source=_LISTS,
                ),
                _feature(
                    f"customer_{name}_sum_{period.label}",
                    _window("sum", amount, period),
                    unit="base currency",
                    english=f"amount moved in {period.english} with {english}, as listed then",
                    chinese=f"{period.chinese}与当时列入{chinese}的国家或地区的交易金额合计",
                    source=_LISTS,
                    hidden=True,
                ),
                _feature(
                    f"customer_{name}_share_{period.label}",
                    Formula(
                        operation="ratio",
                        inputs=(
                            f"customer_{name}_sum_{period.label}",
                            f"customer_amount_sum_{period.label}",
                        ),
                    ),
                    unit="share",
                    english=f"share of the amount moved in {period.english} with {english}, as "
                    "listed then",
                    chinese=f"{period.chinese}与当时列入{chinese}的国家或地区的交易金额占比",
                    source=_LISTS,
                    monotone=1,
                ),
            )
        ),
    )
