"""Devices and logins: what happens around an account before it pays."""

from __future__ import annotations

from typing import Final

from kyc_ml.contract.tables import CUSTOMER_ID, DEVICE_ID, EVENT_TYPE, EVENTS, TRANSACTIONS
from kyc_ml.features.families.declaring import Family
from kyc_ml.features.spec import (
    D1,
    D7,
    D30,
    D90,
    EVER,
    AsOf,
    FeatureSpec,
    Latest,
    Mix,
    Period,
    RowColumn,
    Where,
    Window,
)

_SOURCE: Final = "typology: shared control 同设备, account takeover (practice)"
_KINDS: Final = (
    ("login", "logins", "登录"),
    ("failed_login", "failed logins", "失败登录"),
    ("device_change", "changes of device", "更换设备"),
    ("password_reset", "password resets", "重置密码"),
)
_TABLES: Final = (
    (TRANSACTIONS, "payment", "transactions", "交易"),
    (EVENTS, "event", "logins and other events", "登录等事件"),
)


def _count(kind: str, english: str, chinese: str, period: Period) -> FeatureSpec:
    return FeatureSpec(
        name=f"customer_{kind}_count_{period.label}",
        family="devices",
        how=Window(
            table=EVENTS,
            key=(CUSTOMER_ID,),
            statistic="count",
            period=period,
            where=Where(column=EVENT_TYPE, values=(kind,)),
        ),
        unit="events",
        description=f"{english} in {period.english}",
        description_zh=f"{period.chinese}{chinese}次数",
        source=_SOURCE,
        typology="account_takeover",
    )


def _since(kind: str, english: str, chinese: str) -> FeatureSpec:
    return FeatureSpec(
        name=f"customer_hours_since_{kind}",
        family="devices",
        how=Latest(
            table=EVENTS,
            key=(CUSTOMER_ID,),
            reading="age_hours",
            where=Where(column=EVENT_TYPE, values=(kind,)),
        ),
        unit="hours",
        description=f"time since the latest of the customer's {english}",
        description_zh=f"距客户最近一次{chinese}的时间",
        source=_SOURCE,
        typology="account_takeover",
    )


_EARLIER_WITH_DEVICE: Final = RowColumn(
    name="earlier_events_with_device",
    how=AsOf(
        how=Window(table=EVENTS, key=(CUSTOMER_ID, DEVICE_ID), statistic="count", period=EVER)
    ),
)
IS_NEW_EVENT_DEVICE: Final = RowColumn(
    name="is_first_event_with_device",
    how=Mix(operation="equals_zero", inputs=(_EARLIER_WITH_DEVICE,)),
)
"""1 for the customer's first event with a device; of payments: `novelty`."""


def _customers_before(table: str, word: str) -> RowColumn:
    """Count the customers that used a row's device in the 30 days before the row."""
    how = Window(table=table, key=(DEVICE_ID,), statistic="distinct", period=D30, value=CUSTOMER_ID)
    return RowColumn(name=f"customers_of_{word}_device", how=AsOf(how=how))


_feature: Final = Family(family="devices", source=_SOURCE, typology="shared_control")


def _payment_devices(period: Period) -> FeatureSpec:
    return _feature(
        f"customer_payment_devices_{period.label}",
        Window(
            table=TRANSACTIONS,
            key=(CUSTOMER_ID,),
            statistic="distinct",
            period=period,
            value=DEVICE_ID,
        ),
        unit="devices",
        english=f"different devices of transactions in {period.english}",
        chinese=f"{period.chinese}交易所用不同设备数",
    )


def _new_devices(period: Period) -> FeatureSpec:
    return _feature(
        f"customer_new_event_devices_{period.label}",
        Window(
            table=EVENTS,
            key=(CUSTOMER_ID,),
            statistic="sum",
            period=period,
            value=IS_NEW_EVENT_DEVICE,
        ),
        unit="devices",
        english=f"devices first used for logins and other events in {period.english}",
        chinese=f"{period.chinese}登录等事件首次使用的设备数",
    )


def _most_shared(table: str, word: str, english: str, chinese: str, period: Period) -> FeatureSpec:
    return _feature(
        f"customer_{word}_device_customers_max_{period.label}",
        Window(
            table=table,
            key=(CUSTOMER_ID,),
            statistic="max",
            period=period,
            value=_customers_before(table, word),
        ),
        unit="customers",
        english=f"most customers who had used one of the devices of {english} of "
        f"{period.english} in the 30 days before",
        chinese=f"{period.chinese}{chinese}所用设备此前30天内的最多使用客户数",
    )


def _own_device(table: str, word: str, english: str, chinese: str, period: Period) -> FeatureSpec:
    return _feature(
        f"device_{word}_customers_{period.label}",
        Window(
            table=table, key=(DEVICE_ID,), statistic="distinct", period=period, value=CUSTOMER_ID
        ),
        unit="customers",
        english=f"different customers of this device's {english} in {period.english}",
        chinese=f"{period.chinese}该设备{chinese}的不同客户数",
        monotone=1,
        units=("fraud",),
    )


FEATURES: Final = (
    *(_count(*kind, period) for kind in _KINDS for period in (D1, D7)),
    *(_since(*kind) for kind in _KINDS[2:]),
    FeatureSpec(
        name="customer_devices_30d",
        family="devices",
        how=Window(
            table=EVENTS, key=(CUSTOMER_ID,), statistic="distinct", period=D30, value=DEVICE_ID
        ),
        unit="devices",
        description="different devices in the last 30 days",
        description_zh="近30天不同设备数",
        source=_SOURCE,
        typology="shared_control",
    ),
    *(_payment_devices(period) for period in (D1, D7, D30)),
    *(_new_devices(period) for period in (D30, D90)),
    *(_most_shared(*table, period) for table in _TABLES for period in (D30, D90)),
    *(_own_device(*table, period) for table in _TABLES for period in (D1, D7, D30)),
)
