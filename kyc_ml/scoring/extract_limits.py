"""Whether an extract may be scored: each table compared with its own past and the night before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.config import ExtractLimits, LimitsConfig
from kyc_ml.contract import CASES, EVENTS, THIRD_PARTY, TRANSACTIONS
from kyc_ml.scoring.arrivals import Arrivals, expect_arrivals
from kyc_ml.scoring.extract_profile import DAYS, TableProfile, TableSummary

_STREAMS: Final = (TRANSACTIONS, EVENTS, THIRD_PARTY)
"""Tables of what happens every day. Profiles change when they do, and cases when people decide."""
_LEAST_ROWS: Final = 20
_LEAST_DAYS: Final = 10
"""Convention: fewer rows of a day, or fewer such days, do not tell a difference from chance."""
_LEAST_DESCRIBED: Final = 100
_WIDER: Final = 1.5
"""Convention: a day may differ half as much again as any day of the past did."""
_ERRORS: Final = 5.0
"""Standard errors by which chance alone may move a mean. Convention."""
_HALF: Final = 0.5
_OF_TABLE: Final = {"magnitude": 0.6, "mixture": 0.5, "missing": 0.4}
"""Convention: the whole table moves less in a night than one day may."""
_ROLLED_DAYS: Final = 5.0
_MOST_ROLLED: Final = 0.3
"""Convention: a table of the last N days may lose 5/N of its rows a day, at most 0.3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NightBefore:
    """What an earlier night read; tables that it did not have are not compared."""

    as_of: pd.Timestamp
    tables: Mapping[str, TableSummary] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractFound:
    """What a run has read.

    Attributes
    ----------
    tables : mapping of table to TableSummary
    faults : tuple of str
        Limits that the extract exceeds: nothing can be scored from it, by model or scorecard.
    """

    tables: Mapping[str, TableSummary] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


def find_late_tables(
    profiles: Mapping[str, TableProfile], as_of: pd.Timestamp, limits: LimitsConfig
) -> list[str]:
    """List the tables whose newest row is older than their own rhythm explains.

    A table's limit is `stale_days`, or else `stale_factor` times its second longest pause of the
    last 400 days, at least `stale_hours`. A table with fewer than five pauses has no rhythm, and
    no limit of its own. Profiles and accounts change when they do, so they have none either.
    """
    if limits.stale_hours is None:
        return []
    faults = []
    for name in (*_STREAMS, CASES):
        if name not in profiles or profiles[name].summary.newest is None:
            continue
        summary, own = profiles[name].summary, limits.of_table(name)
        allowed = _allowed_hours(summary, own, least=limits.stale_hours)
        age = (as_of - pd.Timestamp(summary.newest)) / pd.Timedelta(hours=1)
        if allowed is not None and age > allowed:
            faults.append(
                f"stale: {name}: the newest of {summary.rows:,} rows became known {age:,.0f} hours "
                f"before {as_of:%Y-%m-%d %H:%M}, above {allowed:,.0f} hours (longest usual pause: "
                f"{_say_hours(summary.pause_hours)}): wait for the table, or set tables: "
                f"{{{name}: {{stale_days: N}}}} in the file of --limits"
            )
    return faults


def _allowed_hours(summary: TableSummary, own: ExtractLimits, *, least: float) -> float | None:
    if own.stale_days is not None:
        return own.stale_days * 24
    if own.stale_factor is None or summary.pause_hours is None:
        return None
    # a pause of n hours between hours with rows lasts up to n + 1
    return max(least, own.stale_factor * (summary.pause_hours + 1))


def _say_hours(hours: float | None) -> str:
    return "not known" if hours is None else f"{hours:,.0f} hours"


def check_extract(
    profiles: Mapping[str, TableProfile],
    limits: LimitsConfig,
    *,
    as_of: pd.Timestamp,
    timezone: str,
    before: NightBefore | None,
    whole_day: bool,
) -> list[str]:
    """List the limits of the extract that its tables exceed, each with what was expected.

    Parameters
    ----------
    before : NightBefore or None
        The newest night before; None compares the extract with itself alone.
    whole_day : bool
        Whether the last day is over: not if the end of the data decided `as_of`.
    """
    faults: list[str] = []
    local = (as_of - pd.Timedelta(hours=12)).tz_convert(timezone).date()
    arrivals = {
        name: found
        for name in _STREAMS
        if name in profiles
        and (
            found := expect_arrivals(
                profiles[name].summary.arrivals, last=local, holidays=limits.holidays
            )
        )
    }
    for name, profile in profiles.items():
        own = limits.of_table(name)
        if not profile.summary.rows:
            if not own.may_be_empty:
                faults.append(
                    f"empty: {name}: no row is known before {as_of:%Y-%m-%d %H:%M}: have the "
                    "table delivered again; if there is none, leave it out of the mapping or set "
                    f"tables: {{{name}: {{may_be_empty: true}}}} in the file of --limits"
                )
            continue
        if whole_day and own.arrivals is not None:
            faults += _check_arrivals(name, arrivals, least=own.arrivals)
        faults += _check_last_day(name, profile, own)
        if before is not None and name in before.tables:
            faults += _check_since(
                name, profile, before.tables[name], own, days=_days(before.as_of, as_of)
            )
    return faults


def _check_arrivals(name: str, arrivals: Mapping[str, Arrivals], *, least: float) -> Iterator[str]:
    """Compare the rows of the last day with the table's own days, and with the other tables'.

    A quiet day such as a holiday is quiet in all tables; half a delivery is not.
    """
    found = arrivals.get(name)
    if found is None:
        return
    beside = [found.fewest_beside(each) for other, each in arrivals.items() if other != name]
    needed = min(max(found.fewest, *beside, 0.0), least * found.expected)
    if found.rows < needed:
        yield (
            f"arrivals: {name}: {found.rows:,} rows became known in the last 24 hours, "
            f"{found.expected:,.0f} are expected and at least {needed:,.0f} needed: ask for the "
            "rest; a day on which so few are correct belongs to `holidays` in the file of --limits"
        )


def _days(earlier: pd.Timestamp, later: pd.Timestamp) -> float:
    return float((later - earlier) / pd.Timedelta(days=1))


def _check_last_day(name: str, profile: TableProfile, own: ExtractLimits) -> Iterator[str]:
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
    for column in (each for each in days if each.startswith("missing:")):
        share = days[column] / days["rows"]
        usual = _usual(share.drop(0))
        moved = abs(share.loc[0] - usual.middle)
        if moved > max(limit, _WIDER * usual.farthest):
            yield (
                f"missing: {name}.{column.removeprefix('missing:')}: {share.loc[0]:.0%} of the "
                f"{n:,} rows of the last day have no value, {usual.middle:.0%} are usual: ask what "
                f"has changed in the extract{_relax(name, 'missing')}"
            )


def _magnitudes(name: str, profile: TableProfile, limit: float | None) -> Iterator[str]:
    """Compare each number, and the first number among the rows of each value of a column."""
    if limit is None:
        return
    days = profile.by_day
    columns = [each.removeprefix("middle:") for each in days if each.startswith("middle:")]
    parts = {
        column: pd.DataFrame(
            {key: days[f"{key}:{column}"] for key in ("middle", "spread", "valued")}
        )
        for column in columns
    }
    moved = {column: found for column, part in parts.items() if (found := _moved(part, limit))}
    for column, said in moved.items():
        yield f"magnitude: {name}.{column}: {said}{_relax(name, 'magnitude')}"
    if not profile.number or profile.number in moved:
        return  # a value of another column would only say it again
    for (column, _), part in profile.by_value.groupby(["column", "value"], sort=True):
        said = _moved(part.set_index("day")[["middle", "spread", "valued"]], limit)
        if said:
            yield (
                f"magnitude: {name}.{profile.number} of the rows with one value of {column!r}: "
                f"{said}{_relax(name, 'magnitude')}"
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
        far = _HALF * (shares - middle).abs().sum(axis=1)
        rows = int(counts.loc[0].sum())
        # what chance alone moves: half the sum of mean deviations of the shares
        chance = _HALF * float(np.sqrt(middle * (1 - middle) / rows).sum())
        if far.loc[0] > max(limit, _WIDER * float(far.drop(0).max())) + chance:
            yield (
                f"mixture: {name}: {column}: {far.loc[0]:.0%} of the {rows:,} rows of the last day "
                f"have other values than usual, more than {limit:.0%} and than on any day before: "
                f"ask what has changed in the extract{_relax(name, 'mixture')}"
            )
            continue
        gone = (counts.loc[0] == 0) & (middle * rows >= _LEAST_ROWS) & (past.min() > 0)
        if gone.any():
            yield (
                f"mixture: {name}: {column}: {int(gone.sum())} value(s) that {middle[gone].sum():.0%} "
                f"of the rows had on every day before are absent from the {rows:,} rows of the "
                f"last day: ask whether a part is missing{_relax(name, 'mixture')}"
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
                f"twice{_relax(name, 'repeated')}"
            )


def _check_since(
    name: str, profile: TableProfile, before: TableSummary, own: ExtractLimits, *, days: float
) -> Iterator[str]:
    """Compare a table with what the night before read of it."""
    now = profile.summary
    if own.lost_rows is not None and before.rows:
        hours = profile.by_hour
        rolled = _rolled(before, now)
        kept = now.rows if rolled else int(hours.loc[hours["hour"] >= 24 * days, "rows"].sum())
        allowed = min(own.lost_rows + rolled * days, max(own.lost_rows, _MOST_ROLLED))
        lost = 1 - kept / before.rows
        if lost > allowed:
            yield (
                f"lost_rows: {name}: {before.rows:,} rows were known to the night before, "
                f"{kept:,} of them are left ({lost:.1%} lost, above {allowed:.1%}): ask for the "
                f"whole history{_relax(name, 'lost_rows')}"
            )
    if min(now.described, before.described) < _LEAST_DESCRIBED:
        return
    for key, column, moved in _moves_since(now, before):
        limit = getattr(own, key)
        if limit is not None and abs(moved) > _OF_TABLE[key] * limit:
            if key == "magnitude":
                said = f"{10 ** abs(moved):,.3g} times {'larger' if moved > 0 else 'smaller'}"
            else:
                said = f"{abs(moved):.0%} of the rows differ"
            yield (
                f"{key}: {name}: {column}: {said} than in the night before, which is above "
                f"{_say_limit(key, _OF_TABLE[key] * limit)}: ask what has changed in the extract"
                f"{_relax(name, key)}"
            )


def _moves_since(now: TableSummary, before: TableSummary) -> Iterator[tuple[str, str, float]]:
    """Yield how far each figure of a table moved: the limit's name, the column, the distance."""
    for column, middle in now.magnitude.items():
        yield "magnitude", column, middle - before.magnitude.get(column, middle)
    for column, share in now.missing.items():
        yield "missing", column, share - before.missing.get(column, share)
    for column, shares in now.shares.items():
        earlier = before.shares.get(column, shares)
        moves = (shares.get(v, 0.0) - earlier.get(v, 0.0) for v in shares.keys() | earlier.keys())
        yield "mixture", column, _HALF * sum(map(abs, moves))


def _say_limit(key: str, limit: float) -> str:
    return f"{10**limit:,.3g} times" if key == "magnitude" else f"{limit:.0%}"


def _rolled(before: TableSummary, now: TableSummary) -> float:
    """Return the share of a table that leaves it each day; 0 if it keeps its beginning."""
    if before.first is None or now.first is None or before.newest is None:
        return 0.0
    first, newest = pd.Timestamp(before.first), pd.Timestamp(before.newest)
    span = max(_days(first, newest), 1.0)
    moved = _days(first, pd.Timestamp(now.first))
    return _ROLLED_DAYS / span if moved > 0 and span < 2 * DAYS else 0.0


@dataclass(frozen=True, slots=True)
class _Usual:
    middle: float
    farthest: float


def _usual(days: pd.Series) -> _Usual:
    middle = float(days.median())
    return _Usual(middle, float((days - middle).abs().max()))


def _relax(name: str, key: str) -> str:
    return f"; or set tables: {{{name}: {{{key}: …}}}} in the file of --limits"
