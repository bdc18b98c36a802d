"""The last day of a table compared with the days before it: values, numbers, what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.config import ExtractLimits
from kyc_ml.scoring.extract_profile import TableProfile

_LEAST_ROWS: Final = 20
_LEAST_DAYS: Final = 10
"""Convention: fewer rows of a day, or fewer such days, show no more than chance."""
_WIDER: Final = 1.5
"""Convention: a day may differ half as much again as any day of the past did."""
_ERRORS: Final = 5.0
"""Standard errors by which chance alone may move a mean. Convention."""


def check_last_day(name: str, profile: TableProfile, own: ExtractLimits) -> Iterator[str]:
    """Compare the rows of the last day with those of the days before."""
    days = profile.by_day[profile.by_day["rows"] >= _LEAST_ROWS]
    if 0 in days.index and len(days) > _LEAST_DAYS:
        n = int(days["rows"].loc[0])
        yield from _missing(name, days, own.missing, n)
        yield from _magnitudes(name, profile, own.magnitude)
        yield from _mixtures(name, profile, own.mixture)
    yield from _repeats(name, profile, own.repeated)


def _missing(name: str, days: pd.DataFrame, limit: float | None, n: int) -> Iterator[str]:
    if limit is None:
        return
    for column in _measured(days, "missing:"):
        share = days[f"missing:{column}"] / days["rows"]
        usual = _usual(share.drop(0))
        moved = abs(share.loc[0] - usual.middle)
        if moved > max(limit, _WIDER * usual.farthest):
            yield (
                f"missing: {name}.{column}: {share.loc[0]:.0%} of the "
                f"{n:,} rows of the last day have no value, {usual.middle:.0%} are usual: ask what "
                f"has changed in the extract{say_relaxing(name, 'missing')}"
            )


def _measured(days: pd.DataFrame, prefix: str) -> list[str]:
    """List the columns that have a figure."""
    names = [str(each) for each in days]
    return [each.removeprefix(prefix) for each in names if each.startswith(prefix)]


def _magnitudes(name: str, profile: TableProfile, limit: float | None) -> Iterator[str]:
    """Compare each number, and the first number among the rows of each value of a column."""
    if limit is None:
        return
    days = profile.by_day
    columns = _measured(days, "middle:")
    parts = {
        column: pd.DataFrame(
            {key: days[f"{key}:{column}"] for key in ("middle", "spread", "valued")}
        )
        for column in columns
    }
    moved = {column: found for column, part in parts.items() if (found := _moved(part, limit))}
    for column, said in moved.items():
        yield f"magnitude: {name}.{column}: {said}{say_relaxing(name, 'magnitude')}"
    if not profile.number or profile.number in moved:
        return  # a value of another column would only say it again
    for (other, _), part in profile.by_value.groupby(["column", "value"], sort=True):
        said = _moved(part.set_index("day")[["middle", "spread", "valued"]], limit)
        if said:
            yield (
                f"magnitude: {name}.{profile.number} of the rows with one value of {other!r}: "
                f"{said}{say_relaxing(name, 'magnitude')}"
            )
            return


def _moved(days: pd.DataFrame, limit: float) -> str:
    """Return how a number moved on the last day, in words; empty text if within the limit."""
    days = days[days["valued"] >= _LEAST_ROWS]
    if 0 not in days.index or len(days) <= _LEAST_DAYS:
        return ""
    usual = _usual(days["middle"].drop(0))
    spread = float(days["spread"].drop(0).median())
    error = spread / np.sqrt(float(days["valued"].loc[0]))
    moved = float(days["middle"].loc[0]) - usual.middle
    if abs(moved) <= max(limit, _WIDER * usual.farthest) + _ERRORS * error:
        return ""
    return (
        f"{int(days['valued'].loc[0]):,} values of the last day are {10 ** abs(moved):,.3g} times "
        f"{'larger' if moved > 0 else 'smaller'} than usual in the middle, more than "
        f"{10 ** max(limit, _WIDER * usual.farthest):,.3g} times: ask for the unit or the currency"
    )


def _mixtures(name: str, profile: TableProfile, limit: float | None) -> Iterator[str]:
    """Compare the shares of each column's values, and find values that are gone."""
    if limit is None:
        return
    for column, part in profile.by_value.groupby("column", sort=True):
        counts = part.pivot_table(
            index="day", columns="value", values="rows", aggfunc="sum", fill_value=0
        )
        counts = counts[counts.sum(axis=1) >= _LEAST_ROWS]
        if 0 not in counts.index or len(counts) <= _LEAST_DAYS:
            continue
        shares = counts.div(counts.sum(axis=1), axis=0)
        past = counts.drop(0)
        middle = past.sum() / past.to_numpy().sum()
        far = 0.5 * (shares - middle).abs().sum(axis=1)
        rows = int(counts.loc[0].to_numpy().sum())
        # what chance alone moves: half the sum of mean deviations of the shares
        chance = 0.5 * float(np.sqrt(middle * (1 - middle) / rows).sum())
        if far.loc[0] > max(limit, _WIDER * float(far.drop(0).max())) + chance:
            yield (
                f"mixture: {name}: {column}: {far.loc[0]:.0%} of the {rows:,} rows of the last day "
                f"have other values than usual, more than {limit:.0%} and than on any day before: "
                f"ask what has changed in the extract{say_relaxing(name, 'mixture')}"
            )
            continue
        gone = (counts.loc[0] == 0) & (middle * rows >= _LEAST_ROWS) & (past.min() > 0)
        if gone.any():
            yield (
                f"mixture: {name}: {column}: {int(gone.sum())} value(s) that "
                f"{middle[gone].sum():.0%} of the rows had on every day before are absent from the "
                f"{rows:,} rows of the last day: ask whether a part is missing"
                f"{say_relaxing(name, 'mixture')}"
            )


def _repeats(name: str, profile: TableProfile, limit: float | None) -> Iterator[str]:
    if limit is None or not profile.repeated:
        return
    usual = max((share for day, share in profile.repeated.items() if day > 1), default=0.0)
    for day in (0, 1):
        share, rows = profile.repeated.get(day, 0.0), int(profile.by_day["rows"].get(day, 0))
        if rows >= _LEAST_ROWS and share > max(limit, _WIDER * usual):
            yield (
                f"repeated: {name}: {share:.0%} of the {rows:,} rows that became known "
                f"{24 * day} to {24 * (day + 1)} hours before are another row under a new "
                f"identifier, above {max(limit, _WIDER * usual):.0%}: ask whether a batch was sent "
                f"twice{say_relaxing(name, 'repeated')}"
            )


@dataclass(frozen=True, slots=True)
class _Usual:
    middle: float
    farthest: float


def _usual(days: pd.Series) -> _Usual:
    middle = float(days.median())
    return _Usual(middle, float((days - middle).abs().max()))


def say_relaxing(name: str, key: str) -> str:
    """Write how a limit of a table is changed."""
    return f"; or set tables: {{{name}: {{{key}: …}}}} in the file of --limits"
