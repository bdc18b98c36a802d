"""What earlier scoring runs say: how far they came, and who is not due again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.contract import CUSTOMER_ID
from kyc_ml.decision import Hysteresis
from kyc_ml.errors import ConfigError
from kyc_ml.features import DECISION_TIME
from kyc_ml.scoring.manifest import read_manifest, score_files
from kyc_ml.storage import MANIFEST

_NEXT = "next_review"


def nights_before(
    out: Path, name: str, *, as_of: pd.Timestamp, rule: Hysteresis | None
) -> tuple[Path, ...]:
    """Find the published nights that a policy holds the tiers of a new one against.

    The newest one is always among them, those that `rule` counts as consecutive reviews, and
    those of its cool-down with the one before: a rise is seen between two.

    Parameters
    ----------
    out : Path
        Folder of nights, each published as ``OUT/YYYY-MM-DD/NAME``.
    rule : Hysteresis or None
        None needs no history.

    Returns
    -------
    tuple of Path
        The newest first; empty where no night before `as_of` is published.

    Raises
    ------
    ConfigError
        If the manifest of a night is damaged.
    """
    found: list[Path] = []
    if rule is None:
        return ()
    cooled = as_of - pd.Timedelta(days=rule.cool_down_days)
    for path in (day / name for day in sorted(out.glob("????-??-??"), reverse=True)):
        if not (path / MANIFEST).is_file():
            continue
        scored = pd.Timestamp(read_manifest(path).as_of)
        if scored < as_of:
            found.append(path)
            if scored <= cooled and len(found) >= (rule.reviews or 1) - 1:
                break
    return tuple(found)


def last_as_of(previous: Sequence[Path]) -> pd.Timestamp:
    """Give the latest instant as of which an earlier run scored.

    Raises
    ------
    ConfigError
        If there is none: a first run has nothing to go on from.
    """
    _require_some(previous)
    return max(pd.Timestamp(read_manifest(path).as_of) for path in previous)


def customers_not_due(previous: Sequence[Path], *, as_of: pd.Timestamp) -> frozenset[str]:
    """List the customers whose latest earlier review set the next one after `as_of`.

    Raises
    ------
    ConfigError
        If there is no earlier run, or one without the columns of a review.
    """
    _require_some(previous)
    latest = (
        pd.concat([_reviews(run) for run in previous], ignore_index=True)
        .sort_values([CUSTOMER_ID, DECISION_TIME], kind="stable")
        .drop_duplicates(CUSTOMER_ID, keep="last")
    )
    # a review without a next one compares as not later: its customer is due
    later = pd.to_datetime(latest[_NEXT]) >= pd.Timestamp(as_of.date()) + pd.Timedelta(days=1)
    return frozenset(latest.loc[later, CUSTOMER_ID])


def _reviews(run: Path) -> pd.DataFrame:
    """Read who was reviewed by a run, when, and when next."""
    columns = [CUSTOMER_ID, DECISION_TIME, _NEXT]
    try:
        parts = [pq.read_table(path, columns=columns) for path in score_files(run)]
        found: pd.DataFrame = pa.concat_tables(parts).select(columns).to_pandas()
    except (OSError, KeyError, pa.ArrowInvalid) as error:
        msg = (
            f"--previous {run}: its scores cannot be read, or lack one of {', '.join(columns)} "
            f"({type(error).__name__}): name another, or leave --incremental out"
        )
        raise ConfigError(msg) from None
    return found


def _require_some(previous: Sequence[Path]) -> None:
    if not previous:
        msg = "--incremental goes on from earlier runs: name them by --previous, or leave it out"
        raise ConfigError(msg)
