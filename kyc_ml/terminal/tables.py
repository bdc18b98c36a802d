"""Data frames and figures as tables of a terminal."""

from __future__ import annotations

import math
from datetime import datetime

import pandas as pd
from pandas.api.typing import NaTType
from rich.table import Table

from kyc_ml.presentation import say_count, say_number

_HEADINGS = {
    "tier_zh": "tier (Chinese)",
    "ci_low": "low (95 %)",
    "ci_high": "high (95 %)",
    "better": "better is",
}
"""Columns whose names are no words, or say something else to a reader."""
_NAMES = frozenset({"figure", "metric", "part"})
"""Columns that hold names of kyc_ml's own; those of features and files stay as they are."""
_WHOLE = frozenset({"segment", "tier"})
"""Columns that are never cut: `medium_low` and `medium_high` begin alike."""
_SHOWN = ("recall_at_5_percent_fpr", "brier", "calibration_error")


def draw_frame(title: str, frame: pd.DataFrame) -> Table:
    """Draw a data frame."""
    table = Table(title=title, title_justify="left")
    for name in frame.columns:
        numeric = pd.api.types.is_numeric_dtype(frame[name])
        table.add_column(
            _heading(frame[name]),
            justify="right" if numeric else "left",
            no_wrap=name in _WHOLE,
        )
    for row in frame.itertuples(index=False):
        table.add_row(
            *(_cell(value, str(name)) for name, value in zip(frame.columns, row, strict=True))
        )
    return table


def _heading(column: pd.Series) -> str:
    words = _HEADINGS.get(str(column.name), str(column.name).replace("_", " "))
    known = column.dropna()
    # a day in UTC may be another one where the bank is
    in_utc = not known.empty and isinstance(known.iloc[0], datetime) and known.iloc[0].tzinfo
    return f"{words} (UTC)" if in_utc else words


def _cell(value: object, column: str) -> str:
    if value is None or isinstance(value, NaTType):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d}"
    if isinstance(value, float):
        return f"{value:.1f}" if column == "seconds" else _figure(value)
    if isinstance(value, int):
        return say_number(value, ",")
    return str(value).replace("_", " ") if column in _NAMES else str(value)


def _figure(value: float) -> str:
    return "–" if math.isnan(value) else say_number(value, ".4f")


def say_estimate(value: float, low: float, high: float, *, digits: int = 3) -> str:
    """Write a figure with its interval; a dash where it is undefined."""
    if math.isnan(value):
        return "–"
    said = [f"{number:.{digits}f}" for number in (value, low, high)]
    return said[0] if math.isnan(low) else f"{said[0]} ({said[1]}–{said[2]})"


def draw_quality(figures: pd.DataFrame, title: str) -> Table:
    """Draw the figures of model, baseline and prevalence, with intervals where there are some."""
    table = Table(title=title, title_justify="left")
    columns = ["who", "AUC (95 %)", "average precision (95 %)", "recall at 5 % FPR"]
    for name in (*columns, "Brier", "calibration error", "observed / expected (95 %)"):
        table.add_column(name, justify="left" if name == "who" else "right")
    for row in figures.to_dict("records"):
        table.add_row(
            str(row["who"]),
            say_estimate(row["auc"], row["auc_low"], row["auc_high"]),
            say_estimate(
                row["average_precision"],
                row["average_precision_low"],
                row["average_precision_high"],
                digits=4,
            ),
            *(_figure(row[name]) for name in _SHOWN),
            say_estimate(
                row["observed_over_expected"],
                row["observed_over_expected_low"],
                row["observed_over_expected_high"],
            ),
        )
    first = figures.iloc[0]
    table.caption = (
        f"{say_count(first['rows'], 'row')}, {say_count(first['positives'], 'positive')}, "
        f"prevalence {first['prevalence']:.4f}"
    )
    return table
