"""Devices and logins: what happens around an account before it pays."""

from __future__ import annotations

from typing import Final

from kyc_ml.contract.tables import CUSTOMER_ID, DEVICE_ID, EVENT_TYPE, EVENTS
from kyc_ml.features.spec import D1, D7, D30, FeatureSpec, Latest, Period, Where, Window

_SOURCE: Final = "DOMAIN typology: shared control, account takeover"
_KINDS: Final = (
    ("login", "logins", "登录"),
    ("failed_login", "failed logins", "失败登录"),
    ("device_change", "changes of device", "更换设备"),
    ("password_reset", "password resets", "重置密码"),
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
)
