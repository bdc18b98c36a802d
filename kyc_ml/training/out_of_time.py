"""Training on parts in order of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.config import (
    CALIBRATION,
    EARLY_STOPPING,
    PARTS,
    TEST,
    TRAIN,
    DatasetConfig,
    RunConfig,
    SplitConfig,
)
from kyc_ml.contract import ContractedTables, observable_until
from kyc_ml.dataset import (
    Boundaries,
    assign_parts,
    customers_of,
    history_start,
    make_observations,
    mature_labels,
    plan_out_of_time,
    summarise_parts,
    to_target,
)
from kyc_ml.decision import Scorecard, TierPolicy, rate, require_peers
from kyc_ml.display import StageProgress
from kyc_ml.errors import DatasetError
from kyc_ml.features import DECISION_TIME, FeatureSpec, choose_features, microseconds
from kyc_ml.metrics import Floats, Ints, Names, Predictions, compute_metrics, number_customers
from kyc_ml.model import Fit, calibrate_later, choose_calibrator, fit_fixed, fit_model, latest_rows
from kyc_ml.training.evidence import (
    BASELINE,
    MODEL,
    RATING,
    HoldoutPredictions,
    Trained,
    build_all,
    fit_baseline,
    judge_all,
    make_trained,
)
from kyc_ml.training.extras import own_columns, refit, select, with_card
from kyc_ml.training.late_cases import say_late_cases
from kyc_ml.training.stability import LabelledRows


def train_out_of_time(
    source: ContractedTables,
    *,
    config: RunConfig,
    splits: SplitConfig,
    policy: TierPolicy,
    card: Scorecard | None,
    as_of: pd.Timestamp,
    data: dict[str, Any],
    tell: StageProgress,
) -> Trained:
    """Train on the past, stop and calibrate on later rows, test on the latest."""
    boundaries = plan_out_of_time(as_of=as_of, splits=splits, dataset=config.dataset)
    observations, part, status = label_parts(source, config=config, boundaries=boundaries)
    parts = summarise_parts(part, status, customers_of(observations), boundaries)
    target = to_target(status)
    usable = ~np.isnan(target) & (part != "")
    require_rows(parts, source, boundaries=boundaries, dataset=config.dataset)
    chosen = choose_features(config.features, unit=config.unit)
    specs = with_card(chosen, card, config=config)
    built = build_all(
        source, observations.filter(pa.array(usable)), specs, config=config, tell=tell
    )
    part, target = part[usable], target[usable]
    own = own_columns(built, chosen)
    specs, features, selection = select(
        chosen, own, part == TRAIN, target, config=config, tell=tell
    )
    require_peers(features, config.explain.peers)
    matrix, _ = features.encode(features.learn_vocabularies(part == TRAIN))
    customers = customers_of(features.keys)
    rows = {name: np.flatnonzero(part == name) for name in PARTS}
    fit = fit_in_time(matrix, target, rows, features.specs, config=config, tell=tell)
    margin = fit.model.margin(matrix, threads=config.model.n_jobs)
    segment = features.segment(config.calibration.segment)
    calibrating = part == CALIBRATION
    choice = choose_calibrator(
        margin[calibrating],
        target[calibrating],
        config=config.calibration,
        segment=None if segment is None else segment[calibrating],
    )
    proba = choice.calibrator.probability(margin, segment)
    tested = part == TEST
    tell("fitting the baseline", 0, 1)
    latest = rows[TRAIN][latest_rows(target[rows[TRAIN]])]
    baseline = fit_baseline(
        matrix[latest],
        target[latest],
        customers[latest],
        specs=features.specs,
        config=config,
    )
    baselines = {
        BASELINE: calibrate_later(
            baseline.margin(matrix[calibrating]),
            target[calibrating],
            baseline.margin(matrix[tested]),
        )
    }
    if card is not None:
        score = rate(built, card).margin
        baselines[RATING] = calibrate_later(score[calibrating], target[calibrating], score[tested])
    tell("fitting the baseline", 1, 1)
    numbers = number_customers(customers)
    quality = {
        MODEL: {
            name: compute_metrics(
                target[part == name],
                margin[part == name],
                proba[part == name],
                customers=numbers[part == name],
            )
            for name in PARTS
            if name != TEST and not (config.model.refit and name == EARLY_STOPPING)
        },
    }
    said = {MODEL: Predictions(score=margin[tested], probability=proba[tested]), **baselines}
    for who, found in judge_all(
        TEST, target[tested], said, customers=numbers[tested], seed=config.model.seed
    ).items():
        quality[who] = quality.get(who, {}) | found

    def take(name: str) -> LabelledRows:
        here = rows[name]
        return LabelledRows(matrix=matrix[here], target=target[here], customers=customers[here])

    stability = refit(take, features.specs, config=config, tell=tell)
    evidence = HoldoutPredictions(
        part=TEST,
        target=target[tested],
        margin=margin[tested],
        probability=proba[tested],
        baselines=baselines,
        features=features.take(np.flatnonzero(tested)),
    )
    return make_trained(
        config=config,
        policy=policy,
        data=data,
        specs=specs,
        features=features,
        selection=selection,
        learned_from=part == TRAIN,
        model=fit.model,
        best_round=fit.best_round,
        calibration=choice,
        evidence=evidence,
        quality=quality,
        parts=parts,
        boundaries=boundaries,
        stability=stability,
    )


def fit_in_time(
    matrix: Floats,
    target: Floats,
    rows: Mapping[str, Ints],
    specs: tuple[FeatureSpec, ...],
    *,
    config: RunConfig,
    tell: StageProgress,
) -> Fit:
    """Fit on the train rows, stop on later ones; with ``model.refit`` fit on both for as long.

    Parameters
    ----------
    matrix : float64 array of shape (n, len(specs))
    target : float64 array of shape (n,)
    rows : mapping of part to the rows it holds
    """
    stopping = rows[EARLY_STOPPING]
    fit = fit_model(
        matrix,
        target,
        rows=rows[TRAIN],
        stopping_matrix=matrix[stopping],
        stopping_target=target[stopping],
        specs=specs,
        config=config.model,
        progress=lambda done, total: tell("fitting", done, total),
    )
    if not config.model.refit:
        return fit
    tell("fitting again with early stopping rows", 0, 1)
    model = fit_fixed(
        matrix,
        target,
        rows=np.concatenate([rows[TRAIN], stopping]),
        specs=specs,
        config=config.model.model_copy(update={"n_estimators": fit.best_round}),
    )
    tell("fitting again with early stopping rows", 1, 1)
    return replace(fit, model=model)


def label_parts(
    source: ContractedTables, *, config: RunConfig, boundaries: Boundaries
) -> tuple[pa.Table, Names, Names]:
    """Name each observation's part and its label, each part with what was known in time."""
    observations = make_observations(
        source,
        unit=config.unit,
        start=history_start(config.dataset),
        end=observable_until(source, boundaries.parts[TEST][1]),
        config=config.dataset,
        end_is=_say_end(config.dataset, boundaries.as_of),
    )
    decision = microseconds(observations[DECISION_TIME]).view("datetime64[us]")
    part = assign_parts(decision, boundaries)
    status = np.empty(part.size, dtype=object)
    for date, rows in (
        (boundaries.development_cutoff, part != TEST),
        (boundaries.as_of, part == TEST),
    ):
        labels = mature_labels(
            source,
            observations.filter(pa.array(rows)),
            unit=config.unit,
            as_of=date,
            config=config.dataset,
        )
        status[rows] = labels.status
    return observations, part, status


def _say_end(dataset: DatasetConfig, as_of: pd.Timestamp) -> str:
    """Say where the end of the parts comes from: nobody gave that date."""
    horizon = f"{dataset.horizon_days} days of horizon and " if dataset.horizon_days else ""
    delay = f"{horizon}{dataset.label_maturity_days} days of label maturity"
    return f"as_of {as_of.date().isoformat()} less {delay}"


def require_rows(
    parts: pd.DataFrame,
    source: ContractedTables,
    *,
    boundaries: Boundaries,
    dataset: DatasetConfig,
) -> None:
    """Raise if a part has no positive or no negative; the message lists all such parts."""
    poor = parts[(parts["part"].isin(PARTS))]
    poor = poor[(poor["positives"] == 0) | (poor["positives"] == poor["used"])]
    if poor.empty:
        return
    lines = [
        f"  - {row.part}: {row.positives} positives of {row.used} usable rows "
        f"({row.immature} immature, {row.open_case} open cases)"
        for row in poor.itertuples()
    ]
    head = f"{len(lines)} part(s) lack one of the two classes: widen them, or check cases and dates"
    read = {
        name: boundaries.as_of if name == TEST else boundaries.development_cutoff
        for name in poor.loc[poor["positives"] == 0, "part"]
    }
    late = say_late_cases(source, read, dataset=dataset)
    lines += [] if late is None else [f"  - {late}"]
    if poor["part"].eq(TRAIN).any():
        lines.append(
            f"  - {TRAIN} ends on {boundaries.parts[TRAIN][1]:%Y-%m-%d}: give the parts after it "
            "fewer days, or cross-validate by customer (splits: {method: customer_folds})"
        )
    raise DatasetError("\n".join([head, *lines]))
