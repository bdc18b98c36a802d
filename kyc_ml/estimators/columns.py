"""Rows of any library as the matrix that a model reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from kyc_ml.contract.frames import ArrowStream
from kyc_ml.errors import DatasetError, Faults
from kyc_ml.features.spec import Direction, Kind
from kyc_ml.features.table import FeatureTable

Floats = npt.NDArray[np.float64]
Vocabularies = Mapping[str, tuple[str, ...]]

_SHOWN: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class InputColumn:
    """A column as `kyc_ml.model.fit_model` knows it."""

    name: str
    kind: Kind
    monotone: Direction


def as_frame(rows: Any) -> Any:  # noqa: ANN401  whatever scikit-learn takes as X
    """Give tables of other libraries as pandas frames; leave what scikit-learn knows as it is.

    Of a `FeatureTable` the features alone: its keys are no columns of a model. They are the
    index: observation_id, customer_id and decision_time.
    """
    if isinstance(rows, FeatureTable):
        keys = list(rows.keys.column_names)
        return rows.to_pandas().set_index(keys)
    if isinstance(rows, pd.DataFrame) or not isinstance(rows, pa.Table | ArrowStream):
        return rows
    return pa.table(rows).to_pandas()


def require_readable(rows: Any) -> None:  # noqa: ANN401  whatever scikit-learn takes as X
    """Refuse columns of a frame that are neither numbers nor categories.

    Raises
    ------
    DatasetError
        Naming each: a text column may be an identifier, and a model would learn it by heart.
    """
    if not isinstance(rows, pd.DataFrame):
        return
    faults = Faults("columns for RiskClassifier", DatasetError)
    for name, dtype in zip(rows.columns, rows.dtypes, strict=True):
        number = pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype)
        if not number and not isinstance(dtype, pd.CategoricalDtype):
            faults.add(
                f"{name!r} has dtype {dtype}: leave it out, or make it a number, or, if it is a "
                "category, .astype('category')"
            )
    faults.raise_if_any()


def learn_vocabularies(rows: Any, fitted: npt.NDArray[np.int64]) -> dict[str, tuple[str, ...]]:  # noqa: ANN401
    """List the values that each category of a frame takes in the fitted rows, sorted as text."""
    if not isinstance(rows, pd.DataFrame):
        return {}
    categories = rows.columns[[isinstance(each, pd.CategoricalDtype) for each in rows.dtypes]]
    return {
        str(name): tuple(sorted({str(value) for value in rows[name].iloc[fitted].dropna()}))
        for name in categories
    }


def encode(rows: Any, vocabularies: Vocabularies) -> Any:  # noqa: ANN401  frame in, frame out
    """Put each category's place in its vocabulary; a value outside of it is missing, NaN."""
    if not isinstance(rows, pd.DataFrame):
        return rows
    coded = {}
    for name, known in vocabularies.items():
        values = rows[name].astype(object).map(str, na_action="ignore")
        place = pd.Index(known, dtype=object).get_indexer(pd.Index(values, dtype=object))
        coded[name] = np.where(place < 0, np.nan, place)
    return rows.assign(**coded) if coded else rows


def input_columns(
    names: Sequence[str], vocabularies: Vocabularies, monotone: Mapping[str, Direction]
) -> tuple[InputColumn, ...]:
    """Declare the columns of the matrix.

    Raises
    ------
    DatasetError
        If a direction is asked of no column, or of a category.
    """
    faults = Faults("monotone of RiskClassifier", DatasetError)
    strangers = sorted(set(monotone) - set(names))
    for name in strangers[:_SHOWN]:
        faults.add(f"{name!r} is no column: name one of those that fit was given")
    faults.extend(
        f"{name!r} is a category, which has no direction: leave it out"
        for name in monotone
        if name in vocabularies
    )
    faults.raise_if_any()
    return tuple(
        InputColumn(
            name=name,
            kind="category" if name in vocabularies else "number",
            monotone=monotone.get(name, 0),
        )
        for name in names
    )
