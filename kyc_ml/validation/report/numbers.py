"""Write the numbers of a report: by unit, with few digits."""

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.display import format_rate, is_share
from kyc_ml.validation.check import Unit
from kyc_ml.validation.result import AppliedGate, Figure, Report

DASH: Final = "–"
_TINY_P: Final = 0.0001
_P_VALUES: Final = ("p", "jeffreys", "binomial")  # first words of columns of p-values


def write_number(value: float | None, unit: Unit) -> str:
    """Write a figure in its unit; None as a dash.

    Examples
    --------
    >>> [write_number(v, u) for v, u in ((0.05, "p-value"), (1e-9, "p-value"), (12345, "count"))]
    ['0.0500', '< 0.0001', '12,345']
    >>> write_number(-0.03, "log-odds"), write_number(None, "index")
    ('−0.030', '–')
    """
    if value is None or math.isnan(value):
        return DASH
    return _BY_UNIT[unit](value).replace("-", "−")


def write_interval(figure: Figure) -> str:
    """Write an interval; '' if the figure has none."""
    if figure.low is None or figure.high is None:
        return ""
    unit = figure.measure.unit
    between = f" {DASH} " if figure.low < 0 else DASH
    return f"{write_number(figure.low, unit)}{between}{write_number(figure.high, unit)}"


def write_day(text: str, report: Report) -> str:
    """Write the day of a stored instant in the time zone of the report's source; '' stays ''."""
    return text and f"{_in_zone(text, report):%Y-%m-%d}"


def write_minute(text: str, report: Report) -> str:
    """Write a stored instant to the minute in the time zone of the report's source; '' stays ''."""
    return text and f"{_in_zone(text, report):%Y-%m-%d %H:%M}"


def _in_zone(text: str, report: Report) -> pd.Timestamp:
    time = pd.Timestamp(text)
    return (time.tz_localize("UTC") if time.tz is None else time).tz_convert(report.data.timezone)


def write_bounds(gate: AppliedGate, unit: Unit) -> str:
    """Write the thresholds of a gate.

    Examples
    --------
    >>> gate = AppliedGate(figure="x", value=1.0, at_least=0.8, at_most=None, severity="red",
    ...                    source="convention", broken=False)
    >>> write_bounds(gate, "ratio")
    '≥ 0.800'
    """
    low, high = (write_number(bound, unit) for bound in (gate.at_least, gate.at_most))
    if gate.at_most is None:
        return f"≥ {low}"
    return f"≤ {high}" if gate.at_least is None else f"{low}{DASH}{high}"


def write_change(before: float | None, now: float | None, unit: Unit) -> str:
    """Write a difference with its sign; shares in percentage points."""
    if before is None or now is None:
        return DASH
    difference = now - before
    if difference == 0:
        return "0"
    sign = "+" if difference > 0 else "−"
    size = abs(difference)
    if unit == "share":
        return f"{sign}{100 * size:.2f} pp"
    return f"{sign}{_BY_UNIT[unit](size)}"


def write_cell(value: object, column: str) -> str:
    """Write a cell of a table: counts whole, rates in per cent, others with four digits."""
    if value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return DASH
    if isinstance(value, bool | np.bool_):
        return "✓" if value else DASH
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}" if value == value.normalize() else f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, int | np.integer):
        return f"{int(value):,}".replace("-", "−")
    if isinstance(value, float | np.floating):
        return _write_float(float(value), column)
    return str(value)


def sort_key(value: object) -> str:
    """Return the key to sort a cell by; '' if its text has the right order."""
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, int | float | np.number) and not math.isnan(float(value)):
        return repr(float(value))
    return ""


def _write_float(value: float, column: str) -> str:
    words = column.split("_")
    if column == "expected":
        return f"{value:,.1f}"
    if column == "p" or "p_value" in column or words[0] in _P_VALUES:
        return _p_value(value)
    if is_share(column) and 0 <= value <= 1:
        return format_rate(value)
    return _digits(value).replace("-", "−")


def _digits(value: float) -> str:
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.1f}"
    if size == 0 or size >= 0.01:
        return f"{value:.3f}"
    return f"{value:.2g}" if size >= 1e-4 else f"{value:.1e}"


def _p_value(value: float) -> str:
    return "< 0.0001" if value < _TINY_P else f"{value:.4f}"


def _share(value: float) -> str:
    return format_rate(value) if value >= 0 else f"-{format_rate(-value)}"


_BY_UNIT: Final[dict[Unit, Callable[[float], str]]] = {
    "share": _share,
    "ratio": _digits,
    "count": lambda value: f"{value:,.0f}",
    "p-value": _p_value,
    "log-odds": lambda value: f"{value:.3f}",
    "index": _digits,
    "days": lambda value: f"{value:,.1f}",
    "cost": lambda value: f"{value:,.0f}",
    "s.d.": lambda value: f"{value:.3f}",
}
