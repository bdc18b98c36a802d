"""run_tiers_moves: compare two scorings of one model, customer by customer."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.config import load_section
from kyc_ml.decision import Migration, TierPolicy, compare_scores
from kyc_ml.scoring.earlier import read_scores
from kyc_ml.storage import require_place, written_whole


def run_tiers_moves(*, before: Path, after: Path, policy: Path, out: Path | None) -> Migration:
    """Compare two score files: the migration matrix, and who moved and why.

    `policy`: Any version of the policy that graded both: it gives the order of the tiers.
    `out`: Parquet file to write the moves to.
    Raises ConfigError as `compare_scores` does, or if a file cannot be read.
    """
    if out is not None:
        require_place(out)
    order = load_section(policy, TierPolicy)
    found = compare_scores(read_scores(before), read_scores(after), policy=order)
    if out is not None:
        with written_whole(out) as handle:
            pq.write_table(pa.Table.from_pandas(found.moves, preserve_index=False), handle)
    return found
