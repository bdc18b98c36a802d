"""A registered model behind MLflow's pyfunc face: features in, scores and reasons out."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST

from kyc_ml.contract import CUSTOMER_ID
from kyc_ml.errors import BundleError, DatasetError, Faults, some_of
from kyc_ml.features import DECISION_TIME, OBSERVATION_ID, FeatureSpec, FeatureTable
from kyc_ml.metrics import Mask
from kyc_ml.registry.bundle import Bundle, load_bundle
from kyc_ml.registry.score import policy_facts, score_features

_PINNED: Final = "KYC_ML_BUNDLE_DIGEST"
USABLE: Final = "usable"
INPUT_FLAGS: Final = "input_flags"
_FIRST: Final = ("probability", "margin", USABLE, INPUT_FLAGS)
"""`spark_udf` with a number as its result takes the first number: it must be the probability."""
_NOT_READ: Final = (ValueError, TypeError, OverflowError, pa.ArrowException)
"""Errors of values of another type; their text quotes the value, which is a customer's."""
_POLICY: Final = ("override_code", "policy_unchecked")


class RefusedRequestError(MlflowException):
    """A request that cannot be scored: HTTP status 400 with one sentence."""

    def __init__(self, sentence: str) -> None:
        self._sentence = sentence
        super().__init__(sentence, error_code=BAD_REQUEST)

    @property
    def message(self) -> str:
        """What is wrong and what to send instead."""
        return self._sentence

    @message.setter
    def message(self, text: str) -> None:
        # MLflow's scoring server puts the rows that were sent before the message: customers'
        # values, which would then be in the logs of whoever calls
        del text


class Answer(pd.DataFrame):
    """Scores whose records are strict JSON: a missing value is null, never a bare NaN."""

    def to_dict(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  as pandas has it
        """Return as pandas does, with None for missing values; MLflow's server calls it."""
        return pd.DataFrame(self.astype(object).where(self.notna(), None)).to_dict(*args, **kwargs)


class Scorer:
    """A bundle that MLflow's pyfunc can call."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.facts = policy_facts(bundle)

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score rows of feature columns; the order is kept.

        Further columns that the tier policy reads are used if they are sent; what
        is not sent is named in `policy_unchecked`. Without decision times every declared
        floor counts as in force, and nothing is known of history or entered overrides.

        probability, margin, usable, input_flags, the tiers, override_code, policy_unchecked and the
        reasons. `input_flags` names what was odd in a row, '' for nothing: `nothing_known` (no
        feature has a value), `infinite: NAMES`, and `unknown_category: NAMES` (values of no row of
        the training, scored as missing). With the first two the row is not `usable`: probability,
        tiers and reasons are missing, because a score of nothing would read as low risk.
        Raises RefusedRequestError if columns of the model are absent, or hold values of another
        type.
        """
        del params  # pyfunc passes them; this model has no parameters
        sent = tuple(spec for spec in self.facts if spec.name in frame)
        try:
            facts = features_from_frame(frame, specs=(*self.bundle.inputs, *sent))
        except DatasetError as error:
            raise RefusedRequestError(str(error)) from None
        usable, flags = self._check(facts)
        scored = score_features(self.bundle, facts)
        named = [
            name
            for name in scored.column_names
            if name in _POLICY or name.startswith(("tier", "reason_"))
        ]
        table = scored.append_column(USABLE, pa.array(usable)).append_column(
            INPUT_FLAGS, pa.array(flags, pa.string())
        )
        scores: pd.DataFrame = table.select([*_FIRST, *named]).to_pandas()
        if not usable.all():
            said = scores[[USABLE, INPUT_FLAGS]]
            scores = scores.where(pd.Series(usable))
            scores[[USABLE, INPUT_FLAGS]] = said
        return Answer(scores)

    def _check(self, facts: FeatureTable) -> tuple[Mask, list[str]]:
        """Return which rows can be scored, shape (n,), and the flags of each row."""
        n = len(facts)
        infinite, unknown = _Named(n), _Named(n)
        known = np.zeros(n, bool)
        for column, spec in enumerate(self.bundle.inputs):
            if spec.kind == "category":
                values = facts.categories[spec.name]
                known |= _mask(values.is_valid())
                vocabulary = pa.array(self.bundle.vocabularies.get(spec.name, ()), pa.string())
                new = pc.and_(values.is_valid(), pc.invert(pc.is_in(values, vocabulary)))
                unknown.add(spec.name, _mask(new))
            else:
                numbers = facts.numbers[:, column]
                known |= ~np.isnan(numbers)
                infinite.add(spec.name, np.isinf(numbers))
        flags = [
            "; ".join(
                [
                    *([] if known[row] else ["nothing_known"]),
                    *infinite.of(row, "infinite"),
                    *unknown.of(row, "unknown_category"),
                ]
            )
            for row in range(n)
        ]
        return known & ~infinite.any, flags


class _Named:
    """Names of the features for which something holds, by row."""

    def __init__(self, rows: int) -> None:
        self.any = np.zeros(rows, bool)
        self._names: dict[int, list[str]] = {}

    def add(self, name: str, rows: Mask) -> None:
        self.any |= rows
        for row in np.flatnonzero(rows):
            self._names.setdefault(int(row), []).append(name)

    def of(self, row: int, code: str) -> Iterator[str]:
        if row in self._names:
            yield f"{code}: {', '.join(self._names[row])}"


def _mask(values: pa.Array) -> Mask:
    return np.asarray(values.to_numpy(zero_copy_only=False), bool)


def load_pyfunc(path: str) -> Scorer:
    """Load a bundle for `mlflow.pyfunc`; the name is MLflow's.

    A server has no audit log. Its bundle must have the digest that MLflow logged beside it and,
    where the variable KYC_ML_BUNDLE_DIGEST is set, that one: the ``bundle_digest`` of the
    promotion's entry, which whoever can write to the registry cannot change.

    Raises BundleError if the bundle was changed or exchanged.
    """
    folder = Path(path)
    beside = folder.parents[1] / "MLmodel"
    content = beside.read_text(encoding="utf-8") if beside.is_file() else ""
    logged = re.search(r"bundle_digest: (\w+)", content)
    bundle = load_bundle(folder, digest=None if logged is None else logged[1])
    pinned = os.environ.get(_PINNED)
    if pinned and pinned != bundle.digest:
        raise BundleError(
            f"the bundle to serve has digest {bundle.digest[:12]}, but {_PINNED} is "
            f"{pinned[:12]}: it is another model, or it was exchanged; compare with kyc-ml "
            "audit-log verify"
        )
    return Scorer(bundle)


def features_from_frame(frame: pd.DataFrame, *, specs: Sequence[FeatureSpec]) -> FeatureTable:
    """Read a data frame of feature columns, such as `kyc-ml features build` writes.

    Keys that the frame lacks (a request to a served model has none) are left empty; no date
    follows from a decision without a time.

    Raises DatasetError naming each column that is absent or holds values of another type.
    """
    _require_columns(frame, specs)
    n = len(frame)
    numbers = np.full((n, len(specs)), np.nan, order="F")
    categories: dict[str, pa.Array] = {}
    faults = Faults("the request cannot be scored", DatasetError)
    for column, spec in enumerate(specs):
        try:
            if spec.kind == "category":
                values = frame[spec.name].astype(object)
                categories[spec.name] = pa.array(values.where(values.notna(), None), pa.string())
            else:
                numbers[:, column] = frame[spec.name].to_numpy(dtype=np.float64, na_value=np.nan)
        except _NOT_READ:
            wanted = "text" if spec.kind == "category" else "numbers"
            faults.add(f"{spec.name}: send {wanted}, or null for a missing value")
    keys = _read_keys(frame, faults)
    faults.raise_if_any()
    return FeatureTable(
        keys=pa.table(keys),
        specs=tuple(specs),
        numbers=numbers,
        categories=categories,
        unavailable={},
    )


def _read_keys(frame: pd.DataFrame, faults: Faults) -> dict[str, pa.Array]:
    """Read who and when of each row; missing where the frame has no such column."""
    n = len(frame)
    keys = {}
    for name in (OBSERVATION_ID, CUSTOMER_ID):
        given = frame[name].astype(object) if name in frame else [None] * n
        try:
            keys[name] = pa.array(list(given), pa.string())
        except _NOT_READ:
            faults.add(f"{name}: send text, or null for a missing value")
    moments = pa.nulls(n, pa.timestamp("us"))
    if DECISION_TIME in frame:
        try:
            times = pd.to_datetime(frame[DECISION_TIME], utc=True).dt.tz_convert(None)
            moments = pa.array(times.dt.as_unit("us").to_numpy())
        except _NOT_READ:
            faults.add(f"{DECISION_TIME}: send times in the form 2025-03-01T00:00Z, or null")
    keys[DECISION_TIME] = moments.cast(pa.timestamp("us", tz="UTC"))
    return keys


def _require_columns(frame: pd.DataFrame, specs: Sequence[FeatureSpec]) -> None:
    twice = frame.columns[frame.columns.duplicated()].unique()
    if len(twice):
        raise DatasetError(f"the request has {len(twice)} column(s) more than once: send each once")
    absent = [spec.name for spec in specs if spec.name not in frame]
    if absent:
        raise DatasetError(
            f"the request lacks {len(absent)} of the model's {len(specs)} columns: "
            f"{some_of(absent)}; send each, with null where the value is missing"
        )
