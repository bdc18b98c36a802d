"""Bundle and features in, score table out: margin, probability, tier, reasons. Pure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from kyc_ml.bundle import Bundle, load_bundle
from kyc_ml.contract.tables import CUSTOMER_ID
from kyc_ml.explain import make_reasons
from kyc_ml.features.spec import FeatureSpec
from kyc_ml.features.table import DECISION_TIME, OBSERVATION_ID, FeatureTable
from kyc_ml.model import Contributions
from kyc_ml.tiers import assign_tiers, next_reviews

_PIECE: Final = 2_000
"""Rows explained at a time: a second or two of work."""


def score_features(
    bundle: Bundle,
    features: FeatureTable,
    *,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> pa.Table:
    """Score every row of a feature table, in its order.

    Parameters
    ----------
    progress : callable, optional
        Called with (rows done, rows in all): explaining takes nearly all the time.

    Returns
    -------
    pyarrow.Table of len(features) rows
        observation_id, customer_id, decision_time, margin (log-odds), probability, tier,
        tier_zh, due_diligence, next_review, the reasons of `make_reasons`, model_name,
        model_digest and policy. `base_value` plus all contributions equals the margin.
    """
    matrix, _ = features.encode(bundle.vocabularies)
    margin = bundle.model.margin(matrix, threads=threads)
    contributions = _explain_in_pieces(bundle, matrix, threads=threads, progress=progress)
    proba = bundle.calibrator.probability(margin, _segments(bundle, features))
    tier = assign_tiers(proba, policy=bundle.policy)
    rules = bundle.policy.tiers
    decision = pd.DatetimeIndex(features.keys[DECISION_TIME].to_pandas())
    due = next_reviews(decision, tier, policy=bundle.policy)
    n = len(features)
    return pa.table(
        {
            **{name: features.keys[name] for name in features.keys.column_names},
            "margin": pa.array(margin),
            "probability": pa.array(proba),
            "tier": pa.array([rules[place].name for place in tier], pa.string()),
            "tier_zh": pa.array([rules[place].name_zh for place in tier], pa.string()),
            "due_diligence": pa.array([rules[place].due_diligence for place in tier], pa.string()),
            "next_review": pa.array(due.date, pa.date32()),
            "base_value": pa.array(contributions.base),
            **make_reasons(
                features,
                contributions.values,
                reference=bundle.reference,
                currency=bundle.data["base_currency"],
                k=bundle.config.explain.reasons,
            ),
            "model_name": pa.array([bundle.config.name] * n, pa.string()),
            "model_digest": pa.array([bundle.digest] * n, pa.string()),
            "policy": pa.array([f"{bundle.policy.name} v{bundle.policy.version}"] * n, pa.string()),
        }
    )


def _segments(bundle: Bundle, features: FeatureTable) -> npt.NDArray[np.object_] | None:
    """Give each row's segment where the calibration has segments."""
    segments = bundle.calibrator.segments
    if segments is None:
        return None
    return np.array(features.categories[segments.feature].to_pylist(), dtype=object)


def _explain_in_pieces(
    bundle: Bundle,
    matrix: npt.NDArray[np.float64],
    *,
    threads: int,
    progress: Callable[[int, int], None] | None,
) -> Contributions:
    """Explain rows piece by piece, to be able to say how far it has come."""
    n = matrix.shape[0]
    values, base = np.empty(matrix.shape), np.empty(n)
    for start in range(0, n, _PIECE):
        rows = slice(start, min(start + _PIECE, n))
        part = bundle.model.contributions(matrix[rows], threads=threads)
        values[rows], base[rows] = part.values, part.base  # noqa: PD011  not a pandas object
        if progress is not None:
            progress(rows.stop, n)
    return Contributions(values=values, base=base)


def features_from_frame(frame: pd.DataFrame, *, specs: tuple[FeatureSpec, ...]) -> FeatureTable:
    """Read a data frame of feature columns, such as `kyc-ml features build` writes.

    Keys that the frame lacks (a request to a served model has none) are left empty; the
    decision time is then the beginning of 1970 and no date follows from it.
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
        moments = times.to_numpy().astype(np.int64)
    else:
        moments = np.zeros(n, np.int64)
    keys[DECISION_TIME] = pa.array(moments).cast(pa.timestamp("us", tz="UTC"))
    return FeatureTable(
        keys=pa.table(keys), specs=specs, numbers=numbers, categories=categories, left_out={}
    )


class Scorer:
    """A bundle behind MLflow's pyfunc face: features in, scores and reasons out."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score rows of feature columns; the order is kept.

        Returns
        -------
        DataFrame
            margin, probability, tier, tier_zh and the reasons.
        """
        del params  # pyfunc hands them over; there are none
        features = features_from_frame(frame, specs=self.bundle.inputs)
        table = score_features(self.bundle, features)
        wanted = [
            name
            for name in table.column_names
            if name in {"margin", "probability", "tier", "tier_zh"} or name.startswith("reason_")
        ]
        scores: pd.DataFrame = table.select(wanted).to_pandas()
        return scores


def _load_pyfunc(path: str) -> Scorer:
    """Load a bundle for `mlflow.pyfunc`; the name is MLflow's."""
    return Scorer(load_bundle(Path(path)))
