"""Cross-validation by customer, for data too small to be split in time."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml import dataset
from kyc_ml.config import CustomerFoldsConfig, RunConfig
from kyc_ml.contract import ContractedTables
from kyc_ml.decision import TierPolicy, require_peers
from kyc_ml.display import StageProgress
from kyc_ml.errors import DatasetError
from kyc_ml.features import DECISION_TIME, FeatureTable, choose_features, microseconds
from kyc_ml.metrics import Floats, Mask, Predictions, number_customers
from kyc_ml.model import choose_calibrator
from kyc_ml.training import out_of_fold
from kyc_ml.training.evidence import (
    BASELINE,
    MODEL,
    HoldoutPredictions,
    Trained,
    build_all,
    evaluate_all,
    make_trained,
)
from kyc_ml.training.late_cases import say_late_cases


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldObservations:
    """The observations that a cross-validated model is fitted on, and the count of all."""

    used: pa.Table
    """pyarrow.Table of n observations; those whose outcome was known on the training date, and that
    were mature then."""
    target: Floats
    """float64 array of shape (n,)."""
    parts: pd.DataFrame
    """What was left out, in the form of `summarise_parts`."""


def list_observations(
    source: ContractedTables, *, config: RunConfig, as_of: pd.Timestamp
) -> FoldObservations:
    """List the observations to fit on, with outcomes as known at `as_of`."""
    observations = dataset.observations_of(source, config, until=as_of)
    labels = dataset.labels_of(source, observations, config, as_of=as_of)
    usable = labels.usable & labels.settled
    return FoldObservations(
        used=observations.filter(pa.array(usable)),
        target=labels.target[usable],
        parts=_count_all(observations, labels, usable),
    )


def train_customer_folds(
    source: ContractedTables,
    *,
    config: RunConfig,
    splits: CustomerFoldsConfig,
    policy: TierPolicy,
    as_of: pd.Timestamp,
    data: dict[str, Any],
    tell: StageProgress,
) -> Trained:
    """Evaluate models that saw nothing of a customer, then fit one on all rows."""
    rows = list_observations(source, config=config, as_of=as_of)
    target = rows.target
    _require_classes(target, source, config=config, splits=splits, as_of=as_of)
    specs = choose_features(config.features, unit=config.unit)
    features = build_all(source, rows.used, specs, config=config, tell=tell)
    require_peers(features, config.explain.peers)
    everything = np.ones(len(features), np.bool_)
    matrix, _ = features.encode(features.learn_vocabularies(everything))
    names = dataset.customers_of(features.keys)
    held_out = out_of_fold.predict_out_of_fold(
        matrix, target, names, specs=features.specs, config=config, tell=tell
    )
    baseline = Predictions(
        score=held_out.baseline, probability=held_out.baseline_probability(target)
    )
    choice = choose_calibrator(
        held_out.margin,
        target,
        config=config.calibration,
        segment=features.segment(config.calibration.segment),
    )
    proba = held_out.probability(
        target, method=choice.calibrator.method, segments=out_of_fold.segment_rows(features, config)
    )
    model = out_of_fold.fit_whole(matrix, target, names, specs=features.specs, config=config)
    quality = evaluate_all(
        out_of_fold.FOLDS,
        target,
        {MODEL: Predictions(score=held_out.margin, probability=proba), BASELINE: baseline},
        customers=number_customers(names),
        seed=config.model.seed,
    )
    evidence = HoldoutPredictions(
        part=out_of_fold.FOLDS,
        target=target,
        margin=held_out.margin,
        probability=proba,
        baselines={BASELINE: baseline},
        features=features,
    )
    return make_trained(
        config=config,
        policy=policy,
        data=data,
        specs=specs,
        features=features,
        learned_from=everything,
        model=model,
        best_round=model.n_trees,
        calibration=choice,
        evidence=evidence,
        quality=quality,
        parts=rows.parts,
        boundaries=None,
        folds=_summarise(held_out, features, target),
    )


def _require_classes(
    target: Floats,
    source: ContractedTables,
    *,
    config: RunConfig,
    splits: CustomerFoldsConfig,
    as_of: pd.Timestamp,
) -> None:
    positives = int(target.sum())
    fewest = min(positives, target.size - positives)
    inner = splits.early_stopping_folds or 0
    # after the largest of the outer folds is held out
    if fewest >= splits.folds and fewest - math.ceil(fewest / splits.folds) >= inner:
        return
    within = f", {inner} early_stopping_folds within them" if inner else ""
    msg = (
        f"{splits.folds} folds{within} need as many rows of each class, got {positives} positives "
        f"of {target.size} rows: lower splits.folds, or check cases and the dates"
    )
    few = {"": as_of} if positives == fewest else {}
    late = say_late_cases(source, few, dataset=config.dataset)
    raise DatasetError(msg if late is None else f"{msg}; {late}")


def _summarise(
    held_out: out_of_fold.OutOfFold, features: FeatureTable, target: Floats
) -> pd.DataFrame:
    table = dataset.summarise_folds(
        [
            dataset.Fold.of_customers(number + 1, held_out.fold == number)
            for number in range(len(held_out.trees))
        ],
        times=microseconds(features.keys[DECISION_TIME]).view("datetime64[us]"),
        status=dataset.to_status(target),
        customers=dataset.customers_of(features.keys),
    )
    return table.assign(trees=np.repeat(held_out.trees, 2))


def _count_all(observations: pa.Table, labels: dataset.Labels, usable: Mask) -> pd.DataFrame:
    """Count all observations as one part, in the form of `summarise_parts`."""
    decision = observations[DECISION_TIME].to_pandas()
    barred = {name: labels.status == name for name in (dataset.OPEN_CASE, dataset.ALREADY_ADVERSE)}
    return pd.DataFrame(
        [
            {
                "part": out_of_fold.FOLDS,
                "start": decision.min(),
                "end": decision.max(),
                "observations": observations.num_rows,
                "used": int(usable.sum()),
                "positives": int(labels.target[usable].sum()),
                "customers": int(pd.unique(dataset.customers_of(observations)[usable]).size),
                # a positive that is known early is as young as its neighbours: it is left out too
                "immature": int((~labels.settled & ~np.any(list(barred.values()), axis=0)).sum()),
                **{name: int(rows.sum()) for name, rows in barred.items()},
                "outside_parts": 0,
            }
        ]
    )
