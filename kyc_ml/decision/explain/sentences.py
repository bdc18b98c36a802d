"""The sentence of a reason: a value, what is usual, and the effect, in both languages."""

from collections.abc import Mapping
from functools import cache
from math import isclose, isinf, isnan, nan
from typing import Final

from kyc_ml.decision.explain.reference import Usual
from kyc_ml.decision.wording import Language, Pair, name_value, write_both, write_text
from kyc_ml.features import FeatureSpec

Value = float | str | None
Effects = Mapping[float, Pair]
"""The effect of a contribution, by its sign."""

EFFECTS: Final[Effects] = {
    1.0: write_both("effects", "raises"),
    -1.0: write_both("effects", "lowers"),
    0.0: write_both("effects", "neither"),
}

_PLACES: Final = tuple(write_both("reason", "place", percent=percent) for percent in range(101))
"""Each percentile in words: written once, because a night has thousands of reasons."""

_HOURS_AS_DAYS: Final = 72.0
"""Hours from which a time is written in days."""

_MOST_FIGURES: Final = 8
"""Additional figures that are tried (convention): later ones are noise of the computation."""

_WITHOUT_RANGE: Final = frozenset({"0 or 1", "day of week", "hour of day"})
"""Units without an order in which quartiles or a percentile would be meaningful."""


def has_range(spec: FeatureSpec) -> bool:
    """Return whether quartiles and percentiles of a feature's values are meaningful."""
    return spec.kind == "number" and spec.unit not in _WITHOUT_RANGE


def say_reason(
    spec: FeatureSpec,
    own: Value,
    *,
    usual: Pair,
    percentile: float,
    currency: str,
    effect: Pair,
    more: int = 0,
) -> Pair:
    """Write one reason in English and Chinese.

    `own`: float, str or None; the customer's value.
    `usual`: values of the peers, in both languages; see `say_usual`.
    `percentile`: place of the value among theirs, from 0 to 1; NaN where it is unknown.
    `effect`: effect of the contribution, in both languages.
    `more`: additional figures of the value; see `figures_beside`.
    """
    place: Pair = ("", "")
    if not isnan(percentile) and has_range(spec):
        # 0.29 is 0.28999... in binary, and must be percentile 29
        place = _PLACES[int(100.0 * percentile + 1e-9)]
    return write_both(
        "reason",
        "reason",
        what=(spec.description, spec.description_zh),
        value=say_both(spec, own, currency=currency, more=more),
        usual=usual,
        place=place,
        effect=effect,
    )


def figures_beside(spec: FeatureSpec, own: Value, usual: Usual, *, currency: str) -> int:
    """Return the additional figures that show on which side of a usual end a value is."""
    ends = usual.range_of(spec.name) if usual.missing and has_range(spec) else None
    if ends is None or not isinstance(own, float):
        return 0
    near = [end for end in ends if _is_near(own, end)]
    for more in range(_MOST_FIGURES if near else 0):
        written = say_value(spec, own, currency=currency, language="en", more=more)
        if written not in {
            say_value(spec, end, currency=currency, language="en", more=more) for end in near
        }:
            return more
    return 0


def _is_near(own: float, end: float) -> bool:
    return own != end and isclose(own, end, rel_tol=0.06, abs_tol=0.06)


def say_usual(
    spec: FeatureSpec, usual: Usual, *, group: Pair | None, currency: str, more: int = 0
) -> Pair:
    """Write what is usual among the peers: beyond these values, or without them, is unusual.

    It is the range from the 5th to the 95th percentile, that a value is missing where most have
    none, or the commonest category. A reference of formats 1 to 3 gives quartiles, or the median
    if only that is known.

    `group`: the comparable rows in words; None is the whole bank.
    `more`: additional figures of numbers.
    """
    middle: tuple[Value, ...] | None = None
    if spec.kind == "category":
        middle = (usual.modes.get(spec.name),)
    elif has_range(spec):
        middle = (usual.range_of if usual.missing else usual.quartiles)(spec.name)
    if middle is None:
        middle = (usual.medians.get(spec.name, nan),)
    values = (
        _join(spec, middle, currency, "en", more),
        _join(spec, middle, currency, "zh", more),
    )
    if usual.is_rarely_known(spec.name):
        values = write_both("reason", "none")
    return write_both(
        "reason",
        "usual" if group is None else "usual_among",
        group=group or ("", ""),
        values=values,
    )


def _join(
    spec: FeatureSpec, values: tuple[Value, ...], currency: str, language: Language, more: int
) -> str:
    """Join different values; only the last has the unit."""
    # hours keep theirs, because long times are written in days: "5 hours to 4 days"
    written = [
        say_value(spec, each, currency=currency, language=language, more=more) for each in values
    ]
    written = list(dict.fromkeys(written))
    unit = "" if spec.unit == "hours" else _unit(spec.unit, currency, language)
    *first, last = written
    joint = write_text("reason", "to", language)
    return joint.join([*(each.removesuffix(unit) for each in first), last])


def say_value(
    spec: FeatureSpec, value: Value, *, currency: str, language: Language, more: int = 0
) -> str:
    """Write a value with its unit: a number, a category, or that it is not known.

    Numbers get `more` additional figures.
    """
    if value is None or (isinstance(value, float) and isnan(value)):
        return write_text("reason", "unknown", language)
    if spec.kind == "category":
        return str(value)
    number = float(value)
    match spec.unit:
        case "0 or 1" if number in {0.0, 1.0}:
            written = write_text("reason", "yes" if number else "no", language)
        case "0 or 1":  # a median of flags can lie between them
            written = f"{number:.2f}"
        case "day of week":
            written = write_text("reason", f"weekday_{int(number)}", language)
        case "hour of day":
            written = f"{int(number):02d}:00"
        case "share":
            percent = 100 * number
            short = percent == 0 or abs(percent) >= 0.1
            written = f"{percent:.{1 + more}f}%" if short else f"{percent:.{2 + more}g}%"
        case "hours" if 0.0 < abs(number) < 1.0:
            written = _number(_exact(60 * number), more) + _unit("minutes", currency, language)
        case "hours" if abs(number) >= _HOURS_AS_DAYS:
            written = _number(_exact(number / 24), more) + _unit("days", currency, language)
        case unit:
            written = _number(number, more) + _unit(unit, currency, language)
    return written


def say_both(spec: FeatureSpec, value: Value, *, currency: str, more: int = 0) -> Pair:
    """Write a value with its unit in both languages."""
    return (
        say_value(spec, value, currency=currency, language="en", more=more),
        say_value(spec, value, currency=currency, language="zh", more=more),
    )


@cache
def _unit(unit: str, currency: str, language: Language) -> str:
    return name_value("units", unit, language, otherwise="").format(currency=currency)


def _exact(value: float) -> float:
    """Remove the rounding of a change of units, so that a whole number is one."""
    return round(value, 9)


def _number(value: float, more: int = 0) -> str:
    """Write whole numbers without decimals, others with two, small ones with three figures."""
    if isinf(value):  # a ratio may overflow
        return "∞" if value > 0 else "-∞"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1:
        return f"{value:,.{2 + more}f}"
    return f"{value:.{3 + more}g}"
