"""run_score, run_features, run_explain: one set of observations, three uses."""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kyc_ml.bundle import Bundle, load_bundle
from kyc_ml.config import DatasetConfig, RunConfig, Unit, load_section
from kyc_ml.contract.source import ContractedTables
from kyc_ml.contract.tables import REVIEWS
from kyc_ml.dataset import make_observations, make_reviews_at
from kyc_ml.engine.writing import require_place, written_whole
from kyc_ml.errors import BundleError, ConfigError, DatasetError, RegistryError
from kyc_ml.explain import make_reasons
from kyc_ml.features.build import build_features
from kyc_ml.features.catalog import choose_features
from kyc_ml.features.table import OBSERVATION_ID, FeatureTable
from kyc_ml.jobs.reading import end_of_data, parse_moment, read_tables
from kyc_ml.jobs.watch import Watch
from kyc_ml.score import score_features
from kyc_ml.tiers import assign_tiers, compute_tier_table
from kyc_ml.tracking import fetch_bundle, log_scoring, reach_store


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


def load_model(model: str) -> tuple[Bundle, str]:
    """Load a bundle from a folder or from the registry, with a name for the score table.

    Raises
    ------
    BundleError, RegistryError
        If it does not exist or was changed.
    """
    if not model.startswith("models:/"):
        if re.match(r"(models?|runs):", model):
            msg = (
                f"{model} is no model address: write models:/NAME@ALIAS or "
                "models:/NAME/VERSION, or name a bundle's folder"
            )
            raise RegistryError(msg)
        bundle = load_bundle(Path(model))
        return bundle, f"{bundle.config.name} {bundle.digest[:12]}"
    with tempfile.TemporaryDirectory() as scratch:
        folder, digest, label = fetch_bundle(model, Path(scratch))
        try:
            return load_bundle(folder, digest=digest), label
        except BundleError as error:
            msg = str(error).replace(str(folder), f"of {model}")
            msg += "; what the registry stores is damaged: name another version, or train again"
            raise BundleError(msg) from None


def choose_observations(
    tables: ContractedTables,
    *,
    unit: Unit,
    since: pd.Timestamp | None,
    as_of: pd.Timestamp,
    dataset: DatasetConfig,
) -> pa.Table:
    """List what is to be scored.

    For `fraud`: transactions from `since` (by default the day before) up to `as_of`. For
    `risk`: the reviews in that time if the source plans them and `since` is given, else
    every customer, reviewed at `as_of`.
    """
    if unit == "fraud":
        start = as_of - pd.Timedelta(days=1) if since is None else since
        return make_observations(tables, unit=unit, start=start, end=as_of, config=dataset)
    if since is not None and REVIEWS not in tables.tables:
        msg = "--since chooses planned reviews, but the source has no table reviews: leave it out"
        raise ConfigError(msg)
    if since is not None:
        return make_observations(tables, unit=unit, start=since, end=as_of, config=dataset)
    reviews = make_reviews_at(tables, at=as_of)
    if not reviews.num_rows:
        msg = (
            f"no customer was known before {as_of.date().isoformat()}: check --as-of against the "
            "first and last event of the data-quality summary"
        )
        raise DatasetError(msg)
    return reviews


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
    features = _features_of(bundle, tables, observations, watch)
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


def run_features(
    *,
    config: Path,
    source: Path,
    data: Path,
    since: str | None,
    as_of: str | None,
    out: Path,
    quarantine: Path,
    watch: Watch,
) -> tuple[int, int, dict[str, str]]:
    """Compute the features a configuration chooses; returns rows, columns, and left out."""
    run = load_section(config, RunConfig)
    specs = choose_features(run.features, unit=run.unit)
    require_place(out)
    tables, _ = read_tables(source, data, quarantine=quarantine, watch=watch)
    moment = end_of_data(tables) if as_of is None else parse_moment(as_of, name="--as-of")
    observations = choose_observations(
        tables,
        unit=run.unit,
        since=None if since is None else parse_moment(since, name="--since"),
        as_of=moment,
        dataset=run.dataset,
    )
    features = build_features(
        tables,
        observations,
        specs=specs,
        threads=run.model.num_threads,
        progress=lambda done, total: watch.step("building features", done, total),
    )
    for name, reason in features.left_out.items():
        watch.say(f"feature left out: {name}: {reason}")
    with written_whole(out) as handle:
        pq.write_table(features.to_arrow(), handle, compression="zstd")
    return len(features), len(features.specs), dict(features.left_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One observation's score with every contribution.

    Attributes
    ----------
    contributions : DataFrame
        text, text_zh, contribution (log-odds); largest in size first.
    """

    observation_id: str
    probability: float
    tier: str
    tier_zh: str
    margin: float
    base_value: float
    contributions: pd.DataFrame


def run_explain(
    *,
    observation: str,
    model: str,
    source: Path,
    data: Path,
    top: int,
    quarantine: Path,
    watch: Watch,
) -> Explained:
    """Explain one observation: a transaction id, or CUSTOMER@DATE for a review.

    Raises
    ------
    DatasetError
        If the source has no such observation.
    """
    bundle, _ = load_model(model)
    tables, _ = read_tables(source, data, quarantine=quarantine, watch=watch)
    observations = _find_observation(tables, observation, unit=bundle.config.unit)
    features = _features_of(bundle, tables, observations, watch)
    scores = score_features(bundle, features).to_pylist()[0]
    matrix, _ = features.encode(bundle.vocabularies)
    contributions = bundle.model.contributions(matrix)
    k = min(top, len(features.specs))
    reasons = make_reasons(
        features,
        contributions.values,
        reference=bundle.reference,
        currency=bundle.data["base_currency"],
        k=k,
    )
    rows = [
        {
            "text": reasons[f"reason_{place}_text"][0].as_py(),
            "text_zh": reasons[f"reason_{place}_text_zh"][0].as_py(),
            "contribution": reasons[f"reason_{place}_contribution"][0].as_py(),
        }
        for place in range(1, k + 1)
    ]
    return Explained(
        observation_id=observation,
        contributions=pd.DataFrame(rows),
        **{
            name: scores[name]
            for name in ("probability", "tier", "tier_zh", "margin", "base_value")
        },
    )


def _find_observation(tables: ContractedTables, observation: str, *, unit: Unit) -> pa.Table:
    _, at, day = observation.rpartition("@")
    forever = pd.Timestamp("2200-01-01", tz="UTC")
    if unit == "risk" and at:
        found = make_reviews_at(tables, at=parse_moment(day, name="the date after @"))
    elif unit == "fraud" or REVIEWS in tables.tables:
        found = make_observations(
            tables, unit=unit, start=None, end=forever, config=DatasetConfig()
        )
    else:  # the reviews of a calendar are all of the form CUSTOMER@DATE
        found = make_reviews_at(tables, at=forever).slice(0, 0)
    row = found.filter(pc.equal(found[OBSERVATION_ID], observation))
    if row.num_rows == 0:
        msg = (
            f"the source has no {unit} observation of that id: give a transaction's id for a "
            "fraud model, a review's id or CUSTOMER@YYYY-MM-DD for a risk model"
        )
        raise DatasetError(msg)
    return row


def _features_of(
    bundle: Bundle, tables: ContractedTables, observations: pa.Table, watch: Watch
) -> FeatureTable:
    """Compute the bundle's own features; one that the source lacks is an error here.

    Raises
    ------
    DatasetError
        If a feature the model was trained on cannot be computed: scoring it as missing
        would change the model silently.
    """
    features = build_features(
        tables,
        observations,
        specs=bundle.specs,
        progress=lambda done, total: watch.step("building features", done, total),
    )
    if features.left_out:
        lines = [f"  - {name}: {reason}" for name, reason in features.left_out.items()]
        head = (
            f"model {bundle.config.name!r} needs {len(lines)} feature(s) that this source "
            "cannot give: map the missing tables and columns, or train a model without them"
        )
        raise DatasetError("\n".join([head, *lines]))
    return features.reorder(bundle.model.feature_names)
