"""run_score: read, score, grade, explain, and write one file whole."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kyc_ml.bundle import Bundle
from kyc_ml.contract.source import ContractedTables
from kyc_ml.engine.writing import require_place, written_whole
from kyc_ml.jobs.choosing import choose_observations
from kyc_ml.jobs.loading import features_and_facts, load_model
from kyc_ml.jobs.reading import choose_as_of, parse_moment, read_tables
from kyc_ml.jobs.tiering import read_history
from kyc_ml.jobs.watch import Watch
from kyc_ml.score import score_and_grade
from kyc_ml.tiers import (
    NOBODY,
    OverrideBook,
    TierHistory,
    compute_tier_table,
    confidentiality,
    load_overrides,
)
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
    overrides: Path | None = None,
    previous: Sequence[Path] = (),
) -> ScoringResult:
    """Score, grade and explain new rows, and write them as one Parquet file.

    Parameters
    ----------
    overrides : Path or None
        Overrides entered for single customers; see `load_overrides`.
    previous : sequence of Path
        Score files of earlier reviews, which the policy's hysteresis holds tiers against.
    """
    require_place(out)
    bundle, label = load_model(model)
    book = NOBODY if overrides is None else load_overrides(overrides)
    history = read_history(previous, bundle.policy)
    start = time.perf_counter()
    tables, _ = read_tables(source, data, quarantine=quarantine, watch=watch)
    read_seconds = time.perf_counter() - start
    result = score_tables(
        tables,
        bundle,
        label,
        since=None if since is None else parse_moment(since, name="--since"),
        as_of=choose_as_of(as_of, tables),
        out=out,
        watch=watch,
        book=book,
        history=history,
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
    book: OverrideBook = NOBODY,
    history: TierHistory | None = None,
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
    features, facts = features_and_facts(bundle, tables, observations, watch)
    seconds = {"features": time.perf_counter() - start}
    start = time.perf_counter()
    _, unknown = features.encode(bundle.vocabularies)
    scores, grades = score_and_grade(
        bundle,
        features,
        facts=facts,
        book=book,
        history=history,
        progress=lambda done, total: watch.step("scoring and explaining", done, total),
    )
    seconds["scoring and explaining"] = time.perf_counter() - start
    for name, count in unknown.items():
        watch.say(f"unknown categories: {name}: {count:,} row(s), treated as missing")
    for line in grades.notes():
        watch.say(f"tier policy {bundle.policy.label}: {line}")
    result = ScoringResult(
        path=out,
        read=sum(table.read for table in tables.quality.tables),
        quarantined=sum(table.quarantined for table in tables.quality.tables),
        rows=scores.num_rows,
        tiers=compute_tier_table(
            grades.tier, scores["probability"].to_numpy(), policy=bundle.policy
        ),
        unknown_categories=unknown,
        seconds=seconds,
    )
    _write_scores(scores, result, bundle, label, as_of=as_of)
    return result


def _write_scores(
    scores: pa.Table, result: ScoringResult, bundle: Bundle, label: str, *, as_of: pd.Timestamp
) -> None:
    """Write the table whole, and log the counts."""
    scores = scores.append_column("model_version", pa.array([label] * len(scores), pa.string()))
    scores = scores.replace_schema_metadata(
        {
            **{f"kyc_ml.{name}": text for name, text in confidentiality(bundle.policy).items()},
            "kyc_ml.as_of": as_of.isoformat(),
            "kyc_ml.model": label,
        }
    )
    with written_whole(result.path) as handle:
        pq.write_table(scores, handle, compression="zstd")
    counts = zip("tier/" + result.tiers["tier"], result.tiers["rows"].astype(float), strict=True)
    log_scoring(
        model=label,
        metrics={
            "rows/read": result.read,
            "rows/quarantined": result.quarantined,
            "rows/scored": result.rows,
            **dict(counts),
            **{f"seconds/{stage}": spent for stage, spent in result.seconds.items()},
        },
        tags={
            "job": "score",
            "model": label,
            "bundle_digest": bundle.digest,
            "as_of": as_of.isoformat(),
        },
    )
