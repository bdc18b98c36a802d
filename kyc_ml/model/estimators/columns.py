"""Rows of any library as the matrix that a model reads."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.contract import ArrowStream
from kyc_ml.errors import DatasetError, Faults
from kyc_ml.features import Direction, FeatureTable, Kind
from kyc_ml.metrics import Ints

Vocabularies = Mapping[str, tuple[str, ...]]

_SHOWN: Final = 10
_COLUMNS: Final = "columns for RiskClassifier"
_MONOTONE: Final = "monotone of RiskClassifier"
_DIRECTIONS: Final = (-1, 0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputColumn:
    """A column as `kyc_ml.model.fit_model` knows it."""

    name: str
    kind: Kind
    monotone: Direction


def as_frame(rows: Any) -> Any:  # noqa: ANN401  whatever scikit-learn takes as X
    """Convert tables of other libraries to pandas; return what scikit-learn knows unchanged.

    Of a `FeatureTable` the features alone: its keys are not columns of a model. They are the
    index: observation_id, customer_id and decision_time.
    """
    if isinstance(rows, FeatureTable):
        keys = list(rows.keys.column_names)
        return rows.to_pandas().set_index(keys)
    if isinstance(rows, pd.DataFrame) or not isinstance(rows, pa.Table | ArrowStream):
        return rows
    return pa.table(rows).to_pandas()


def require_readable(rows: Any) -> None:  # noqa: ANN401  whatever scikit-learn takes as X
    """Raise if columns of a frame are neither numbers nor categories, or share a name.

    Raises DatasetError naming each: a text column may be an identifier, and a model would learn it
    by heart.
    """
    if not isinstance(rows, pd.DataFrame):
        return
    faults = Faults(_COLUMNS, DatasetError)
    kinds = sorted({type(name).__name__ for name in rows.columns if not isinstance(name, str)})
    if any(isinstance(name, str) for name in rows.columns) and kinds:
        faults.add(f"some names are text and some {', '.join(kinds)}: X.columns.astype(str)")
    if any(isinstance(name, str) and not name for name in rows.columns):
        faults.add("a column has an empty name: name it")
    faults.raise_if_any()
    faults.extend(
        f"{name!r} comes {count} times: rename or drop all but one"
        for name, count in rows.columns.value_counts(sort=False).items()
        if count > 1
    )
    for name, dtype in zip(rows.columns, rows.dtypes, strict=True):
        number = pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype)
        if not number and not isinstance(dtype, pd.CategoricalDtype):
            faults.add(
                f"{name!r} has dtype {dtype}: leave it out, or make it a number, or, if it is a "
                "category, .astype('category')"
            )
    faults.raise_if_any()


def with_text_names(rows: Any) -> Any:  # noqa: ANN401  frame in, frame out
    """Call a frame's columns by text: those of a frame without names are called 0, 1, 2."""
    if not isinstance(rows, pd.DataFrame) or all(isinstance(each, str) for each in rows.columns):
        return rows
    return rows.set_axis([str(each) for each in rows.columns], axis="columns")


def text_of(value: object) -> str:
    """Return a category as text: 7995 also where a missing value in the column made it 7995.0.

    Examples
    --------
    >>> [text_of(each) for each in (7995, 7995.0, 0.5, True, "7995")]
    ['7995', '7995', '0.5', 'True', '7995']
    """
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def learn_vocabularies(rows: Any, fitted: Ints) -> dict[str, tuple[str, ...]]:  # noqa: ANN401
    """List the values that each category of a frame takes in the fitted rows, sorted as text."""
    if not isinstance(rows, pd.DataFrame):
        return {}
    categories = rows.columns[[isinstance(each, pd.CategoricalDtype) for each in rows.dtypes]]
    return {
        str(name): tuple(sorted({text_of(value) for value in rows[name].iloc[fitted].dropna()}))
        for name in categories
    }


def encode(rows: Any, vocabularies: Vocabularies) -> Any:  # noqa: ANN401  frame in, frame out
    """Encode each category by its position in the vocabulary; other values are missing, NaN.

    Raises DatasetError if a column is a category here but was not in fit, or the reverse; each is
    named.

    Warns
    -----
    UserWarning
        If a column has values, and none of them is of its vocabulary.
    """
    _require_kinds_of_fit(rows, vocabularies)
    if not isinstance(rows, pd.DataFrame):
        return rows
    coded = {}
    for name, known in vocabularies.items():
        values = rows[name].astype(object).map(text_of, na_action="ignore")
        place = pd.Index(known, dtype=object).get_indexer(pd.Index(values, dtype=object))
        coded[name] = np.where(place < 0, np.nan, place)
        if known and values.notna().any() and (place < 0).all():
            warnings.warn(
                f"category {name!r}: none of its {values.nunique():,} value(s) here was in the "
                "rows of fit, and all are taken as missing: write them as in fit",
                stacklevel=2,
            )
    return rows.assign(**coded) if coded else rows


def _require_kinds_of_fit(rows: Any, vocabularies: Vocabularies) -> None:  # noqa: ANN401
    """Raise where values would be misread, above all codes of a category."""
    # the vocabulary has values and no codes: a whole column of codes would silently be missing
    faults = Faults(_COLUMNS, DatasetError)
    if not isinstance(rows, pd.DataFrame):
        faults.extend(
            f"{name!r} was a category in fit, and an array has none: pass a table"
            for name in vocabularies
        )
        faults.raise_if_any()
        return
    for name, dtype in zip(rows.columns, rows.dtypes, strict=True):
        category = isinstance(dtype, pd.CategoricalDtype)
        if category and name not in vocabularies:
            faults.add(f"{name!r} was a number in fit and is a category now: make it a number")
        elif not category and name in vocabularies:
            faults.add(
                f"{name!r} was a category in fit and has dtype {dtype} now: give its values, not "
                "codes, with .astype('category')"
            )
    faults.raise_if_any()


def input_columns(
    names: Sequence[str], vocabularies: Vocabularies, monotone: object
) -> tuple[InputColumn, ...]:
    """Declare the columns of the matrix.

    `monotone`: mapping of column to -1, 0 or 1; as the user gave it: not checked before.
    Raises DatasetError if a direction is for an unknown column or a category, or is not -1, 0 or 1.
    """
    directions = _read_directions(monotone)
    faults = Faults(_MONOTONE, DatasetError)
    strangers = sorted(set(directions) - set(names))
    for name in strangers[:_SHOWN]:
        faults.add(f"{name!r} is not a column of the rows given to fit")
    for name, asked in directions.items():
        if name in vocabularies:
            faults.add(f"{name!r} is a category, which has no direction: leave it out")
        if isinstance(asked, bool) or asked not in _DIRECTIONS:
            faults.add(
                f"{name!r} has direction {asked!r}: give 1 where risk rises with the value, -1 "
                "where it falls, 0 for either"
            )
    faults.raise_if_any()
    return tuple(
        InputColumn(
            name=name,
            kind="category" if name in vocabularies else "number",
            monotone=directions.get(name, 0),
        )
        for name in names
    )


def _read_directions(monotone: object) -> Mapping[str, Direction]:
    if isinstance(monotone, Mapping):
        return monotone
    msg = f"{_MONOTONE} must be a mapping such as {{'amount': 1}}, got {type(monotone).__name__}"
    raise DatasetError(msg)
