"""run_score: read, score, grade, explain, and write one file whole."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.bundle import Bundle
from kyc_ml.contract.source import ContractedTables
from kyc_ml.engine.writing import require_place, written_whole
from kyc_ml.features.table import FeatureTable
from kyc_ml.jobs.choosing import choose_observations
from kyc_ml.jobs.loading import features_of, load_model
from kyc_ml.jobs.reading import end_of_data, parse_moment, read_tables
from kyc_ml.jobs.watch import Watch
from kyc_ml.score import score_features
from kyc_ml.tiers import assign_tiers, compute_tier_table
from kyc_ml.tracking import log_scoring, reach_store


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringResult:
    """What a scoring run did."""

    path: Path
    read: int
    quarantined: int
    rows: int
    tiers: pd.DataFrame
    unknown_categories: dict[str, int]
    seconds: dict[str, float]


def run_score(
    *,
    model: str,
    source: Path,
    data: Path,
    since: str | None,
    as_of: str | None,
    out: Path,
    quarantine: Path,
    watch: Watch,
) -> ScoringResult:
    """Score, grade and explain new rows, and write them as one Parquet file."""
    require_place(out)
    bundle, label = load_model(model)
    start = time.perf_counter()
    tables, _ = read_tables(source, data, quarantine=quarantine, watch=watch)
    read_seconds = time.perf_counter() - start
    result = score_tables(
        tables,
        bundle,
        label,
        since=None if since is None else parse_moment(since, name="--since"),
        as_of=end_of_data(tables) if as_of is None else parse_moment(as_of, name="--as-of"),
        out=out,
        watch=watch,
    )
    return replace(result, seconds={"reading": read_seconds, **result.seconds})


def score_tables(
    tables: ContractedTables,
    bundle: Bundle,
    label: str,
    *,
    since: pd.Timestamp | None,
    as_of: pd.Timestamp,
    out: Path,
    watch: Watch,
) -> ScoringResult:
    """Score tables already read; see `run_score` and `choose_observations`.

    Parameters
    ----------
    label : str
        Name and version of the model, for the score table; see `load_model`.
    """
    reach_store()
    observations = choose_observations(
        tables,
        unit=bundle.config.unit,
        since=since,
        as_of=as_of,
        dataset=bundle.config.dataset,
    )
    start = time.perf_counter()
    features = features_of(bundle, tables, observations, watch)
    seconds = {"features": time.perf_counter() - start}
    return _write_scores(
        bundle, label, features, tables, as_of=as_of, out=out, seconds=seconds, watch=watch
    )


def _write_scores(
    bundle: Bundle,
    label: str,
    features: FeatureTable,
    tables: ContractedTables,
    *,
    as_of: pd.Timestamp,
    out: Path,
    seconds: dict[str, float],
    watch: Watch,
) -> ScoringResult:
    """Score features, write the table whole, and log the counts."""
    start = time.perf_counter()
    _, unknown = features.encode(bundle.vocabularies)
    scores = score_features(
        bundle,
        features,
        progress=lambda done, total: watch.step("scoring and explaining", done, total),
    )
    seconds = {**seconds, "scoring and explaining": time.perf_counter() - start}
    scores = scores.append_column("model_version", pa.array([label] * len(scores), pa.string()))
    scores = scores.replace_schema_metadata(
        {
            "kyc_ml.disclosure": bundle.policy.disclosure,
            "kyc_ml.as_of": as_of.isoformat(),
            "kyc_ml.model": label,
        }
    )
    with written_whole(out) as handle:
        pq.write_table(scores, handle, compression="zstd")
    for name, count in unknown.items():
        watch.say(f"unknown categories: {name}: {count:,} row(s), treated as missing")
    proba = scores["probability"].to_numpy()
    tiers = compute_tier_table(
        assign_tiers(proba, policy=bundle.policy), proba, policy=bundle.policy
    )
    read = sum(table.read for table in tables.quality.tables)
    quarantined = sum(table.quarantined for table in tables.quality.tables)
    log_scoring(
        model=label,
        metrics={
            "rows_read": read,
            "rows_quarantined": quarantined,
            "rows_scored": scores.num_rows,
            **dict(zip("tier_" + tiers["tier"], tiers["rows"].astype(float), strict=True)),
            **{f"seconds_{stage.replace(' ', '_')}": spent for stage, spent in seconds.items()},
        },
        tags={"model": label, "bundle_digest": bundle.digest, "as_of": as_of.isoformat()},
    )
    return ScoringResult(
        path=out,
        read=read,
        quarantined=quarantined,
        rows=scores.num_rows,
        tiers=tiers,
        unknown_categories=unknown,
        seconds=seconds,
    )
