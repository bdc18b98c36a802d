"""Earlier scoring runs: how far they reached, who is not due again, and the tiers they gave."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.contract import CUSTOMER_ID
from kyc_ml.decision import Hysteresis, TierHistory, TierPolicy
from kyc_ml.errors import ConfigError
from kyc_ml.features import DECISION_TIME
from kyc_ml.scoring.extract_limits import NightBefore
from kyc_ml.scoring.manifest import read_manifest, score_files
from kyc_ml.scoring.request import ScoringRequest
from kyc_ml.storage import MANIFEST

_HISTORY: Final = (CUSTOMER_ID, DECISION_TIME, "tier_before_overrides", "tier_of_score", "tier")
_NEXT: Final = "next_review"


def nights_before(
    out: Path, name: str, *, as_of: pd.Timestamp, rule: Hysteresis | None
) -> tuple[Path, ...]:
    """Find the published nights whose tiers the hysteresis of a new night needs.

    These are the newest night, the nights that `rule` counts as consecutive reviews, and those
    of its cool-down with the one before: a rise shows only between two nights.

    Parameters
    ----------
    out : Path
        Folder of nights, each published as ``OUT/YYYY-MM-DD/NAME``.
    rule : Hysteresis or None
        None needs no history.

    Returns
    -------
    tuple of Path
        The newest first; empty if no night before `as_of` is published.

    Raises
    ------
    ConfigError
        If the manifest of a night is damaged.
    """
    found: list[Path] = []
    if rule is None:
        return ()
    cooled = as_of - pd.Timedelta(days=rule.cool_down_days)
    for path, scored in published_nights(out, name, as_of=as_of):
        found.append(path)
        if scored <= cooled and len(found) >= (rule.reviews or 1) - 1:
            break
    return tuple(found)


def night_before(out: Path, name: str, *, as_of: pd.Timestamp) -> Path | None:
    """Return the newest published night before a time; None without one.

    Parameters
    ----------
    out, name
        As in `nights_before`.

    Raises
    ------
    ConfigError
        If the manifest of a night is damaged.
    """
    return next((path for path, _ in published_nights(out, name, as_of=as_of)), None)


def tables_before(request: ScoringRequest, *, as_of: pd.Timestamp) -> NightBefore | None:
    """Return what the night before a run has read; None without one, or if it kept no record.

    Raises ConfigError if the folder is not that of a published run.
    """
    folders = [path for path in request.previous if path.is_dir()]
    if request.night_before is not None:
        folders = [request.night_before]
    read = [read_manifest(path) for path in folders]
    runs = [(pd.Timestamp(each.as_of), each.extract) for each in read if each.extract]
    earlier = [(when, tables) for when, tables in runs if when < as_of]
    if not earlier:
        return None
    when, tables = max(earlier, key=lambda run: run[0])
    return NightBefore(as_of=when, tables=tables)


def published_nights(
    out: Path, name: str, *, as_of: pd.Timestamp
) -> Iterator[tuple[Path, pd.Timestamp]]:
    """Yield the published nights before a time and when each was, the newest first.

    Raises ConfigError if the manifest of one is damaged.
    """
    for path in (day / name for day in sorted(out.glob("????-??-??"), reverse=True)):
        if (path / MANIFEST).is_file():
            scored = pd.Timestamp(read_manifest(path).as_of)
            if scored < as_of:
                yield path, scored


def last_as_of(previous: Sequence[Path]) -> pd.Timestamp:
    """Return the latest `as_of` of some earlier runs; ConfigError if no earlier run is given."""
    _require_some(previous)
    return max(pd.Timestamp(read_manifest(path).as_of) for path in previous)


def customers_not_due(
    previous: Sequence[Path], *, as_of: pd.Timestamp, zone: str
) -> frozenset[str]:
    """List the customers whose latest earlier review set the next one after the day of `as_of`.

    `zone`: time zone of the source, whose days count.
    Raises ConfigError if no earlier run is given, or one lacks the columns of a review.
    """
    _require_some(previous)
    columns = (CUSTOMER_ID, DECISION_TIME, _NEXT)
    latest = (
        pd.concat([read_scores(run, columns=columns) for run in previous], ignore_index=True)
        .sort_values([CUSTOMER_ID, DECISION_TIME], kind="stable")
        .drop_duplicates(CUSTOMER_ID, keep="last")
    )
    # a missing date of the next review compares as not later: the customer is due
    later = pd.to_datetime(latest[_NEXT]) >= pd.Timestamp(
        as_of.tz_convert(zone).date()
    ) + pd.Timedelta(days=1)
    return frozenset(latest.loc[later, CUSTOMER_ID])


def read_history(previous: Sequence[Path], policy: TierPolicy) -> TierHistory | None:
    """Read earlier score files as tier history; None without earlier files.

    Raises ConfigError if a file cannot be read, lacks a column, or holds tiers that `policy` does
    not have.
    """
    if not previous:
        return None
    frames = [read_scores(path, columns=_HISTORY) for path in previous]
    return TierHistory.of(pd.concat(frames, ignore_index=True), policy=policy)


def read_scores(path: Path, *, columns: tuple[str, ...] | None = None) -> pd.DataFrame:
    """Read the folder of a scoring run, or one score file.

    `columns`: columns to read; None reads all.
    Raises ConfigError if it cannot be read as Parquet, or lacks a column.
    """
    try:
        frames = []
        for part in score_files(path):
            absent = set(columns or ()) - set(pq.read_schema(part).names)
            if absent:
                msg = f"score file {part} lacks {', '.join(sorted(absent))}: name another"
                raise ConfigError(msg)
            wanted = None if columns is None else list(columns)
            frames.append(pq.read_table(part, columns=wanted).to_pandas())
        frame: pd.DataFrame = pd.concat(frames, ignore_index=True)
    except (OSError, pa.ArrowInvalid) as error:
        msg = f"score file {path} cannot be read as Parquet ({type(error).__name__}): name another"
        raise ConfigError(msg) from None
    return frame


def _require_some(previous: Sequence[Path]) -> None:
    if not previous:
        msg = "--incremental continues earlier runs: name them by --previous, or leave it out"
        raise ConfigError(msg)
