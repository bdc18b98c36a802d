"""The last day of a table compared with the days before it: values, numbers, what is missing."""

from collections.abc import Callable, Iterator, Mapping
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
    for key, check in _CHECKS.items():
        limit = getattr(own, key)
        for said in () if limit is None else check(profile, limit):
            yield say_beyond(key, name, said)


def _missing(profile: TableProfile, limit: float) -> Iterator[str]:
    days = profile.by_day[profile.by_day["rows"] >= _LEAST_ROWS]
    if not _enough(days):
        return
    for column in _measured(days, "missing:"):
        share = days[f"missing:{column}"] / days["rows"]
        usual = _usual(share.drop(0))
        moved = abs(share.loc[0] - usual.middle)
        if moved > max(limit, _WIDER * usual.farthest):
            yield (
                f".{column}: {share.loc[0]:.0%} of the {int(days['rows'].loc[0]):,} rows of the "
                f"last day have no value, {usual.middle:.0%} are usual: ask what has changed in "
                "the extract"
            )


def _enough(days: pd.DataFrame) -> bool:
    """Return whether the last day, and enough days before it, have rows to compare."""
    return 0 in days.index and len(days) > _LEAST_DAYS


def _measured(days: pd.DataFrame, prefix: str) -> list[str]:
    """List the columns that have a figure."""
    names = [str(each) for each in days]
    return [each.removeprefix(prefix) for each in names if each.startswith(prefix)]


def _magnitudes(profile: TableProfile, limit: float) -> Iterator[str]:
    """Compare each number, and the first number among the rows of each value of a column."""
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
        yield f".{column}: {said}"
    if not profile.number or profile.number in moved:
        return  # a value of another column would only say it again
    for (other, _), part in profile.by_value.groupby(["column", "value"], sort=True):
        said = _moved(part.set_index("day")[["middle", "spread", "valued"]], limit)
        if said:
            yield f".{profile.number} of the rows with one value of {other!r}: {said}"
            return


def _moved(days: pd.DataFrame, limit: float) -> str:
    """Return how a number moved on the last day, in words; empty text if within the limit."""
    days = days[days["valued"] >= _LEAST_ROWS]
    if not _enough(days):
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


def _mixtures(profile: TableProfile, limit: float) -> Iterator[str]:
    """Compare the shares of each column's values, and find values that are gone."""
    for column, part in profile.by_value.groupby("column", sort=True):
        counts = part.pivot_table(
            index="day", columns="value", values="rows", aggfunc="sum", fill_value=0
        )
        counts = counts[counts.sum(axis=1) >= _LEAST_ROWS]
        if not _enough(counts):
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
                f": {column}: {far.loc[0]:.0%} of the {rows:,} rows of the last day have other "
                f"values than usual, more than {limit:.0%} and than on any day before: ask what "
                "has changed in the extract"
            )
            continue
        gone = (counts.loc[0] == 0) & (middle * rows >= _LEAST_ROWS) & (past.min() > 0)
        if gone.any():
            yield (
                f": {column}: {int(gone.sum())} value(s) that {middle[gone].sum():.0%} of the rows "
                f"had on every day before are absent from the {rows:,} rows of the last day: ask "
                "whether a part is missing"
            )


def _repeats(profile: TableProfile, limit: float) -> Iterator[str]:
    usual = max((share for day, share in profile.repeated.items() if day > 1), default=0.0)
    for day in (0, 1):
        share, rows = profile.repeated.get(day, 0.0), int(profile.by_day["rows"].get(day, 0))
        if rows >= _LEAST_ROWS and share > max(limit, _WIDER * usual):
            yield (
                f": {share:.0%} of the {rows:,} rows that became known {24 * day} to "
                f"{24 * (day + 1)} hours before are another row under a new identifier, above "
                f"{max(limit, _WIDER * usual):.0%}: ask whether a batch was sent twice"
            )


_CHECKS: Final[Mapping[str, Callable[[TableProfile, float], Iterator[str]]]] = {
    "missing": _missing, "magnitude": _magnitudes, "mixture": _mixtures, "repeated": _repeats,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Usual:
    middle: float
    farthest: float


def _usual(days: pd.Series) -> _Usual:
    middle = float(days.median())
    return _Usual(middle, float((days - middle).abs().max()))


def say_beyond(key: str, name: str, said: str) -> str:
    """Write that a table is beyond a limit, and how the limit is changed."""
    return f"{key}: {name}{said}; or set tables: {{{name}: {{{key}: …}}}} in the file of --limits"
