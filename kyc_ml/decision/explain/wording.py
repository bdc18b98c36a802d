"""A value, what is usual and what follows from both, in English and Chinese."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from kyc_ml.decision.explain.reference import Usual
from kyc_ml.features import FeatureSpec

Said = float | str | None
Effects = Mapping[float, tuple[str, str]]
"""What a contribution of a sign does, in English and Chinese."""

# English and Chinese unit after a number. A count needs none in English: the noun is in
# the description. {} stands for the base currency.
_UNITS: Final[dict[str, tuple[str, str]]] = {
    "transactions": ("", "笔"),
    "counterparties": ("", "个"),
    "customers": ("", "个"),
    "devices": ("", "个"),
    "events": ("", "次"),
    "outcomes": ("", "次"),
    "reports": ("", "份"),
    "countries": ("", "个"),
    "regions": ("", "个"),
    "instruments": ("", "种"),
    "channels": ("", "种"),
    "accounts": ("", "个"),
    "patterns": ("", "次"),
    "payments": ("", "笔"),
    "layers": ("", "层"),
    "zeros": ("", "个"),
    "log ratio": ("", ""),
    "nats": ("", ""),
    "ratio": ("", ""),
    "number": ("", ""),
    "values": ("", "种"),
    "item's own unit": ("", ""),
    "base currency": (" {}", " {}"),
    "base currency a year": (" {} a year", " {}/年"),
    "days": (" days", "天"),
    "years": (" years", "年"),
    "times": (" times", "倍"),
    "standard deviations": (" standard deviations", "个标准差"),
}
_HOURS_SAID_AS_DAYS: Final = 72.0

# What a contribution of this sign does, in English and Chinese.
EFFECTS: Final[Effects] = {
    1.0: ("raises the risk", "使风险升高"),
    -1.0: ("lowers the risk", "使风险降低"),
    0.0: ("does not change the risk", "不改变风险"),
}
_WEEKDAYS: Final = (
    ("Monday", "星期一"),
    ("Tuesday", "星期二"),
    ("Wednesday", "星期三"),
    ("Thursday", "星期四"),
    ("Friday", "星期五"),
    ("Saturday", "星期六"),
    ("Sunday", "星期日"),
)


_WITHOUT_RANGE: Final = frozenset({"0 or 1", "day of week", "hour of day"})
"""Units whose values lie on no scale that a quartile or a percentile would say more of."""


def has_range(spec: FeatureSpec) -> bool:
    """Tell whether quartiles and percentiles say anything of a feature's values."""
    return spec.kind == "number" and spec.unit not in _WITHOUT_RANGE


def say_reason(
    spec: FeatureSpec,
    own: Said,
    *,
    usual: tuple[str, str],
    percentile: float,
    currency: str,
    effect: tuple[str, str],
) -> tuple[str, str]:
    """Say one reason in English and Chinese.

    Parameters
    ----------
    own : float, str or None
        The customer's own value.
    usual : tuple of str
        What its peers have, in both languages; see `say_usual`.
    percentile : float
        Where the value lies among theirs, from 0 to 1; NaN where nobody knows.
    effect : tuple of str
        What the contribution does, in both languages.
    """
    said = say_value(spec, own, currency=currency, chinese=False)
    said_zh = say_value(spec, own, currency=currency, chinese=True)
    place, place_zh = _say_place(spec, percentile)
    return (
        f"{spec.description}: {said} ({usual[0]}{place}); {effect[0]}",
        f"{spec.description_zh}：{said_zh}（{usual[1]}{place_zh}）；{effect[1]}",
    )


def say_usual(
    spec: FeatureSpec, usual: Usual, *, group: str | None, currency: str
) -> tuple[str, str]:
    """Say what the middle half of the peers has, or their median where that is all we know.

    Parameters
    ----------
    group : str or None
        Who the peers are; None is the whole bank.
    """
    middle: tuple[Said, ...] | None = None
    if spec.kind == "category":
        middle = (usual.modes.get(spec.name),)
    elif has_range(spec):
        middle = usual.quartiles(spec.name)
    if middle is None:
        middle = (usual.medians.get(spec.name, np.nan),)
    texts = []
    for chinese, to in ((False, " to "), (True, "至")):
        said = [say_value(spec, each, currency=currency, chinese=chinese) for each in middle]
        texts.append(to.join(_unit_once(spec, list(dict.fromkeys(said)), currency, chinese)))
    among, among_zh = (
        ("usual", "通常") if group is None else (f"usual among {group}", f"{group}通常")
    )
    return f"{among}: {texts[0]}", f"{among_zh}：{texts[1]}"


def _unit_once(
    spec: FeatureSpec,
    said: list[str],
    currency: str,
    chinese: bool,  # noqa: FBT001
) -> list[str]:
    """Leave the unit to the last of several values."""
    unit = _UNITS.get(spec.unit, ("", ""))[chinese].format(currency)
    return [*(each.removesuffix(unit) for each in said[:-1]), said[-1]]


def _say_place(spec: FeatureSpec, percentile: float) -> tuple[str, str]:
    if np.isnan(percentile) or not has_range(spec):
        return "", ""
    percent = int(100.0 * percentile + 1e-9)
    return f", percentile {percent}", f"，第{percent}百分位"


def say_value(spec: FeatureSpec, value: Said, *, currency: str, chinese: bool) -> str:
    """Say a value with its unit: a number, a category, or that it is not known."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "未知" if chinese else "not known"
    if spec.kind == "category":
        return str(value)
    if spec.unit in _SAID:
        return _SAID[spec.unit](float(value), chinese)
    return _number(float(value)) + _UNITS[spec.unit][chinese].format(currency)


def _say_flag(value: float, chinese: bool) -> str:  # noqa: FBT001  one signature for all
    words = {1.0: ("yes", "是"), 0.0: ("no", "否")}
    # a median of flags can lie between them
    return words[value][chinese] if value in words else f"{value:.2f}"


def _say_weekday(value: float, chinese: bool) -> str:  # noqa: FBT001  one signature for all
    return _WEEKDAYS[int(value)][chinese]


def _say_hour(value: float, chinese: bool) -> str:  # noqa: FBT001  one signature for all
    return f"{int(value):02d}:00"


def _say_share(value: float, chinese: bool) -> str:  # noqa: FBT001  one signature for all
    percent = 100 * value
    return f"{percent:.1f}%" if percent == 0 or abs(percent) >= 0.1 else f"{percent:.2g}%"


def _say_hours(value: float, chinese: bool) -> str:  # noqa: FBT001  one signature for all
    long = abs(value) >= _HOURS_SAID_AS_DAYS
    unit = ("days", "天") if long else ("hours", "小时")
    number = _number(round(value / 24, 1) if long else value)
    return f"{number}{unit[1]}" if chinese else f"{number} {unit[0]}"


_SAID: Final[dict[str, Callable[[float, bool], str]]] = {
    "0 or 1": _say_flag,
    "day of week": _say_weekday,
    "hour of day": _say_hour,
    "share": _say_share,
    "hours": _say_hours,
}


def _number(value: float) -> str:
    """Write whole numbers whole, others with two decimals, small ones with three figures."""
    if np.isinf(value):  # a ratio may overflow
        return "∞" if value > 0 else "-∞"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1:
        return f"{value:,.2f}"
    return f"{value:.3g}"
