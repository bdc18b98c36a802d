"""Scores of earlier dates: as a history of tiers, and one date against another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.config import load_section
from kyc_ml.contract import CUSTOMER_ID
from kyc_ml.decision import Migration, TierHistory, TierPolicy, compare_scores
from kyc_ml.errors import ConfigError
from kyc_ml.features import DECISION_TIME
from kyc_ml.scoring.manifest import score_files
from kyc_ml.storage import require_place, written_whole

_HISTORY_COLUMNS: Final = (
    CUSTOMER_ID,
    DECISION_TIME,
    "tier_before_overrides",
    "tier_of_score",
)


def run_tiers_moves(*, before: Path, after: Path, policy: Path, out: Path | None) -> Migration:
    """Compare two score files: the migration matrix, and who moved and why.

    Parameters
    ----------
    policy : Path
        Any version of the policy that both were graded by: it puts the tiers in order.
    out : Path or None
        Parquet file to write the moves to.

    Raises
    ------
    ConfigError
        As `compare_scores` does, or if a file cannot be read.
    """
    if out is not None:
        require_place(out)
    graded_by = load_section(policy, TierPolicy)
    found = compare_scores(_read_scores(before), _read_scores(after), policy=graded_by)
    if out is not None:
        with written_whole(out) as handle:
            pq.write_table(pa.Table.from_pandas(found.moves, preserve_index=False), handle)
    return found


def read_history(previous: Sequence[Path], policy: TierPolicy) -> TierHistory | None:
    """Read earlier score files as history; None where there is none.

    Raises
    ------
    ConfigError
        If a file cannot be read, lacks a column or holds other tiers.
    """
    if not previous:
        return None
    frames = [_read_scores(path, columns=_HISTORY_COLUMNS) for path in previous]
    return TierHistory.of(pd.concat(frames, ignore_index=True), policy=policy)


def _read_scores(path: Path, *, columns: tuple[str, ...] | None = None) -> pd.DataFrame:
    """Read the folder of a scoring run, or one score file."""
    try:
        frames = []
        for part in score_files(path):
            present = pq.read_schema(part).names
            wanted = present if columns is None else [name for name in columns if name in present]
            frames.append(pq.read_table(part, columns=wanted).to_pandas())
        frame: pd.DataFrame = pd.concat(frames, ignore_index=True)
    except (OSError, pa.ArrowInvalid) as error:
        msg = f"score file {path} cannot be read as Parquet ({type(error).__name__}): name another"
        raise ConfigError(msg) from None
    return frame
