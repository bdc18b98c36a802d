"""Cross-validation by customer, for data too small to be parted in time."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from sklearn.model_selection import StratifiedGroupKFold

from kyc_ml.calibration import choose_calibrator
from kyc_ml.config import CustomerFoldsConfig, RunConfig
from kyc_ml.contract.contracted import ContractedTables
from kyc_ml.contract.ending import observable_until
from kyc_ml.dataset import (
    ALREADY_ADVERSE,
    OPEN_CASE,
    Labels,
    make_observations,
    mature_labels,
)
from kyc_ml.errors import DatasetError
from kyc_ml.explain import require_peers
from kyc_ml.features.catalog import choose_features
from kyc_ml.features.history import microseconds
from kyc_ml.features.table import DECISION_TIME, FeatureTable
from kyc_ml.metrics import compute_quality
from kyc_ml.model import fit_fixed
from kyc_ml.resampling import number_customers
from kyc_ml.splits.folds import Fate, Fold, summarise_folds
from kyc_ml.splits.rows import to_status
from kyc_ml.tiers import TierPolicy
from kyc_ml.training.evidence import (
    BASELINE,
    MODEL,
    Evidence,
    Progress,
    Trained,
    build_all,
    conclude,
    customers_of,
    fit_baseline,
    history_start,
    judge_baselines,
)
from kyc_ml.training.extras import calibrate_across, segments_of
from kyc_ml.training.late_cases import say_late_cases

Floats = npt.NDArray[np.float64]

FOLDS: Final = "cross_validation"


def train_customer_folds(
    source: ContractedTables,
    *,
    config: RunConfig,
    splits: CustomerFoldsConfig,
    policy: TierPolicy,
    as_of: pd.Timestamp,
    data: dict[str, Any],
    tell: Progress,
) -> Trained:
    """Judge by models that saw nothing of a customer, then fit on all rows."""
    observations = make_observations(
        source,
        unit=config.unit,
        start=history_start(config),
        end=observable_until(source, as_of),
        config=config.dataset,
    )
    labels = mature_labels(
        source, observations, unit=config.unit, as_of=as_of, config=config.dataset
    )
    parts = _count_all(observations, labels, labels.usable & labels.settled)
    usable = labels.usable & labels.settled
    target = labels.target[usable]
    _require_classes(target, source, config=config, splits=splits, as_of=as_of)
    specs = choose_features(config.features, unit=config.unit)
    features = build_all(
        source, observations.filter(pa.array(usable)), specs, config=config, tell=tell
    )
    require_peers(features, config.explain.peers)
    everything = np.ones(len(features), np.bool_)
    matrix, _ = features.encode(features.learn_vocabularies(everything))
    margin, baseline_score, folds = _hold_out_each(
        matrix, target, features, config=config, splits=splits, tell=tell
    )
    baselines = {BASELINE: calibrate_across(baseline_score, target, config=config)}
    segment = segments_of(features, config.calibration.segment)
    choice = choose_calibrator(margin, target, config=config.calibration, segment=segment)
    proba = choice.held_out
    model = fit_fixed(matrix, target, specs=features.specs, config=config.model)
    customers = number_customers(customers_of(features.keys))
    quality = {
        MODEL: {FOLDS: compute_quality(target, margin, proba, customers=customers)},
        **judge_baselines(FOLDS, target, baselines, customers=customers),
    }
    evidence = Evidence(
        part=FOLDS,
        target=target,
        margin=margin,
        probability=proba,
        baselines=baselines,
        features=features,
    )
    return conclude(
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
        parts=parts,
        boundaries=None,
        folds=folds,
    )


def _require_classes(
    target: Floats,
    source: ContractedTables,
    *,
    config: RunConfig,
    splits: CustomerFoldsConfig,
    as_of: pd.Timestamp,
) -> None:
    """Refuse rows of which some fold would lack a class, before features cost anything."""
    positives = int(target.sum())
    if min(positives, target.size - positives) >= splits.folds:
        return
    msg = (
        f"{splits.folds} folds need as many rows of each class, got {positives} positives "
        f"of {target.size} rows: lower splits.folds, or check cases and the dates"
    )
    few = {"": as_of} if positives < splits.folds else {}
    late = say_late_cases(source, few, dataset=config.dataset)
    raise DatasetError(msg if late is None else f"{msg}; {late}")


def _hold_out_each(
    matrix: Floats,
    target: Floats,
    features: FeatureTable,
    *,
    config: RunConfig,
    splits: CustomerFoldsConfig,
    tell: Progress,
) -> tuple[Floats, Floats, pd.DataFrame]:
    """Predict every row by models, and baselines, that saw none of its customer.

    Returns
    -------
    margin, baseline : float64 arrays of shape (n,)
    folds : DataFrame
        See `Trained.folds`.
    """
    groups = customers_of(features.keys)
    margin, baseline = np.zeros(target.size), np.zeros(target.size)
    split = StratifiedGroupKFold(
        n_splits=splits.folds, shuffle=True, random_state=config.model.seed
    )
    folds = []
    for number, (fitted, held) in enumerate(split.split(matrix, target, groups), 1):
        model = fit_fixed(matrix[fitted], target[fitted], specs=features.specs, config=config.model)
        margin[held] = model.margin(matrix[held], threads=1)
        logistic = fit_baseline(
            matrix[fitted], target[fitted], groups[fitted], specs=features.specs, config=config
        )
        baseline[held] = logistic.margin(matrix[held])
        folds.append(_fold(number, held, n_rows=target.size))
        tell("cross-validating", number, splits.folds)
    times = microseconds(features.keys[DECISION_TIME]).view("datetime64[us]")
    table = summarise_folds(folds, times=times, status=to_status(target), customers=groups)
    return margin, baseline, table


def _fold(number: int, held: npt.NDArray[np.int64], *, n_rows: int) -> Fold:
    tested = np.zeros(n_rows, np.bool_)
    tested[held] = True
    fate = np.where(tested, Fate.TEST, Fate.TRAIN).astype(np.int8)
    return Fold(number=number, period=None, fate=fate, in_test_period=tested)


def _count_all(
    observations: pa.Table, labels: Labels, usable: npt.NDArray[np.bool_]
) -> pd.DataFrame:
    """Count all observations as one part, in the form of `summarise_parts`."""
    decision = observations[DECISION_TIME].to_pandas()
    barred = {name: labels.status == name for name in (OPEN_CASE, ALREADY_ADVERSE)}
    customers = customers_of(observations)
    return pd.DataFrame(
        [
            {
                "part": FOLDS,
                "start": decision.min(),
                "end": decision.max(),
                "observations": observations.num_rows,
                "used": int(usable.sum()),
                "positives": int(labels.target[usable].sum()),
                "customers": int(pd.unique(customers[usable]).size),
                # a positive that is known early is as young as its neighbours: it is left out too
                "immature": int((~labels.settled & ~np.any(list(barred.values()), axis=0)).sum()),
                **{name: int(rows.sum()) for name, rows in barred.items()},
                "outside_parts": 0,
            }
        ]
    )
