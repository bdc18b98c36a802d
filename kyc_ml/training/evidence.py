"""The result of a training run, and the steps that both ways of training share."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml import features as f
from kyc_ml import metrics
from kyc_ml.config import RunConfig
from kyc_ml.contract import ContractedTables
from kyc_ml.dataset import Boundaries, customers_of, store_rows
from kyc_ml.decision import TierPolicy, learn_reference
from kyc_ml.display import StageProgress, say_in_html, say_plainly
from kyc_ml.errors import DatasetError, some_of
from kyc_ml.model import (
    BinnedLogistic,
    CalibrationChoice,
    Model,
    Profile,
    Selection,
    fit_logistic,
    learn_profile,
)
from kyc_ml.registry import REFITS, Bundle
from kyc_ml.training.added_value import AddedValue, compute_added_value
from kyc_ml.training.explained import ExplainedRows, explain_sample
from kyc_ml.training.stability import Stability

MODEL: Final = "LightGBM"
BASELINE: Final = "logistic regression on bins"
RATING: Final = "expert rating"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldoutPredictions:
    """Outcomes and predictions of the held-out rows; the model was fitted on none of them."""

    part: str
    """'test', or 'cross_validation' where every row was held out once."""
    target: metrics.Floats
    margin: metrics.Floats
    probability: metrics.Floats
    """`target`, `margin` and `probability`: float64 arrays of shape (n,)."""
    baselines: Mapping[str, metrics.Predictions]
    """Mapping of who to Predictions of the n rows; their probabilities were fitted on other rows,
    as the model's were."""
    features: f.FeatureTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A bundle with the evidence of its training.

    Attributes
    ----------
    quality : mapping of predictor ('LightGBM', 'logistic regression on bins', with a scorecard
        'expert rating') to part to ModelMetrics
    added_value : AddedValue
        The gain of the model over each baseline on the rows of `evidence`.
    explained : ExplainedRows
        Contributions of a sample of the rows of `evidence`.
    parts : DataFrame
        The rows of each part and those left out; see `summarise_parts`.
    boundaries : Boundaries or None
        None for cross-validation by customer.
    folds : DataFrame or None
        Fold, part and its rows, as `summarise_folds` returns it; None for parts in time.
    importance : DataFrame
        feature, family, share of the total gain; largest first.
    left_out : dict of feature to reason
        Features that the source lacks, and those that selection dropped.
    selection : Selection or None
        The figures and verdict of every feature; None without a selection.
    stability : tuple of Stability
        The changes of refits on other seeds and samples; empty without refits.
    """

    bundle: Bundle
    evidence: HoldoutPredictions
    quality: dict[str, dict[str, metrics.ModelMetrics]]
    added_value: AddedValue
    explained: ExplainedRows
    parts: pd.DataFrame
    boundaries: Boundaries | None
    calibration: CalibrationChoice
    importance: pd.DataFrame
    left_out: dict[str, str]
    best_round: int
    folds: pd.DataFrame | None = None
    selection: Selection | None = None
    stability: tuple[Stability, ...] = ()

    def _facts(self) -> dict[str, object]:
        model, evidence = self.bundle.model, self.evidence
        rows, positives = evidence.target.size, int(evidence.target.sum())
        return {
            "model": f"{self.bundle.config.name}, {model.n_trees:,} trees, "
            f"{len(self.bundle.inputs):,} features, {self.calibration.calibrator.method} map",
            "evaluated on": f"{rows:,} rows, {positives:,} positive, of part {evidence.part}",
            **{
                who: f"AUC {one.auc:.3f} ({one.auc_low:.3f} to {one.auc_high:.3f}), "
                f"average precision {one.average_precision:.3f} "
                f"({one.average_precision_low:.3f} to {one.average_precision_high:.3f})"
                for who, one in ((who, parts[evidence.part]) for who, parts in self.quality.items())
            },
            "left out": f"{len(self.left_out):,} features",
        }

    def __repr__(self) -> str:
        return say_plainly("Trained", self._facts())

    def _repr_html_(self) -> str:
        columns = [name for name in _PART_COLUMNS if name in self.parts]
        return say_in_html("Trained", self._facts(), tables=[self.parts[columns]])


_PART_COLUMNS: Final = ("part", "start", "end", "used", "positives", "immature")


_LATEST: Final = 0.25
"""Share of the rows, by time, that nights are compared with. Convention."""


def _profile(
    evidence: HoldoutPredictions,
    calibration: CalibrationChoice,
    config: RunConfig,
    *,
    latest: bool,
) -> Profile:
    """Learn the distributions that nights are compared with."""
    # `latest`: whether to take the latest rows alone: rows of every time include those of a history
    # that had just begun, which no later night resembles
    probability = calibration.calibrator.probability(
        evidence.margin, evidence.features.segment(config.calibration.segment)
    )
    if not latest:
        return learn_profile(evidence.features, probability)
    times = evidence.features.keys[f.DECISION_TIME].to_numpy()
    rows = np.flatnonzero(times >= np.quantile(times, 1 - _LATEST, method="lower"))
    return learn_profile(evidence.features.take(rows), probability[rows])


def make_trained(
    *,
    config: RunConfig,
    policy: TierPolicy,
    data: dict[str, Any],
    specs: tuple[f.FeatureSpec, ...],
    features: f.FeatureTable,
    learned_from: metrics.Mask,
    model: Model,
    best_round: int,
    calibration: CalibrationChoice,
    evidence: HoldoutPredictions,
    quality: dict[str, dict[str, metrics.ModelMetrics]],
    parts: pd.DataFrame,
    boundaries: Boundaries | None,
    folds: pd.DataFrame | None = None,
    selection: Selection | None = None,
    stability: tuple[Stability, ...] = (),
) -> Trained:
    """Assemble the bundle and the evidence of its training.

    `learned_from`: bool array of shape (len(features),); the rows the model was fitted on:
    vocabularies and the peer reference come from them.
    """
    vocabularies = features.learn_vocabularies(learned_from)
    learned, _ = features.encode(vocabularies)
    matrix, _ = evidence.features.encode(vocabularies)

    def contribute(rows: metrics.Ints) -> metrics.Floats:
        found = model.contributions(learned[rows], threads=config.model.n_jobs)
        return found.values  # noqa: PD011  no data frame

    return Trained(
        bundle=Bundle(
            model=model,
            calibrator=calibration.calibrator,
            policy=policy,
            config=config,
            specs=needed_specs(specs, features),
            vocabularies=vocabularies,
            reference=learn_reference(
                features,
                learned_from,
                peers=config.explain.peers,
                contributions=contribute,
                seed=config.model.seed,
            ),
            metrics={name: _recorded(figures) for name, figures in quality[MODEL].items()}
            | _compared_refits(stability),
            data=data,
            # by the bundle's own map, even if the evidence used the maps of folds: a scoring run
            # compares its rows with these, and two step maps differ without any drift
            profile=_profile(evidence, calibration, config, latest=boundaries is None),
        ),
        evidence=evidence,
        quality=quality,
        added_value=compute_added_value(
            evidence.target,
            metrics.Predictions(score=evidence.margin, probability=evidence.probability),
            evidence.baselines,
            who=MODEL,
            customers=customers_of(evidence.features.keys),
            seed=config.model.seed,
        ),
        explained=explain_sample(
            model,
            evidence.features,
            matrix,
            threads=config.model.n_jobs,
            seed=config.model.seed,
        ),
        parts=parts,
        boundaries=boundaries,
        folds=folds,
        calibration=calibration,
        importance=compute_importance(model, features.specs),
        left_out={**features.unavailable, **(selection.dropped if selection else {})},
        selection=selection,
        best_round=best_round,
        stability=stability,
    )


def _compared_refits(stability: tuple[Stability, ...]) -> dict[str, dict[str, float]]:
    """Return how far refits on samples of customers repeat the reasons; empty without refits."""
    for each in stability:
        if each.kind == "bootstrap":
            return {REFITS: {"number": len(each.runs), "same_reasons": each.same_reasons}}
    return {}


def _recorded(figures: metrics.ModelMetrics) -> dict[str, float]:
    """Return the figures that a bundle keeps: none that depends on drawn samples."""
    drawn = {"average_precision_low", "average_precision_high"}
    return {name: value for name, value in figures.as_dict().items() if name not in drawn}


def compute_importance(model: Model, specs: tuple[f.FeatureSpec, ...]) -> pd.DataFrame:
    """Share of the total gain by feature, largest first: feature, family, share."""
    gain = model.importance()
    table = pd.DataFrame(
        {
            "feature": [spec.name for spec in specs],
            "family": [spec.family for spec in specs],
            # a model without splits has no gain: 0 / tiny is 0
            "share": gain / max(gain.sum(), np.finfo(np.float64).tiny),
        }
    )
    # by name where shares are equal: the order is always the same
    return table.sort_values(["share", "feature"], ascending=[False, True], ignore_index=True)


_IN_MEMORY: Final = 1 << 28
"""Features of a table in memory at most, times its rows: 2 GiB."""


def build_all(
    source: ContractedTables,
    observations: pa.Table,
    specs: tuple[f.FeatureSpec, ...],
    *,
    config: RunConfig,
    tell: StageProgress,
    rows: metrics.Mask | None = None,
    scratch: Path | None = None,
) -> f.FeatureTable:
    """Compute the chosen features of all observations, or of the marked ones.

    `scratch`: folder for many features, and for those of stored tables; None keeps all in memory.
    Raises DatasetError if the source has none of them.
    """
    rows = np.ones(observations.num_rows, np.bool_) if rows is None else rows
    how: dict[str, Any] = {"specs": specs, "threads": config.model.n_jobs}
    how["progress"] = partial(tell, "building features")
    if scratch is None or not (source.stored or rows.sum() * len(specs) > _IN_MEMORY):
        built = f.build_features(source, observations.filter(pa.array(rows)), **how)
    else:
        path, out = scratch / "observations.parquet", scratch / "features.parquet"
        store_rows(source, observations, rows, path, unit=config.unit)
        files = (source.stored or source.store(scratch)).files
        how |= {"timezone": source.timezone, "out": out, "scratch": scratch}
        built = f.open_features(f.build_features_in_buckets(files, path, **how), out, path)
    if not built.specs:
        why = "; ".join(dict.fromkeys(built.unavailable.values()))
        raise DatasetError(
            f"no feature of families {', '.join(config.features.families) or '(none)'} can be "
            f"computed for unit {config.unit!r}{f': {why}' if why else ''}: choose other "
            "families, or map the tables they need"
        )
    return built


def find_features(
    given: f.FeatureTable, observations: pa.Table, specs: Collection[f.FeatureSpec]
) -> f.FeatureTable:
    """Return the features of observations from a table that was computed before.

    Raises DatasetError if it lacks an observation, or a feature without saying why.
    """
    known = given.keys[f.OBSERVATION_ID].combine_chunks()
    places = pc.index_in(observations[f.OBSERVATION_ID], known)
    names = {spec.name for spec in specs if not spec.intermediate}
    absent = sorted(names - set(given.names) - set(given.unavailable))
    if places.null_count or absent:
        raise DatasetError(
            f"the given features lack {places.null_count:,} of {len(places):,} observations"
            f"{' and ' + some_of(absent) if absent else ''}: compute those of this sample, with "
            "the features of this configuration"
        )
    return given.take(places.to_numpy()).reorder([name for name in given.names if name in names])


def fit_baseline(
    matrix: metrics.Floats,
    target: metrics.Floats,
    customers: metrics.Names,
    *,
    specs: tuple[f.FeatureSpec, ...],
    config: RunConfig,
) -> BinnedLogistic:
    """Fit the logistic regression on the matrix of the model."""
    return fit_logistic(
        matrix,
        target,
        categories=np.array([spec.kind == "category" for spec in specs]),
        customers=customers,
        seed=config.model.seed,
    )


def evaluate_all(
    part: str,
    target: metrics.Floats,
    predictors: Mapping[str, metrics.Predictions],
    *,
    customers: metrics.Ints,
    seed: int,
) -> dict[str, dict[str, metrics.ModelMetrics]]:
    """Compute the metrics of the model and each baseline on the held-out part."""
    return {
        who: {
            part: metrics.compute_metrics(
                target,
                one.score,
                one.probability,
                customers=customers,
                draws=metrics.DRAWS,
                seed=seed,
            )
        }
        for who, one in predictors.items()
    }


def needed_specs(
    specs: tuple[f.FeatureSpec, ...], features: f.FeatureTable
) -> tuple[f.FeatureSpec, ...]:
    """Keep the model's columns and the intermediate features that they are computed from.

    An intermediate feature that only an unavailable one reads is not part of the model: its
    inputs may be absent too.
    """
    known = {spec.name: spec for spec in specs}
    read = {name for spec in features.specs for name in f.all_made_of(spec, known)}
    return (*features.specs, *(spec for spec in specs if spec.intermediate and spec.name in read))
