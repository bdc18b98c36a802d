"""Score a file of features part by part; each part is a file that appears whole.

A part is a row group of the features, so a part that is done is skipped without reading it. No
value depends on where the parts are cut.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
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

SCORES: Final = "scores"
CONTRIBUTIONS: Final = "contributions"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredPart:
    """One part's rows, ready to be written."""

    scores: pa.Table
    contributions: pa.Table | None
    """observation_id, base_value and one column per feature; None if not requested."""
    counts: Counts


class PartScorer(Protocol):
    """Scores the rows of a part independently of each other."""

    who: ClassVar[str]
    """'model' or 'rating'."""

    @property
    def own(self) -> frozenset[str]:
        """Names of the features without which no row can be scored."""

    @property
    def policy(self) -> TierPolicy:
        """The tier policy that grades the rows."""

    @property
    def cash_report(self) -> float:
        """Cash amount from which the bank reports, base currency."""

    @property
    def specs(self) -> tuple[FeatureSpec, ...]:
        """All features that are read, of model and policy."""

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
    progress: Progress,
) -> list[Counts]:
    """Score every row group of a file of features into one part; skip the parts that are done.

    `features`: Parquet file with the columns of `FeatureTable.to_arrow`.
    `specs`: its feature columns, in their order.
    `finish`: adds the columns that are the same for the whole run to a part's scores.
    `work`: folder of the run; parts go below ``scores/`` and ``contributions/``.
    Returns list of Counts, one per part.
    Raises OutputError if a part cannot be written.
    """
    counts = []
    with pq.ParquetFile(features) as file:
        total, done = file.metadata.num_rows, 0
        for number in range(file.num_row_groups):
            step, name = f"{scorer.who}-{number:05d}", f"part-{number:05d}"
            noted = steps.done(step)
            if noted is None:
                rows = FeatureTable.from_arrow(
                    file.read_row_group(number), specs, unavailable=unavailable
                )
                part = scorer.score(rows)
                files = _write(finish(part.scores), part.contributions, name, work=work)
                noted = steps.note(step, files, asdict(part.counts))
            counts.append(Counts(**noted))
            done += counts[-1].rows
            progress(done, total)
    return counts


def contributions_table(features: FeatureTable, contributions: Contributions) -> pa.Table:
    """Return observation id, base value, and the contribution of every feature by name."""
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
    """Write the files of a part; return their paths."""
    written = []
    for folder, table in ((SCORES, scores), (CONTRIBUTIONS, contributions)):
        if table is not None:
            path = work / folder / f"{name}.parquet"
            with written_whole(path) as handle:
                pq.write_table(table, handle, compression="zstd")
            written.append(path)
    return written
