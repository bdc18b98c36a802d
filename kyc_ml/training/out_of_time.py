"""Training on parts in order of time."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml import metrics
from kyc_ml.config import CALIBRATION, PARTS, TEST, TRAIN, DatasetConfig, RunConfig, SplitConfig
from kyc_ml.contract import ContractedTables
from kyc_ml.dataset import (
    BETWEEN,
    Boundaries,
    customers_of,
    label_parts,
    name_between,
    plan_out_of_time,
    summarise_parts,
    to_target,
)
from kyc_ml.decision import Scorecard, TierPolicy, rate, require_peers
from kyc_ml.display import StageProgress
from kyc_ml.errors import DatasetError
from kyc_ml.features import DECISION_TIME, FeatureSpec, FeatureTable, choose_features, microseconds
from kyc_ml.model import BinnedLogistic, calibrate_later, choose_calibrator, latest_rows
from kyc_ml.training import evidence
from kyc_ml.training.extras import own_columns, refit, select, with_card
from kyc_ml.training.fitting import earlier_parts, fit_in_time, learned_parts
from kyc_ml.training.late_cases import say_late_cases
from kyc_ml.training.refit_reasons import RefitReasons
from kyc_ml.training.stability import LabelledRows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _PartedRows:
    part: metrics.Names
    target: metrics.Floats
    matrix: metrics.Floats
    customers: metrics.Names

    def of(self, *names: str) -> metrics.Ints:
        return np.flatnonzero(np.isin(self.part, names))

    def take(self, name: str) -> LabelledRows:
        here = self.of(name)
        return LabelledRows(
            matrix=self.matrix[here], target=self.target[here], customers=self.customers[here]
        )


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
    scratch: Path,
    given: FeatureTable | None = None,
) -> evidence.Trained:
    """Train on the past, stop and calibrate on later rows, test on the latest."""
    boundaries = plan_out_of_time(as_of=as_of, splits=splits, dataset=config.dataset)
    observations, part, status = label_parts(source, config=config, boundaries=boundaries)
    if BETWEEN in learned_parts(config.model):
        decided = microseconds(observations[DECISION_TIME]).view("datetime64[us]")
        part = name_between(part, decided, boundaries)
    parts = summarise_parts(part, status, customers_of(observations), boundaries)
    target = to_target(status)
    usable = ~np.isnan(target) & (part != "")
    require_rows(parts, source, boundaries=boundaries, dataset=config.dataset)
    chosen = choose_features(config.features, unit=config.unit)
    wanted = with_card(chosen, card, config=config)
    if given is None:
        built = evidence.build_all(
            source,
            observations,
            wanted,
            config=config,
            tell=tell,
            rows=usable,
            scratch=scratch,
        )
    else:
        built = evidence.find_features(given, observations.filter(pa.array(usable)), wanted)
    del observations, status  # of all rows, used or not
    part, target = part[usable], target[usable]
    specs, features, selection = select(
        chosen, own_columns(built, chosen), part == TRAIN, target, config=config, tell=tell
    )
    require_peers(features, config.explain.peers)
    learned = np.isin(part, learned_parts(config.model))
    matrix, _ = features.encode(features.learn_vocabularies(learned))
    rows = _PartedRows(
        part=part, target=target, matrix=matrix, customers=customers_of(features.keys)
    )
    numbers = {name: rows.of(name) for name in (*PARTS, BETWEEN)}
    fit = fit_in_time(
        matrix, target, numbers, rows.customers, features.specs, config=config.model, tell=tell
    )
    margin = fit.model.margin(matrix, threads=config.model.n_jobs)
    segment = features.segment(config.calibration.segment)
    calibrating, tested = fit.rows, numbers[TEST]
    choice = choose_calibrator(
        fit.calibrating,
        target[calibrating],
        config=config.calibration,
        segment=None if segment is None else segment[calibrating],
    )
    predicted = metrics.Predictions(
        score=margin, probability=choice.calibrator.probability(margin, segment)
    )
    tell("fitting the baseline", 0, 1)
    baselines = {evidence.BASELINE: _fit_baseline(rows, features.specs, config=config)}
    if card is not None:
        score = rate(built, card).margin
        baselines[evidence.RATING] = calibrate_later(
            score[calibrating], target[calibrating], score[tested]
        )
    tell("fitting the baseline", 1, 1)
    quality = _evaluate(rows, predicted, baselines, config=config)
    stability = refit(
        rows.take,
        features.specs,
        fitted=fit.model,
        reasons=lambda: RefitReasons(features, matrix, numbers[TRAIN], tested, config),
        config=config,
        tell=tell,
    )
    return evidence.make_trained(
        config=config,
        policy=policy,
        data=data,
        specs=specs,
        features=features,
        selection=selection,
        learned_from=learned,
        model=fit.model,
        best_round=fit.best_round,
        calibration=choice,
        evidence=evidence.HoldoutPredictions(
            part=TEST,
            target=target[tested],
            margin=margin[tested],
            probability=predicted.probability[tested],
            baselines=baselines,
            features=features.take(tested),
        ),
        quality=quality,
        parts=parts,
        boundaries=boundaries,
        stability=stability,
    )


def _fit_baseline(
    rows: _PartedRows, specs: tuple[FeatureSpec, ...], *, config: RunConfig
) -> metrics.Predictions:
    """Fit and calibrate the baseline on the rows that the model learns from, in the same order."""

    def fitted(*parts: str) -> BinnedLogistic:
        here = rows.of(*parts)
        # only the rows that are fitted are copied
        latest = here[latest_rows(rows.target[here])]
        return evidence.fit_baseline(
            rows.matrix[latest],
            rows.target[latest],
            rows.customers[latest],
            specs=specs,
            config=config,
        )

    calibrating, tested = rows.of(CALIBRATION), rows.of(TEST)
    learned, earlier = learned_parts(config.model), earlier_parts(config.model)
    first = fitted(*earlier)
    last = first if learned == earlier else fitted(*learned)
    return calibrate_later(
        first.margin(rows.matrix[calibrating]),
        rows.target[calibrating],
        last.margin(rows.matrix[tested]),
    )


def _evaluate(
    rows: _PartedRows,
    predicted: metrics.Predictions,
    baselines: Mapping[str, metrics.Predictions],
    *,
    config: RunConfig,
) -> dict[str, dict[str, metrics.ModelMetrics]]:
    numbers = metrics.number_customers(rows.customers)
    tested = rows.of(TEST)
    # figures on rows of a last fit would be too good; those of train show how much too good
    seen = {TEST, *learned_parts(config.model)} - {TRAIN}
    own = {
        name: metrics.compute_metrics(
            rows.target[here],
            predicted.score[here],
            predicted.probability[here],
            customers=numbers[here],
        )
        for name in PARTS
        if name not in seen
        for here in [rows.of(name)]
    }
    on_test = metrics.Predictions(
        score=predicted.score[tested], probability=predicted.probability[tested]
    )
    found = evidence.evaluate_all(
        TEST,
        rows.target[tested],
        {evidence.MODEL: on_test, **baselines},
        customers=numbers[tested],
        seed=config.model.seed,
    )
    return {**found, evidence.MODEL: own | found[evidence.MODEL]}


def require_rows(
    parts: pd.DataFrame,
    source: ContractedTables,
    *,
    boundaries: Boundaries,
    dataset: DatasetConfig,
) -> None:
    """Raise if a part lacks positives or negatives; the message lists all such parts."""
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
