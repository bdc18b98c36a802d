"""Contributions to ranked reasons in words, in English and Chinese."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kyc_ml.features.spec import FeatureSpec
from kyc_ml.features.table import FeatureTable

Floats = npt.NDArray[np.float64]
Said = float | str | None

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
_EFFECTS: Final = {
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What is usual among the training rows, to hold a customer's own value against.

    Attributes
    ----------
    medians : mapping of number feature to median of the finite values; NaN where none is
    modes : mapping of category feature to its commonest value; None where none has one
    """

    medians: Mapping[str, float]
    modes: Mapping[str, str | None]


def learn_reference(features: FeatureTable, rows: npt.NDArray[np.bool_]) -> Reference:
    """Take medians and commonest categories over the given rows."""
    medians: dict[str, float] = {}
    modes: dict[str, str | None] = {}
    for column, spec in enumerate(features.specs):
        if spec.kind == "category":
            counts = features.categories[spec.name].filter(pa.array(rows)).value_counts()
            found = {
                item["values"]: item["counts"]
                for item in counts.to_pylist()
                if item["values"] is not None
            }
            modes[spec.name] = min(found, key=lambda name: (-found[name], name), default=None)
        else:
            values = features.numbers[rows, column]
            known = values[np.isfinite(values)]
            medians[spec.name] = float(np.median(known)) if known.size else np.nan
    return Reference(medians=medians, modes=modes)


def rank_reasons(contributions: Floats, *, k: int) -> npt.NDArray[np.int64]:
    """Rank each row's features by the size of their contribution, largest first.

    Equal sizes keep the order of the features, so the ranking is deterministic.

    Returns
    -------
    int64 array of shape (n_rows, min(k, n_features))
    """
    size = np.abs(contributions)
    return np.argsort(-size, axis=1, kind="stable")[:, :k]


def make_reasons(
    features: FeatureTable,
    contributions: Floats,
    *,
    reference: Reference,
    currency: str,
    k: int,
) -> dict[str, pa.Array]:
    """Put each row's k strongest contributions into columns.

    Parameters
    ----------
    currency : str
        Base currency of the amounts, said after each.

    Returns
    -------
    mapping of column name to array of length n
        For i from 1 to k: reason_i_code, reason_i_text, reason_i_text_zh,
        reason_i_value (null where missing or a category) and reason_i_contribution (log-odds).
    """
    ranked = rank_reasons(contributions, k=k)
    rows = np.arange(len(features))
    codes = np.array([spec.reason_code for spec in features.specs], dtype=object)
    categories = {name: values.to_pylist() for name, values in features.categories.items()}
    columns: dict[str, pa.Array] = {}
    for place in range(ranked.shape[1]):
        chosen = ranked[:, place]
        pushed = contributions[rows, chosen]
        values = features.numbers[rows, chosen].copy()
        english: list[str] = []
        chinese: list[str] = []
        for row, column in enumerate(chosen):
            spec = features.specs[column]
            if spec.kind == "category":
                own: Said = categories[spec.name][row]
                usual: Said = reference.modes[spec.name]
                values[row] = np.nan
            else:
                own, usual = values[row], reference.medians[spec.name]
            effect = float(np.sign(pushed[row]))
            english.append(_sentence(spec, own, usual, currency=currency, effect=effect))
            chinese.append(_sentence_zh(spec, own, usual, currency=currency, effect=effect))
        stem = f"reason_{place + 1}"
        columns[f"{stem}_code"] = pa.array(codes[chosen], pa.string())
        columns[f"{stem}_text"] = pa.array(english, pa.string())
        columns[f"{stem}_text_zh"] = pa.array(chinese, pa.string())
        columns[f"{stem}_value"] = pa.array(values, from_pandas=True)
        columns[f"{stem}_contribution"] = pa.array(pushed)
    return columns


def family_contributions(specs: Sequence[FeatureSpec], contributions: Floats) -> dict[str, Floats]:
    """Sum contributions of shape (n, p) by feature family; families keep their order."""
    families = list(dict.fromkeys(spec.family for spec in specs))
    member = np.array([families.index(spec.family) for spec in specs])
    return {
        family: contributions[:, member == place].sum(axis=1)
        for place, family in enumerate(families)
    }


def _sentence(spec: FeatureSpec, own: Said, usual: Said, *, currency: str, effect: float) -> str:
    said = _value(spec, own, currency=currency, chinese=False)
    normal = _value(spec, usual, currency=currency, chinese=False)
    return f"{spec.description}: {said} (usual: {normal}); {_EFFECTS[effect][0]}"


def _sentence_zh(spec: FeatureSpec, own: Said, usual: Said, *, currency: str, effect: float) -> str:
    said = _value(spec, own, currency=currency, chinese=True)
    normal = _value(spec, usual, currency=currency, chinese=True)
    return f"{spec.description_zh}：{said}（通常：{normal}）；{_EFFECTS[effect][1]}"


def _value(spec: FeatureSpec, value: Said, *, currency: str, chinese: bool) -> str:
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
