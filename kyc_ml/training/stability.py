"""How much of a model is chance: refits by other seeds and on other samples of customers."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit

from kyc_ml import metrics as m
from kyc_ml.config import ModelConfig, StabilityConfig
from kyc_ml.decision import rank_reasons
from kyc_ml.display import Progress
from kyc_ml.errors import DatasetError, require_both_classes
from kyc_ml.features import FeatureSpec
from kyc_ml.model import Model, fit_fixed, fit_model

METRICS: Final = (
    "auc",
    "average_precision",
    "recall_at_5_percent_fpr",
    "log_loss",
    "brier",
    "observed_over_expected",
)
OVERLAPS: Final = ("top_features", "reasons", "reasons_of_the_head", "rank_correlation")
_HEAD, _MOST_OF_HEAD = 100, 2_000
"""One in 100 later rows, those of the highest margins, at most 2,000: what analysts read."""

FindReasons = Callable[[Model, m.Ints], m.Ints]
"""Returns the reasons of later rows by number, of shape (n, k): groups of features, or -1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledRows:
    """Rows with their outcomes and customers."""

    matrix: m.Floats
    """float64 array of shape (n, n_features)."""
    target: m.Floats
    """Array of 0 and 1, shape (n,)."""
    customers: m.Names | None = None
    """Array of shape (n,), or None where each row is its own customer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stability:
    """The changes from refit to refit, evaluated on the same later rows."""

    kind: Literal["seed", "bootstrap"]
    runs: pd.DataFrame
    """One row a refit: run, seed, rows, customers, trees and the `METRICS` on the later rows.
    Probabilities are the margin's own, before calibration. Last, same_reasons: Jaccard overlap of a
    row's reasons with the model's own, mean over the rows of the highest margins; NaN if the model
    is not given."""
    metrics: pd.DataFrame
    """One row a metric: metric, refits, mean, sd, min, max."""
    pairs: pd.DataFrame
    """One row a pair of refits: one, other, top_features (Jaccard overlap of the features of
    largest mean contribution), reasons (Jaccard overlap of a row's reasons, mean over rows; rows
    without a reason in both agree), reasons_of_the_head (the same, over the rows of the highest
    margins), rank_correlation (Spearman's, of the margins)."""
    overlaps: pd.DataFrame
    """One row a column of `pairs`: overlap, pairs, mean, sd, min, max."""
    skipped: int = 0
    """Bootstrap samples that held one class only and could not be fitted."""

    @property
    def same_reasons(self) -> float:
        """Mean over the refits of how far their reasons agree with the model's own, 0 to 1."""
        return float(self.runs["same_reasons"].mean())


def measure_stability(
    kind: Literal["seed", "bootstrap"],
    train: LabelledRows,
    later: LabelledRows,
    *,
    stopping: LabelledRows | None,
    specs: tuple[FeatureSpec, ...],
    model: ModelConfig,
    config: StabilityConfig,
    reasons: FindReasons,
    fitted: Model | None = None,
    progress: Progress | None = None,
) -> Stability:
    """Refit with other seeds, or on customers drawn with replacement.

    A seed draws features, bags and the negatives kept, and the first refit has the seed of the
    model: with all of them at 1 it changes nothing, and the spread is 0. A bootstrap refit has
    all rows of the customers drawn, and the seed stays: the spread is what other customers of
    the same kind and time would change, not what another time would. Rows to stop on and later
    rows are the same for all.

    Source: Davison and Hinkley 1997, Bootstrap Methods and their Application, section 3.8.

    `later`: rows no refit has seen, such as those of the test.
    `stopping`: early stopping rows; None fits all trees.
    `reasons`: see `FindReasons`. `fitted`: the model that the refits repeat.
    Raises ValueError if the configured number of these refits is 0; DatasetError if a part has one
    class only, or no rows, or fewer than two samples hold both classes.
    """
    shown, n = _require_refits(f"{kind}_refits", later, config)
    refits, sample, seeded = [], train, model
    for number in range(n):
        if kind == "seed":
            seeded = model.model_copy(update={"seed": model.seed + number})
        else:
            # a separate stream for each sample, whatever the others drew
            sample = _draw(train, np.random.default_rng([config.seed, number]))
        if kind == "seed" or 0 < sample.target.sum() < sample.target.size:
            refits.append(
                _refit(sample, later, stopping, shown, specs=specs, model=seeded, config=config)
            )
        if progress is not None:
            progress(number + 1, n)
    if len(refits) < 2:
        raise DatasetError(
            f"only {len(refits)} of {n} bootstrap samples of {train.target.size} training rows "
            f"with {int(train.target.sum())} positives hold both classes: widen the part 'train'"
        )
    return _summarise(kind, refits, later, shown, reasons, fitted=fitted, skipped=n - len(refits))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refit:
    """What is compared of a refit: the model, margins of the later rows, its features."""

    seed: int
    rows: int
    customers: int
    model: Model
    margin: m.Floats
    top: m.Ints


def _require_refits(name: str, later: LabelledRows, config: StabilityConfig) -> tuple[m.Ints, int]:
    """Return the later rows that every refit explains, and how many refits there are."""
    n = getattr(config, name)
    if not n:
        raise ValueError(f"{name} must be at least 2, got 0: set stability.{name}")
    positives, rows = int(later.target.sum()), later.target.size
    require_both_classes("stability", positives, rows, cure="widen the part of the later rows")
    every = np.arange(rows)
    drawn = m.sample_rows(later.matrix, every, count=config.explained_rows, seed=config.seed)
    return np.sort(drawn), n


def _refit(
    train: LabelledRows,
    later: LabelledRows,
    stopping: LabelledRows | None,
    shown: m.Ints,
    *,
    specs: tuple[FeatureSpec, ...],
    model: ModelConfig,
    config: StabilityConfig,
) -> _Refit:
    fitted = _fit(train, stopping, specs=specs, config=model)
    found = fitted.contributions(later.matrix[shown], threads=model.n_jobs)
    pushed = found.values  # noqa: PD011  no data frame
    return _Refit(
        seed=model.seed,
        rows=train.target.size,
        customers=int(np.unique(_groups(train)).size),
        model=fitted,
        margin=fitted.margin(later.matrix, threads=model.n_jobs),
        top=rank_reasons(np.abs(pushed).mean(axis=0, keepdims=True), k=config.top_features),
    )


def _fit(
    train: LabelledRows,
    stopping: LabelledRows | None,
    *,
    specs: tuple[FeatureSpec, ...],
    config: ModelConfig,
) -> Model:
    if stopping is None:
        return fit_fixed(train.matrix, train.target, specs=specs, config=config)
    fit = fit_model(
        train.matrix,
        train.target,
        stopping_matrix=stopping.matrix,
        stopping_target=stopping.target,
        specs=specs,
        config=config,
    )
    if config.averaged == 1:
        return fit.model
    # a refit is the mean of as many fits as the model that it is compared with
    fixed = config.model_copy(update={"n_estimators": fit.best_round})
    return fit_fixed(train.matrix, train.target, specs=specs, config=fixed)


def _groups(rows: LabelledRows) -> m.Ints:
    if rows.customers is None:
        return np.arange(rows.target.size)
    return m.number_customers(rows.customers)


def _draw(rows: LabelledRows, rng: np.random.Generator) -> LabelledRows:
    groups = _groups(rows)
    drawn = m.drawn_rows(m.draw_customers(groups, rng))
    return LabelledRows(
        matrix=rows.matrix[drawn],
        target=rows.target[drawn],
        customers=groups[drawn].astype(object),
    )


def _summarise(
    kind: Literal["seed", "bootstrap"],
    refits: list[_Refit],
    later: LabelledRows,
    shown: m.Ints,
    find: FindReasons,
    *,
    fitted: Model | None,
    skipped: int,
) -> Stability:
    most = min(max(later.target.size // _HEAD, 1), _MOST_OF_HEAD)
    head = np.argsort(-np.mean([refit.margin for refit in refits], axis=0), kind="stable")[:most]
    reasons = [(find(refit.model, shown), find(refit.model, head)) for refit in refits]
    runs = pd.DataFrame([_run(number, refit, later) for number, refit in enumerate(refits, 1)])
    own = None if fitted is None else find(fitted, head)
    runs["same_reasons"] = [
        np.nan if own is None else _jaccard(own, each).mean() for _, each in reasons
    ]
    pairs = pd.DataFrame(
        [
            {"one": i + 1, "other": j + 1, **_compare(refits[i], refits[j], reasons[i], reasons[j])}
            for i, j in itertools.combinations(range(len(refits)), 2)
        ]
    )
    return Stability(
        kind=kind,
        runs=runs,
        metrics=_spread(runs, METRICS, name="metric", count="refits"),
        pairs=pairs,
        overlaps=_spread(pairs, OVERLAPS, name="overlap", count="pairs"),
        skipped=skipped,
    )


def _run(number: int, refit: _Refit, later: LabelledRows) -> dict[str, float]:
    quality = m.compute_metrics(later.target, refit.margin, expit(refit.margin)).as_dict()
    return {
        "run": number,
        "seed": refit.seed,
        "rows": refit.rows,
        "customers": refit.customers,
        "trees": refit.model.n_trees,
        **{name: quality[name] for name in METRICS},
    }


def _compare(
    one: _Refit, other: _Refit, reasons: tuple[m.Ints, m.Ints], others: tuple[m.Ints, m.Ints]
) -> dict[str, float]:
    constant = np.ptp(one.margin) == 0.0 or np.ptp(other.margin) == 0.0
    correlation = np.nan if constant else stats.spearmanr(one.margin, other.margin).statistic
    return {
        "top_features": float(_jaccard(one.top, other.top).mean()),
        "reasons": float(_jaccard(reasons[0], others[0]).mean()),
        "reasons_of_the_head": float(_jaccard(reasons[1], others[1]).mean()),
        "rank_correlation": float(correlation),
    }


def _jaccard(one: m.Ints, other: m.Ints) -> m.Floats:
    """Overlap of each row's set (n, k), -1 for none: common over all; two empty sets agree."""
    same = (one[:, :, None] == other[:, None, :]) & (one >= 0)[:, :, None]
    common = same.sum(axis=(1, 2))
    joint = (one >= 0).sum(axis=1) + (other >= 0).sum(axis=1) - common
    out: m.Floats = np.divide(common, joint, out=np.ones(len(one)), where=joint > 0)
    return out


def _spread(
    table: pd.DataFrame, columns: tuple[str, ...], *, name: str, count: str
) -> pd.DataFrame:
    found = table[list(columns)]
    return pd.DataFrame(
        {
            name: columns,
            count: len(table),
            "mean": found.mean().to_numpy(),
            "sd": found.std(ddof=1).to_numpy(),
            "min": found.min().to_numpy(),
            "max": found.max().to_numpy(),
        }
    )
