"""Data frames and figures as tables of a terminal."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pandas as pd
from pandas.api.typing import NaTType

from kyc_ml.cli.terminal.sheets import Column, Sheet
from kyc_ml.display import say_count, say_number

_HEADINGS = {
    "tier_zh": "tier (Chinese)",
    "ci_low": "low (95 %)",
    "ci_high": "high (95 %)",
    "better": "better is",
}
"""Headings of columns whose names are not words or would mislead a reader."""
_NAMES = frozenset({"figure", "metric", "part"})
"""Columns that hold names of kyc_ml; those of features and files stay as they are."""
_SHARES = frozenset({"share", "prevalence", "probability", "from_probability"})
"""Columns of probabilities and shares, which people read in per cent."""
_SMALL = 0.001
_DIGITS = 8
_SHOWN = ("recall_at_5_percent_fpr", "brier", "calibration_error")


def draw_frame(title: str, frame: pd.DataFrame) -> Sheet:
    """Draw a data frame."""
    shares = _share_columns(frame)
    cells = [
        tuple(
            _cell(value, str(name), share=name in shares)
            for name, value in zip(frame.columns, row, strict=True)
        )
        for row in frame.itertuples(index=False)
    ]
    return Sheet(
        title=title,
        columns=tuple(
            Column(heading=_heading(frame[name]), right=pd.api.types.is_numeric_dtype(frame[name]))
            for name in frame.columns
        ),
        rows=tuple(cells),
    )


def draw_facts(title: str, facts: Mapping[str, object]) -> Sheet:
    """Draw names and values."""
    return Sheet(
        title=title,
        columns=(Column(heading=""), Column(heading="")),
        rows=tuple((name, str(value)) for name, value in facts.items()),
        headed=False,
    )


def _share_columns(frame: pd.DataFrame) -> set[str]:
    """Return the columns that hold shares: by their name, and the interval of an observed rate."""
    named = {str(name) for name in frame.columns}
    found = {name for name in named if name in _SHARES or name.endswith(("_share", "_rate"))}
    return found | (named & {"ci_low", "ci_high"} if "observed_rate" in named else set())


def _heading(column: pd.Series) -> str:
    words = _HEADINGS.get(str(column.name), str(column.name).replace("_", " "))
    known = column.dropna()
    # a day in UTC may be another one where the bank is
    in_utc = not known.empty and isinstance(known.iloc[0], datetime) and known.iloc[0].tzinfo
    return f"{words} (UTC)" if in_utc else words


def _cell(value: object, column: str, *, share: bool) -> str:
    if value is None or isinstance(value, NaTType):
        return "–"
    if isinstance(value, bool | datetime):
        return f"{value:%Y-%m-%d}" if isinstance(value, datetime) else "yes" if value else "no"
    if isinstance(value, float):
        if column == "seconds":
            return f"{value:.1f}"
        return say_share(value) if share else _figure(value)
    if isinstance(value, int):
        return say_number(value, ",")
    return str(value).replace("_", " ") if column in _NAMES else str(value)


def say_share(value: float) -> str:
    """Write a share in per cent, with enough digits to differ from 0; a dash if undefined.

    Examples
    --------
    >>> [say_share(each) for each in (0.25, 0.0012, 0.000041, 0.0, float("nan"))]
    ['25.00%', '0.12%', '0.0041%', '0.00%', '–']
    """
    if math.isnan(value):
        return "–"
    small = 0 < abs(value) < _SMALL
    digits = min(1 - math.floor(math.log10(abs(100 * value))), _DIGITS) if small else 2
    return say_number(value, f".{digits}%")


def _figure(value: float) -> str:
    return "–" if math.isnan(value) else say_number(value, ".4f")


def say_estimate(value: float, low: float, high: float, *, digits: int = 3) -> str:
    """Write a figure with its interval; a dash where it is undefined."""
    if math.isnan(value):
        return "–"
    said = [f"{number:.{digits}f}" for number in (value, low, high)]
    return said[0] if math.isnan(low) else f"{said[0]} ({said[1]}–{said[2]})"


def _estimate(row: Mapping[Any, Any], name: str, *, digits: int = 3) -> str:
    return say_estimate(*(row[f"{name}{end}"] for end in ("", "_low", "_high")), digits=digits)


def draw_quality(figures: pd.DataFrame, title: str) -> Sheet:
    """Draw the figures of model, baseline and prevalence, with intervals if available."""
    columns = (
        *("AUC (95 %)", "average precision (95 %)", "recall at 5 % FPR", "Brier"),
        *("calibration error", "observed / expected (95 %)"),
    )
    rows = [
        (
            str(row["who"]),
            _estimate(row, "auc"),
            _estimate(row, "average_precision", digits=4),
            *(_figure(row[name]) for name in _SHOWN),
            _estimate(row, "observed_over_expected"),
        )
        for row in figures.to_dict("records")
    ]
    first = figures.iloc[0]
    return Sheet(
        title=title,
        columns=(
            Column(heading="model"),
            *(Column(heading=name, right=True) for name in columns),
        ),
        rows=tuple(rows),
        caption=f"{say_count(first['rows'], 'row')}, {say_count(first['positives'], 'positive')}, "
        f"prevalence {say_share(first['prevalence'])}",
    )
