"""Scoring a file of features part by part: each part is a file that appears whole.

A part is a row group of the features, so a part that is done is passed over without reading
it. No value depends on where the parts are cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.decision import TierPolicy
from kyc_ml.display import Progress
from kyc_ml.features import OBSERVATION_ID, FeatureSpec, FeatureTable
from kyc_ml.model import Contributions
from kyc_ml.scoring.counts import Counts
from kyc_ml.storage import Checkpoints, written_whole

PART_ROWS: Final = 32_768
"""Rows of a part by default: of 400 features, about 0.1 GB beside as much of contributions."""

SCORES: Final = "scores"
CONTRIBUTIONS: Final = "contributions"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredPart:
    """One part's rows, ready to be written.

    Attributes
    ----------
    scores : pyarrow.Table
    contributions : pyarrow.Table or None
        observation_id, base_value and a column a feature; None where not asked for.
    counts : Counts
    """

    scores: pa.Table
    contributions: pa.Table | None
    counts: Counts


class PartScorer(Protocol):
    """Scores the rows of a part, each by itself."""

    who: ClassVar[str]
    """Who scores: the model, or the rating."""

    @property
    def own(self) -> frozenset[str]:
        """Names of the features without which nothing can be scored."""

    @property
    def policy(self) -> TierPolicy:
        """The tier policy that grades."""

    @property
    def specs(self) -> tuple[FeatureSpec, ...]:
        """All features that are read."""

    def score(self, facts: FeatureTable) -> ScoredPart:
        """Score rows of these features."""


def score_parts(
    features: Path,
    specs: Sequence[FeatureSpec],
    *,
    unavailable: Mapping[str, str],
    scorer: PartScorer,
    finish: Callable[[pa.Table], pa.Table],
    work: Path,
    steps: Checkpoints,
    tell: Progress,
) -> list[Counts]:
    """Score every row group of a file of features into a part of its own; pass over those done.

    Parameters
    ----------
    features : Path
        Parquet file with the columns of `FeatureTable.to_arrow`.
    specs : sequence of FeatureSpec
        Its feature columns, in their order.
    finish : callable
        Adds to a part's scores what is the same for the whole run.
    work : Path
        Folder of the run; parts go below ``scores/`` and ``contributions/``.

    Returns
    -------
    list of Counts, one a part

    Raises
    ------
    OutputError
        If a part cannot be written.
    """
    counts = []
    with pq.ParquetFile(features) as file:
        total, done = file.metadata.num_rows, 0
        for number in range(file.num_row_groups):
            step, name = f"{scorer.who}-{number:05d}", f"part-{number:05d}"
            facts = steps.done(step)
            if facts is None:
                rows = FeatureTable.from_arrow(
                    file.read_row_group(number), specs, unavailable=unavailable
                )
                part = scorer.score(rows)
                files = _write(finish(part.scores), part.contributions, name, work=work)
                facts = steps.note(step, files, part.counts.to_dict())
            counts.append(Counts.from_dict(facts))
            done += counts[-1].rows
            tell(done, total)
    return counts


def contributions_table(features: FeatureTable, contributions: Contributions) -> pa.Table:
    """Put full contributions beside their observation: base_value and a column a feature."""
    names = enumerate(features.names)
    return pa.table(
        {
            OBSERVATION_ID: features.keys[OBSERVATION_ID],
            "base_value": pa.array(contributions.base),
            **{name: pa.array(contributions.values[:, at]) for at, name in names},
        }
    )


def _write(
    scores: pa.Table, contributions: pa.Table | None, name: str, *, work: Path
) -> list[Path]:
    """Write a part's files."""
    written = []
    for folder, table in ((SCORES, scores), (CONTRIBUTIONS, contributions)):
        if table is not None:
            path = work / folder / f"{name}.parquet"
            with written_whole(path) as handle:
                pq.write_table(table, handle, compression="zstd")
            written.append(path)
    return written
