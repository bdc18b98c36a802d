"""Compute the rows of a validation from the data: nothing is taken from the developer."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml import decision
from kyc_ml.config import TEST
from kyc_ml.contract import AMOUNT, ContractedTables
from kyc_ml.dataset import positive_cases, to_target
from kyc_ml.display import ProgressReporter
from kyc_ml.errors import ConfigError, Faults, hint
from kyc_ml.features import FeatureSpec, FeatureTable, build_features
from kyc_ml.metrics import Floats, ModelMetrics, Names, Predictions, compute_metrics
from kyc_ml.registry import Bundle, columns_of_bundle, features_and_facts
from kyc_ml.training import FOLDS, is_cross_validated, predict_again
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.policy import Settings
from kyc_ml.validation.rows import Role, ScoredRows, score_built
from kyc_ml.validation.run.row_choice import ChosenPart, ReviewPart, plan_parts


def collect_rows(
    bundle: Bundle,
    tables: ContractedTables,
    *,
    chosen: ChosenPart,
    since: pd.Timestamp | None,
    as_of: pd.Timestamp,
    settings: Settings,
    card: decision.Scorecard | None,
    reporter: ProgressReporter,
) -> ReviewEvidence:
    """Choose, compute, label and score the current, reference and training rows.

    `since` is the first decision to evaluate, not before the training date.

    Raises ConfigError if the policy names a segment or group that is not a declared feature;
    DatasetError if no row has a mature outcome, or a feature of the model cannot be computed.
    """
    specs, left_out = _specs(bundle, settings, card)
    parts, status_then = plan_parts(
        bundle, tables, chosen=chosen, since=since, as_of=as_of, settings=settings
    )
    found: dict[Role, ScoredRows] = {}
    fitted, baseline, held_out = None, None, None
    for part in parts:
        built = build_features(
            tables,
            part.observations,
            specs=specs,
            progress=partial(reporter.progress, f"building features of {part.role} rows"),
        )
        # raises if a column is missing; without rows, because it copies them
        columns_of_bundle(bundle, built.take(np.zeros(0, np.int64)))
        named = _named(settings)
        left_out |= {name: why for name, why in built.unavailable.items() if name in named}
        predicted = None
        if part.learned is not None:
            held_out, probability = predict_again(
                bundle, built, part.learned, tell=reporter.progress
            )
            predicted = (held_out.margin, probability)
            if part.role == "current":
                fitted = _score(bundle, tables, part, built, as_of=as_of)
                baseline = Predictions(
                    score=held_out.baseline[part.evaluated],
                    probability=held_out.baseline_probability(part.learned)[part.evaluated],
                )
        found[part.role] = _score(bundle, tables, part, built, as_of=as_of, predicted=predicted)
    tested = found["reference" if chosen == "later" else "current"]
    return ReviewEvidence(
        bundle=bundle,
        as_of=as_of,
        current=found["current"],
        reference=found.get("reference", found["current"]),
        train=found["train"],
        fitted=fitted,
        baseline=baseline,
        observations=next(part.observations for part in parts if part.role == "current"),
        recorded=_quality_then(tested, status_then),
        recorded_part=FOLDS if is_cross_validated(bundle) else TEST,
        current_is_recorded=chosen != "later",
        tables=tables,
        card=card,
        left_out=left_out,
        reporter=reporter,
    )


def _score(
    bundle: Bundle,
    tables: ContractedTables,
    part: ReviewPart,
    built: FeatureTable,
    *,
    as_of: pd.Timestamp,
    predicted: tuple[Floats, Floats] | None = None,
) -> ScoredRows:
    typology = np.full(len(built), None, dtype=object)
    days = np.full(len(built), np.nan)
    cases = positive_cases(
        tables,
        part.observations,
        unit=bundle.config.unit,
        as_of=as_of,
        config=bundle.config.dataset,
    )
    places = cases["row"].to_numpy(dtype=np.int64)
    typology[places] = cases["typology"].to_numpy(dtype=object)
    days[places] = cases["days"].to_numpy(dtype=np.float64)
    amount = np.full(len(built), np.nan)
    if AMOUNT in part.observations.column_names:
        amount = part.observations[AMOUNT].to_numpy()
    return ScoredRows(
        **score_built(bundle, built, predicted=predicted),
        role=part.role,
        origin=part.origin,
        since=part.since,
        until=part.until,
        status=part.status,
        evaluated=part.evaluated,
        end=part.end,
        typology=typology,
        arrival_days=days,
        amount=np.asarray(amount, dtype=np.float64),
    )


def _quality_then(rows: ScoredRows, status: Names) -> ModelMetrics:
    target = to_target(status)
    used = ~np.isnan(target)
    return compute_metrics(
        target[used], rows.margin[used], rows.probability[used], customers=rows.customers[used]
    )


def _named(settings: Settings) -> tuple[str, ...]:
    return (*settings.segments, *(group.feature for group in settings.groups))


def _specs(
    bundle: Bundle, settings: Settings, card: decision.Scorecard | None
) -> tuple[tuple[FeatureSpec, ...], dict[str, str]]:
    """Return the features to compute: for the model, tiers, scorecard, segments and groups."""
    run = bundle.config
    declared = decision.declare_facts(run.features, bundle.policy)
    faults = Faults("settings of the validation policy", ConfigError)
    names, left_out = [], {}
    for name in dict.fromkeys(_named(settings)):
        spec = declared.get(name)
        if spec is None:
            faults.add(f"{name!r} is not a declared feature{hint(name, declared)}")
        elif run.unit not in spec.observation_units:
            left_out[name] = f"not a feature of {run.unit} observations"
        else:
            names.append(name)
    faults.raise_if_any()
    specs = decision.merge_specs(
        bundle.specs, decision.features_needed(bundle.policy, declared, unit=run.unit)
    )
    specs = decision.merge_specs(specs, decision.specs_of(names, declared))
    if card is not None:
        specs = decision.merge_specs(specs, decision.card_features(card, declared))
    return specs, left_out


def score_with(
    bundle: Bundle,
    tables: ContractedTables,
    current: ScoredRows,
    observations: pa.Table,
    *,
    learned: Floats | None = None,
    reporter: ProgressReporter,
) -> ScoredRows:
    """Score the current rows with another model, from its own features.

    `learned`: float64 array of shape (n,); outcomes known at its training, if these are the rows
    that it was cross-validated on: they are then predicted out of fold.
    """
    _, built = features_and_facts(bundle, tables, observations, reporter)
    predicted = None
    if learned is not None:
        found, probability = predict_again(bundle, built, learned, tell=reporter.progress)
        predicted = (found.margin, probability)
    return replace(current, **score_built(bundle, built, predicted=predicted))
