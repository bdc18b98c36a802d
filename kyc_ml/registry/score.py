"""Bundle and features in, score table out: margin, probability, tier, reasons. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.contract import CUSTOMER_ID
from kyc_ml.decision import (
    NO_OVERRIDES,
    Grades,
    OverrideBook,
    TierHistory,
    grade,
    make_reasons,
    merge_specs,
    policy_features,
)
from kyc_ml.errors import BundleError, DatasetError
from kyc_ml.features import DECISION_TIME, OBSERVATION_ID, FeatureSpec, FeatureTable
from kyc_ml.metrics import Floats, Ints
from kyc_ml.model import Contributions
from kyc_ml.registry.bundle import Bundle, load_bundle

_PIECE: Final = 8_192
"""Rows explained at a time: under a second of work, and several blocks for each thread."""

_NAMED: Final = 5
_PINNED: Final = "KYC_ML_BUNDLE_DIGEST"


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
        equals the margin.

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
    """Predictions for n rows: the only way from a bundle to margin, probability and tier.

    Attributes
    ----------
    margin : float64 array of shape (n,), log-odds
    probability : float64 array of shape (n,), calibrated
    grades : Grades
    unknown_categories : mapping of feature to number of rows
        Values that the model has never seen, treated as missing.
    """

    margin: Floats
    probability: Floats
    grades: Grades
    unknown_categories: Mapping[str, int]

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

        Parameters
        ----------
        features, facts, book, history
            See `score_features`.
        predicted : two float64 arrays of shape (n,), optional
            Margin and probability by other models than the bundle's: those of its folds.

        Raises
        ------
        DatasetError
            Naming the columns of the model that the table does not have.
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
    """Scored rows, and what they were made from.

    Attributes
    ----------
    table : pyarrow.Table
        As `score_features` returns it.
    contributions : Contributions
        Of every feature, in the model's order.
    """

    table: pa.Table
    scores: Scores
    contributions: Contributions


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
    table = pa.table(
        {
            **{name: features.keys[name] for name in features.keys.column_names},
            "margin": pa.array(scores.margin),
            "probability": pa.array(scores.probability),
            **scores.grades.columns(),
            "base_value": pa.array(contributions.base),
            **reasons_of(bundle, own, contributions, k=bundle.config.explain.reasons),
            "model_name": pa.array([bundle.config.name] * n, pa.string()),
            "model_digest": pa.array([bundle.digest] * n, pa.string()),
        }
    )
    return Scored(table=table, scores=scores, contributions=contributions)


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

    Raises
    ------
    DatasetError
        Naming the columns of the model that the table does not have.
    """
    wanted, there = bundle.model.feature_names, set(features.names)
    absent = [name for name in wanted if name not in there]
    if absent:
        more = f" and {len(absent) - _NAMED} more" if len(absent) > _NAMED else ""
        msg = (
            f"model {bundle.config.name!r} needs {len(absent)} column(s) that the features do not "
            f"have: {', '.join(absent[:_NAMED])}{more}; build them with specs=bundle.specs"
        )
        raise DatasetError(msg)
    return features.reorder(wanted)


def explain_rows(
    bundle: Bundle,
    features: FeatureTable,
    *,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Contributions:
    """Compute the SHAP contribution of every feature of the model, in the model's order.

    Parameters
    ----------
    features : FeatureTable
        See `Scores.of`.
    progress : callable, optional
        Called with (rows done, rows in all).
    """
    # encoded here and not by the caller: two models may share the memory of one table
    matrix, _ = model_columns(bundle, features).encode(bundle.vocabularies)
    n = matrix.shape[0]
    values, base = np.empty(matrix.shape), np.empty(n)
    for start in range(0, n, _PIECE):
        rows = slice(start, min(start + _PIECE, n))
        part = bundle.model.contributions(matrix[rows], threads=threads)
        values[rows], base[rows] = part.values, part.base  # noqa: PD011  not a pandas object
        if progress is not None:
            progress(rows.stop, n)
    return Contributions(values=values, base=base)


def reasons_of(
    bundle: Bundle, features: FeatureTable, contributions: Contributions, *, k: int
) -> dict[str, pa.Array]:
    """Return the columns of `make_reasons`, by the bundle's own reference and currency.

    Parameters
    ----------
    features : FeatureTable
        The model's own columns, in its order.
    """
    return make_reasons(
        features,
        contributions.values,
        reference=bundle.reference,
        currency=bundle.data["base_currency"],
        k=k,
    )


def features_from_frame(frame: pd.DataFrame, *, specs: tuple[FeatureSpec, ...]) -> FeatureTable:
    """Read a data frame of feature columns, such as `kyc-ml features build` writes.

    Keys that the frame lacks (a request to a served model has none) are left empty; no date
    follows from a decision without a time.
    """
    n = len(frame)
    numbers = np.full((n, len(specs)), np.nan, order="F")
    categories: dict[str, pa.Array] = {}
    for column, spec in enumerate(specs):
        if spec.kind == "category":
            values = frame[spec.name].astype(object)
            categories[spec.name] = pa.array(values.where(values.notna(), None), pa.string())
        else:
            numbers[:, column] = frame[spec.name].to_numpy(dtype=np.float64, na_value=np.nan)
    keys = {}
    for name in (OBSERVATION_ID, CUSTOMER_ID):
        given = frame[name].astype(object) if name in frame else [None] * n
        keys[name] = pa.array(list(given), pa.string())
    if DECISION_TIME in frame:
        times = pd.to_datetime(frame[DECISION_TIME], utc=True).dt.tz_convert(None).dt.as_unit("us")
        moments = pa.array(times.to_numpy())
    else:
        moments = pa.nulls(n, pa.timestamp("us"))
    keys[DECISION_TIME] = moments.cast(pa.timestamp("us", tz="UTC"))
    return FeatureTable(
        keys=pa.table(keys), specs=specs, numbers=numbers, categories=categories, unavailable={}
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


class Scorer:
    """A bundle behind MLflow's pyfunc face: features in, scores and reasons out."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.facts = policy_facts(bundle)

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score rows of feature columns; the order is kept.

        Further columns that the tier policy reads are used if they are sent; what
        is not sent is named in `policy_unchecked`. Without decision times every declared
        floor counts as in force, and nothing is known of history or entered overrides.

        Returns
        -------
        DataFrame
            margin, probability, the tiers, override_code, policy_unchecked and the reasons.
        """
        del params  # pyfunc passes them; this model has no parameters
        features = features_from_frame(frame, specs=self.bundle.inputs)
        sent = tuple(spec for spec in self.facts if spec.name in frame)
        facts = features_from_frame(frame, specs=(*self.bundle.inputs, *sent))
        table = score_features(self.bundle, features, facts=facts)
        wanted = [
            name
            for name in table.column_names
            if name in {"margin", "probability", "override_code", "policy_unchecked"}
            or name.startswith(("tier", "reason_"))
        ]
        scores: pd.DataFrame = table.select(wanted).to_pandas()
        return scores


def load_pyfunc(path: str) -> Scorer:
    """Load a bundle for `mlflow.pyfunc`; the name is MLflow's.

    A server has no audit log. Its bundle must have the digest that MLflow logged beside it and,
    where the variable KYC_ML_BUNDLE_DIGEST is set, that one: the ``bundle_digest`` of the
    promotion's entry, which whoever can write to the registry cannot change.

    Raises
    ------
    BundleError
        If the bundle was changed or exchanged.
    """
    folder = Path(path)
    beside = folder.parents[1] / "MLmodel"
    logged = (
        re.search(r"bundle_digest: (\w+)", beside.read_text(encoding="utf-8"))
        if beside.is_file()
        else None
    )
    bundle = load_bundle(folder, digest=None if logged is None else logged[1])
    pinned = os.environ.get(_PINNED)
    if pinned and pinned != bundle.digest:
        msg = (
            f"the bundle to serve has digest {bundle.digest[:12]}, but {_PINNED} is "
            f"{pinned[:12]}: it is another model, or it was exchanged; compare with kyc-ml "
            "audit-log verify"
        )
        raise BundleError(msg)
    return Scorer(bundle)
