"""What a splitter reads of its rows: times, outcomes and customers."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from kyc_ml.dataset.labels import NEGATIVE, POSITIVE
from kyc_ml.errors import DatasetError
from kyc_ml.features import DECISION_TIME
from kyc_ml.metrics import AnyArray, Floats, Names, Times

Data: TypeAlias = Any
"""Anything that scikit-learn takes as X: an array, a frame, a sparse matrix, a list."""


def count_fold_rows(data: Data) -> int:
    """Count the rows of X."""
    return int(data.shape[0]) if hasattr(data, "shape") else len(data)


def read_times(data: Data, given: npt.ArrayLike | None, *, subject: str) -> Times:
    """Return the decision time of each row in UTC.

    Raises DatasetError if there are no times, too few, or some are missing.
    """
    times = find_times(data, given, subject=subject)
    if times is None:
        raise DatasetError(
            f"{subject} needs the time of every row: give times=, or X as a frame with column "
            f"{DECISION_TIME!r}, or with an index of times"
        )
    return times


def find_times(data: Data, given: npt.ArrayLike | None, *, subject: str) -> Times | None:
    """Return the decision time of each row in UTC; None if there are no times."""
    found = given if given is not None else _times_inside(data)
    if found is None:
        return None
    times = to_times(found, n_rows=count_fold_rows(data), name="times", subject=subject)
    missing = int(np.isnat(times).sum())
    if missing:
        msg = f"{subject}: {missing} of {times.size} rows have no decision time: leave them out"
        raise DatasetError(msg)
    return times


def _times_inside(data: Data) -> Any:  # noqa: ANN401  array-like of times
    if isinstance(data, pa.Table):
        return data[DECISION_TIME].to_pandas() if DECISION_TIME in data.column_names else None
    if isinstance(data, pd.DataFrame) and DECISION_TIME in data.columns:
        return data[DECISION_TIME]
    if isinstance(data, pd.DataFrame | pd.Series) and DECISION_TIME in data.index.names:
        return data.index.get_level_values(DECISION_TIME)
    values = data.index if isinstance(data, pd.DataFrame) else data
    if isinstance(values, np.ndarray | pd.Series | pd.Index) and values.ndim == 1:
        return values if pd.api.types.is_datetime64_any_dtype(values.dtype) else None
    return None


def to_times(values: npt.ArrayLike, *, n_rows: int, name: str, subject: str) -> Times:
    """Read times; those without a zone are in UTC."""
    column = values if isinstance(values, pd.Series | pd.Index) else np.asarray(values)
    msg = f"{subject}: {name} must be instants of one dimension, such as numpy's datetime64"
    if pd.api.types.is_numeric_dtype(column.dtype):  # pandas would read nanoseconds since 1970
        raise DatasetError(msg)
    try:
        index = pd.DatetimeIndex(pd.to_datetime(column, utc=True))
    except (ValueError, TypeError):
        raise DatasetError(msg) from None
    if index.size != n_rows:
        raise DatasetError(
            f"{subject}: {name} holds {index.size} instants for {n_rows} rows; X must be all "
            f"rows in their order, or carry its own {DECISION_TIME!r}"
        )
    return index.tz_localize(None).to_numpy(dtype="datetime64[us]")


def read_target(values: npt.ArrayLike, *, n_rows: int, subject: str) -> Floats:
    """Read outcomes: 1, 0, or NaN for an outcome that may not be used."""
    try:
        target = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        target = np.full(1, 2.0)
    odd = target.shape == (n_rows,) and not np.isin(target[~np.isnan(target)], [0.0, 1.0]).all()
    if target.shape != (n_rows,) or odd:
        msg = f"{subject}: y must hold 1, 0 or NaN (unknown) for each of the {n_rows} rows"
        raise DatasetError(msg)
    return target


def read_status(values: npt.ArrayLike, *, n_rows: int, subject: str) -> Names:
    """Read the states of labels, one per row."""
    status = np.asarray(values, dtype=object)
    if status.shape != (n_rows,):
        raise DatasetError(f"{subject}: status must give a state for each of the {n_rows} rows")
    return status


def to_status(target: Floats) -> Names:
    """Convert 1 and 0 to states; NaN becomes immature."""
    names = np.array([NEGATIVE, POSITIVE, "immature"], dtype=object)
    return names[np.where(np.isnan(target), 2, target).astype(np.int64)]


def read_customers(groups: npt.ArrayLike | None, *, n_rows: int, subject: str) -> AnyArray:
    """Read the customer of each row.

    Raises DatasetError if they are not given, too few, or some are missing.
    """
    if groups is None:
        raise DatasetError(f"{subject} needs the customer of every row: give groups=")
    customers = np.asarray(groups)
    if customers.shape != (n_rows,):
        raise DatasetError(f"{subject}: groups must name the customer of each of the {n_rows} rows")
    missing = int(np.asarray(pd.isna(customers)).sum())
    if missing:
        msg = f"{subject}: {missing} of {n_rows} rows have no customer: leave them out"
        raise DatasetError(msg)
    return customers
