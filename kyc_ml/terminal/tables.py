"""Data frames and figures as tables of a terminal."""

from __future__ import annotations

import math
from datetime import datetime

import pandas as pd
from pandas.api.typing import NaTType
from rich.table import Table

_SHOWN = ("average_precision", "recall_at_5_percent_fpr", "brier", "calibration_error")


def draw_frame(title: str, frame: pd.DataFrame) -> Table:
    """Draw a data frame."""
    table = Table(title=title, title_justify="left")
    for name in frame.columns:
        numeric = pd.api.types.is_numeric_dtype(frame[name])
        table.add_column(str(name).replace("_", " "), justify="right" if numeric else "left")
    for row in frame.itertuples(index=False):
        table.add_row(*(_cell(value) for value in row))
    return table


def _cell(value: object) -> str:
    if value is None or isinstance(value, NaTType):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d}"
    if isinstance(value, float):
        return _figure(value)
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def _figure(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"


def say_estimate(value: float, low: float, high: float) -> str:
    """Write a figure with its interval; a dash where it is undefined."""
    if math.isnan(value):
        return "–"
    return f"{value:.3f}" if math.isnan(low) else f"{value:.3f} ({low:.3f}–{high:.3f})"


def draw_quality(figures: pd.DataFrame, title: str) -> Table:
    """Draw the figures of model, baseline and prevalence, AUC with its interval."""
    table = Table(title=title, title_justify="left")
    columns = ["who", "AUC (95 %)", "average precision", "recall at 5 % FPR"]
    for name in (*columns, "Brier", "calibration error", "observed / expected (95 %)"):
        table.add_column(name, justify="left" if name == "who" else "right")
    for row in figures.to_dict("records"):
        table.add_row(
            str(row["who"]),
            say_estimate(row["auc"], row["auc_low"], row["auc_high"]),
            *(_figure(row[name]) for name in _SHOWN),
            say_estimate(
                row["observed_over_expected"],
                row["observed_over_expected_low"],
                row["observed_over_expected_high"],
            ),
        )
    first = figures.iloc[0]
    table.caption = (
        f"{int(first['rows']):,} rows, {int(first['positives']):,} positives, "
        f"prevalence {first['prevalence']:.4f}"
    )
    return table
