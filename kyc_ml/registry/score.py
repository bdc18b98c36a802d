"""Bundle and features in, score table out: margin, probability, tier, reasons. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import pyarrow as pa

from kyc_ml.decision import (
    NO_OVERRIDES,
    Grades,
    OverrideBook,
    TierHistory,
    grade,
    make_reasons,
    merge_specs,
    policy_features,
    set_by_columns,
)
from kyc_ml.errors import DatasetError, some_of
from kyc_ml.features import FeatureSpec, FeatureTable, to_columns
from kyc_ml.metrics import Floats, Ints
from kyc_ml.model import Contributions
from kyc_ml.registry.bundle import Bundle

_PIECE: Final = 8_192
"""Rows explained at a time: under a second of work, and several blocks for each thread."""


def score_features(
    bundle: Bundle,
    features: FeatureTable,
    *,
    facts: FeatureTable | None = None,
    book: OverrideBook = NO_OVERRIDES,
    history: TierHistory | None = None,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> pa.Table:
    """Score every row of a feature table, in its order.

    Parameters
    ----------
    features : FeatureTable
        Holds the model's columns, in any order; other columns may be present.
    facts : FeatureTable, optional
        The same rows with what the tier policy reads; without it the policy sees `features`,
        and `policy_unchecked` names what it could not apply.
    book, history : optional
        Overrides entered for single customers, and tiers of earlier reviews; see `grade`.
    progress : callable, optional
        Called with (rows done, rows in all): explaining takes nearly all the time.

    Returns
    -------
    pyarrow.Table of len(features) rows
        observation_id, customer_id, decision_time, margin (log-odds), probability, the
        columns of `Grades` (tier and what it came from), base_value, the reasons of
        `make_reasons`, model_name and model_digest. `base_value` plus all contributions
        equals the margin, and so does `reference_margin` plus the differences of all groups.

    Raises
    ------
    DatasetError
        Naming the columns of the model that the table does not have.
    """
    return score_and_grade(
        bundle,
        features,
        facts=facts,
        book=book,
        history=history,
        threads=threads,
        progress=progress,
    ).table


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Predictions for n rows: the only way from a bundle to margin, probability and tier."""

    margin: Floats
    """float64 array of shape (n,), log-odds."""
    probability: Floats
    """float64 array of shape (n,), calibrated."""
    grades: Grades
    unknown_categories: Mapping[str, int]
    """Mapping of feature to number of rows; values that the model has never seen, treated as
    missing."""

    @property
    def tier(self) -> Ints:
        """Place of each row's tier in the tiers of the bundle's policy, shape (n,)."""
        return self.grades.tier

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        features: FeatureTable,
        *,
        facts: FeatureTable | None = None,
        book: OverrideBook = NO_OVERRIDES,
        history: TierHistory | None = None,
        threads: int = 2,
        predicted: tuple[Floats, Floats] | None = None,
    ) -> Self:
        """Score and grade rows, without explaining them.

        `features`, `facts`, `book`, `history`: see `score_features`.
        `predicted`: two float64 arrays of shape (n,); margin and probability by other models than
        the bundle's: those of its folds.
        Raises DatasetError naming the columns of the model that the table does not have.
        """
        unknown: Mapping[str, int] = {}
        if predicted is None:
            margin, probability, unknown = predict(bundle, features, threads=threads)
        else:
            margin, probability = predicted
        grades = grade(
            probability,
            features if facts is None else facts,
            policy=bundle.policy,
            book=book,
            history=history,
        )
        return cls(
            margin=margin, probability=probability, grades=grades, unknown_categories=unknown
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Scored rows, and what they were made from."""

    columns: Mapping[str, pa.Array | pa.ChunkedArray]
    """Of `table`, by name."""
    scores: Scores
    contributions: Contributions
    """Of every feature, in the model's order."""

    @property
    def table(self) -> pa.Table:
        """What `score_features` returns."""
        return pa.table(self.columns)


def score_and_grade(
    bundle: Bundle,
    features: FeatureTable,
    *,
    facts: FeatureTable | None = None,
    book: OverrideBook = NO_OVERRIDES,
    history: TierHistory | None = None,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Scored:
    """Score as `score_features` does, and also return what the table was made from."""
    own = model_columns(bundle, features)
    scores = Scores.of(
        bundle,
        own,
        facts=features if facts is None else facts,
        book=book,
        history=history,
        threads=threads,
    )
    contributions = explain_rows(bundle, own, threads=threads, progress=progress)
    n = len(features)
    named = {"model_name": [bundle.config.name] * n, "model_digest": [bundle.digest] * n}
    columns = {
        **{name: features.keys[name] for name in features.keys.column_names},
        "margin": pa.array(scores.margin),
        "probability": pa.array(scores.probability),
        **scores.grades.columns(),
        **set_by_columns(scores.grades),
        "base_value": pa.array(contributions.base),
        **reasons_of(bundle, own, contributions, k=bundle.config.explain.reasons),
        **to_columns(named, pa.string()),
    }
    return Scored(columns=columns, scores=scores, contributions=contributions)


def predict(
    bundle: Bundle, features: FeatureTable, *, threads: int = 2
) -> tuple[Floats, Floats, Mapping[str, int]]:
    """Compute margin and probability of every row, and count unknown categories; see `Scores`."""
    matrix, unknown = model_columns(bundle, features).encode(bundle.vocabularies)
    margin = bundle.model.margin(matrix, threads=threads)
    segments = bundle.calibrator.segments
    segment = features.segment(None if segments is None else segments.feature)
    return margin, bundle.calibrator.probability(margin, segment), unknown


def model_columns(bundle: Bundle, features: FeatureTable) -> FeatureTable:
    """Return the model's columns by name: in another order they would be another model's.

    Raises DatasetError naming the columns of the model that the table does not have.
    """
    wanted = bundle.model.feature_names
    if features.names == wanted:
        return features
    there = set(features.names)
    absent = [name for name in wanted if name not in there]
    if absent:
        raise DatasetError(
            f"model {bundle.config.name!r} needs {len(absent)} column(s) that the features do not "
            f"have: {some_of(absent)}; build them with specs=bundle.specs"
        )
    return features.reorder(wanted)


def explain_rows(
    bundle: Bundle,
    features: FeatureTable,
    *,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Contributions:
    """Compute the SHAP contribution of every feature of the model, in the model's order.

    `features`: see `Scores.of`.
    `progress`: called with (rows done, rows in all).
    """
    # encoded here and not by the caller: two models may share the memory of one table
    matrix, _ = model_columns(bundle, features).encode(bundle.vocabularies)
    n = matrix.shape[0]
    values, base = np.empty(matrix.shape), np.empty(n)
    for start in range(0, n, _PIECE):
        rows = slice(start, min(start + _PIECE, n))
        part = bundle.model.contributions(matrix[rows], threads=threads)
        values[rows], base[rows] = part.values, part.base
        if progress is not None:
            progress(rows.stop, n)
    return Contributions(values=values, base=base)


def reasons_of(
    bundle: Bundle,
    features: FeatureTable,
    contributions: Contributions,
    *,
    k: int,
    contrast: bool = True,
) -> dict[str, pa.Array]:
    """Return the columns of `make_reasons`, by the bundle's own reference and currency.

    `features`: the model's own columns, in its order.
    `contrast`: False ranks every feature by its own contribution, usual values too.
    """
    return make_reasons(
        features,
        contributions.values,
        reference=bundle.reference if contrast else bundle.reference.without_contrast(),
        currency=bundle.data["base_currency"],
        k=k,
        base=contributions.base,
    )


def policy_facts(bundle: Bundle) -> tuple[FeatureSpec, ...]:
    """List what the tier policy reads in addition to the model's columns."""
    own = {spec.name for spec in bundle.inputs}
    needed = policy_needs(bundle)
    return tuple(spec for spec in needed if not spec.intermediate and spec.name not in own)


def policy_needs(bundle: Bundle) -> tuple[FeatureSpec, ...]:
    """List all that the tier policy reads, with what it is made of."""
    run = bundle.config
    return policy_features(bundle.policy, run.features, unit=run.unit)


def graded_specs(bundle: Bundle) -> tuple[FeatureSpec, ...]:
    """List what scoring and grading need: the model's features and what its policy reads."""
    return merge_specs(bundle.specs, policy_needs(bundle))
