"""What a later extract says of the past, compared with what an earlier one could say."""

from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.contract import CASES, CUSTOMER_ID, KNOWN_AT, ContractedTables, find_end
from kyc_ml.errors import DatasetError
from kyc_ml.features.audit.movement import changes_of
from kyc_ml.features.build import build_features
from kyc_ml.features.spec import FeatureSpec
from kyc_ml.features.table import OBSERVATION_ID
from kyc_ml.metrics import Floats, Ints

_MOST: Final = 1_000
"""Observations to compare of customers with a new case, and of others (convention)."""


def compare_extracts(
    now: ContractedTables,
    earlier: ContractedTables,
    observations: pa.Table,
    *,
    known: pa.Table,
    specs: tuple[FeatureSpec, ...],
    seed: int = 0,
    threads: int = 2,
) -> tuple[int, pd.DataFrame]:
    """List the features whose past values changed between two extracts of one source.

    What was known at a decision is in an extract made after it. A feature that is different when
    it is computed from a later extract reads rows that were added, or values that were
    changed, under an earlier date: they were not known at the decision. Half of the observations
    are of customers with a case that became known between the extracts, if that many exist.

    `observations`: of the later extract.
    `known`: of the earlier extract, before its end: only observations of both are compared.
    Returns `observations`: how many were compared.
    Returns `features`: feature, observations, moved (whose value differs), largest_change (as in
    `FeatureAudit.features`); those that moved, the most first.
    Raises DatasetError if no observation is in both extracts.
    """
    both = observations.filter(pc.is_in(observations[OBSERVATION_ID], known[OBSERVATION_ID]))
    if not both.num_rows:
        raise DatasetError(
            "the extracts have no observation in common before the earlier one ends: give two "
            "extracts of one source, and --as-of of the later one"
        )
    chosen = both.take(pa.array(_choose(now, earlier, both, seed=seed))).combine_chunks()
    new, old = (
        build_features(source, chosen, specs=specs, threads=threads) for source in (now, earlier)
    )
    lines = []
    every = np.arange(len(new))
    for name in new.names:
        change: Floats = changes_of(new, old, name, every)
        lines.append((name, len(new), int((change > 0).sum()), float(change.max(initial=0.0))))
    columns = ["feature", "observations", "moved", "largest_change"]
    table = pd.DataFrame(lines, columns=columns)
    moved = table[table["moved"] > 0].sort_values(
        ["moved", "feature"], ascending=[False, True], ignore_index=True
    )
    return len(new), moved


def _choose(now: ContractedTables, earlier: ContractedTables, both: pa.Table, *, seed: int) -> Ints:
    """Draw observations of customers with a new case, and of others; in their order."""
    rng = np.random.default_rng([seed, 3])
    fresh = np.zeros(both.num_rows, np.bool_)
    end = find_end(earlier)
    if CASES in now.tables and end is not None:
        limit = pa.scalar(end.to_pydatetime(), pa.timestamp("us", "UTC"))
        new = now[CASES].filter(pc.greater(now[CASES][KNOWN_AT], limit))
        fresh = np.asarray(pc.is_in(both[CUSTOMER_ID], new[CUSTOMER_ID].combine_chunks()))
    parts = [np.flatnonzero(fresh), np.flatnonzero(~fresh)]
    drawn = [rng.choice(each, min(_MOST, each.size), replace=False) for each in parts]
    return np.sort(np.concatenate(drawn))
