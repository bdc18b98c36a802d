"""Score a file of features part by part; each part is a file that appears whole.

A part is a row group of the features, so a part that is done is skipped without reading it. No
value depends on where the parts are cut.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.contract import parts_of
from kyc_ml.decision import TierPolicy
from kyc_ml.display import Progress
from kyc_ml.features import OBSERVATION_ID, FeatureSpec, FeatureTable
from kyc_ml.model import Contributions
from kyc_ml.scoring.counts import Counts
from kyc_ml.storage import Checkpoints, written_whole

if TYPE_CHECKING:
    from kyc_ml.engines import Cluster

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scoring:
    """How the rows of a part are scored and written, on this machine or another."""

    specs: tuple[FeatureSpec, ...]
    unavailable: Mapping[str, str]
    scorer: PartScorer
    finish: Callable[[pa.Table], pa.Table]
    work: Path

    def score(self, rows: pa.Table, name: str) -> tuple[list[Path], dict[str, Any]]:
        """Score rows of features; return the files written, and the counts."""
        table = FeatureTable.from_arrow(rows, self.specs, unavailable=self.unavailable)
        part = self.scorer.score(table)
        files = _write(self.finish(part.scores), part.contributions, name, work=self.work)
        return files, asdict(part.counts)


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
    scoring = _Scoring(
        specs=tuple(specs), unavailable=unavailable, scorer=scorer, finish=finish, work=work
    )
    with pq.ParquetFile(features) as file:
        total, done = file.metadata.num_rows, 0
        for number in range(file.num_row_groups):
            step, name = f"{scorer.who}-{number:05d}", f"part-{number:05d}"
            noted = steps.done(step)
            if noted is None:
                noted = steps.note(step, *scoring.score(file.read_row_group(number), name))
            counts.append(Counts(**noted))
            done += counts[-1].rows
            progress(done, total)
    return counts


def score_on_workers(
    cluster: "Cluster",
    features: Path,
    specs: Sequence[FeatureSpec],
    *,
    unavailable: Mapping[str, str],
    scorer: PartScorer,
    finish: Callable[[pa.Table], pa.Table],
    part_rows: int,
    work: Path,
    steps: Checkpoints,
    progress: Progress,
) -> list[Counts]:
    """Score a folder of features on the workers of a cluster; see `score_parts`.

    Files that follow each other are one task, twice as many tasks as run together: a task reads
    the payments of its patterns once for `part_rows` rows. Files of tasks that ran twice stay in
    a folder that is not published.
    """
    step = f"{scorer.who}-on-workers"
    noted = steps.done(step)
    if noted is None:
        shared = _Scoring(
            specs=tuple(specs),
            unavailable=dict(unavailable),
            scorer=scorer,
            finish=finish,
            work=work.absolute() / f"{scorer.who}-tasks",
        )
        files = [str(path) for path in parts_of(features.absolute())]
        groups = np.array_split(np.array(files), min(len(files), 2 * cluster.slots))
        items = [group.tolist() for group in groups]
        reports = cluster.each(partial(_score_files, part_rows), items, shared=shared)
        parts = [part for report in reports for part in report["parts"]]
        written = []
        for number, part in enumerate(parts):
            for path in map(Path, part["files"]):
                written.append(work / path.parent.name / f"part-{number:05d}.parquet")
                written[-1].parent.mkdir(exist_ok=True)
                path.replace(written[-1])
        noted = steps.note(step, written, {"counts": [part["counts"] for part in parts]})
    counts = [Counts(**each) for each in noted["counts"]]
    rows = sum(each.rows for each in counts)
    progress(rows, rows)
    return counts


def _score_files(part_rows: int, scoring: _Scoring, files: Sequence[str]) -> dict[str, Any]:
    """Score the rows of some files, on a worker; report the files written and the counts."""
    parts = []
    for rows in _together([Path(path) for path in files], part_rows):
        written, counts = scoring.score(rows, uuid.uuid4().hex)
        parts.append({"files": [str(path) for path in written], "counts": counts})
    return {"parts": parts}


def _together(files: Sequence[Path], most: int) -> Iterator[pa.Table]:
    """Read files one after the other, and put their rows together up to a number."""
    held, rows = [], 0
    for path in files:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(most):
                while rows + batch.num_rows >= most:
                    held.append(batch.slice(0, most - rows))
                    yield pa.Table.from_batches(held)
                    batch, held, rows = batch.slice(most - rows), [], 0  # noqa: PLW2901
                if batch.num_rows:
                    held.append(batch)
                    rows += batch.num_rows
    if held:
        yield pa.Table.from_batches(held)


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
