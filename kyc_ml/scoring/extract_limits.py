"""Whether an extract may be scored: each table compared with its own past and the night before."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import pandas as pd

from kyc_ml.config import ExtractLimits, LimitsConfig
from kyc_ml.contract import CASES, EVENTS, THIRD_PARTY, TRANSACTIONS, StoredTables
from kyc_ml.display import say_moment
from kyc_ml.scoring.arrivals import Arrivals, expect_arrivals
from kyc_ml.scoring.extract_days import check_last_day, say_beyond
from kyc_ml.scoring.extract_profile import DAYS, TableProfile, TableSummary

_STREAMS: Final = (TRANSACTIONS, EVENTS, THIRD_PARTY)
"""Tables of what happens every day. Profiles change when they do, and cases when people decide."""
_LEAST_DESCRIBED: Final = 100
_GONE: Final = 50
"""Convention: a value of 50 rows does not leave a whole table in a night."""
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
    """What a run has read."""

    tables: Mapping[str, TableSummary] = field(default_factory=dict)
    """Mapping of table to TableSummary."""
    faults: tuple[str, ...] = ()
    """Limits that the extract exceeds: nothing can be scored from it, by model or scorecard."""


def find_late_tables(
    profiles: Mapping[str, TableProfile],
    as_of: pd.Timestamp,
    limits: LimitsConfig,
) -> list[str]:
    """List the tables whose newest row is older than their own rhythm explains.

    A table's limit is `stale_days`, or else `stale_factor` times its second longest pause of the
    last 400 days, at least `stale_hours`. A table with fewer than five pauses has no rhythm and
    no such limit. Profiles and accounts change when they do, so they have none either.
    """
    if limits.stale_hours is None:
        return []
    faults = []
    for name in (*_STREAMS, CASES):
        if name not in profiles:
            continue
        summary, own = profiles[name].summary, limits.of_table(name)
        if summary.newest is None:
            continue
        allowed = _allowed_hours(summary, own, least=limits.stale_hours)
        age = (as_of - pd.Timestamp(summary.newest)) / pd.Timedelta(hours=1)
        if allowed is not None and age > allowed:
            faults.append(
                f"stale: {name}: the newest of {summary.rows:,} rows became known {age:,.0f} hours "
                f"before {say_moment(as_of)}, above {allowed:,.0f} hours (longest usual pause: "
                f"{_say_hours(summary.pause_hours)}): wait for the table, or set tables: "
                f"{{{name}: {{stale_days: N}}}} in the file of --limits"
            )
    return faults


def find_late_files(tables: StoredTables, as_of: pd.Timestamp) -> list[str]:
    """List the files whose business date, by the control file, is before the night's last day."""
    day = last_day(as_of, tables.timezone)
    return [
        f"business_date: {name}: {stated:%Y-%m-%d} by the control file, before {day:%Y-%m-%d}, the "
        f"last day of {say_moment(as_of)}: wait for its delivery"
        for name, stated in tables.quality.business_dates.items()
        if stated < day
    ]


def last_day(as_of: pd.Timestamp, timezone: str) -> date:
    """Return the day of the source's calendar that most of the 24 hours before a time are of."""
    return (as_of - pd.Timedelta(hours=12)).tz_convert(timezone).date()


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

    `before`: the newest night before; None compares the extract with itself alone.
    `whole_day`: whether the last day is over: not if the end of the data decided `as_of`.
    """
    faults: list[str] = []
    local = last_day(as_of, timezone)
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
            decided_later = name == CASES and profile.held > 0
            if not own.may_be_empty and not decided_later:
                faults.append(
                    f"empty: {name}: no row is known before {say_moment(as_of)}: have the "
                    "table delivered again; if the bank has no such rows, leave it out of the "
                    "mapping or set "
                    f"tables: {{{name}: {{may_be_empty: true}}}} in the file of --limits"
                )
            continue
        if whole_day and own.arrivals is not None:
            faults += _check_arrivals(name, arrivals, least=own.arrivals)
        faults += check_last_day(name, profile, own)
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
            f"{found.expected:,.0f} are expected and at least {math.ceil(needed):,} needed: ask for"
            " the rest; in the file of --limits, a quiet day such as a holiday belongs to "
            f"`holidays`, and a table without rows every day needs tables: {{{name}: "
            "{arrivals: null}}"
        )


def _days(earlier: pd.Timestamp, later: pd.Timestamp) -> float:
    return float((later - earlier) / pd.Timedelta(days=1))


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
            said = (
                f": {before.rows:,} rows were known to the night before, {kept:,} of them are left "
                f"({lost:.1%} lost, above {allowed:.1%}): ask for the whole history"
            )
            yield say_beyond("lost_rows", name, said)
    if min(now.described, before.described) < _LEAST_DESCRIBED:
        return
    for key, column, moved in _moves_since(now, before):
        limit = getattr(own, key)
        if limit is not None and abs(moved) > _OF_TABLE[key] * limit:
            if key == "magnitude":
                said = f"{10 ** abs(moved):,.3g} times {'larger' if moved > 0 else 'smaller'}"
            else:
                said = f"{abs(moved):.0%} of the rows differ"
            said = (
                f": {column}: {said} than in the night before, which is above "
                f"{_say_limit(key, _OF_TABLE[key] * limit)}: ask what has changed in the extract"
            )
            yield say_beyond(key, name, said)
    for column, shares in before.shares.items() if own.mixture is not None else ():
        there = now.shares.get(column, {})
        gone = [s for v, s in shares.items() if v not in there and s * before.described >= _GONE]
        if column in now.shares and gone:
            said = (
                f": {column}: {len(gone)} value(s) that {sum(gone):.1%} of the "
                f"{before.described:,} rows had in the night before are absent: ask what has "
                "changed in the extract"
            )
            yield say_beyond("mixture", name, said)


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
